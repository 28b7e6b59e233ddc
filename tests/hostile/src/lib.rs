//! What each fuzz target does with its bytes, as ordinary functions: `tests/fuzz` hands them to a fuzzer, a test of this
//! crate replays what the fuzzer has collected, and the program writes the inputs to begin with.
//!
//! A target panics where something is wrong, and only there. None of them waits, reads a clock for anything but a stop
//! watch, or leaves anything behind.

pub mod backend;
pub mod client_frame;
pub mod eye;
pub mod framer;
pub mod golden;
pub mod input;
pub mod link_batch;
pub mod log_reader;
mod machine;
pub mod seed;
pub mod server;
pub mod server_frame;
pub mod store_reader;
pub mod tls_record;
pub mod tls_verdict;
pub mod verify;

use seed::Seed;

/// One target.
pub struct Target {
    /// Of its binary and of its folder of inputs.
    pub name: &'static str,
    /// Does it.
    pub run: fn(&[u8]),
    /// What to begin with.
    pub seeds: fn() -> Vec<Seed>,
}

/// All there are.
pub const TARGETS: &[Target] = &[
    Target { name: "client_frame", run: client_frame::run, seeds: client_frame::seeds },
    Target { name: "framer", run: framer::run, seeds: framer::seeds },
    Target { name: "link_batch", run: link_batch::run, seeds: link_batch::seeds },
    Target { name: "log_reader", run: log_reader::run, seeds: log_reader::seeds },
    Target { name: "server_frame", run: server_frame::run, seeds: server_frame::seeds },
    Target { name: "store_reader", run: store_reader::run, seeds: store_reader::seeds },
    Target { name: "tls_record", run: tls_record::run, seeds: tls_record::seeds },
    Target { name: "tls_verdict", run: tls_verdict::run, seeds: tls_verdict::seeds },
];
