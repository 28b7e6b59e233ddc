//! What a shard has counted since it began. Plain numbers that only rise; the shell exports them.

use protocol::codes::Code;

macro_rules! counters {
    ($($name:ident $text:literal,)+) => {
        /// See each field; [`Self::rows`] lists them for an exporter.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct ShardCounters {
            $(#[doc = $text] pub $name: u64,)+
            /// Connections that the shard has closed.
            pub closes: CodeCounts,
            /// Frames that were refused without closing.
            pub refusals: CodeCounts,
        }

        impl ShardCounters {
            /// Name, description and value of each plain counter, in a fixed order.
            pub fn rows(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                [$((stringify!($name), $text, self.$name),)+].into_iter()
            }
        }
    };
}

counters! {
    connections_opened "Connections taken from the driver.",
    connections_refused "Connections not taken, because the shard is full or draining.",
    connections_ended "Connections that the driver has reported as gone.",
    ended_by_peer "Of those ended: the peer said goodbye.",
    ended_lost "Of those ended: the peer was gone without a goodbye.",
    ended_by_transport "Of those ended: TLS or WebSocket could not go on.",
    tokens_accepted "Handshakes whose access token was good.",
    sessions_opened "Sessions that got their Welcome.",
    sessions_reopened "Sessions that a router serves again after a link break.",
    frames_received "Frames taken from clients.",
    bytes_received "Bytes of those frames, without length prefixes.",
    frames_forwarded "Frames handed to the router.",
    frames_skipped "Frames of a later version that asked for no answer.",
    frames_held "Frames left with the driver because the router could not take them.",
    frames_sent "Frames given to the driver.",
    bytes_sent "Bytes of those frames, with length prefixes.",
    fanouts "Pushes that came once for several connections.",
    deliveries_late "Frames and answers of the router for connections that were gone.",
    link_ups "Links that came up.",
    link_downs "Links that went down.",
    links_silent "Of those: the router was not heard of for 3 s.",
}

/// A count for each code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeCounts([u64; Code::ALL.len()]);

impl Default for CodeCounts {
    fn default() -> Self {
        CodeCounts([0; Code::ALL.len()])
    }
}

impl CodeCounts {
    /// How often it was this one.
    pub fn count(&self, code: Code) -> u64 {
        self.rows().find(|row| row.0 == code).map_or(0, |row| row.1)
    }

    /// Every code with its count.
    pub fn rows(&self) -> impl Iterator<Item = (Code, u64)> {
        Code::ALL.iter().copied().zip(self.0)
    }

    /// Of all codes together.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    pub(crate) fn increment(&mut self, code: Code) {
        let counts = Code::ALL.iter().zip(&mut self.0);
        let count = counts.filter(|row| *row.0 == code).map(|row| row.1).next();
        *count.expect("every code is among all codes") += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_counted_apart_and_rows_have_their_names() {
        let mut counters = ShardCounters { frames_sent: 3, ..ShardCounters::default() };
        counters.closes.increment(Code::Replaced);
        counters.closes.increment(Code::Replaced);
        counters.closes.increment(Code::GoingAway);
        assert_eq!(counters.closes.count(Code::Replaced), 2);
        assert_eq!((counters.closes.total(), counters.refusals.total()), (3, 0));
        assert!(counters.rows().any(|row| row == ("frames_sent", "Frames given to the driver.", 3)));
    }
}
