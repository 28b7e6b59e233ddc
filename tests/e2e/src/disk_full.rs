//! `disk-full`: the disk of the server fills up under load. New messages are refused for now, all else goes on, nothing
//! acked is lost, also not by a kill -9 in that state; and when there is room again messages go on by themselves.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use client::Draft;
use e2e::cast::MORE_USERS;
use e2e::device::Pace;
use e2e::dice::Dice;
use e2e::ledger::Ledger;
use e2e::load::Load;
use e2e::loop_mount::LoopMount;
use e2e::raw_client::RawClient;
use e2e::scratch::{Scratch, ensure_apart};
use e2e::server::{Plan, Server, Started};
use e2e::site::Site;
use e2e::verdict::{Failure, Verdict, broken};
use e2e::{audit, history, poll};
use protocol::codes::Code;
use protocol::encode::FrameBuilder;
use protocol::ids::{ClientMsgId, ConversationId};
use protocol::time::WallTime;

use crate::ending;

const DISK_MIB: u64 = 512;
const LOW_MIB: &str = "96";
/// Less than the low-water mark, and enough for a small file.
const LEFT_WHEN_LOW_BYTES: u64 = 8 << 20;
const PACE: Pace = Pace { interval: Duration::from_millis(2), window: 16 };
const ACKS_BEFORE: u64 = 2_000;
const ACKS_AFTER: u64 = 2_000;
/// The store asks for its free space once a second.
const NOTICE_TIMEOUT: Duration = Duration::from_secs(10);
/// A client that was refused or cut off waits up to 15 s.
const RETURN_TIMEOUT: Duration = Duration::from_secs(40);

pub(crate) fn run(dice: &mut Dice) -> Verdict<String> {
    let (scratch, memory) = (Scratch::on_disk("disk-full")?, Scratch::in_memory("disk-full")?);
    let disk = LoopMount::create(&scratch, DISK_MIB)?;
    ensure_apart(disk.path(), memory.path())?;
    let plan = Plan::new(&disk.path().join("data"), memory.path())?.users(MORE_USERS);
    let plan = plan.flags(&["--disk-low-mib", LOW_MIB]);
    let mut server = plan.start()?;
    let site = Site::of(&plan)?;
    let ledger = Arc::new(Ledger::create(memory.path())?);
    let mut load = Load::start(&site, &ledger, &memory.folder("devices")?, PACE, dice)?;
    load.resume();
    ledger.wait_for_acks(ACKS_BEFORE, RETURN_TIMEOUT)?;

    expect_ballast(&server)?;
    let filler = disk.fill("filler", LEFT_WHEN_LOW_BYTES)?;
    expect_low(&server, &plan, &site)?;
    println!("low: new messages are refused after {} acks", ledger.acks());
    expect_reads(&site, &load, &ledger)?;
    load.kill_device(dice)?;
    load.wait_until_online(RETURN_TIMEOUT)?;
    println!("low: histories are read, and a device that was killed is back");

    server.kill()?;
    server = plan.start_unready()?;
    expect_low(&server, &plan, &site)?;
    expect_reads(&site, &load, &ledger)?;
    println!("low: killed and started again, all there");

    let rest = disk.fill("rest", 0)?;
    server.kill()?;
    server = start_on_a_full_disk(&plan, &disk, &rest)?;
    expect_reads(&site, &load, &ledger)?;

    disk.release(&filler)?;
    let acks = ledger.acks();
    poll::until(NOTICE_TIMEOUT, || (server.admin("/readyz").ok()?.0 == 200).then_some(()))
        .context("the server is not ready although its disk has room again")?;
    ledger.wait_for_acks(acks + ACKS_AFTER, RETURN_TIMEOUT)?;
    expect_ballast(&server)?;
    println!("room again: messages go on, {} acks, and the ballast is there", ledger.acks());
    load.pause();
    load.settle(RETURN_TIMEOUT)?;
    let messages = ending::judge(&site, &load, &ledger)?;
    load.stop()?;
    ending::leave(server, &plan)?;
    Ok(format!("{messages} messages: all there once, in order, told and receipted"))
}

/// It was never let go of, or is made again.
fn expect_ballast(server: &Server) -> Verdict {
    let is_there = || server.metric("ringpost_log_ballast").ok().filter(|ballast| *ballast == 1);
    poll::until(RETURN_TIMEOUT, is_there).context("there is no ballast although there is room for it")?;
    Ok(())
}

/// `/readyz` says so, and a new message gets the code for it on a connection that stays.
fn expect_low(server: &Server, plan: &Plan, site: &Site) -> Verdict {
    let said = poll::until(NOTICE_TIMEOUT, || server.admin("/readyz").ok().filter(|(status, _)| *status == 503));
    let (_, text) = said.context("/readyz does not say that the disk is almost full")?;
    ensure_harness(text.contains("disk"), || format!("/readyz says `{}`", text.trim()))?;
    let (alice, bob) = (site.user("alice")?, site.user("bob")?);
    let mut raw = RawClient::connect(plan.native(), site.certificate())?;
    raw.say_hello(&site.token(alice, Duration::from_secs(60)))?;
    let draft = Draft::text(ConversationId::direct(alice, bob), Some(bob), "is there room?");
    let now = WallTime(std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_millis() as u64);
    raw.send(FrameBuilder::default().message_send(ClientMsgId::new(now, 1), 0, &draft))?;
    let (code, retry_after_ms) = raw.refusal().map_err(|error| broken("P8", format!("a new message: {error:#}")))?;
    if code != Code::DiskLow.number() || retry_after_ms == 0 {
        return Err(broken("P8", format!("a new message got code {code}, retry after {retry_after_ms} ms")));
    }
    raw.expect_pong().map_err(|error| broken("P8", format!("after the refusal: {error:#}")))
}

fn expect_reads(site: &Site, load: &Load, ledger: &Ledger) -> Verdict {
    let mut reading = ledger.open()?;
    let facts = reading.read_on()?;
    let histories = history::read_all(site, load.cast())?;
    audit::stored(&histories, facts).map(drop)
}

/// With no byte left the server may refuse to start, if it says so in one line; then it starts with a little room.
fn start_on_a_full_disk(plan: &Plan, disk: &LoopMount, rest: &std::path::Path) -> Verdict<Server> {
    let server = match plan.start_if_it_can()? {
        Started::Serves(server) => {
            println!("full to the last byte: killed and started again");
            disk.release(rest)?;
            server
        }
        Started::Ended { exit_code, standard_error } => {
            let is_one_line = standard_error.lines().filter(|line| line.starts_with("ringpost: ")).count() == 1;
            let is_expected = matches!(exit_code, Some(73 | 74)) && is_one_line;
            ensure_harness(is_expected, || format!("on a full disk: exit code {exit_code:?}, {standard_error}"))?;
            println!("full to the last byte: {}", standard_error.lines().last().unwrap_or_default());
            disk.release(rest)?;
            plan.start_unready()?
        }
    };
    Ok(server)
}

fn ensure_harness(holds: bool, text: impl FnOnce() -> String) -> Result<(), Failure> {
    let check = || {
        ensure!(holds, "{}", text());
        Ok(())
    };
    check().map_err(Failure::from)
}
