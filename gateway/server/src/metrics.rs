//! What the shell of a gateway counts: sockets and TLS. What a shard counts (frames, sessions, codes) is in
//! [`gateway_core::ShardCounters`].
//!
//! Counters only rise; a gauge is the difference of two. Written with relaxed order from the threads of the gateway,
//! read by whoever exports them.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only rises.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn increment(&self) {
        self.add(1);
    }

    /// Its value now.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($name:ident $text:literal,)+) => {
        /// See the file's head.
        #[derive(Debug, Default)]
        pub struct Metrics { $(#[doc = $text] pub $name: Counter,)+ }

        impl Metrics {
            /// Name, description and value of each, in a fixed order.
            pub fn snapshot(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                [$((stringify!($name), $text, self.$name.value()),)+].into_iter()
            }
        }
    };
}

counters! {
    sockets_accepted "Sockets accepted.",
    sockets_closed "Sockets closed, by either side; refused ones not counted.",
    accept_failures "Sockets that could not be accepted, most likely for want of descriptors.",
    sockets_refused "Sockets closed at once: the shard takes no more, or the socket is broken.",
    handshakes_completed "TLS handshakes completed.",
    closed_not_tls "Sockets closed because the peer does not speak TLS.",
    closed_tls_invalid "Sockets closed for TLS bytes that are not valid.",
    closed_tls_misbehaved "Sockets closed for breaking the rules of TLS.",
    closed_tls_incompatible "Sockets closed for want of a common version, suite or protocol.",
    closed_tls_alert "Sockets closed because the peer sent a fatal TLS alert.",
    closed_torn_bytes "Connections closed because the memory for torn frames was used up.",
    closed_aborted "Connections cut because they could not be flushed in time.",
    truncated "Connections that the peer ended without a TLS close_notify.",
    sends "Batches of frames given to the sockets.",
    bytes_received "Bytes received from sockets.",
    bytes_sent "Bytes given to sockets.",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_names_each_counter_once() {
        let metrics = Metrics::default();
        metrics.sends.add(2);
        metrics.sends.increment();
        let named: Vec<_> = metrics.snapshot().filter(|(name, ..)| *name == "sends").collect();
        assert_eq!(named, [("sends", "Batches of frames given to the sockets.", 3)]);
    }
}
