//! What a crowd has measured since it was told to begin.

use hdrhistogram::Histogram;

/// Times are recorded from 1 µs to ten minutes, which half a million people may need to come back.
pub const LATENCY_MAX_US: u64 = 600_000_000;
/// With so many digits.
pub const LATENCY_DIGITS: u8 = 3;

/// Times are in µs.
#[derive(Clone)]
pub struct Figures {
    /// TLS handshakes that have resumed a session.
    pub sessions_resumed: u64,
    /// Messages that were acked.
    pub answered: u64,
    /// Messages that came to whom they were for.
    pub delivered: u64,
    /// Messages that came twice.
    pub duplicated: u64,
    /// Messages that came out of order.
    pub reordered: u64,
    /// Messages that the server did not take, and connections that it ended with a reason.
    pub refused: u64,
    /// The reason of the last of those.
    pub refused_code: Option<u16>,
    /// From the first byte of a connection until it may send.
    pub arrival: Histogram<u64>,
    /// From when a message was due to its ack.
    pub ack: Histogram<u64>,
    /// From when a message was due until it is there.
    pub delivery: Histogram<u64>,
    /// From when a message was due to when it was sent.
    pub lag: Histogram<u64>,
}

impl Default for Figures {
    fn default() -> Figures {
        let histogram = || Histogram::new_with_bounds(1, LATENCY_MAX_US, LATENCY_DIGITS).expect("the bounds are right");
        Figures {
            sessions_resumed: 0,
            answered: 0,
            delivered: 0,
            duplicated: 0,
            reordered: 0,
            refused: 0,
            refused_code: None,
            arrival: histogram(),
            ack: histogram(),
            delivery: histogram(),
            lag: histogram(),
        }
    }
}
