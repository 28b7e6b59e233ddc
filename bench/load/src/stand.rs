//! A server with people on it: what every scenario begins with, and what it asks of it.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bench_harness::{
    Border, Conditions, DRIVER_VARIABLE, Dial, Product, Resume, Rooms, Tiers, family, mechanism, now_ns, spent_between,
};
use protocol::ids::UserId;

use crate::conductor::{Workers, setups};
use crate::memory::{Look, MemoryPerConnection};
use crate::options::{Options, Scenario, ServerChoice};
use crate::order::{Order, Outcome, Setup, SubjectSetup};
use crate::plot::{Plots, points};
use crate::report::{Handshakes, LoadConditions, Report, latency};
use crate::teller::Teller;
use crate::written::{Written, write};

/// A server publishes its figures four times a second, and is late when it has much to do.
const FIGURES_AGE_MAX: Duration = Duration::from_millis(500);

/// See the file's head.
pub(crate) struct Stand {
    pub(crate) product: Product,
    pub(crate) workers: Workers,
    pub(crate) rooms: Rooms,
    /// Before anybody came.
    pub(crate) empty: Look,
}

/// What it took until everybody was live.
#[derive(Default)]
pub(crate) struct Arrival {
    pub(crate) outcome: Outcome,
    pub(crate) took: Duration,
    /// Of the server, for all of them.
    pub(crate) cpu_us: f64,
    /// Likewise: access tokens and resume tickets that it took.
    pub(crate) tokens: u64,
    pub(crate) tickets: u64,
}

impl Arrival {
    /// With another one after it.
    pub(crate) fn add(&mut self, other: Arrival) {
        let Arrival { outcome, took, cpu_us, tokens, tickets } = other;
        self.outcome.add(outcome);
        self.took += took;
        self.cpu_us += cpu_us;
        self.tokens += tokens;
        self.tickets += tickets;
    }
}

impl Stand {
    /// Starts server and workers, with nobody connected.
    pub(crate) fn set_up(options: &Options, resume: Resume, teller: &mut Teller) -> Result<Stand> {
        let rooms = options.scenario.rooms();
        let product = start_server(options, rooms.people(), teller)?;
        let users = product.users(rooms.people(), |count| teller.mention(|| format!("{count} users")))?;
        let dial = Dial::new(vec![product.address()]);
        ensure!(
            rooms.people() <= dial.connections_max(),
            "from one address to {} there can be {} connections: run the rest from other machines",
            product.address(),
            dial.connections_max()
        );
        let empty = Look::take(product.process_ids(), &[])?;
        let setups = product_setups(options, &product, rooms, &users, resume)?;
        let mut workers = Workers::start(&options.binary, &setups)?;
        // From now on they are ready.
        workers.follow(Order::Look, |_| Ok(()))?;
        Ok(Stand { product, workers, rooms, empty })
    }

    /// The server is killed, and started again. Its people are told nothing.
    pub(crate) fn kill(&mut self, teller: &mut Teller) -> Result<()> {
        let killed_at = Instant::now();
        self.product.kill_and_start()?;
        teller.say(&format!(
            "the server was killed, and is ready again after {:.1} s",
            killed_at.elapsed().as_secs_f64()
        ));
        self.workers.follow(Order::Adopt(self.product.started_ids()), |_| Ok(()))?;
        Ok(())
    }

    /// Everybody connects.
    pub(crate) fn arrive(&mut self, options: &Options, at_once: bool, teller: &mut Teller) -> Result<Arrival> {
        let [tokens, tickets] = self.shown()?;
        let (began, before) = (Instant::now(), self.border()?);
        let order = Order::Arrive { arriving_max: options.arriving_max, since_ns: at_once.then(now_ns) };
        let outcome = teller.follow(&mut self.workers, order, "connecting");
        self.product.check()?;
        let (outcome, took) = (outcome?, began.elapsed());
        let cpu_us = spent_between(&before, &self.border()?, 1).total;
        let [tokens_after, tickets_after] = self.shown()?;
        Ok(Arrival { outcome, took, cpu_us, tokens: tokens_after - tokens, tickets: tickets_after - tickets })
    }

    /// Access tokens and resume tickets that the server has taken.
    fn shown(&self) -> Result<[u64; 2]> {
        thread::sleep(FIGURES_AGE_MAX);
        let count = |what| self.product.metric(what).map(|count| count as u64);
        Ok([count("ringpost_shard_tokens_accepted_total")?, count("ringpost_shard_tickets_accepted_total")?])
    }

    fn border(&self) -> Result<Border> {
        Border::of_processes(self.product.process_ids())
    }

    /// Everybody who writes does, at a rate.
    pub(crate) fn write(&mut self, per_second: f64, measured: Duration, teller: &mut Teller) -> Result<Written> {
        let Stand { product, workers, rooms, .. } = self;
        write(workers, *rooms, (per_second, measured), || Border::of(product), teller)
    }

    /// What is held, and what was lost since the last order.
    pub(crate) fn look(&mut self) -> Result<(Outcome, Look)> {
        let outcome = self.workers.follow(Order::Look, |_| Ok(()))?;
        Ok((outcome, Look::take(self.product.process_ids(), &self.workers.process_ids())?))
    }

    /// A report with nothing of what only some scenarios measure.
    pub(crate) fn report(&self, options: &Options, arrival: &Arrival) -> Report {
        let Arrival { outcome: arrived, took, cpu_us, tokens, tickets } = arrival;
        let driver_setting = match &options.server {
            ServerChoice::Own { driver, tiers, .. } => Some(mechanism(driver, *tiers)),
            ServerChoice::Running { .. } => None,
        };
        let plots = Plots { arrivals: points(&arrived.arrival), ..Plots::default() };
        Report {
            scenario: options.scenario.name(),
            driver: driver_setting.as_deref().map(family),
            tls: Some("1.3"),
            connections_held: arrived.live,
            connections_lost: arrived.gone,
            connections_per_second: arrived.live as f64 / took.as_secs_f64(),
            handshakes: Handshakes {
                full: arrived.live.saturating_sub(arrived.sessions_resumed),
                resumed: arrived.sessions_resumed,
                tokens: *tokens,
                tickets: *tickets,
            },
            arrival_ms: latency(&arrived.arrival),
            server_cpu_us_per_connection: self.is_server_known().then_some(cpu_us / arrived.live.max(1) as f64),
            memory: MemoryPerConnection::default(),
            baseline_bytes_per_connection: None,
            bytes_over_baseline: None,
            after_messages: None,
            messages_per_second: None,
            deliveries_per_second: None,
            deliveries_per_second_and_core: None,
            server_cpu_us_per_message: None,
            baseline_cpu_us_per_message: None,
            cpu_over_baseline: None,
            latency_ms: None,
            ack_latency_ms: None,
            latency_over_baseline: None,
            baseline_latency_ms: None,
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

fn start_server(options: &Options, people: usize, teller: &mut Teller) -> Result<Product> {
    match &options.server {
        ServerChoice::Own { tiers, driver, scratch } => {
            teller.say(&format!("starting the server, driver {driver}"));
            let people = u32::try_from(people)?;
            let settings = [
                (DRIVER_VARIABLE, driver.clone()),
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
    resume: Resume,
) -> Result<Vec<Setup>> {
    let (gateway_dir, router_dir) = product.folders();
    let heartbeat_ms = u64::try_from(options.heartbeat.as_millis())?;
    setups(rooms, |share| Setup {
        subject: SubjectSetup::Product {
            gateway_dir: gateway_dir.to_owned(),
            router_dir: router_dir.to_owned(),
            users: users.iter().skip(share.first_number).take(share.rooms.people()).map(|user| user.0).collect(),
            resume,
            channels: matches!(options.scenario, Scenario::Fanout { channels: true, .. }),
        },
        servers: vec![product.address()],
        share,
        heartbeat_ms,
        orphans: product.started_ids(),
    })
}
