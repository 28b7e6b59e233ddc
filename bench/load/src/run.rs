//! What all scenarios do: start the server and the workers, and make of what they have seen one report.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bench_harness::{Border, Conditions, Dial, Latency, Product, Rooms, Stages, Tiers, spent_between};
use gateway_server::DriverChoice;
use hdrhistogram::Histogram;
use protocol::ids::UserId;

use crate::conductor::{Event, Workers};
use crate::kernel;
use crate::memory::Look;
use crate::options::{Options, ServerChoice};
use crate::order::{Order, Outcome, Progress, Setup, SubjectSetup, Times};
use crate::plot::Plots;
use crate::report::{LoadConditions, Report};
use crate::scenario;

/// A load that is later than this with one message of a hundred does not show what the server does.
const LAG_P99_MAX_US: u64 = 20_000;
/// Every message before what is measured.
const WARM_TIME: Duration = Duration::from_secs(1);
/// Between two words of how far it is.
const SAY_INTERVAL: Duration = Duration::from_secs(2);

/// Runs it; `say` is told how far it is.
pub fn run(options: &Options, mut say: impl FnMut(&str)) -> Result<Report> {
    scenario::run(options, &mut say)
}

/// Who says how far it is, and what is kept of that.
pub(crate) struct Teller<'a> {
    say: &'a mut dyn FnMut(&str),
    began: Instant,
    said: Instant,
    timeline: Vec<(f64, Progress)>,
}

/// A server with people on it.
pub(crate) struct Stand {
    pub(crate) product: Product,
    pub(crate) workers: Workers,
    pub(crate) rooms: Rooms,
    /// Before anybody came.
    pub(crate) empty: Look,
}

/// Messages at a rate, and what they gave.
pub(crate) struct Written {
    pub(crate) outcome: Outcome,
    pub(crate) answered: u64,
    pub(crate) delivered: u64,
    pub(crate) measured: Duration,
    pub(crate) stages: Stages,
}

impl<'a> Teller<'a> {
    pub(crate) fn new(say: &'a mut dyn FnMut(&str)) -> Teller<'a> {
        Teller { say, began: Instant::now(), said: Instant::now(), timeline: Vec::new() }
    }

    pub(crate) fn say(&mut self, what: &str) {
        (self.say)(what);
        self.said = Instant::now();
    }

    pub(crate) fn hear(&mut self, progress: Progress, what: &str) {
        self.timeline.push((self.began.elapsed().as_secs_f64(), progress));
        if self.said.elapsed() >= SAY_INTERVAL {
            let Progress { live, answered, delivered } = progress;
            self.say(&format!("{what}: {live} live, {answered} messages acked, {delivered} delivered"));
        }
    }

    pub(crate) fn timeline(&mut self) -> Vec<(f64, Progress)> {
        std::mem::take(&mut self.timeline)
    }
}

impl Stand {
    /// Starts server and workers, with nobody connected.
    pub(crate) fn set_up(options: &Options, rooms: Rooms, keeps_tickets: bool, teller: &mut Teller) -> Result<Stand> {
        kernel::prepare(rooms.people(), |what| teller.say(what))?;
        let product = start_server(options, rooms.people(), teller)?;
        let users = product.users(rooms.people(), |count| {
            if teller.said.elapsed() >= SAY_INTERVAL {
                teller.say(&format!("{count} users"));
            }
        })?;
        let dial = Dial::new(vec![product.address()]);
        ensure!(
            rooms.people() <= dial.connections_max(),
            "from one address to {} there can be {} connections: run the rest from other machines",
            product.address(),
            dial.connections_max()
        );
        let empty = Look::take(product.process_ids(), &[])?;
        let setups = product_setups(options, &product, rooms, &users, keeps_tickets)?;
        let workers = Workers::start(&options.binary, &setups)?;
        Ok(Stand { product, workers, rooms, empty })
    }

    /// Everybody connects; gives what that took.
    pub(crate) fn arrive(
        &mut self,
        options: &Options,
        at_once: bool,
        teller: &mut Teller,
    ) -> Result<(Outcome, Duration)> {
        let began = Instant::now();
        let order = Order::Arrive { arriving_max: options.arriving_max, at_once };
        let outcome = follow(&mut self.workers, order, "connecting", teller);
        self.product.check()?;
        Ok((outcome?, began.elapsed()))
    }

    /// Everybody who writes does, at a rate.
    pub(crate) fn write(&mut self, per_second: f64, measured: Duration, teller: &mut Teller) -> Result<Written> {
        let Stand { product, workers, .. } = self;
        write(workers, per_second, measured, || Border::of(product), teller)
    }

    /// What is held, and what was lost since the last order.
    pub(crate) fn look(&mut self) -> Result<(Outcome, Look)> {
        let outcome = self.workers.follow(Order::Look, |_| Ok(()))?;
        Ok((outcome, Look::take(self.product.process_ids(), &self.workers.process_ids())?))
    }

    /// A report with nothing of what only some scenarios measure.
    pub(crate) fn report(&self, options: &Options, arrival: &Outcome, took: Duration) -> Report {
        let driver_setting = match &options.server {
            ServerChoice::Own { driver, .. } => Some(mechanism(driver)),
            ServerChoice::Running { .. } => None,
        };
        let mut plots = Plots::default();
        plots.add("connecting", &arrival.arrival);
        Report {
            scenario: options.scenario.name(),
            driver: driver_setting.as_deref().map(family),
            tls: Some("1.3"),
            connections_held: arrival.live,
            connections_lost: arrival.gone,
            connections_per_second: arrival.live as f64 / took.as_secs_f64(),
            arrival_ms: latency(&arrival.arrival),
            memory: None,
            after_messages: None,
            messages_per_second: None,
            deliveries_per_second: None,
            server_cpu_us_per_message: None,
            baseline_cpu_us_per_message: None,
            cpu_over_baseline: None,
            latency_ms: None,
            ack_latency_ms: None,
            latency_over_baseline: None,
            generator_lag_ms: None,
            lost: 0,
            duplicated: 0,
            reordered: 0,
            void: None,
            conditions: LoadConditions {
                common: Conditions::now(self.product.address().ip().is_loopback()),
                driver_setting,
                tiers: match &options.server {
                    ServerChoice::Own { tiers: Tiers::Whole, .. } => "whole",
                    ServerChoice::Own { tiers: Tiers::Split, .. } => "split",
                    ServerChoice::Running { .. } => "running",
                },
                connections: self.rooms.people(),
                room_size: self.rooms.size,
                rate: None,
                workers: self.workers.process_ids().len(),
                heartbeat_s: options.heartbeat.as_secs_f64(),
            },
            plots,
        }
    }

    /// Whether the server's processes are known, and so what they cost.
    pub(crate) fn is_server_known(&self) -> bool {
        !self.product.process_ids().is_empty()
    }
}

impl Report {
    /// With what messages gave; `rate` is what was asked for.
    pub(crate) fn add_written(&mut self, written: &Written, rate: f64, is_server_known: bool) {
        let outcome = &written.outcome;
        let per_second = |count: u64| count as f64 / written.measured.as_secs_f64();
        self.connections_held = outcome.live;
        self.connections_lost += outcome.gone;
        self.messages_per_second = Some(per_second(written.answered));
        self.deliveries_per_second = Some(per_second(written.delivered));
        self.server_cpu_us_per_message = is_server_known.then_some(written.stages);
        self.latency_ms = Some(latency(&outcome.delivery));
        self.ack_latency_ms = Some(latency(&outcome.ack));
        self.generator_lag_ms = Some(latency(&outcome.lag));
        (self.lost, self.duplicated, self.reordered) = (outcome.lost, outcome.duplicated, outcome.reordered);
        self.conditions.rate = Some(rate);
        self.plots.add("due until acked", &outcome.ack);
        self.plots.add("due until delivered", &outcome.delivery);
        let lag_us = Histogram::from(&outcome.lag).value_at_quantile(0.99);
        if lag_us > LAG_P99_MAX_US {
            let lag_ms = lag_us as f64 / 1000.0;
            self.void = Some(format!("the load was {lag_ms:.1} ms late with one message of a hundred; ask for less"));
        } else if outcome.refused > 0 {
            let code = outcome.refused_code.unwrap_or_default();
            self.void = Some(format!("the server refused {} times, with code {code}", outcome.refused));
        } else if self.connections_lost > 0 {
            self.void = Some(format!("{} connections ended by themselves", self.connections_lost));
        }
    }
}

fn start_server(options: &Options, people: usize, teller: &mut Teller) -> Result<Product> {
    match &options.server {
        ServerChoice::Own { tiers, driver, scratch } => {
            teller.say(&format!("starting the server, driver {driver}"));
            let people = u32::try_from(people)?;
            let settings = [
                ("RINGPOST_GATEWAY_DRIVER", driver.clone()),
                ("RINGPOST_GATEWAY_HEARTBEAT_INTERVAL_MS", options.heartbeat.as_millis().to_string()),
                ("RINGPOST_GATEWAY_CONNECTIONS_MAX", (people + 1_000).max(1 << 20).to_string()),
                ("RINGPOST_ROUTER_USERS_MAX", (people + 1_000).max(1_000_000).to_string()),
            ];
            Product::start(&options.binary, scratch, *tiers, &settings)
        }
        ServerChoice::Running { data_dir, process_id } => Product::running(data_dir, *process_id),
    }
}

fn product_setups(
    options: &Options,
    product: &Product,
    rooms: Rooms,
    users: &[UserId],
    keeps_tickets: bool,
) -> Result<Vec<Setup>> {
    let (gateway_dir, router_dir) = product.folders();
    let heartbeat_ms = u64::try_from(options.heartbeat.as_millis())?;
    setups(rooms, |first, count| Setup {
        subject: SubjectSetup::Product {
            gateway_dir: gateway_dir.to_owned(),
            router_dir: router_dir.to_owned(),
            users: users.iter().skip(first).take(count * rooms.size).map(|user| user.0).collect(),
            keeps_tickets,
        },
        servers: vec![product.address()],
        room_count: count,
        room_size: rooms.size,
        first_number: first,
        heartbeat_ms,
    })
}

/// Rooms shared out evenly over as few workers as may hold them; `setup` gets the first person and how many rooms.
pub(crate) fn setups(rooms: Rooms, mut setup: impl FnMut(usize, usize) -> Setup) -> Result<Vec<Setup>> {
    let per_worker_max = kernel::connections_per_worker()? / rooms.size;
    ensure!(per_worker_max > 0, "a room is larger than the descriptors of a process: see `ulimit -n`");
    let workers = rooms.count.div_ceil(per_worker_max);
    let share = |index: usize| index * rooms.count / workers;
    Ok((0..workers).map(|index| setup(share(index) * rooms.size, share(index + 1) - share(index))).collect())
}

/// Has the workers follow an order, and says how far they are.
pub(crate) fn follow(workers: &mut Workers, order: Order, what: &str, teller: &mut Teller) -> Result<Outcome> {
    workers.follow(order, |event| {
        if let Event::Progress(progress) = event {
            teller.hear(progress, what);
        }
        Ok(())
    })
}

/// Messages at a rate, with the cost of the server between the borders.
pub(crate) fn write(
    workers: &mut Workers,
    per_second: f64,
    measured: Duration,
    mut border: impl FnMut() -> Result<Border>,
    teller: &mut Teller,
) -> Result<Written> {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let per_worker = per_second / workers.process_ids().len() as f64;
    let order = Order::Write { per_second: per_worker, warm_ms: millis(WARM_TIME), measured_ms: millis(measured) };
    let (mut before, mut after) = (None, None);
    let outcome = workers.follow(order, |event| {
        match event {
            Event::Progress(progress) => teller.hear(progress, "writing"),
            Event::Measuring => before = Some((border()?, Instant::now())),
            Event::Measured(progress) => after = Some((border()?, Instant::now(), progress)),
        }
        Ok(())
    })?;
    let (before, began) = before.context("a measured time begins")?;
    let (after, ended, progress) = after.context("a measured time ends")?;
    let Progress { answered, delivered, .. } = progress;
    let stages = spent_between(&before, &after, answered);
    Ok(Written { outcome, answered, delivered, measured: ended - began, stages })
}

pub(crate) fn latency(times: &Times) -> Latency {
    (&Histogram::from(times)).into()
}

/// The driver that a setting stands for here.
fn mechanism(setting: &str) -> String {
    let pick = setting.parse::<DriverChoice>().ok().and_then(|choice| choice.pick().ok());
    pick.map_or_else(|| setting.to_owned(), |pick| pick.driver.name().to_owned())
}

fn family(driver: &str) -> String {
    driver.split('-').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_are_shared_out_whole_and_none_is_left() {
        let per_worker = kernel::connections_per_worker().expect("descriptors");
        for rooms in
            [Rooms { count: 1, size: 2 }, Rooms { count: per_worker, size: 2 }, Rooms { count: 50, size: 1024 }]
        {
            let mut next = 0;
            let setup = |first: usize, count| {
                assert_eq!(first, next, "no room is left out");
                assert!(count * rooms.size <= per_worker);
                next = first + count * rooms.size;
                Setup {
                    subject: SubjectSetup::Baseline,
                    servers: Vec::new(),
                    room_count: count,
                    room_size: rooms.size,
                    first_number: first,
                    heartbeat_ms: 0,
                }
            };
            setups(rooms, setup).expect("descriptors");
            assert_eq!(next, rooms.people());
        }
    }
}
