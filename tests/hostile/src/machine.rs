//! The embedded store and its simulated disk, driven to rest.

use std::time::Duration;

use protocol::time::Now;
use storage_embedded::{EmbeddedOptions, EmbeddedStore, OpenError, Opening};
use storage_log::{Disk, Monotonic, SimDisk};

/// Opens what is on the disk, or makes it where there is nothing.
pub(crate) fn open(now: Now, disk: &SimDisk, options: EmbeddedOptions) -> Result<EmbeddedStore, OpenError> {
    let mut opening = Opening::new(options);
    let mut hands = disk.clone();
    while !opening.is_done() {
        while let Some((id, operation)) = opening.poll_operation() {
            hands.submit(id, operation);
        }
        assert!(disk.perform_one(), "an opening that is not done waits for the disk");
        while let Some(completion) = hands.poll_completion() {
            opening.handle_completion(completion)?;
        }
    }
    Ok(opening.finish(Monotonic(Duration::from_nanos(now.monotonic.0))))
}

/// The disk does all that the store wants of it.
pub(crate) fn perform(now: Now, store: &mut EmbeddedStore, disk: &SimDisk) {
    let mut hands = disk.clone();
    loop {
        while let Some((id, operation)) = store.poll_operation() {
            hands.submit(id, operation);
        }
        if !disk.perform_one() {
            return;
        }
        while let Some(completion) = hands.poll_completion() {
            store.handle_completion(now, completion);
        }
    }
}
