//! Buffers that the kernel takes from when bytes are there: a socket that waits owns none.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::IoUring;
use io_uring::types::BufRingEntry;

use crate::ring::Buffer;

/// Of one ring; a power of two. A turn receives at most so often.
pub(crate) const BUFFERS_COUNT: u16 = 128;
/// What one receive takes at most: several messages of chat. Larger ones come in pieces.
pub(crate) const BUFFER_SIZE: usize = 4096;
/// The only group of buffers of a ring.
pub(crate) const GROUP: u16 = 0;

const PAGE_SIZE: usize = 4096;
const ENTRIES_SIZE: usize = BUFFERS_COUNT as usize * size_of::<BufRingEntry>();
const BYTES_SIZE: usize = BUFFERS_COUNT as usize * BUFFER_SIZE;

/// Invariant: an entry between the kernel's head and our tail names a buffer that nobody here refers to.
pub(crate) struct BufferRing {
    /// The entries, on pages of their own as the kernel wants it.
    entries: Pages,
    /// What the entries point to.
    bytes: Pages,
    tail: u16,
}

impl BufferRing {
    /// Registers the buffers. `ring` must be gone before this is dropped.
    pub(crate) fn register(ring: &IoUring) -> io::Result<BufferRing> {
        let mut buffers = BufferRing { entries: Pages::new(ENTRIES_SIZE), bytes: Pages::new(BYTES_SIZE), tail: 0 };
        let address = buffers.entries.start.as_ptr() as u64;
        // SAFETY: the entries are whole pages, zeroed, and stay where they are until the ring is gone.
        unsafe { ring.submitter().register_buf_ring_with_flags(address, BUFFERS_COUNT, GROUP, 0)? };
        (0..BUFFERS_COUNT).for_each(|index| buffers.put(index));
        Ok(buffers)
    }

    pub(crate) fn bytes(&mut self, buffer: &Buffer) -> &mut [u8] {
        assert!(buffer.index < BUFFERS_COUNT && buffer.size as usize <= BUFFER_SIZE, "the kernel names its buffers");
        // SAFETY: in range, as was just checked. The kernel has given this buffer away and gets it back by `give_back` only,
        // which takes the one `Buffer` that names it; and `self` is borrowed as long as the slice.
        unsafe {
            let start = self.bytes.start.add(usize::from(buffer.index) * BUFFER_SIZE);
            std::slice::from_raw_parts_mut(start.as_ptr(), buffer.size as usize)
        }
    }

    pub(crate) fn give_back(&mut self, buffer: Buffer) {
        assert!(buffer.index < BUFFERS_COUNT, "the kernel names its buffers");
        self.put(buffer.index);
    }

    fn put(&mut self, index: u16) {
        let place = usize::from(self.tail % BUFFERS_COUNT);
        self.tail = self.tail.wrapping_add(1);
        let entries: NonNull<BufRingEntry> = self.entries.start.cast();
        // SAFETY: `place` and `index` are in range. The kernel does not read an entry before the tail says so, which the
        // release store below does last; the tail is a u16 that lies in the first entry, and only we write it.
        unsafe {
            let entry = entries.add(place).as_mut();
            entry.set_addr(self.bytes.start.add(usize::from(index) * BUFFER_SIZE).as_ptr() as u64);
            entry.set_len(BUFFER_SIZE as u32);
            entry.set_bid(index);
            let tail = BufRingEntry::tail(entries.as_ptr()).cast::<AtomicU16>();
            (*tail).store(self.tail, Ordering::Release);
        }
    }
}

/// Zeroed memory on pages of its own.
struct Pages {
    start: NonNull<u8>,
    layout: Layout,
}

impl Pages {
    fn new(size: usize) -> Pages {
        let layout = Layout::from_size_align(size.next_multiple_of(PAGE_SIZE), PAGE_SIZE).expect("far below the limit");
        // SAFETY: the layout is not empty.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) }).unwrap_or_else(|| handle_alloc_error(layout));
        Pages { start, layout }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: it was allocated with this layout, and whoever used it is gone.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}
