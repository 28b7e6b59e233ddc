//! `soak`: two thousand clients for a minute, with the faults of ten: the server is killed, connections are cut and stall,
//! clients are killed, the disk runs low. Every loss, every double and every disorder is named. `soak-short` has each
//! fault once, and the server's twice.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use e2e::cast::{Cast, crowd_names};
use e2e::descriptors;
use e2e::device::Pace;
use e2e::dice::Dice;
use e2e::ledger::Ledger;
use e2e::load::Load;
use e2e::loop_mount::LoopMount;
use e2e::poll;
use e2e::proxy::Proxy;
use e2e::scratch::{Scratch, ensure_apart};
use e2e::server::{Plan, Server};
use e2e::site::Site;
use e2e::verdict::Verdict;

use crate::ending;

const CLIENTS: usize = 2_000;
/// A client has a socket, two files and what its runtime waits with; a proxy has two sockets for it.
const DESCRIPTORS_PER_CLIENT: u64 = 9;
/// Together 500 messages in a second.
const PACE: Pace = Pace { interval: Duration::from_secs(4), window: 8 };
const PROXIES_COUNT: usize = 2;
const DISK_MIB: u64 = 1024;
const LOW_MIB: &str = "96";
const LEFT_WHEN_LOW_BYTES: u64 = 8 << 20;
const CLIENTS_KILLED_AT_ONCE: u64 = 50;
/// Between two blows, their own time not counted.
const PEACE_MS: (u64, u64) = (500, 3_500);
const STALL_MS: (u64, u64) = (1_000, 5_000);
/// The store asks for its free space once a second.
const LOW_MS: (u64, u64) = (2_000, 5_000);
/// A client that was cut off waits up to 15 s, and two thousand of them take a while to shake hands.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blow {
    KillServer,
    CutConnections(usize),
    StallReaders(usize),
    KillClients,
    DiskLow,
}

pub(crate) fn run(dice: &mut Dice) -> Verdict<String> {
    let more = [Blow::KillServer, Blow::KillClients, Blow::DiskLow, Blow::DiskLow];
    soak(dice, [round(), round(), more.to_vec()].concat())
}

pub(crate) fn run_short(dice: &mut Dice) -> Verdict<String> {
    soak(dice, [round(), vec![Blow::KillServer, Blow::DiskLow]].concat())
}

fn soak(dice: &mut Dice, mut left: Vec<Blow>) -> Verdict<String> {
    descriptors::allow(CLIENTS as u64 * DESCRIPTORS_PER_CLIENT)?;
    let mut scene = Scene::prepare(dice)?;
    let began = Instant::now();
    let blows_count = left.len();
    while !left.is_empty() {
        std::thread::sleep(dice.millis(PEACE_MS.0, PEACE_MS.1));
        let blow = left.swap_remove(dice.below(left.len() as u64) as usize);
        scene.strike(blow, dice)?;
        println!("{:.1} s: {blow:?}, {} acked", began.elapsed().as_secs_f64(), scene.ledger.acks());
    }
    let took = began.elapsed();
    let Scene { load, server, plan, site, ledger, .. } = scene;
    load.pause();
    load.settle(STALL_TIMEOUT)?;
    let messages = ending::judge(&site, &load, &ledger)?;
    load.stop()?;
    ending::leave(server.context("the server runs")?, &plan)?;
    Ok(format!(
        "{CLIENTS} clients, {blows_count} blows in {:.0} s, {} acks, {messages} messages: all there once, in order, told and \
         receipted",
        took.as_secs_f64(),
        ledger.acks()
    ))
}

fn round() -> Vec<Blow> {
    let of_proxies = (0..PROXIES_COUNT).flat_map(|index| [Blow::CutConnections(index), Blow::StallReaders(index)]);
    of_proxies.chain([Blow::KillServer, Blow::KillClients]).collect()
}

struct Scene {
    load: Load,
    server: Option<Server>,
    plan: Plan,
    site: Site,
    ledger: Arc<Ledger>,
    disk: LoopMount,
    /// Between the clients and the server.
    proxies: Vec<Proxy>,
    /// Last, since everything above is in them.
    _scratch: (Scratch, Scratch),
}

impl Scene {
    fn prepare(dice: &mut Dice) -> Verdict<Scene> {
        let (scratch, memory) = (Scratch::on_disk("soak")?, Scratch::in_memory("soak")?);
        let disk = LoopMount::create(&scratch, DISK_MIB)?;
        ensure_apart(disk.path(), memory.path())?;
        let names = crowd_names(CLIENTS);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let plan = Plan::new(&disk.path().join("data"), memory.path())?.users(&names);
        let plan = plan.flags(&["--disk-low-mib", LOW_MIB]);
        let server = plan.start()?;
        let site = Site::of(&plan)?;
        let proxies =
            (0..PROXIES_COUNT).map(|_| Proxy::start(vec![plan.native()])).collect::<anyhow::Result<Vec<_>>>()?;
        let ways: Vec<Site> = proxies.iter().map(|proxy| site.clone().through(proxy.address())).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("cannot start a runtime")?;
        let began = Instant::now();
        let cast = runtime.block_on(Cast::crowd(&site, CLIENTS)).context("cannot bring the users together")?;
        println!("{} conversations after {:.1} s", cast.rooms.len(), began.elapsed().as_secs_f64());
        let ledger = Arc::new(Ledger::create(memory.path())?);
        let ways: Vec<&Site> = ways.iter().collect();
        let load = Load::start_with(cast, &ways, &ledger, &memory.folder("devices")?, PACE, dice)?;
        println!("{CLIENTS} clients after {:.1} s", began.elapsed().as_secs_f64());
        load.resume();
        let server = Some(server);
        Ok(Scene { load, server, plan, site, ledger, disk, proxies, _scratch: (scratch, memory) })
    }

    fn strike(&mut self, blow: Blow, dice: &mut Dice) -> anyhow::Result<()> {
        match blow {
            Blow::KillServer => {
                self.server.take().context("the server runs")?.kill()?;
                self.server = Some(self.plan.start()?);
            }
            Blow::CutConnections(index) => self.proxies[index].cut(),
            Blow::StallReaders(index) => {
                self.proxies[index].stall();
                std::thread::sleep(dice.millis(STALL_MS.0, STALL_MS.1));
                self.proxies[index].flow();
            }
            Blow::KillClients => {
                for _ in 0..CLIENTS_KILLED_AT_ONCE {
                    self.load.kill_device(dice)?;
                }
            }
            Blow::DiskLow => {
                let filler = self.disk.fill("filler", LEFT_WHEN_LOW_BYTES)?;
                let is_low = || self.is_ready().map(|is_ready| !is_ready);
                let said = poll::until(Duration::from_secs(10), || is_low().ok().filter(|is_low| *is_low));
                ensure!(said.is_some(), "the server does not say that its disk is almost full");
                std::thread::sleep(dice.millis(LOW_MS.0, LOW_MS.1));
                self.disk.release(&filler)?;
            }
        }
        Ok(())
    }

    fn is_ready(&self) -> anyhow::Result<bool> {
        let server = self.server.as_ref().ok_or_else(|| anyhow!("the server runs"))?;
        Ok(server.admin("/readyz")?.0 == 200)
    }
}
