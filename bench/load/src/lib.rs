//! `bench hold`, `chat`, `storm` and `fanout`: many people on a server, so that its size can be chosen.
//!
//! The load runs in worker processes on glommio, another runtime than the one that is measured; each holds as many
//! sockets as a process may have descriptors. One conductor starts the server and the workers, gives them orders over
//! pipes, and adds up what they have seen. Nothing here knows how the server works inside.
#![cfg(target_os = "linux")]

mod chart;
mod conductor;
mod kernel;
mod memory;
mod options;
mod order;
mod page;
mod plot;
mod readiness;
mod report;
mod scenario;
mod slo;
mod stand;
mod subject;
mod teller;
mod worker;
mod written;

pub use options::{Options, Scenario, ServerChoice};
pub use page::page;
pub use report::{Report, table};
pub use scenario::run;
pub use slo::{Slo, SloInvalid};
pub use worker::work;
