//! `kill`: the server, and devices, die at random moments under load; nothing acked is lost, all else goes on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use e2e::cast::MORE_USERS;
use e2e::dice::Dice;
use e2e::ledger::Ledger;
use e2e::load::Load;
use e2e::scratch::{Scratch, ensure_apart};
use e2e::server::Plan;
use e2e::site::Site;
use e2e::verdict::Verdict;

use crate::ending;

const KILLS_MIN: u32 = 20;
const ACKS_MIN: u64 = 50_000;
/// Messages of a device on their way.
const WINDOW: usize = 48;
/// Between a start and the next kill.
const LIFE_MS: (u64, u64) = (300, 3_000);
/// Between a kill and the next start.
const DEATH_MS: (u64, u64) = (0, 300);

pub(crate) fn run(dice: &mut Dice) -> Verdict<String> {
    let (disk, memory) = (Scratch::on_disk("kill")?, Scratch::in_memory("kill")?);
    ensure_apart(disk.path(), memory.path())?;
    let plan = Plan::new(&disk.path().join("data"), memory.path())?.users(MORE_USERS);
    let mut server = plan.start()?;
    let site = Site::of(&plan)?;
    let ledger = Arc::new(Ledger::create(memory.path())?);
    let mut load = Load::start(&site, &ledger, &memory.folder("devices")?, WINDOW, dice)?;
    load.resume();
    let (mut kills, mut device_kills) = (0, 0);
    while kills < KILLS_MIN || ledger.acks() < ACKS_MIN {
        std::thread::sleep(dice.millis(LIFE_MS.0, LIFE_MS.1));
        if dice.below(2) == 0 {
            load.kill_device(dice)?;
            device_kills += 1;
        }
        server.kill()?;
        kills += 1;
        std::thread::sleep(dice.millis(DEATH_MS.0, DEATH_MS.1));
        let began = Instant::now();
        server = plan.start()?;
        println!(
            "kill {kills}: back after {:.2} s, {} acked, {device_kills} devices killed",
            began.elapsed().as_secs_f64(),
            ledger.acks(),
        );
    }
    load.pause();
    load.settle(Duration::from_secs(40))?;
    let messages = ending::judge(&site, &load, &ledger)?;
    load.stop()?;
    ending::leave(server, &plan)?;
    Ok(format!(
        "{kills} kills of the server and {device_kills} of devices, {} acks, {messages} messages: all there once, in order, \
         told and receipted",
        ledger.acks()
    ))
}
