//! What a shard wants of its driver, and the bytes of the frames it wants sent.
//!
//! Frames of the router are read from the batches that they came in, which are kept for that until the drain is over. The
//! shard's own lie in one buffer that is used again for every drain: a frame costs no allocation. One Push for many
//! connections is there once, each recipient with a user_seq of its own beside it.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use protocol::codes::Code;
use protocol::encode::FrameBuilder;
use protocol::ids::UserSeq;
use protocol::limits::FRAME_PREFIX_SIZE;
use protocol::link::Batch;
use protocol::peek;

use crate::connection::ConnectionId;

/// Memory kept for the frames of the next drain; more than that is given back after a burst.
const FRAMES_KEPT_BYTES: usize = 1024 * 1024;

/// Batches that were read and wait to be given back. What nobody takes is freed.
const SPENT_MAX: usize = 4;

/// What to do next, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Check this access token and report to `Shard::handle_authenticated`.
    Authenticate {
        /// Whose.
        connection: ConnectionId,
        /// As it came; at most 4 KiB.
        access_token: String,
    },
    /// Send the frame whose bytes `Shard::frame` gives.
    Send {
        /// To whom.
        connection: ConnectionId,
        /// Which frame; means nothing once `Shard::poll_action` has returned `None`.
        frame: FrameRef,
    },
    /// Read on; after `Flow::Retry` beginning with the frame that was not taken.
    Release {
        /// Which.
        connection: ConnectionId,
    },
    /// The user is at home in another shard: take the connection there. Ask `Shard::handle_leaving` what to tell that one,
    /// once nothing is in the way, or say with `Shard::handle_violation` that there is.
    MoveTo {
        /// Which.
        connection: ConnectionId,
        /// Where to.
        shard: u16,
    },
    /// Send what was given before this, then close, and report to `Shard::handle_closed`. What is received meanwhile is
    /// thrown away. The last action for a connection.
    Close {
        /// Which.
        connection: ConnectionId,
        /// Why. The last frame says so to the client.
        code: Code,
    },
}

impl Action {
    /// Whom it is about.
    pub fn connection(&self) -> ConnectionId {
        match *self {
            Action::Authenticate { connection, .. }
            | Action::Send { connection, .. }
            | Action::Release { connection }
            | Action::MoveTo { connection, .. }
            | Action::Close { connection, .. } => connection,
        }
    }
}

/// Names a frame that lies in the shard, until `Shard::poll_action` returns `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRef {
    /// In which drain it was made.
    drain: u32,
    /// Which batch of the drain it is in; [`OWN`] for none.
    batch: u32,
    start: u32,
    end: u32,
    /// Where the recipient's user_seq replaces the one of the frame. Not inside the frame: nowhere.
    user_seq_at: u32,
    user_seq: [u8; 8],
    /// Its number, for counting.
    pub(crate) number: u8,
}

impl FrameRef {
    /// What it takes of the send queue, the length prefix of the native framing included: what `Shard::handle_sent`
    /// gives back, whatever the transport adds.
    pub fn queue_bytes(&self) -> u32 {
        self.end - self.start + FRAME_PREFIX_SIZE as u32
    }

    /// The same frame with another user_seq.
    pub(crate) fn with_user_seq(self, user_seq_offset: usize, user_seq: UserSeq) -> FrameRef {
        let user_seq_at = self.start + u32::try_from(user_seq_offset).expect("an offset into a frame");
        assert!(user_seq_at + 8 <= self.end, "checked when the fan-out was decoded");
        FrameRef { user_seq_at, user_seq: user_seq.0.to_le_bytes(), ..self }
    }
}

/// Of a frame that came in no batch.
const OWN: u32 = u32::MAX;

/// Actions and frames of one drain.
#[derive(Default)]
pub(crate) struct Output {
    actions: VecDeque<Action>,
    /// Of the shard's own.
    frames: Vec<u8>,
    batches: Vec<Batch>,
    spent: Vec<Batch>,
    drain: u32,
    builder: FrameBuilder,
}

impl Output {
    pub(crate) fn push(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    /// The end of the drain, and of its frames, when there is none.
    pub(crate) fn next(&mut self) -> Option<Action> {
        let action = self.actions.pop_front();
        if action.is_none() && !(self.frames.is_empty() && self.batches.is_empty()) {
            self.frames.clear();
            self.frames.shrink_to(FRAMES_KEPT_BYTES);
            self.spent.append(&mut self.batches);
            self.spent.truncate(SPENT_MAX);
            self.drain = self.drain.wrapping_add(1);
        }
        action
    }

    /// Refers to a frame of a batch that [`Output::keep`] gets next.
    pub(crate) fn refer(&self, batch: &[u8], frame: &[u8]) -> FrameRef {
        let start = (frame.as_ptr() as usize).checked_sub(batch.as_ptr() as usize);
        let start = start.filter(|start| start + frame.len() <= batch.len()).expect("a frame lies within its batch");
        let number = peek::server_frame_number(frame);
        self.reference(self.batches.len() as u32, start..start + frame.len(), number)
    }

    /// Keeps a batch until the drain is over.
    pub(crate) fn keep(&mut self, batch: Batch) {
        self.batches.push(batch);
    }

    /// A batch that was kept.
    pub(crate) fn take_spent(&mut self) -> Option<Batch> {
        self.spent.pop()
    }

    /// Takes a frame of one's own.
    pub(crate) fn build(&mut self, build: impl FnOnce(&mut FrameBuilder) -> &[u8]) -> FrameRef {
        let start = self.frames.len();
        let frame = build(&mut self.builder);
        let number = peek::server_frame_number(frame);
        self.frames.extend_from_slice(frame);
        self.reference(OWN, start..self.frames.len(), number)
    }

    /// Takes a frame that was kept.
    pub(crate) fn copy(&mut self, frame: &[u8]) -> FrameRef {
        let start = self.frames.len();
        self.frames.extend_from_slice(frame);
        self.reference(OWN, start..self.frames.len(), peek::server_frame_number(frame))
    }

    /// In up to three parts.
    pub(crate) fn frame<'a>(&'a self, frame: &'a FrameRef) -> [&'a [u8]; 3] {
        assert_eq!(frame.drain, self.drain, "a frame is gone with the drain it was made in");
        let bytes: &[u8] = match frame.batch {
            OWN => &self.frames,
            batch => self.batches.get(batch as usize).expect("a batch is kept for the drain"),
        };
        let part = |range: Range<u32>| {
            bytes.get(range.start as usize..range.end as usize).expect("a frame lies within its drain")
        };
        if frame.user_seq_at == frame.end {
            return [part(frame.start..frame.end), &[], &[]];
        }
        [part(frame.start..frame.user_seq_at), &frame.user_seq, part(frame.user_seq_at + 8..frame.end)]
    }

    fn reference(&self, batch: u32, range: Range<usize>, number: u8) -> FrameRef {
        let end = u32::try_from(range.end).expect("the link's window bounds what a drain can gather");
        let start = range.start as u32;
        FrameRef { drain: self.drain, batch, start, end, user_seq_at: end, user_seq: [0; 8], number }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn a_frame_of_a_batch_is_read_where_it_came_with_each_user_seq() {
        let mut output = Output::default();
        output.keep(Batch::from(b"another".to_vec()));
        let batch = Batch::from(b"some before--------after more".to_vec());
        let frame = output.refer(&batch, &batch[5..24]);
        output.keep(batch);
        assert_eq!(output.frame(&frame).concat(), b"before--------after");
        let mine = frame.with_user_seq(6, UserSeq(u64::from_le_bytes(*b"12345678")));
        assert_eq!(output.frame(&mine).concat(), b"before12345678after");
        assert_eq!(frame.queue_bytes(), 4 + 19);
    }

    #[test]
    fn a_batch_is_kept_until_the_drain_is_over_and_a_few_are_given_back() {
        let mut output = Output::default();
        for number in 0..6 {
            output.keep(Batch::from(vec![number]));
        }
        assert_eq!(output.take_spent(), None);
        assert_eq!(output.next(), None);
        assert_eq!(core::iter::from_fn(|| output.take_spent()).count(), SPENT_MAX);
    }

    #[test]
    #[should_panic(expected = "a frame is gone with the drain it was made in")]
    fn a_frame_of_an_earlier_drain_is_not_mixed_up_with_another() {
        let mut output = Output::default();
        let batch = Batch::from(b"gone".to_vec());
        let frame = output.refer(&batch, &batch);
        output.keep(batch);
        assert_eq!(output.next(), None);
        output.keep(Batch::from(b"here".to_vec()));
        output.frame(&frame);
    }
}
