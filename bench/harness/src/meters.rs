//! What the kernel says of memory.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};

/// What a TCP socket with a descriptor is made of, whatever waits for it.
const SOCKET_CACHES: [&str; 8] =
    ["TCP", "sock_inode_cache", "filp", "dentry", "tcp_bind_bucket", "eventpoll_epi", "eventpoll_pwq", "io_kiocb"];

/// Those of them that the kernel counts as available memory, since it can give back what nobody has open.
pub const RECLAIMABLE_SOCKET_CACHES: [&str; 2] = ["sock_inode_cache", "dentry"];

/// What the machine could still give, in bytes.
pub fn memory_available_bytes() -> Result<u64> {
    kib_of("/proc/meminfo", "MemAvailable:").map(|kib| kib * 1024)
}

/// Bytes of the kernel's caches of which a socket has objects, by name; empty for who may not read that.
pub fn socket_cache_bytes() -> BTreeMap<String, u64> {
    let text = fs::read_to_string("/proc/slabinfo").unwrap_or_default();
    let cache = |line: &str| {
        let (fields, slabs) = line.split_once(" : slabdata ").or_else(|| line.split_once(": slabdata"))?;
        let mut fields = fields.split_whitespace();
        let name = fields.next().filter(|name| SOCKET_CACHES.contains(name))?;
        let pages_per_slab: u64 = fields.nth(4)?.parse().ok()?;
        let slabs: u64 = slabs.split_whitespace().nth(1)?.parse().ok()?;
        Some((name.to_owned(), slabs * pages_per_slab * rustix::param::page_size() as u64))
    };
    text.lines().filter_map(cache).collect()
}

/// What a process has of its own, and its share of what it has together with others, in bytes. Without files: the kernel
/// counts their pages as available.
pub fn pss_bytes(process_id: u32) -> Result<u64> {
    let file = format!("/proc/{process_id}/smaps_rollup");
    Ok((kib_of(&file, "Pss_Anon:")? + kib_of(&file, "Pss_Shmem:")?) * 1024)
}

fn kib_of(file: &str, name: &str) -> Result<u64> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB")?.trim().parse().ok());
    value.with_context(|| format!("{file} has no {name}"))
}
