//! All devices of a cast at once.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::sync::watch;

use crate::cast::Cast;
use crate::device::{self, Device, Pace, Standing};
use crate::dice::Dice;
use crate::fact::DeviceIndex;
use crate::ledger::Ledger;
use crate::poll;
use crate::site::Site;

/// All devices that start together are registered within this time.
const REGISTRATION_TIMEOUT: Duration = Duration::from_secs(20);
/// Fewer than a gateway lets shake hands at a time from one address.
const START_TOGETHER: usize = 200;

/// Devices that send to each other. They go on whatever happens to the server.
pub struct Load {
    cast: Cast,
    devices: Vec<Device>,
    is_sending: watch::Sender<bool>,
}

impl Load {
    /// Registers all devices; nobody sends yet. Their state is kept in `states`.
    pub fn start(site: &Site, ledger: &Arc<Ledger>, states: &Path, pace: Pace, dice: &mut Dice) -> Result<Load> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let cast = runtime.block_on(Cast::assemble(site)).context("cannot bring the users together")?;
        Load::start_with(cast, &[site], ledger, states, pace, dice)
    }

    /// The same with this cast; each device takes the next of the ways to the server.
    pub fn start_with(
        cast: Cast,
        sites: &[&Site],
        ledger: &Arc<Ledger>,
        states: &Path,
        pace: Pace,
        dice: &mut Dice,
    ) -> Result<Load> {
        let (is_sending, receiver) = watch::channel(false);
        let mut start = |index: DeviceIndex| {
            let plan = device::Plan {
                index,
                user: cast.owner(index),
                rooms: cast.rooms_of(index),
                state_dir: states.join(index.0.to_string()),
                pace,
                site: sites[index.0 % sites.len()].clone(),
                ledger: Arc::clone(ledger),
                is_sending: receiver.clone(),
            };
            Device::start(plan, Arc::new(Standing::default()), dice.below(u64::MAX))
        };
        let indices: Vec<DeviceIndex> = cast.devices().collect();
        let mut devices: Vec<Device> = Vec::new();
        for together in indices.chunks(START_TOGETHER) {
            devices.extend(together.iter().copied().map(&mut start));
            let is_registered = |device: &Device| device.standing().is_registered.load(Ordering::Relaxed);
            let all = poll::until(REGISTRATION_TIMEOUT, || devices.iter().all(is_registered).then_some(()));
            all.context("not all devices could be registered")?;
        }
        Ok(Load { cast, devices, is_sending })
    }

    /// Who takes part.
    pub fn cast(&self) -> &Cast {
        &self.cast
    }

    /// From now on they send.
    pub fn resume(&self) {
        self.is_sending.send_replace(true);
    }

    /// From now on they send nothing new.
    pub fn pause(&self) {
        self.is_sending.send_replace(false);
    }

    /// Kills one device and starts it again with what it has on disk.
    pub fn kill_device(&mut self, dice: &mut Dice) -> Result<()> {
        let index = dice.below(self.devices.len() as u64) as usize;
        let (plan, standing) = self.devices.remove(index).kill()?;
        self.devices.insert(index, Device::start(plan, standing, dice.below(u64::MAX)));
        Ok(())
    }

    /// Waits until the server serves all devices.
    pub fn wait_until_online(&self, patience: Duration) -> Result<()> {
        let is_online = |device: &Device| device.standing().is_online.load(Ordering::Relaxed);
        let all = poll::until(patience, || self.devices.iter().all(is_online).then_some(()));
        all.with_context(|| format!("stalled: not all devices are online after {} s", patience.as_secs()))
    }

    /// Devices that the server does not serve now.
    pub fn offline(&self) -> Vec<DeviceIndex> {
        let is_offline = |device: &Device| !device.standing().is_online.load(Ordering::Relaxed);
        self.cast
            .devices()
            .zip(&self.devices)
            .filter(|(_, device)| is_offline(device))
            .map(|(index, _)| index)
            .collect()
    }

    /// Messages that are queued and not acked.
    pub fn outbox_len(&self) -> usize {
        self.devices.iter().map(|device| device.standing().outbox_len.load(Ordering::Relaxed)).sum()
    }

    /// Waits until everything that was queued is acked. A stall is an error.
    pub fn settle(&self, patience: Duration) -> Result<()> {
        let settled = poll::until_it_stalls(patience, &0, || self.outbox_len());
        settled.map_err(|left| anyhow!("stalled: {left} messages are not acked after {} s of calm", patience.as_secs()))
    }

    /// Ends all devices.
    pub fn stop(self) -> Result<()> {
        self.devices.into_iter().try_for_each(|device| device.kill().map(drop))
    }
}
