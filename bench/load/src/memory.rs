//! What connections take of the machine: the difference of two looks at it.

use std::collections::BTreeMap;

use anyhow::Result;
use bench_harness::{RECLAIMABLE_SOCKET_CACHES, memory_available_bytes, pss_bytes, socket_cache_bytes};
use serde::Serialize;

/// A look.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    available: u64,
    /// Of each process: the gateway's, and the router's where that is another.
    server: Vec<u64>,
    load: u64,
    caches: BTreeMap<String, u64>,
}

/// In bytes. Memory cgroups do not count what the kernel has for sockets, so it is what is missing of the machine's
/// memory beside what processes have more than before; server and load have as many sockets, so each has half of it. What
/// the kernel calls available although open sockets have it, is missing too.
#[derive(Clone, Debug, Default, Serialize)]
pub struct MemoryPerConnection {
    /// One end of it in the kernel.
    pub server_kernel_bytes_per_connection: Option<f64>,
    /// In the processes of the server.
    pub server_user_bytes_per_connection: Option<f64>,
    /// Of those, what the router's process has for a user, with what its store knows of the user since; `null` where gateway
    /// and router are one process.
    pub router_bytes_per_user: Option<f64>,
    /// In the processes of the load.
    pub client_user_bytes_per_connection: Option<f64>,
    /// One end by the kernel's caches, as a check of the first: they lack what is allocated in pages, and most of what
    /// waits for a socket.
    pub slab_bytes_per_end: Option<f64>,
    /// Those caches.
    pub slab_caches: BTreeMap<String, SlabCache>,
}

/// In bytes.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SlabCache {
    /// When nobody was connected.
    pub before: u64,
    /// Now.
    pub after: u64,
}

impl Look {
    /// Of now.
    pub(crate) fn take(server: &[u32], load: &[u32]) -> Result<Look> {
        let pss = |processes: &[u32]| processes.iter().map(|id| pss_bytes(*id)).collect::<Result<Vec<u64>>>();
        let load = pss(load)?.iter().sum::<u64>() + pss_bytes(std::process::id())?;
        Ok(Look { available: memory_available_bytes()?, server: pss(server)?, load, caches: socket_cache_bytes() })
    }

    /// What is more than before, for each of so many; of the server only where it is known.
    pub(crate) fn since(&self, before: &Look, connections: u64, is_server_known: bool) -> MemoryPerConnection {
        let growth = |before: u64, now: u64| now as f64 - before as f64;
        let count = connections.max(1) as f64;
        let of_server: Vec<f64> = before.server.iter().zip(&self.server).map(|(one, now)| growth(*one, *now)).collect();
        let (server, load) = (of_server.iter().sum::<f64>(), growth(before.load, self.load));
        let cache = |(name, after): (&String, &u64)| {
            let before = before.caches.get(name).copied().unwrap_or_default();
            (name.clone(), SlabCache { before, after: *after })
        };
        let slab_caches: BTreeMap<String, SlabCache> = self.caches.iter().map(cache).collect();
        let grown = |(_, cache): (&String, &SlabCache)| growth(cache.before, cache.after);
        let slab: f64 = slab_caches.iter().map(grown).sum();
        let is_reclaimable = |name: &str| RECLAIMABLE_SOCKET_CACHES.contains(&name);
        let reclaimable: f64 = slab_caches.iter().filter(|(name, _)| is_reclaimable(name)).map(grown).sum();
        let kernel = growth(self.available, before.available) + reclaimable - server - load;
        MemoryPerConnection {
            server_kernel_bytes_per_connection: is_server_known.then_some(kernel / count / 2.0),
            server_user_bytes_per_connection: is_server_known.then_some(server / count),
            router_bytes_per_user: of_server.get(1).map(|router| router / count),
            client_user_bytes_per_connection: Some(load / count),
            slab_bytes_per_end: (!slab_caches.is_empty()).then_some(slab / count / 2.0),
            slab_caches,
        }
    }
}

/// Below this, what a machine does beside the run is as much as the sockets take.
const CONNECTIONS_MIN: u64 = 1_000;

impl MemoryPerConnection {
    /// What the server's end takes in all.
    pub(crate) fn server_bytes_per_connection(&self) -> Option<f64> {
        Some(self.server_kernel_bytes_per_connection? + self.server_user_bytes_per_connection?)
    }

    /// Why the kernel's part cannot be true: a socket takes what its caches have grown by, and at most twice that.
    pub(crate) fn doubt(&self, connections: u64) -> Option<String> {
        let (kernel, slab) = self.server_kernel_bytes_per_connection.zip(self.slab_bytes_per_end)?;
        let is_likely = (0.8 * slab..2.0 * slab).contains(&kernel);
        (connections >= CONNECTIONS_MIN && slab > 0.0 && !is_likely).then(|| {
            format!(
                "the kernel seems to have {kernel:.0} bytes for an end, and its caches have grown by {slab:.0}: something \
                 else on this machine has taken or given memory meanwhile"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_process_has_is_the_kernels_and_each_end_has_half_of_it() {
        let caches = |bytes| BTreeMap::from([("TCP".to_owned(), bytes), ("sock_inode_cache".to_owned(), bytes / 10)]);
        let before = Look { available: 1_000_000, server: vec![7_000, 3_000], load: 10_000, caches: caches(50_000) };
        let after = Look { available: 900_000, server: vec![15_000, 5_000], load: 15_000, caches: caches(110_000) };
        let memory = after.since(&before, 10, true);
        assert_eq!(memory.server_kernel_bytes_per_connection, Some(4_550.0));
        assert_eq!(memory.server_user_bytes_per_connection, Some(1_000.0));
        assert_eq!(memory.router_bytes_per_user, Some(200.0));
        assert_eq!(memory.client_user_bytes_per_connection, Some(500.0));
        assert_eq!(memory.slab_bytes_per_end, Some(3_300.0));
        assert_eq!(after.since(&before, 10, false).server_kernel_bytes_per_connection, None);
    }
}
