//! Peers that are no good, against the real binary: each gets its code or is closed in time, and two people who chat
//! meanwhile, the process and its memory stay as they were.

#![allow(clippy::print_stdout, reason = "figures are for a person to see")]

mod bystanders;
mod catalogue;
mod frames;
mod handshakes;

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::raw_client::RawClient;
use e2e::scratch::Scratch;
use e2e::server::{Plan, Server};
use e2e::site::Site;

use bystanders::Bystanders;

/// What a busy machine may add to what the server takes to notice a deadline.
const LATENESS: Duration = Duration::from_secs(3);
/// A TLS session, a torn frame and an entry of the allocator for each peer that was there at a time, and no more.
const MEMORY_GROWTH_KIB_MAX: u64 = 24 * 1024;
/// One message of the bystanders in a hundred may take longer: the machine runs the peers, too.
const BYSTANDER_P99_MAX: Duration = Duration::from_millis(250);
/// How often the peers that are done at once come.
const ROUNDS: usize = 20;

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
        let mut client = self.connect()?;
        client.say_hello(&self.token()?)?;
        Ok(client)
    }

    pub(crate) fn token(&self) -> Result<String> {
        Ok(self.site.token(self.site.user("alice")?, Duration::from_secs(60)))
    }
}

/// A peer, and what becomes of it.
pub(crate) type Case = (&'static str, fn(&Target) -> Result<()>);

#[test]
fn bad_peers_get_what_they_deserve_and_nobody_else_notices() {
    let scratch = Scratch::on_disk("bad-input").expect("a folder");
    let plan = Plan::new(&scratch.path().join("data"), scratch.path()).expect("a port");
    let server = plan.start().expect("a server");
    let target = Target { address: plan.native(), site: Site::of(&plan).expect("its folder") };
    let bystanders = Bystanders::start(&target.site, &scratch.folder("clients").expect("a folder"));
    bystanders.wait_for_messages(100);
    let memory_kib = server.resident_kib().expect("it runs");

    let mut failures = thread::scope(|scope| {
        let slow: Vec<_> = catalogue::SLOW.iter().map(|case| scope.spawn(|| attempt(case, &target))).collect();
        let mut failures: Vec<String> =
            (0..ROUNDS).flat_map(|_| catalogue::QUICK.iter().filter_map(|case| attempt(case, &target))).collect();
        failures.extend(slow.into_iter().filter_map(|case| case.join().expect("no panic")));
        failures
    });
    // It crowds out all who have not authenticated, so it comes last.
    failures.extend(attempt(&catalogue::CROWD, &target));

    failures.extend(judge_bystanders(bystanders).err().map(|error| format!("the bystanders: {error:#}")));
    failures.extend(judge_server(server, &plan, memory_kib).err().map(|error| format!("the server: {error:#}")));
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

fn judge_server(server: Server, plan: &Plan, memory_before_kib: u64) -> Result<()> {
    let memory_kib = server.resident_kib().context("it has gone")?;
    println!("memory: {memory_before_kib} KiB before, {memory_kib} KiB after");
    let growth_kib = memory_kib.saturating_sub(memory_before_kib);
    ensure!(growth_kib <= MEMORY_GROWTH_KIB_MAX, "it grew by {growth_kib} KiB, at most {MEMORY_GROWTH_KIB_MAX}");
    let status = server.terminate()?;
    ensure!(status.code() == Some(0), "TERM ended it with {status}");
    let log = plan.log()?;
    let errors: Vec<&str> = log.lines().filter(|line| line.contains("ERROR") || line.contains("panicked")).collect();
    ensure!(errors.is_empty(), "it logged errors:\n{}", errors.join("\n"));
    Ok(())
}

/// It took as long as its deadline, and not much longer.
pub(crate) fn ensure_took(began: Instant, wanted: Duration) -> Result<()> {
    let took = began.elapsed();
    ensure!(took + Duration::from_millis(50) >= wanted && took < wanted + LATENESS, "{took:?} instead of {wanted:?}");
    Ok(())
}
