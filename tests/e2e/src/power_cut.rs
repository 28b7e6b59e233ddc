//! `power-cut`: the disk of the server loses its power at random moments under load; nothing acked is lost. With an
//! fdatasync that does nothing, something must be.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, ensure};
use e2e::cast::MORE_USERS;
use e2e::dice::Dice;
use e2e::ledger::Ledger;
use e2e::load::Load;
use e2e::loop_mount::LoopMount;
use e2e::no_sync::NoSync;
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
const WINDOW: usize = 16;
/// Between a start and the next cut.
const LIFE_MS: (u64, u64) = (300, 1_500);
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
    for cut in 1..=CUTS {
        scene.cut(dice)?;
        scene.server = Some(scene.plan.start()?);
        let facts = scene.ledger.read()?;
        let histories = history::read_all(&scene.site, scene.load.cast())?;
        let messages = audit::stored(&histories, &facts)?;
        println!("cut {cut} of {CUTS}: {} acked, {messages} messages, all there", scene.ledger.acks());
    }
    scene.load.pause();
    scene.load.settle(Duration::from_secs(40))?;
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
    let calls = lie.map_or(0, |lie| lie.calls());
    for cut in 1..=CUTS_WITHOUT_SYNC {
        scene.cut(dice)?;
        scene.load.pause();
        let facts = scene.ledger.read()?;
        let lost = match scene.plan.start_if_it_can()? {
            Started::Ended { .. } => true,
            Started::Serves(server) => {
                scene.server = Some(server);
                let site = Site::of(&scene.plan);
                let histories = site.and_then(|site| history::read_all(&site, scene.load.cast()));
                // A store without the users has lost all that they said.
                histories.map_or(true, |histories| audit::stored(&histories, &facts).is_err())
            }
        };
        println!(
            "cut {cut} without fdatasync: {} acked, {}",
            scene.ledger.acks(),
            if lost { "some lost" } else { "all there" }
        );
        if lost {
            return Ok(cut);
        }
        scene.load.resume();
    }
    if calls == 0 {
        return Err(anyhow!("the server does not call the fdatasync that does nothing, so nothing is proven").into());
    }
    Err(anyhow!("{CUTS_WITHOUT_SYNC} cuts without fdatasync lost nothing, so the cuts prove nothing").into())
}

/// A server on a disk whose power can be cut, and devices that are elsewhere.
struct Scene {
    load: Load,
    server: Option<Server>,
    disk: LoopMount,
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
        let plan = adapt(plan, memory.path())?;
        let server = plan.start()?;
        let site = Site::of(&plan)?;
        let ledger = Arc::new(Ledger::create(memory.path())?);
        let load = Load::start(&site, &ledger, &memory.folder("devices")?, WINDOW, dice)?;
        load.resume();
        Ok(Scene { load, server: Some(server), disk, plan, site, ledger, _scratch: (scratch, memory) })
    }

    /// Lets it run for a while, cuts the power, ends the server and mounts what the disk has.
    fn cut(&mut self, dice: &mut Dice) -> anyhow::Result<()> {
        std::thread::sleep(dice.millis(LIFE_MS.0, LIFE_MS.1));
        self.disk.cut_power()?;
        std::thread::sleep(dice.millis(AGONY_MS.0, AGONY_MS.1));
        let server = self.server.take();
        ensure!(server.is_some(), "the server was not started again after the last cut");
        // It ends by itself when its disk fails, so that a kill may come too late.
        drop(server);
        self.disk.unmount()?;
        self.disk.mount()
    }
}
