//! `bench slice`: pairs of people who write to each other through the whole server, and through the baseline, in one run.
//!
//! First as fast as acks come, with a few messages on their way per pair, which gives the rate. Then at half of that rate,
//! or one that is asked for, each message at the moment it is due whatever became of the others: that gives the latency,
//! counted from that moment, and what a message costs beside the baseline at the same rate. Both ends are on this machine.
//! Nothing here knows how the server works inside.
#![cfg(target_os = "linux")]

mod options;
mod report;
mod scenario;

pub use options::Options;
pub use report::Report;
pub use scenario::run;
