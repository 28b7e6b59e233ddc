//! What happened, in order: always as a hash that two runs of a seed must share, and as lines for whoever replays one.

use std::fmt::{self, Write};

use protocol::time::Instant;

use crate::describe;
use crate::network::{Happening, WireId};
use crate::process::ProcessId;

/// Hashes what is noted, and prints it if asked to.
pub struct Trace {
    hash: u64,
    prints: bool,
    line: String,
}

impl Trace {
    /// `prints`: every line goes to standard output.
    pub fn new(prints: bool) -> Trace {
        Trace { hash: 0xcbf2_9ce4_8422_2325, prints, line: String::new() }
    }

    /// Equal for equal histories.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Something happened.
    pub fn note(&mut self, at: Instant, what: fmt::Arguments<'_>) {
        self.line.clear();
        self.line.write_fmt(what).expect("a string takes everything");
        self.hash = mix(self.hash ^ at.0);
        let (hash, line) = (self.hash, self.line.as_bytes());
        self.hash = hash_bytes(hash, line);
        if self.prints {
            print_line(at, &self.line);
        }
    }

    /// A process notices something of a wire to another. Bytes are hashed, and printed as what they mean.
    pub fn wire(&mut self, at: Instant, process: ProcessId, wire: WireId, peer: Option<ProcessId>, what: &Happening) {
        let Happening::Received(bytes) = what else {
            return self.note(at, format_args!("{process:?} on wire {}: {what:?}", wire.0));
        };
        self.note(at, format_args!("{process:?} on wire {} gets {} bytes", wire.0, bytes.len()));
        self.hash = hash_bytes(self.hash, bytes);
        if self.prints {
            match (process, peer) {
                (ProcessId::Client(_), _) => print_line(at, &describe::server_frame(bytes)),
                (_, Some(ProcessId::Client(_))) => print_line(at, &describe::client_frame(bytes)),
                _ => {}
            }
        }
    }
}

#[allow(clippy::print_stdout, reason = "somebody asked for the trace")]
fn print_line(at: Instant, line: &str) {
    println!("{:>12.6} {line}", at.0 as f64 / 1e9);
}

/// For comparing, not for security.
pub(crate) fn hash_bytes(hash: u64, bytes: &[u8]) -> u64 {
    let mut hash = mix(hash ^ bytes.len() as u64);
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = mix(hash ^ u64::from_le_bytes(word));
    }
    hash
}

/// One round of the finalizer of splitmix64: enough that two histories that differ do not meet again.
fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value ^ value >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_time_text_or_order_is_another_hash() {
        let hash = |notes: &[(u64, &str)]| {
            let mut trace = Trace::new(false);
            notes.iter().for_each(|(at, what)| trace.note(Instant(*at), format_args!("{what}")));
            trace.hash()
        };
        let one = hash(&[(1, "a"), (2, "b")]);
        assert_eq!(one, hash(&[(1, "a"), (2, "b")]));
        for other in [hash(&[(1, "a"), (3, "b")]), hash(&[(1, "a"), (2, "c")]), hash(&[(2, "b"), (1, "a")])] {
            assert_ne!(one, other);
        }
    }
}
