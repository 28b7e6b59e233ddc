//! Sockets over io_uring: many on one thread, each of which costs next to nothing while it is idle.
//!
//! [`Sockets`] is the machine: it accepts, waits, receives, sends and closes, and knows neither chat nor TLS nor a clock. It
//! works on a [`Ring`], of which there are two: [`KernelRings`], and one in the tests that does whatever a kernel may.
//!
//! All `unsafe` of the product stands here: in the files that share memory with the kernel, and in two small ones beside them,
//! which know nothing of rings: [`take_over`] and, on Linux, `set_time_slice`.

mod quota;
mod ring;
mod slots;
mod socket_id;
mod sockets;
mod take_over;

#[cfg(target_os = "linux")]
mod buffer_ring;
#[cfg(target_os = "linux")]
mod child_ring;
#[cfg(target_os = "linux")]
mod in_flight;
#[cfg(target_os = "linux")]
mod kernel_rings;
#[cfg(target_os = "linux")]
mod time_slice;
#[cfg(target_os = "linux")]
mod token;

pub use ring::{Buffer, Completion, Operation, Received, Ring};
pub use rustix::io::Errno;
pub use socket_id::SocketId;
pub use sockets::{Event, Sockets};
pub use take_over::take_over;

#[cfg(target_os = "linux")]
pub use kernel_rings::{KernelRings, RingsConfig, probe};
#[cfg(target_os = "linux")]
pub use time_slice::set_time_slice;
