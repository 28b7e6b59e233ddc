//! `frozen`: a group of as many as there may be. One of them stops reading while it is written to: the others notice
//! nothing, the server hardly, and it has everything once it reads again. So has one who was away.

use std::time::Duration;

use e2e::cast::crowd_names;
use e2e::crowd::Crowd;
use e2e::descriptors;
use e2e::dice::Dice;
use e2e::poll;
use e2e::scratch::Scratch;
use e2e::server::{Plan, Server};
use e2e::site::Site;
use e2e::verdict::{Verdict, broken};
use protocol::limits::GROUP_MEMBERS_MAX;

use crate::ending;

/// Of a phase: one every 200 ms.
const MESSAGES: u64 = 30;
const INTERVAL: Duration = Duration::from_millis(200);
/// In private to the one that freezes, between two of the others: more than a window in a phase.
const FLOOD: u64 = 20;
const FLOOD_BYTES: usize = 1024;
/// Who writes to the one that freezes.
const FLOODER: usize = 1;
const FROZEN: usize = 2;
const AWAY: usize = 3;
/// A machine that does other things is late for all alike, now and then.
const SLOWER_MAX: u32 = 3;
const LATE_MAX: Duration = Duration::from_millis(200);
/// A full window waits 5 s for an ack.
const PULL_TIMEOUT: Duration = Duration::from_secs(10);
/// A window, the queue of a gateway, and what an allocator keeps between two looks at it.
const RESIDENT_KIB_MAX: u64 = 32 * 1024;

/// What a phase has shown.
struct Figures {
    p50: Duration,
    p99: Duration,
    resident_kib: u64,
}

pub(crate) fn run(_: &mut Dice) -> Verdict<String> {
    // Those of the clients and those of the server, each with a few of their own.
    descriptors::allow(2 * GROUP_MEMBERS_MAX as u64)?;
    let (disk, memory) = (Scratch::on_disk("frozen")?, Scratch::in_memory("frozen")?);
    let names = crowd_names(GROUP_MEMBERS_MAX);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let plan = Plan::new(&disk.path().join("data"), memory.path())?.users(&names);
    let server = plan.start()?;
    let site = Site::of(&plan)?;
    let users = names.iter().map(|name| site.user(name)).collect::<anyhow::Result<_>>()?;
    let mut crowd = Crowd::gather(&site, &plan, users)?;
    crowd.make_group()?;
    crowd.turn_until("everybody is in it", |crowd| crowd.are_in_group())?;
    crowd.leave(AWAY);

    // Everything that is made once is made.
    phase(&mut crowd, &server, 0)?;
    let without = phase(&mut crowd, &server, 1)?;
    println!("all read: {without}");
    crowd.member(FROZEN).is_frozen = true;
    let with = phase(&mut crowd, &server, 2)?;
    println!("one does not: {with}");
    let pulls = || server.metric("ringpost_router_pulls_begun_total").ok().filter(|pulls| *pulls > 0);
    if poll::until(PULL_TIMEOUT, pulls) != Some(1) {
        return Err(broken("P4", "who is told that it does not keep up is not the frozen one alone"));
    }
    crowd.member(FROZEN).is_frozen = false;
    let wanted = 3 * MESSAGES * (1 + FLOOD);
    crowd.turn_until("the frozen one has everything", |crowd| crowd.messages(FROZEN) == wanted)?;
    crowd.connect(AWAY)?;
    crowd.turn_until("the one who was away has everything", |crowd| crowd.messages(AWAY) == 3 * MESSAGES)?;
    if with.p99 > without.p99 * SLOWER_MAX + LATE_MAX {
        return Err(broken("P4", format!("the others wait for the frozen one: {with}, and without it {without}")));
    }
    let resident_kib = with.resident_kib.saturating_sub(without.resident_kib);
    if resident_kib > RESIDENT_KIB_MAX {
        return Err(broken("P4", format!("the frozen one takes {resident_kib} KiB of the server")));
    }
    drop(crowd);
    ending::leave(server, &plan)?;
    Ok(format!(
        "{} messages to {GROUP_MEMBERS_MAX} members, with all reading {without}, with one frozen {with}, {resident_kib} KiB \
         more; the frozen one and one who was away have everything",
        3 * MESSAGES,
    ))
}

/// Both kinds of messages, and their end.
fn phase(crowd: &mut Crowd, server: &Server, phases_before: u64) -> Verdict<Figures> {
    crowd.take_latencies();
    for _ in 0..MESSAGES {
        crowd.say_to_all()?;
        for _ in 0..FLOOD {
            crowd.say_to(FLOODER, FROZEN, FLOOD_BYTES)?;
        }
        crowd.turn_for(INTERVAL)?;
    }
    let wanted = (phases_before + 1) * MESSAGES;
    crowd.turn_until("everybody has everything", |crowd| crowd.have(wanted, &[FROZEN, AWAY]))?;
    let latencies = crowd.take_latencies();
    let at = |per_mille: usize| latencies.get(latencies.len() * per_mille / 1000).copied().unwrap_or_default();
    Ok(Figures { p50: at(500), p99: at(990), resident_kib: server.resident_kib()? })
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "p50 {:.1?} p99 {:.1?} at {} KiB", self.p50, self.p99, self.resident_kib)
    }
}
