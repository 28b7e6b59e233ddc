//! What people do in a run, and what of it is measured.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use bench_harness::{Baseline, Border, Resume, Rooms};

use crate::conductor::{Workers, setups};
use crate::kernel;
use crate::memory::Look;
use crate::options::{Options, Scenario};
use crate::order::{Order, Setup, SubjectSetup};
use crate::report::{Report, latency};
use crate::stand::{Arrival, Stand};
use crate::teller::Teller;
use crate::written::{Written, write};

/// What was freed shows as free after this time.
const MEMORY_SETTLE: Duration = Duration::from_secs(2);

/// Runs it; `say` is told how far it is.
pub fn run(options: &Options, mut say: impl FnMut(&str)) -> Result<Report> {
    let mut teller = Teller::new(&mut say);
    kernel::prepare(options.scenario.rooms().people(), |what| teller.say(what))?;
    let mut report = match options.scenario {
        Scenario::Hold { connections, idle, per_second } => hold(options, connections, idle, per_second, &mut teller)?,
        Scenario::Chat { pairs, idle, per_second, measured } => {
            chat(options, (pairs, idle), per_second, measured, &mut teller)?
        }
        Scenario::Storm { connections, rounds, resume, kills } => {
            storm(options, connections, (rounds, kills), resume, &mut teller)?
        }
        Scenario::Fanout { channels, per_second, measured, .. } => {
            fanout(options, channels, per_second, measured, &mut teller)?
        }
    };
    report.plots.timeline = teller.timeline();
    Ok(report)
}

fn hold(options: &Options, connections: usize, idle: Duration, per_second: f64, teller: &mut Teller) -> Result<Report> {
    let mut stand = Stand::set_up(options, Resume::Never, teller)?;
    let arrival = stand.arrive(options, false, teller)?;
    let mut report = stand.report(options, &arrival);
    teller.say(&format!("{connections} are live; they idle for {} s", idle.as_secs()));
    thread::sleep(idle.max(MEMORY_SETTLE));
    let is_known = stand.is_server_known();
    let (held, look) = stand.look()?;
    report.connections_lost += held.gone;
    report.memory = look.since(&stand.empty, held.live, is_known);
    report.connections_held = held.live;
    if per_second > 0.0 {
        teller.say("each writes one message");
        let measured = Duration::from_secs_f64(stand.rooms.writers() as f64 / per_second);
        let written = stand.write(per_second, measured, teller)?;
        teller.say(&format!("and idles for {} s again", idle.as_secs()));
        thread::sleep(idle.max(MEMORY_SETTLE));
        let (held, look) = stand.look()?;
        report.add_written(&written, per_second, is_known);
        report.connections_held = held.live;
        report.after_messages = Some(look.since(&stand.empty, held.live, is_known));
    }
    let doubt = report.memory.doubt(report.connections_held);
    report.void = report.void.or(doubt);
    let rooms = stand.rooms;
    drop(stand);
    report.baseline_bytes_per_connection = held_by_baseline(options, rooms, &mut teller.aside())?;
    let bytes = report.memory.server_bytes_per_connection().zip(report.baseline_bytes_per_connection);
    report.bytes_over_baseline = bytes.map(|(server, baseline)| server / baseline);
    Ok(report)
}

fn chat(
    options: &Options,
    (pairs, idle): (usize, usize),
    per_second: f64,
    measured: Duration,
    teller: &mut Teller,
) -> Result<Report> {
    teller.say("the baseline first: so many connections take a while to end");
    // Who idles there costs it nothing that is compared.
    let writing = Rooms::all_writing(pairs, 2);
    let floor = written_by_baseline(options, writing, per_second, measured, &mut teller.aside())?;
    let mut stand = Stand::set_up(options, Resume::Never, teller)?;
    let arrival = stand.arrive(options, false, teller)?;
    let mut report = stand.report(options, &arrival);
    teller.say(&format!("{pairs} pairs write {per_second:.0} messages/s, and {idle} people idle"));
    let written = stand.write(per_second, measured, teller)?;
    report.add_written(&written, per_second, stand.is_server_known());
    report.baseline_cpu_us_per_message = Some(floor.stages.total);
    report.cpu_over_baseline = report.server_cpu_us_per_message.map(|stages| stages.total / floor.stages.total);
    let floor_latency = latency(&floor.outcome.delivery);
    report.latency_over_baseline = report.latency_ms.map(|latency| latency.p50 / floor_latency.p50);
    report.baseline_latency_ms = Some(floor_latency);
    report.plots.add("baseline: due until delivered", &floor.outcome.delivery);
    Ok(report)
}

/// The bare server, with as many people on it.
fn people_of(baseline: &Baseline, options: &Options, rooms: Rooms, teller: &mut Teller) -> Result<Workers> {
    let setup = |share| Setup {
        subject: SubjectSetup::Baseline,
        servers: vec![baseline.address()],
        share,
        heartbeat_ms: 0,
        orphans: vec![baseline.process_id()],
    };
    let mut workers = Workers::start(&options.binary, &setups(rooms, setup)?)?;
    let order = Order::Arrive { arriving_max: options.arriving_max, since_ns: None };
    teller.follow(&mut workers, order, "connecting to the baseline")?;
    Ok(workers)
}

/// What messages cost and how late they are there.
fn written_by_baseline(
    options: &Options,
    rooms: Rooms,
    per_second: f64,
    measured: Duration,
    teller: &mut Teller,
) -> Result<Written> {
    let baseline = Baseline::start(&options.binary)?;
    let mut workers = people_of(&baseline, options, rooms, teller)?;
    let border = || Border::of_processes(&[baseline.process_id()]);
    write(&mut workers, rooms, (per_second, measured), border, teller)
}

/// Kernel and user bytes of a connection that idles there; `None` for more than one process may have descriptors for.
fn held_by_baseline(options: &Options, rooms: Rooms, teller: &mut Teller) -> Result<Option<f64>> {
    if rooms.people() > kernel::connections_per_worker()? {
        return Ok(None);
    }
    teller.say("as many on the baseline");
    let baseline = Baseline::start(&options.binary)?;
    let server = [baseline.process_id()];
    let empty = Look::take(&server, &[])?;
    let workers = people_of(&baseline, options, rooms, teller)?;
    thread::sleep(MEMORY_SETTLE);
    let memory = Look::take(&server, &workers.process_ids())?.since(&empty, rooms.people() as u64, true);
    Ok(memory.server_bytes_per_connection())
}

fn storm(
    options: &Options,
    connections: usize,
    (rounds, kills): (usize, bool),
    resume: Resume,
    teller: &mut Teller,
) -> Result<Report> {
    let mut stand = Stand::set_up(options, resume, teller)?;
    stand.arrive(options, false, teller)?;
    let mut all = Arrival::default();
    for round in 1..=rounds {
        teller.say(&format!("round {round}: all {connections} lose their connection"));
        let lost_at = Instant::now();
        if kills {
            stand.kill(teller)?;
        }
        teller.follow(&mut stand.workers, Order::Leave, "leaving")?;
        let mut arrival = stand.arrive(options, true, teller)?;
        arrival.took = lost_at.elapsed();
        teller.say(&format!("all are back after {:.1} s", arrival.took.as_secs_f64()));
        all.add(arrival);
    }
    let mut report = stand.report(options, &all);
    report.connections_held = stand.look()?.0.live;
    Ok(report)
}

fn fanout(
    options: &Options,
    channels: bool,
    per_second: f64,
    measured: Duration,
    teller: &mut Teller,
) -> Result<Report> {
    let mut stand = Stand::set_up(options, Resume::Never, teller)?;
    let rooms = stand.rooms;
    let arrival = stand.arrive(options, false, teller)?;
    let mut report = stand.report(options, &arrival);
    let kind = if channels { "channels" } else { "groups" };
    teller.say(&format!("in {} {kind} of {} somebody writes, {per_second} messages/s in all", rooms.count, rooms.size));
    let written = stand.write(per_second, measured, teller)?;
    report.add_written(&written, per_second, stand.is_server_known());
    Ok(report)
}
