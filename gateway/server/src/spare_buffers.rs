//! Buffers of sends that are done, kept for the next ones: an idle connection owns none, and a busy shard allocates none.

/// Sends under way at a time whose buffers are kept. More of them in a burst are allocated and freed.
const BUFFERS_MAX: usize = 256;
/// A larger one is given back to the allocator: 256 of these are 4 MiB.
const BUFFER_SIZE_MAX: usize = 16 * 1024;
/// Of a new one: a few frames of chat.
const BUFFER_SIZE: usize = 1024;

/// See the file's head.
#[derive(Default)]
pub(crate) struct SpareBuffers(Vec<Vec<u8>>);

impl SpareBuffers {
    /// Empty, with room.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_else(|| Vec::with_capacity(BUFFER_SIZE))
    }

    pub(crate) fn give_back(&mut self, mut buffer: Vec<u8>) {
        if self.0.len() < BUFFERS_MAX && buffer.capacity() <= BUFFER_SIZE_MAX {
            buffer.clear();
            self.0.push(buffer);
        }
    }
}
