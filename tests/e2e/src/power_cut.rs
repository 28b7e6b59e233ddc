//! `power-cut`: the disk of the server loses its power at random moments under load; nothing acked is lost. With an
//! fdatasync that does nothing, something must be.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, ensure};
use e2e::cast::MORE_USERS;
use e2e::device::Pace;
use e2e::dice::Dice;
use e2e::fact::{Fact, News};
use e2e::ledger::Ledger;
use e2e::load::Load;
use e2e::loop_mount::LoopMount;
use e2e::no_sync::NoSync;
use e2e::power_switch::PowerSwitch;
use e2e::scratch::{Scratch, ensure_apart};
use e2e::server::{Plan, Server, Started};
use e2e::site::Site;
use e2e::verdict::{Failure, Verdict};
use e2e::{audit, history};

use crate::ending;

const CUTS: u32 = 20;
/// Without fdatasync one cut loses all that the kernel has not written by itself, which it does after seconds.
const CUTS_WITHOUT_SYNC: u32 = 5;
const DISK_MIB: u64 = 3 * 1024;
const PACE: Pace = Pace { interval: Duration::from_millis(2), window: 16 };
/// In each life, so that every cut is one under load.
const ACKS_PER_LIFE_MIN: u64 = 200;
/// A client that was cut off waits up to 15 s before it tries again.
const STALL_TIMEOUT: Duration = Duration::from_secs(40);
/// Between the last of these acks and the cut.
const DELAY_MS: (u64, u64) = (0, 1_000);
/// Between a cut and the end of the server: it may still answer, but must not ack.
const AGONY_MS: (u64, u64) = (0, 200);

pub(crate) fn run(dice: &mut Dice) -> Verdict<String> {
    let (cuts, acks, messages) = cut_often(dice)?;
    let lost_after = cut_without_sync(dice)?;
    Ok(format!(
        "{cuts} cuts, {acks} acks, {messages} messages: all there once, in order, told and receipted; without fdatasync \
         {lost_after} cuts lost what was acked"
    ))
}

fn cut_often(dice: &mut Dice) -> Verdict<(u32, u64, usize)> {
    let mut scene = Scene::prepare(dice, |plan, _| Ok(plan))?;
    let ledger = Arc::clone(&scene.ledger);
    let mut reading = ledger.open()?;
    for cut in 1..=CUTS {
        scene.cut(dice)?;
        scene.server = Some(scene.plan.start()?);
        let facts = reading.read_on()?;
        let histories = history::read_all(&scene.site, scene.load.cast())?;
        let messages = audit::stored(&histories, facts)?;
        println!("cut {cut} of {CUTS}: {} acked, {messages} messages, all there", acks(facts));
    }
    scene.load.pause();
    scene.load.settle(STALL_TIMEOUT)?;
    let messages = ending::judge(&scene.site, &scene.load, &scene.ledger)?;
    let Scene { load, server, plan, ledger, .. } = scene;
    load.stop()?;
    let server = server.expect("started after the last cut");
    let status = server.terminate().map_err(Failure::from)?;
    // Each cut is an error that the server logs, so its log says nothing here.
    let log = plan.log()?;
    if status.code() != Some(0) {
        return Err(anyhow!("after TERM the server ended with {status}; its log:\n{log}").into());
    }
    Ok((CUTS, ledger.acks(), messages))
}

/// Gives the number of cuts after which something was lost.
fn cut_without_sync(dice: &mut Dice) -> Verdict<u32> {
    let mut lie = None;
    let mut scene = Scene::prepare(dice, |plan, folder| {
        let compiled = lie.insert(NoSync::compile(folder)?);
        Ok(compiled.variables().iter().fold(plan, |plan, (name, value)| plan.variable(name, value)))
    })?;
    if lie.is_none_or(|lie| lie.calls() == 0) {
        return Err(anyhow!("the server does not call the fdatasync that does nothing, so nothing is proven").into());
    }
    let ledger = Arc::clone(&scene.ledger);
    let mut reading = ledger.open()?;
    for cut in 1..=CUTS_WITHOUT_SYNC {
        scene.cut(dice)?;
        let facts = reading.read_on()?;
        if let Some(loss) = scene.loss(facts)? {
            println!("cut {cut} without fdatasync: {} acked, and {loss}", acks(facts));
            return Ok(cut);
        }
        println!("cut {cut} without fdatasync: {} acked, all there", acks(facts));
    }
    Err(anyhow!("{CUTS_WITHOUT_SYNC} cuts without fdatasync lost nothing, so the cuts prove nothing").into())
}

fn acks(facts: &[Fact]) -> usize {
    facts.iter().filter(|fact| matches!(fact.news, News::Acked(..))).count()
}

/// A server on a disk whose power can be cut, and devices that are elsewhere.
struct Scene {
    load: Load,
    server: Option<Server>,
    disk: LoopMount,
    power_switch: PowerSwitch,
    plan: Plan,
    site: Site,
    ledger: Arc<Ledger>,
    /// Last, since everything above is in them.
    _scratch: (Scratch, Scratch),
}

impl Scene {
    fn prepare(dice: &mut Dice, adapt: impl FnOnce(Plan, &std::path::Path) -> anyhow::Result<Plan>) -> Verdict<Scene> {
        let (scratch, memory) = (Scratch::on_disk("power-cut")?, Scratch::in_memory("power-cut")?);
        let disk = LoopMount::create(&scratch, DISK_MIB)?;
        ensure_apart(disk.path(), memory.path())?;
        let plan = Plan::new(&disk.path().join("data"), memory.path())?.users(MORE_USERS);
        let plan = adapt(plan, scratch.path())?;
        let power_switch = PowerSwitch::compile(scratch.path())?;
        let server = plan.start()?;
        let site = Site::of(&plan)?;
        let ledger = Arc::new(Ledger::create(memory.path())?);
        let load = Load::start(&site, &ledger, &memory.folder("devices")?, PACE, dice)?;
        load.resume();
        Ok(Scene { load, server: Some(server), disk, power_switch, plan, site, ledger, _scratch: (scratch, memory) })
    }

    /// Lets it run for a while, cuts the power, ends the server and mounts what the disk has.
    fn cut(&mut self, dice: &mut Dice) -> anyhow::Result<()> {
        self.ledger.wait_for_acks(self.ledger.acks() + ACKS_PER_LIFE_MIN, STALL_TIMEOUT)?;
        std::thread::sleep(dice.millis(DELAY_MS.0, DELAY_MS.1));
        self.power_switch.cut(&self.disk)?;
        std::thread::sleep(dice.millis(AGONY_MS.0, AGONY_MS.1));
        let server = self.server.take();
        ensure!(server.is_some(), "the server was not started again after the last cut");
        // It ends by itself when its disk fails, so that a kill may come too late.
        drop(server);
        self.disk.unmount()?;
        self.disk.mount()
    }
    /// Starts the server, if it still can, and says what of this is lost.
    fn loss(&mut self, facts: &[Fact]) -> Verdict<Option<String>> {
        match self.plan.start_if_it_can()? {
            // What it had made durable before is not there, or not whole.
            Started::Ended { exit_code: Some(74 | 78), standard_error } => {
                let last_words = standard_error.lines().last().unwrap_or_default();
                return Ok(Some(format!("it does not start: {last_words}")));
            }
            Started::Ended { exit_code, standard_error } => {
                return Err(anyhow!("the server ended with exit code {exit_code:?}: {standard_error}").into());
            }
            Started::Serves(server) => self.server = Some(server),
        }
        let site = Site::of(&self.plan)?;
        let histories = history::read_all(&site, self.load.cast())?;
        match audit::stored(&histories, facts) {
            Err(Failure::Broken { text, .. }) => Ok(Some(text)),
            judged => judged.map(|_| None),
        }
    }
}
