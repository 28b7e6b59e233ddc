//! What an end of links counts. Counters only rise.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::refusal::Refusal;

/// A number that only rises.
#[derive(Debug, Default)]
pub struct LinkCounter(AtomicU64);

impl LinkCounter {
    pub(crate) fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
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
        pub struct LinkMetrics { $(#[doc = $text] pub $name: LinkCounter,)+ }

        impl LinkMetrics {
            /// Name, description and value of each, in a fixed order.
            pub fn rows(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                [$((stringify!($name), $text, self.$name.value()),)+].into_iter()
            }
        }
    };
}

counters! {
    made "Links that both ends have proven their key for.",
    ended "Links that have ended, for whatever reason.",
    refused_key "Connections that became no link because the two ends have different link keys.",
    refused_timeout "Connections that became no link because the handshake took too long.",
    refused_evicted "Connections that became no link because they were the oldest of too many handshakes.",
    refused_other "Connections that became no link for another reason; the log says which.",
}

impl LinkMetrics {
    pub(crate) fn refused(&self, refusal: &Refusal) {
        match refusal {
            Refusal::OtherKey => self.refused_key.increment(),
            Refusal::TimedOut => self.refused_timeout.increment(),
            _ => self.refused_other.increment(),
        }
    }
}
