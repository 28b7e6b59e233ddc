//! End to end: the real binary, real sockets, real disks. What its verbs and its tests share.
//!
//! Nothing here knows how the product works inside: it starts processes, talks to them as a client does, and judges what
//! clients saw. Whatever it starts, mounts or writes is undone when it ends, also after a failure or an INT.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a terminal is the only reader of this program")]

pub mod audit;
pub mod binary;
mod c_source;
pub mod cast;
pub mod cleanup;
pub mod cluster;
pub mod copy_counter;
pub mod crowd;
pub mod descriptors;
pub mod device;
pub mod dice;
pub mod fact;
pub mod history;
pub mod ledger;
pub mod library_client;
pub mod load;
pub mod loop_mount;
pub mod no_sync;
pub mod poll;
pub mod port;
pub mod power_switch;
pub mod proxy;
pub mod raw_client;
pub mod scratch;
pub mod server;
pub mod site;
mod tool;
pub mod verdict;
