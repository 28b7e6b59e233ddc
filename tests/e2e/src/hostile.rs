//! `hostile`: people who chat at a steady rate, and beside them, one kind after the other, peers that mean harm. The people
//! lose nothing and are not kept waiting, the memory of the server stays within its bounds, and of those peers nothing
//! stays behind.
//!
//! All share this machine, and it has other things to do: what is measured is printed to be looked at, and only a stall
//! is judged.

mod closings;
mod field;
mod floods;
mod slow;

use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bench_harness::{Account, Crowd, Latency, Pace, Phase, ProductPeer, Resume, Room, gather, run_phase};
use e2e::cast::crowd_names;
use e2e::descriptors;
use e2e::dice::Dice;
use e2e::poll;
use e2e::scratch::Scratch;
use e2e::server::{Plan, Server};
use e2e::site::Site;
use e2e::verdict::{Failure, Verdict, broken};
use protocol::ids::UserId;
use rustix::process::nice;

use crate::ending;
use closings::Closings;
use field::Field;

const PAIRS: usize = 200;
/// Of all together.
const MESSAGES_PER_SECOND: f64 = 1_000.0;
/// Of a phase, after a second to warm up.
const MEASURED: Duration = Duration::from_millis(2_500);
/// Short enough to be met within a phase.
const DEADLINE_MS: &str = "2000";
/// After their deadline, and what a busy machine adds.
const GONE_TIMEOUT: Duration = Duration::from_secs(10);
/// Theirs are 400, those of the peers some thousands.
const DESCRIPTORS_NEEDED: u64 = 8_000;
/// Who waits for a peer waits for its deadline, or for the end of a queue of thousands.
const STALL_MS: f64 = 1_000.0;
const SLOWER_MAX: f64 = 10.0;
/// Pages that are not taken (32 MiB), what is under way on the link (8 MiB each way), strangers in their handshakes and
/// torn frames (32 MiB), and what the allocator does not give back at once.
const RESIDENT_KIB_MAX: u64 = 96 * 1024;
/// The people and the server come before their peers: what is looked at is the server, not the machine's justice.
const NICE: i32 = 10;

/// A kind of peers.
struct Kind {
    name: &'static str,
    threads: usize,
    /// Goes on until the phase is over, and says how many they were.
    run: fn(&Field, usize) -> anyhow::Result<u64>,
}

const KINDS: &[Kind] = &[
    Kind { name: "slow readers", threads: 1, run: slow::readers },
    Kind { name: "slow writers", threads: 1, run: slow::writers },
    Kind { name: "half-open sockets", threads: 2, run: slow::half_open },
    Kind { name: "begun handshakes", threads: 2, run: floods::begun_handshakes },
    Kind { name: "handshakes", threads: 2, run: floods::handshakes },
    Kind { name: "bad tokens", threads: 2, run: floods::bad_tokens },
    Kind { name: "key updates", threads: 2, run: floods::key_updates },
    Kind { name: "wrong records", threads: 2, run: floods::wrong_records },
];

/// What a phase has shown of the people and of the server.
struct Seen {
    latency: Latency,
    lag: Latency,
    resident_kib: u64,
}

pub(crate) fn run(_: &mut Dice) -> Verdict<String> {
    descriptors::allow(DESCRIPTORS_NEEDED)?;
    let (disk, memory) = (Scratch::on_disk("hostile")?, Scratch::in_memory("hostile")?);
    let names = crowd_names(2 * PAIRS + 2);
    let plan = Plan::new(&disk.path().join("data"), memory.path())?
        .users(&names.iter().map(String::as_str).collect::<Vec<_>>())
        .variable("RINGPOST_GATEWAY_HANDSHAKE_TIMEOUT_MS", DEADLINE_MS)
        .variable("RINGPOST_GATEWAY_FRAME_TIMEOUT_MS", DEADLINE_MS);
    let server = plan.start()?;
    let site = Site::of(&plan)?;
    let users = names.iter().map(|name| site.user(name)).collect::<anyhow::Result<Vec<_>>>()?;
    let (people, peers) = users.split_at(2 * PAIRS);
    let field = Field::prepare(&plan, &site, peers)?;
    let mut people = assemble(&plan, people)?;
    let quiet = Seen::of(run_phase(&mut people, Pace::PerSecond(MESSAGES_PER_SECOND), MEASURED, || ()), &server)?;
    println!("{:<18} {quiet}", "nobody");
    let mut worst_ms = 0.0_f64;
    for kind in KINDS {
        let seen = kind.attack(&field, &mut people, &server, &quiet)?;
        seen.judge(kind.name, &quiet)?;
        worst_ms = worst_ms.max(seen.latency.p99);
    }
    let open = || server.metric("ringpost_shard_connections").ok();
    let gone = poll::until(GONE_TIMEOUT, || open().filter(|open| *open == 2 * PAIRS as u64));
    if gone.is_none() {
        return Err(broken("P8", format!("{:?} connections are left of {} people", open(), 2 * PAIRS)));
    }
    let resident_kib = server.resident_kib()?.saturating_sub(quiet.resident_kib);
    drop(people);
    ending::leave(server, &plan)?;
    Ok(format!(
        "{} kinds of peers, and {} people miss nothing: p99 {:.1} ms without and at most {worst_ms:.1} ms with them, \
         {resident_kib} KiB more when they have gone",
        KINDS.len(),
        2 * PAIRS,
        quiet.latency.p99,
    ))
}

/// All of them are live.
fn assemble(plan: &Plan, users: &[UserId]) -> Verdict<Crowd<ProductPeer>> {
    let account = Rc::new(Account::read(plan.data_dir(), plan.data_dir(), Resume::Never)?);
    let user = |index: usize| *users.get(index).expect("everybody is a user");
    let person = |index| ProductPeer::new(account.clone(), user(index), Room::Direct(user(index ^ 1)));
    Ok(gather(plan.native(), PAIRS, person)?)
}

impl Kind {
    /// They come, the people go on, and when those have said everything the peers go.
    fn attack(&self, field: &Field, people: &mut Crowd<ProductPeer>, server: &Server, quiet: &Seen) -> Verdict<Seen> {
        let (before, began) = (Closings::of(server)?, Instant::now());
        field.begin();
        let (seen, peers) = thread::scope(|scope| {
            let peers: Vec<_> = (0..self.threads)
                .map(|number| {
                    scope.spawn(move || {
                        nice(NICE).context("cannot step back")?;
                        (self.run)(field, number)
                    })
                })
                .collect();
            let phase = run_phase(people, Pace::PerSecond(MESSAGES_PER_SECOND), MEASURED, || ());
            let seen = Seen::of(phase, server);
            field.end();
            (seen, peers.into_iter().map(|peer| peer.join().expect("no panic")).sum::<anyhow::Result<u64>>())
        });
        let (seen, peers) = (seen?, peers.context(self.name)?);
        let per_second = peers as f64 / began.elapsed().as_secs_f64();
        let more_kib = seen.resident_kib.saturating_sub(quiet.resident_kib);
        println!("{:<18} {seen}, {more_kib} KiB more", self.name);
        println!("{:<18} {peers} of them, {per_second:.0}/s; closed: {}", "", Closings::of(server)?.since(&before));
        ensure_came(peers)?;
        Ok(seen)
    }
}

fn ensure_came(peers: u64) -> anyhow::Result<()> {
    ensure!(peers > 0, "none of them could do harm");
    Ok(())
}

impl Seen {
    /// Nobody has lost anything.
    fn of(phase: anyhow::Result<Phase>, server: &Server) -> Verdict<Seen> {
        let Phase { figures, lost, .. } =
            phase.map_err(|error| broken("P8", format!("one of the people: {error:#}")))?;
        if (lost, figures.duplicated, figures.reordered, figures.refused) != (0, 0, 0, 0) {
            let text = format!(
                "of the people's messages {lost} are lost, {} came twice, {} out of order, {} were refused",
                figures.duplicated, figures.reordered, figures.refused
            );
            return Err(broken("P4", text));
        }
        let (latency, lag) = ((&figures.delivery).into(), (&figures.lag).into());
        Ok(Seen { latency, lag, resident_kib: server.resident_kib()? })
    }

    fn judge(&self, name: &str, quiet: &Seen) -> Result<(), Failure> {
        if self.latency.p99 > STALL_MS.max(SLOWER_MAX * quiet.latency.p99) {
            return Err(broken("P8", format!("the people wait for {name}: {self}, and without them {quiet}")));
        }
        let more_kib = self.resident_kib.saturating_sub(quiet.resident_kib);
        if more_kib > RESIDENT_KIB_MAX {
            return Err(broken("P8", format!("{name} take {more_kib} KiB of the server, at most {RESIDENT_KIB_MAX}")));
        }
        Ok(())
    }
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (the load itself {:.2} late at p99), {} KiB", self.latency, self.lag.p99, self.resident_kib)
    }
}
