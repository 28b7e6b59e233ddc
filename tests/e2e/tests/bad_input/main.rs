//! Peers that are no good, against the real binary: each gets its code or is closed in time, and two people who chat
//! meanwhile, the process and its memory stay as they were.

#![allow(clippy::print_stdout, reason = "figures are for a person to see")]

mod bystanders;
mod catalogue;
mod frames;
mod handshakes;
mod hellos;
mod requests;

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use client::Draft;
use e2e::cast::MORE_USERS;
use e2e::raw_client::RawClient;
use e2e::scratch::Scratch;
use e2e::server::{Plan, Server};
use e2e::site::Site;
use e2e::{binary, cleanup, poll};
use protocol::codes::Code;
use protocol::encode::FrameBuilder;
use protocol::ids::{ClientMsgId, ConversationId, UserId};
use protocol::time::WallTime;

use bystanders::Bystanders;

/// What a busy machine may add to what the server takes to notice a deadline.
const LATENESS: Duration = Duration::from_secs(3);
/// What a router keeps of answers that are not taken (32 MiB), what is under way on its link (8 MiB each way), the send
/// queue of a connection (1 MiB), and as much again for what the allocator does not give back at once.
const BOUNDS_KIB: u64 = 96 * 1024;
/// The same peers again take no more than the allocator's disorder.
const LEAK_KIB_MAX: u64 = 16 * 1024;
/// One message of the bystanders in a hundred may take longer: the machine runs the peers, too.
const BYSTANDER_P99_MAX: Duration = Duration::from_millis(250);
/// Nothing here takes longer.
const TIME_MAX: Duration = Duration::from_secs(180);
/// How often the peers that are done at once come.
const ROUNDS: usize = 10;

/// What a case has to do with.
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) site: Site,
}

impl Target {
    pub(crate) fn connect(&self) -> Result<RawClient> {
        RawClient::connect(self.address, self.site.certificate())
    }

    /// A transient session of alice.
    pub(crate) fn say_hello(&self) -> Result<RawClient> {
        self.say_hello_as("alice")
    }

    pub(crate) fn say_hello_as(&self, name: &str) -> Result<RawClient> {
        let mut client = self.connect()?;
        client.say_hello(&self.token_of(name)?)?;
        Ok(client)
    }

    pub(crate) fn token(&self) -> Result<String> {
        self.token_of("alice")
    }

    fn token_of(&self, name: &str) -> Result<String> {
        Ok(self.site.token(self.site.user(name)?, Duration::from_secs(60)))
    }

    pub(crate) fn users(&self, names: [&str; 2]) -> Result<[UserId; 2]> {
        let [one, other] = names;
        Ok([self.site.user(one)?, self.site.user(other)?])
    }
}

/// A peer, and what becomes of it.
pub(crate) type Case = (&'static str, fn(&Target) -> Result<()>);

#[test]
fn bad_peers_get_what_they_deserve_and_nobody_else_notices() {
    cleanup::watch();
    binary::ringpost().expect("it builds");
    cleanup::limit(TIME_MAX);
    let scratch = Scratch::on_disk("bad-input").expect("a folder");
    let plan = Plan::new(&scratch.path().join("data"), scratch.path()).expect("a port").users(MORE_USERS);
    let server = plan.start().expect("a server");
    let target = Target { address: plan.native(), site: Site::of(&plan).expect("its folder") };
    let bystanders = Bystanders::start(&target.site, &scratch.folder("clients").expect("a folder"));
    bystanders.wait_for_messages(100);
    let cold = Footprint::of(&server).expect("it runs");

    // The first of a kind may make memory grow, up to the bounds; after that nobody may. How far the deaf one fills the
    // buffers is chance, so it comes only once.
    let once = [catalogue::QUICK, &[catalogue::CROWD, catalogue::DEAF]].concat();
    let mut failures: Vec<String> = once.iter().filter_map(|case| attempt(case, &target)).collect();
    let warm = Footprint::of(&server).expect("it runs");
    failures.extend(thread::scope(|scope| {
        let slow: Vec<_> = catalogue::SLOW.iter().map(|case| scope.spawn(|| attempt(case, &target))).collect();
        let mut failures: Vec<String> =
            (0..ROUNDS).flat_map(|_| catalogue::QUICK.iter().filter_map(|case| attempt(case, &target))).collect();
        failures.extend(slow.into_iter().filter_map(|case| case.join().expect("no panic")));
        failures
    }));
    // It crowds out all who have not authenticated: not while others are looked at.
    failures.extend(attempt(&catalogue::CROWD, &target));

    failures.extend(judge_bystanders(bystanders).err().map(|error| format!("the bystanders: {error:#}")));
    failures.extend(judge_server(server, &plan, &cold, &warm).err().map(|error| format!("the server: {error:#}")));
    failures.sort();
    failures.dedup();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What went wrong.
fn attempt((what, run): &Case, target: &Target) -> Option<String> {
    run(target).err().map(|error| format!("{what}: {error:#}"))
}

fn judge_bystanders(bystanders: Bystanders) -> Result<()> {
    let latencies = bystanders.stop()?;
    let at = |percent: usize| latencies.get(latencies.len() * percent / 100).copied().context("no message");
    println!("bystanders: {} messages, p50 {:?}, p99 {:?}", latencies.len(), at(50)?, at(99)?);
    ensure!(at(99)? <= BYSTANDER_P99_MAX, "p99 is {:?}, at most {BYSTANDER_P99_MAX:?}", at(99)?);
    Ok(())
}

/// What a server takes of the machine.
struct Footprint {
    memory_kib: u64,
    descriptors: usize,
}

impl Footprint {
    fn of(server: &Server) -> Result<Footprint> {
        Ok(Footprint { memory_kib: server.resident_kib()?, descriptors: server.descriptors()? })
    }
}

/// The bystanders have gone as well: it holds no more descriptors than before.
fn judge_server(server: Server, plan: &Plan, cold: &Footprint, warm: &Footprint) -> Result<()> {
    let has_let_go = || (server.descriptors().ok()? <= cold.descriptors).then_some(());
    let let_go = poll::until(LATENESS, has_let_go);
    let after = Footprint::of(&server).context("it has gone")?;
    println!("memory in KiB: {} cold, {} warm, {} after", cold.memory_kib, warm.memory_kib, after.memory_kib);
    let_go.with_context(|| format!("{} descriptors, {} before", after.descriptors, cold.descriptors))?;
    let ensure_grew = |from: &Footprint, to: &Footprint, growth_kib_max: u64| {
        let growth_kib = to.memory_kib.saturating_sub(from.memory_kib);
        ensure!(growth_kib <= growth_kib_max, "it grew by {growth_kib} KiB, at most {growth_kib_max}");
        Ok(())
    };
    ensure_grew(cold, warm, BOUNDS_KIB)?;
    ensure_grew(warm, &after, LEAK_KIB_MAX)?;
    let status = server.terminate()?;
    ensure!(status.code() == Some(0), "TERM ended it with {status}");
    let log = plan.log()?;
    let errors: Vec<&str> = log.lines().filter(|line| line.contains("ERROR") || line.contains("panicked")).collect();
    ensure!(errors.is_empty(), "it logged errors:\n{}", errors.join("\n"));
    Ok(())
}

pub(crate) fn expect_goodbye(mut client: RawClient, code: Code) -> Result<()> {
    let given = client.goodbye().with_context(|| format!("{code:?} was due"))?;
    ensure!(given == code.number(), "code {given} instead of {code:?}");
    Ok(())
}

/// From alice to bob, under an id that was minted then.
pub(crate) fn message(target: &Target, minted_at: WallTime, text: &str) -> Result<Vec<u8>> {
    let [alice, bob] = target.users(["alice", "bob"])?;
    let draft = Draft::text(ConversationId::direct(alice, bob), Some(bob), text);
    Ok(FrameBuilder::default().message_send(ClientMsgId::new(minted_at, 1), 0, &draft).to_vec())
}

pub(crate) fn now() -> WallTime {
    WallTime(u64::try_from(UNIX_EPOCH.elapsed().unwrap_or_default().as_millis()).unwrap_or(u64::MAX))
}

/// It took as long as its deadline, and not much longer.
pub(crate) fn ensure_took(began: Instant, wanted: Duration) -> Result<()> {
    let took = began.elapsed();
    ensure!(took + Duration::from_millis(50) >= wanted && took < wanted + LATENESS, "{took:?} instead of {wanted:?}");
    Ok(())
}
