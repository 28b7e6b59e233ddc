//! When devices that are away were here last, since the router began: for people who look at their list of devices.

use alloc::collections::BTreeMap;

use protocol::ids::DeviceId;
use protocol::time::WallTime;

/// Devices of which it is known: 16 bytes each. Beyond, it is forgotten of those that were registered first.
const DEVICES_MAX: usize = 1_000_000;

#[derive(Default)]
pub(crate) struct LastSeen {
    at_by_device: BTreeMap<DeviceId, WallTime>,
}

impl LastSeen {
    /// A device has left.
    pub(crate) fn left(&mut self, device: DeviceId, at: WallTime) {
        self.at_by_device.insert(device, at);
        if self.at_by_device.len() > DEVICES_MAX {
            self.at_by_device.pop_first();
        }
    }

    /// A device is here.
    pub(crate) fn came(&mut self, device: DeviceId) {
        self.at_by_device.remove(&device);
    }

    /// `None`: it is here, or nothing is known.
    pub(crate) fn of(&self, device: DeviceId) -> Option<WallTime> {
        self.at_by_device.get(&device).copied()
    }
}
