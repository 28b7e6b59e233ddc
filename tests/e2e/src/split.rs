//! `split`: a router and two gateways as processes; each dies at random moments under load, and the links between them
//! are cut, stalled and left half open. Nothing acked is lost or doubled, all else goes on, and a gateway that does not
//! hear of its router says so.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use e2e::cluster::{Cluster, GATEWAYS_COUNT};
use e2e::device::Pace;
use e2e::dice::Dice;
use e2e::ledger::Ledger;
use e2e::load::Load;
use e2e::poll;
use e2e::scratch::{Scratch, ensure_apart};
use e2e::server::Server;
use e2e::verdict::{Verdict, broken};

use crate::ending;

const KILLS_MIN: u32 = 10;
const LINK_FAULTS_MIN: u32 = 3;
const ACKS_MIN: u64 = 20_000;
const PACE: Pace = Pace { interval: Duration::from_millis(1), window: 48 };
/// Between two blows.
const PEACE_MS: (u64, u64) = (100, 1_500);
/// Between a kill and the next start.
const DEATH_MS: (u64, u64) = (0, 1_000);
/// Some stalls are too short to be noticed, some are not.
const STALL_MS: (u64, u64) = (200, 6_000);
/// A gateway that has heard nothing for 3 s is without its router; on a machine with other things to do it may take a
/// little longer to say so.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(6);
/// From the end of a fault to a new link: a backoff of 2 s, a handshake, a router that has to start first.
const LINK_TIMEOUT: Duration = Duration::from_secs(30);

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Blow {
    KillRouter,
    KillGateway(usize),
    KillAll,
    CutLink(usize),
    StallLink(usize),
    HangLink(usize),
}

/// How often each of them must have happened, at least.
fn plan() -> Vec<(Blow, u32)> {
    let mut plan = vec![(Blow::KillRouter, KILLS_MIN), (Blow::KillAll, 2)];
    for index in 0..GATEWAYS_COUNT {
        plan.push((Blow::KillGateway(index), KILLS_MIN));
        plan.extend([Blow::CutLink, Blow::StallLink, Blow::HangLink].map(|blow| (blow(index), LINK_FAULTS_MIN)));
    }
    plan
}

pub(crate) fn run(dice: &mut Dice) -> Verdict<String> {
    let (disk, memory) = (Scratch::on_disk("split")?, Scratch::in_memory("split")?);
    ensure_apart(disk.path(), memory.path())?;
    let mut scene = Scene::open(Cluster::plan(&disk, &memory)?)?;
    let site = scene.cluster.site()?;
    let ledger = Arc::new(Ledger::create(memory.path())?);
    let load = Load::start(&site, &ledger, &memory.folder("devices")?, PACE, dice)?;
    load.resume();
    let mut left = plan();
    let mut blows = 0;
    while !left.is_empty() || ledger.acks() < ACKS_MIN {
        std::thread::sleep(dice.millis(PEACE_MS.0, PEACE_MS.1));
        let Some(index) = (!left.is_empty()).then(|| dice.below(left.len() as u64) as usize) else { continue };
        let Some((blow, times)) = left.get_mut(index) else { continue };
        let (blow, began) = (*blow, Instant::now());
        *times -= 1;
        left.retain(|(_, times)| *times > 0);
        scene.strike(blow, dice)?;
        blows += 1;
        println!("{blows}: {blow:?}, whole after {:.2} s, {} acked", began.elapsed().as_secs_f64(), ledger.acks());
    }
    load.pause();
    load.settle(Duration::from_secs(40))?;
    let messages = ending::judge(&site, &load, &ledger)?;
    load.stop()?;
    let found = scene.slowest_discovery;
    scene.close()?;
    Ok(format!(
        "{blows} blows, at least {KILLS_MIN} kills of each of 3 processes, {} acks, {messages} messages: all there once, in \
         order, told and receipted; a dead link found within {:.1} s",
        ledger.acks(),
        found.as_secs_f64(),
    ))
}

/// What runs.
struct Scene {
    cluster: Cluster,
    router: Option<Server>,
    gateways: Vec<Option<Server>>,
    slowest_discovery: Duration,
}

impl Scene {
    fn open(cluster: Cluster) -> Verdict<Scene> {
        let (router, gateways) = cluster.start()?;
        let gateways = gateways.into_iter().map(Some).collect();
        Ok(Scene { cluster, router: Some(router), gateways, slowest_discovery: Duration::ZERO })
    }

    /// Strikes, and waits until all is whole again.
    fn strike(&mut self, blow: Blow, dice: &mut Dice) -> Verdict {
        match blow {
            Blow::KillRouter => {
                self.kill_router()?;
                std::thread::sleep(dice.millis(DEATH_MS.0, DEATH_MS.1));
                self.router = Some(self.cluster.router.start()?);
            }
            Blow::KillGateway(index) => {
                self.kill_gateway(index)?;
                std::thread::sleep(dice.millis(DEATH_MS.0, DEATH_MS.1));
                self.start_gateway(index)?;
            }
            Blow::KillAll => {
                self.kill_router()?;
                (0..GATEWAYS_COUNT).try_for_each(|index| self.kill_gateway(index))?;
                // Whoever is first has to wait for the other.
                (0..GATEWAYS_COUNT).try_for_each(|index| self.start_gateway(index))?;
                self.router = Some(self.cluster.router.start()?);
            }
            Blow::CutLink(index) => self.link_ends(index, |scene| scene.cluster.links[index].cut())?,
            Blow::HangLink(index) => self.discover(index, |scene| scene.cluster.links[index].hang())?,
            Blow::StallLink(index) => self.stall(index, dice)?,
        }
        (0..GATEWAYS_COUNT).try_for_each(|index| self.wait_for_link(index))
    }

    fn kill_router(&mut self) -> anyhow::Result<()> {
        self.router.take().context("the router runs")?.kill()
    }

    fn kill_gateway(&mut self, index: usize) -> anyhow::Result<()> {
        self.gateways[index].take().context("the gateway runs")?.kill()
    }

    fn start_gateway(&mut self, index: usize) -> anyhow::Result<()> {
        self.gateways[index] = Some(self.cluster.gateways[index].start_unready()?);
        Ok(())
    }

    fn gateway(&self, index: usize) -> anyhow::Result<&Server> {
        self.gateways[index].as_ref().context("the gateway runs")
    }

    fn links_ended(&self, index: usize) -> anyhow::Result<u64> {
        self.gateway(index)?.metric("ringpost_shard_link_downs_total")
    }

    fn wait_for_link(&self, index: usize) -> Verdict {
        let gateway = self.gateway(index)?;
        let is_ready = || gateway.admin("/readyz").is_ok_and(|(status, _)| status == 200).then_some(());
        poll::until(LINK_TIMEOUT, is_ready).ok_or_else(|| broken("P8", format!("gateway {index} finds no link again")))
    }

    /// Does something to a link that its gateway has to notice.
    fn link_ends(&self, index: usize, strike: impl FnOnce(&Scene)) -> Verdict {
        let ended_before = self.links_ended(index)?;
        strike(self);
        let has_ended = || (self.links_ended(index).ok()? > ended_before).then_some(());
        poll::until(SILENCE_TIMEOUT, has_ended)
            .ok_or_else(|| broken("P7", format!("gateway {index} does not notice that its link is dead")))
    }

    /// The same, where nobody tells it.
    fn discover(&mut self, index: usize, strike: impl FnOnce(&Scene)) -> Verdict {
        let began = Instant::now();
        self.link_ends(index, strike)?;
        self.slowest_discovery = self.slowest_discovery.max(began.elapsed());
        Ok(())
    }

    /// During a long stall the gateway is without its router, and says so.
    fn stall(&mut self, index: usize, dice: &mut Dice) -> Verdict {
        let (stall, began) = (dice.millis(STALL_MS.0, STALL_MS.1), Instant::now());
        let link = &self.cluster.links[index];
        link.stall();
        let verdict = if stall >= Duration::from_secs(4) {
            let gateway = self.gateway(index)?;
            let is_unready = || gateway.admin("/readyz").is_ok_and(|(status, _)| status == 503).then_some(());
            poll::until(SILENCE_TIMEOUT, is_unready)
                .ok_or_else(|| broken("P7", format!("gateway {index} has not heard of its router and is ready")))
        } else {
            Ok(())
        };
        std::thread::sleep(stall.saturating_sub(began.elapsed()));
        link.flow();
        verdict
    }

    fn close(self) -> Verdict {
        for (gateway, plan) in self.gateways.into_iter().zip(&self.cluster.gateways) {
            ending::leave(gateway.context("the gateway runs")?, plan)?;
        }
        ending::leave(self.router.context("the router runs")?, &self.cluster.router)
    }
}
