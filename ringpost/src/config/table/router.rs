//! The keys of `[router]`, and of `[store]`, which a router has.
//!
//! The ranges are those of a machine and of common sense: the router itself takes any number.

use std::ops::RangeInclusive;

use protocol::limits::DEVICES_PAGE_MAX;
use router_server::StoreConfig;

use super::{key, place};
use crate::config::flags::{DEV, SERVE};
use crate::config::key::{Key, Place, Tier};
use crate::config::kind::{bytes, count, mebibytes, milliseconds};
use crate::config::value::{Stored, Value};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// Of what is done again and again.
const INTERVAL_MS: RangeInclusive<u64> = 10..=60_000;
/// From a minute, which is between two looks of the store at its segments, to a week.
const SEGMENT_AGE_MS: RangeInclusive<u64> = 60_000..=7 * 24 * 60 * 60 * 1000;
/// Of memory for one purpose.
const MEMORY: RangeInclusive<u64> = MIB..=64 * GIB;

/// Whoever looks after a disk thinks in MiB.
const DISK_LOW: Place = Place {
    read: |settings| Value::Number(settings.store.disk_low_bytes / MIB),
    write: |settings, value| settings.store.disk_low_bytes = u64::of_value(value) * MIB,
};

/// Likewise.
const BALLAST: Place = Place {
    read: |settings| Value::Number(u64::from(settings.store.ballast_bytes) / MIB),
    write: |settings, value| settings.store.ballast_bytes = u32::of_value(value) * MIB as u32,
};

pub(super) fn keys() -> impl Iterator<Item = Key> {
    limits().into_iter().chain(times()).map(|key| key.of(Tier::Router).on_hangup())
}

fn limits() -> [Key; 8] {
    [
        key("router.conversations_max", place!(router.conversations_max), count(100..=1_u64 << 24))
            .means("Conversations in memory.")
            .reached("Idle ones are forgotten, and loaded again when they are needed."),
        key("router.users_max", place!(router.users_max), count(100..=1_u64 << 24))
            .means("Users in memory.")
            .reached("Idle ones are forgotten, and loaded again when they are needed."),
        key("router.dedup_window_entries", place!(router.dedup_window_entries), count(0..=1_u64 << 16))
            .means("Client ids remembered for each conversation.")
            .reached("Older ones are asked of the store; with 0 all are."),
        key("router.devices_max", place!(router.devices_max), count(1..=DEVICES_PAGE_MAX as u64))
            .means("Devices of a user that are not revoked.")
            .reached("Another one is refused; who is there already goes on."),
        key("router.push_window_events", place!(router.push_window_events), count(1..=1_u64 << 14))
            .means("Events that are pushed to a device and not acked.")
            .reached("The rest waits in its log."),
        key("router.push_window_bytes", place!(router.push_window_bytes), bytes(1024..=256 * MIB))
            .means("Bytes of those events; one event always goes.")
            .reached("The rest waits in its log."),
        key("router.inbox_max", place!(router.inbox_max), count(1..=1_u64 << 20))
            .means("Requests that wait for one conversation.")
            .reached("Further ones are refused with a code that says to try again."),
        key("router.link_backlog_bytes_max", place!(router.link_backlog_bytes_max), bytes(MEMORY))
            .means("Answers that one gateway has not taken. At half of it further requests of that gateway wait.")
            .reached("The link is dropped and built anew."),
    ]
}

fn times() -> [Key; 7] {
    [
        key("router.pull_after_ms", place!(router.pull_after), milliseconds(INTERVAL_MS))
            .means("How long the oldest event of a full window may wait for its ack.")
            .reached("The session is pushed nothing more until it has asked for what its log has."),
        key("router.park_after_ms", place!(router.park_after), milliseconds(10..=3_600_000_u64))
            .means("How long nothing happens to a user, or to a conversation of a few, before it is forgotten.")
            .reached("It is loaded again when something happens. Sessions stay, at some hundred bytes each."),
        key("router.receipt_interval_ms", place!(router.receipt_interval), milliseconds(INTERVAL_MS))
            .means("Receipts of one reader in one conversation reach a sender at most this often."),
        key("router.flush_interval_ms", place!(router.flush_interval), milliseconds(INTERVAL_MS))
            .means("Cursors of devices are saved at most this often."),
        key("router.store_retry_min_ms", place!(router.store_retry_min), milliseconds(INTERVAL_MS))
            .means("A failed request of the store is repeated after this time, doubled each time."),
        key("router.store_retry_max_ms", place!(router.store_retry_max), milliseconds(INTERVAL_MS))
            .means("The end of the doubling."),
        key("router.retry_after_ms", place!(router.retry_after), milliseconds(0..=3_600_000_u64))
            .means("What a client is told to wait before it tries again."),
    ]
}

pub(super) fn store_keys() -> impl Iterator<Item = Key> {
    let segment_bytes = bytes(StoreConfig::SEGMENT_BYTES).in_steps_of(StoreConfig::SECTOR_BYTES.into());
    let keys = [
        key("store.segment_bytes", place!(store.segment_bytes), segment_bytes)
            .means("Size of a segment of the log. Applies to segments made from now on."),
        key("store.disk_low_mib", DISK_LOW, mebibytes(0..=1_u64 << 24))
            .means("Free space of the disk below which new messages are refused with a code that says to try again.")
            .reached("All else goes on.")
            .on_hangup()
            .flag("disk-low-mib", "MIB", DEV | SERVE),
        key("store.ballast_mib", BALLAST, mebibytes(0..=4095_u64))
            .means(
                "Size of a file that is let go of when the disk is full all the same, so that what was accepted finds \
                 room. At least a segment; 0 for none.",
            )
            .reached("It is made again when there is room for it above `store.disk_low_mib`."),
        key("store.recent_bytes_max", place!(store.recent_bytes_max), bytes(MEMORY))
            .means("Messages kept in memory because they were written or read lately.")
            .reached("The oldest go; they are read from the disk again.")
            .on_hangup(),
        key("store.backlog_bytes_max", place!(store.backlog_bytes_max), bytes(MEMORY))
            .means("Writes that wait for room in the log.")
            .reached("New messages are refused until half of it has gone.")
            .on_hangup(),
        key("store.snapshot_every_bytes", place!(store.snapshot_every_bytes), bytes(MEMORY))
            .means("Records after which the next snapshot is written, unless twice the last one is more. A start reads so much.")
            .on_hangup(),
        key("store.segment_age_max_ms", place!(store.segment_age_max), milliseconds(SEGMENT_AGE_MS))
            .means(
                "Age of the oldest record of the open segment, from which a new one is begun with a snapshot, although \
                 there is room in it. What has had its time or is erased leaves the disk up to three of these times later.",
            )
            .reached("A new segment takes `store.segment_bytes`, and gives back what it has not used when it is left.")
            .on_hangup(),
    ];
    keys.into_iter().map(|key| key.of(Tier::Router))
}
