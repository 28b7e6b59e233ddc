//! What every benchmark needs: the servers that are measured, people who write to them, and what both have cost.
//!
//! A [`Crowd`] is the people of one process, on one epoll: it reads, writes and checks, and never waits. Who drives it
//! waits, and says when somebody writes: glommio in `bench/load`, and a thread here. Nothing here knows how a server works inside.
#![cfg(target_os = "linux")]

mod baseline_peer;
mod border;
mod clock;
mod conditions;
mod cpu;
mod crowd;
mod dial;
mod driver;
mod figures;
mod generator;
mod latency;
mod meters;
mod peer;
mod product_peer;
mod resume;
mod rooms;
mod schedule;
mod server;

pub use baseline_peer::BaselinePeer;
pub use border::{Border, Stages, spent_between};
pub use clock::now_ns;
pub use conditions::Conditions;
pub use crowd::Crowd;
pub use dial::Dial;
pub use driver::{DRIVER_VARIABLE, family, mechanism};
pub use figures::{Figures, LATENCY_DIGITS, LATENCY_MAX_US};
pub use generator::{Pace, Phase, gather, run_phase};
pub use latency::Latency;
pub use meters::{RECLAIMABLE_SOCKET_CACHES, memory_available_bytes, pss_bytes, socket_cache_bytes};
pub use peer::{Desk, Heard, Peer, Stamp};
pub use product_peer::{Account, ChannelSlot, Following, ProductPeer, Room};
pub use resume::Resume;
pub use rooms::Rooms;
pub use schedule::Schedule;
pub use server::{Baseline, Product, Tiers};
