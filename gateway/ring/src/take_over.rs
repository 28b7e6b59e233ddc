//! How a socket of another runtime becomes an owned descriptor. Portable; beside it all of this crate is about io_uring.

use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};

/// The descriptor that this socket gives up. What gives it up must have nothing under way on it.
pub fn take_over(socket: impl IntoRawFd) -> OwnedFd {
    // SAFETY: `into_raw_fd` gives up an open descriptor, with the duty to close it, and nobody else has heard of it.
    unsafe { OwnedFd::from_raw_fd(socket.into_raw_fd()) }
}
