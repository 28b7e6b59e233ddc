//! Buffers of sends that are done, kept for the next ones: an idle connection owns none, and a busy shard allocates none.
//!
//! What is sent travels without its box, which waits here for it.

use crate::connection::Outgoing;

/// Sends under way at a time whose buffers are kept. More of them in a burst are allocated and freed.
const BUFFERS_MAX: usize = 256;
/// A larger one is given back to the allocator. What a round of a busy channel is for one who follows it fits.
const BUFFER_SIZE_MAX: usize = 64 * 1024;
/// What all that are kept may have together.
const KEPT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Of a new one: a few frames of chat.
const BUFFER_SIZE: usize = 1024;

/// See the file's head.
#[derive(Default)]
pub(crate) struct SpareBuffers {
    buffers: Vec<Vec<u8>>,
    kept_bytes: usize,
    #[allow(clippy::vec_box, reason = "it is the boxes that are used again")]
    boxes: Vec<Box<Outgoing>>,
}

impl SpareBuffers {
    /// Empty, with room.
    pub(crate) fn take(&mut self) -> Box<Outgoing> {
        let mut outgoing = self.boxes.pop().unwrap_or_default();
        let kept = self.buffers.pop();
        self.kept_bytes -= kept.as_ref().map_or(0, Vec::capacity);
        outgoing.bytes = kept.unwrap_or_else(|| Vec::with_capacity(BUFFER_SIZE));
        outgoing
    }

    /// The bytes leave.
    pub(crate) fn unpack(&mut self, mut outgoing: Box<Outgoing>) -> Vec<u8> {
        let bytes = std::mem::take(&mut outgoing.bytes);
        if self.boxes.len() < BUFFERS_MAX {
            self.boxes.push(outgoing);
        }
        bytes
    }

    pub(crate) fn give_back(&mut self, mut buffer: Vec<u8>) {
        let size = buffer.capacity();
        let has_room = self.buffers.len() < BUFFERS_MAX && self.kept_bytes + size <= KEPT_BYTES_MAX;
        if has_room && size <= BUFFER_SIZE_MAX {
            buffer.clear();
            self.kept_bytes += size;
            self.buffers.push(buffer);
        }
    }
}
