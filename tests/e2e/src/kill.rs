//! `kill`: the server, and devices, die at random moments under load; nothing acked is lost, all else goes on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use e2e::cast::MORE_USERS;
use e2e::device::Pace;
use e2e::dice::Dice;
use e2e::ledger::Ledger;
use e2e::load::Load;
use e2e::scratch::{Scratch, ensure_apart};
use e2e::server::Plan;
use e2e::site::Site;
use e2e::verdict::Verdict;

use crate::ending;

const KILLS: u64 = 20;
/// In each life, so that there are 50,000 in all.
const ACKS_PER_LIFE_MIN: u64 = 2_500;
/// A client that was cut off waits up to 15 s before it tries again.
const STALL_TIMEOUT: Duration = Duration::from_secs(40);
const PACE: Pace = Pace { interval: Duration::from_millis(1), window: 48 };
/// Between the last of these acks and the kill.
const DELAY_MS: (u64, u64) = (0, 1_000);
/// Between a kill and the next start.
const DEATH_MS: (u64, u64) = (0, 300);

pub(crate) fn run(dice: &mut Dice) -> Verdict<String> {
    let (disk, memory) = (Scratch::on_disk("kill")?, Scratch::in_memory("kill")?);
    ensure_apart(disk.path(), memory.path())?;
    let plan = Plan::new(&disk.path().join("data"), memory.path())?.users(MORE_USERS);
    let mut server = plan.start()?;
    let site = Site::of(&plan)?;
    let ledger = Arc::new(Ledger::create(memory.path())?);
    let mut load = Load::start(&site, &ledger, &memory.folder("devices")?, PACE, dice)?;
    load.resume();
    let mut device_kills = 0;
    for kill in 1..=KILLS {
        ledger.wait_for_acks(ledger.acks() + ACKS_PER_LIFE_MIN, STALL_TIMEOUT)?;
        std::thread::sleep(dice.millis(DELAY_MS.0, DELAY_MS.1));
        if dice.below(2) == 0 {
            load.kill_device(dice)?;
            device_kills += 1;
        }
        server.kill()?;
        std::thread::sleep(dice.millis(DEATH_MS.0, DEATH_MS.1));
        let began = Instant::now();
        server = plan.start()?;
        println!(
            "kill {kill} of {KILLS}: back after {:.2} s, {} acked, {device_kills} devices killed",
            began.elapsed().as_secs_f64(),
            ledger.acks(),
        );
    }
    load.pause();
    load.settle(STALL_TIMEOUT)?;
    let messages = ending::judge(&site, &load, &ledger)?;
    load.stop()?;
    ending::leave(server, &plan)?;
    Ok(format!(
        "{KILLS} kills of the server and {device_kills} of devices, {} acks, {messages} messages: all there once, in order, \
         told and receipted",
        ledger.acks()
    ))
}
