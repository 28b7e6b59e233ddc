//! The proof that the pure crates need no std: a static library that links all of them with a panic handler and an
//! allocator of its own. Not run; that it builds is the proof.
//!
//! A crate that brings in std, at whatever depth, brings a second panic handler, and the build ends with E0152.

#![no_std]

use core::alloc::{GlobalAlloc, Layout};
use core::panic::PanicInfo;
use core::ptr;

// The compiler looks into a dependency only if the code names it.
use gateway_core as _;
use protocol as _;
use router_core as _;
use storage_api as _;

/// Has no memory to give: nothing here runs.
struct NoMemory;

// SAFETY: a null pointer is an allocator's way to say that it has no memory, so no block exists that could be misused.
unsafe impl GlobalAlloc for NoMemory {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        ptr::null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: NoMemory = NoMemory;

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}
