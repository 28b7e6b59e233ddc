//! Cuts a plaintext byte stream into frames.
//!
//! A frame that lies whole in the input is handed out as a slice of it; only a torn one is copied and kept. What is kept
//! grows with what has arrived, never with what a length prefix promises. Verifying a frame is not done here.

use protocol::frame::{FrameError, frame_size};
use protocol::limits::{FRAME_PREFIX_SIZE, FRAME_SIZE_MAX};
use protocol::time::Instant;

/// What one framer can hold: a frame with its prefix, all but the last byte. Its buffer doubles, so it may be twice.
pub const FRAMER_BYTES_MAX: usize = 2 * (FRAME_PREFIX_SIZE + FRAME_SIZE_MAX);

/// Holds at most one torn frame. Idle, it owns no memory.
#[derive(Default)]
pub struct Framer {
    torn: Vec<u8>,
    torn_since: Instant,
    handed_out: bool,
}

impl Framer {
    /// Takes one frame, without its prefix, from the front of `input`; `None` when what is left is torn, and then
    /// `input` is empty. Call it until `None`, or keep `input` and go on later.
    ///
    /// `frame_size_max` is what the connection's state allows now, at most [`FRAME_SIZE_MAX`]. After an error the
    /// stream is at an unknown place: close the connection.
    pub fn next_frame<'frame, 'input: 'frame>(
        &'frame mut self,
        now: Instant,
        input: &mut &'input [u8],
        frame_size_max: usize,
    ) -> Result<Option<&'frame [u8]>, FrameError> {
        assert!(frame_size_max <= FRAME_SIZE_MAX, "a frame has at most {FRAME_SIZE_MAX} bytes");
        if self.handed_out {
            self.torn = Vec::new();
            self.handed_out = false;
        }
        if self.torn.is_empty() { self.cut_input(now, input, frame_size_max) } else { self.mend(input, frame_size_max) }
    }

    /// The last frame was not used: it comes again. True where it is kept here; false where it was a slice of the input,
    /// and the caller has to give that part of the input again.
    pub fn put_back(&mut self) -> bool {
        std::mem::replace(&mut self.handed_out, false)
    }

    /// When the frame began that has not arrived whole. The driver gives it [`protocol::limits::FRAME_TIMEOUT`].
    pub fn torn_since(&self) -> Option<Instant> {
        (!self.torn.is_empty() && !self.handed_out).then_some(self.torn_since)
    }

    /// Bytes of memory held, at most [`FRAMER_BYTES_MAX`]. The driver adds them up over the shard.
    pub fn bytes_held(&self) -> usize {
        self.torn.capacity()
    }

    fn cut_input<'input>(
        &mut self,
        now: Instant,
        input: &mut &'input [u8],
        frame_size_max: usize,
    ) -> Result<Option<&'input [u8]>, FrameError> {
        let whole = match frame_size(input, frame_size_max)? {
            Some(size) => input.split_at_checked(FRAME_PREFIX_SIZE + size),
            None => None,
        };
        if let Some((frame, rest)) = whole {
            *input = rest;
            return Ok(frame.get(FRAME_PREFIX_SIZE..));
        }
        if !input.is_empty() {
            self.torn.extend_from_slice(input);
            self.torn_since = now;
            *input = &[];
        }
        Ok(None)
    }

    /// Completes the torn frame with the front of `input`.
    fn mend(&mut self, input: &mut &[u8], frame_size_max: usize) -> Result<Option<&[u8]>, FrameError> {
        self.take_until(FRAME_PREFIX_SIZE, input);
        let Some(size) = frame_size(&self.torn, frame_size_max)? else { return Ok(None) };
        self.take_until(FRAME_PREFIX_SIZE + size, input);
        if self.torn.len() < FRAME_PREFIX_SIZE + size {
            return Ok(None);
        }
        self.handed_out = true;
        Ok(self.torn.get(FRAME_PREFIX_SIZE..))
    }

    /// Moves bytes from `input` until `torn` has `size` of them or the input is used up.
    fn take_until(&mut self, size: usize, input: &mut &[u8]) {
        let missing = size.saturating_sub(self.torn.len());
        let (head, rest) = input.split_at(missing.min(input.len()));
        self.torn.extend_from_slice(head);
        *input = rest;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use protocol::limits::FRAME_SIZE_UNAUTHENTICATED_MAX;

    use super::*;

    const NOW: Instant = Instant(5_000_000_000);

    fn stream(frames: &[&[u8]]) -> Vec<u8> {
        frames.iter().flat_map(|frame| [&(frame.len() as u32).to_le_bytes(), *frame].concat()).collect()
    }

    fn cut_all(framer: &mut Framer, mut input: &[u8]) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        while let Some(frame) = framer.next_frame(NOW, &mut input, FRAME_SIZE_MAX).expect("valid stream") {
            frames.push(frame.to_vec());
        }
        assert!(input.is_empty());
        frames
    }

    #[test]
    fn whole_frames_are_slices_of_the_input_and_leave_nothing_behind() {
        let bytes = stream(&[b"one", b"two"]);
        let range = bytes.as_ptr_range();
        let mut framer = Framer::default();
        let mut input = &bytes[..];
        while let Some(frame) = framer.next_frame(NOW, &mut input, FRAME_SIZE_MAX).expect("valid stream") {
            assert!(range.contains(&frame.as_ptr()));
        }
        assert_eq!((framer.bytes_held(), framer.torn_since()), (0, None));
    }

    #[test]
    fn frames_come_out_the_same_wherever_the_stream_is_torn() {
        let frames: [&[u8]; 3] = [b"one", &[7; 300], b"x"];
        let bytes = stream(&frames);
        for first in 0..bytes.len() {
            for second in first..bytes.len() {
                let mut framer = Framer::default();
                let mut seen = cut_all(&mut framer, &bytes[..first]);
                seen.extend(cut_all(&mut framer, &bytes[first..second]));
                seen.extend(cut_all(&mut framer, &bytes[second..]));
                assert_eq!(seen, frames, "torn at {first} and {second}");
                assert_eq!((framer.bytes_held(), framer.torn_since()), (0, None));
            }
        }
    }

    #[test]
    fn a_frame_over_the_limit_of_the_moment_is_refused_by_its_prefix_alone() {
        let prefix = (FRAME_SIZE_UNAUTHENTICATED_MAX as u32 + 1).to_le_bytes();
        for torn_at in 0..FRAME_PREFIX_SIZE {
            let (head, tail) = prefix.split_at(torn_at);
            let mut framer = Framer::default();
            let early = framer.next_frame(NOW, &mut &head[..], FRAME_SIZE_UNAUTHENTICATED_MAX);
            assert_eq!(early, Ok(None));
            let refused = framer.next_frame(NOW, &mut &tail[..], FRAME_SIZE_UNAUTHENTICATED_MAX);
            assert_eq!(refused, Err(FrameError::TooLarge));
            assert!(framer.bytes_held() <= 8);
        }
        assert_eq!(Framer::default().next_frame(NOW, &mut &prefix[..], FRAME_SIZE_MAX), Ok(None));
    }

    #[test]
    fn a_frame_that_was_put_back_comes_again() {
        let bytes = stream(&[b"torn", b"next"]);
        let (head, tail) = bytes.split_at(6);
        let mut framer = Framer::default();
        assert_eq!(framer.next_frame(NOW, &mut &head[..], FRAME_SIZE_MAX), Ok(None));
        let mut input = tail;
        assert_eq!(framer.next_frame(NOW, &mut input, FRAME_SIZE_MAX), Ok(Some(&b"torn"[..])));
        assert!(framer.put_back());
        assert_eq!(framer.next_frame(NOW, &mut input, FRAME_SIZE_MAX), Ok(Some(&b"torn"[..])));
        let before = input;
        assert_eq!(framer.next_frame(NOW, &mut input, FRAME_SIZE_MAX), Ok(Some(&b"next"[..])));
        assert!(!framer.put_back());
        input = before;
        assert_eq!(framer.next_frame(NOW, &mut input, FRAME_SIZE_MAX), Ok(Some(&b"next"[..])));
    }

    #[test]
    fn an_empty_frame_is_refused() {
        assert_eq!(Framer::default().next_frame(NOW, &mut &[0; 4][..], FRAME_SIZE_MAX), Err(FrameError::Invalid));
    }

    #[test]
    fn a_promise_of_a_large_frame_costs_only_what_has_arrived() {
        let mut framer = Framer::default();
        let torn = [&(FRAME_SIZE_MAX as u32).to_le_bytes()[..], &[1; 100]].concat();
        assert_eq!(framer.next_frame(NOW, &mut &torn[..], FRAME_SIZE_MAX), Ok(None));
        assert!(framer.bytes_held() < 256, "{}", framer.bytes_held());
    }

    #[test]
    fn the_largest_frame_arrives_byte_by_byte_within_the_bound() {
        let bytes = stream(&[&vec![9; FRAME_SIZE_MAX]]);
        let mut framer = Framer::default();
        let mut frames = 0;
        for byte in bytes.chunks(1) {
            let mut input = byte;
            frames += usize::from(framer.next_frame(NOW, &mut input, FRAME_SIZE_MAX).expect("valid stream").is_some());
            assert!(framer.bytes_held() <= FRAMER_BYTES_MAX);
        }
        assert_eq!(frames, 1);
    }

    #[test]
    fn slow_bytes_do_not_move_the_time_a_frame_began() {
        let bytes = stream(&[b"slow"]);
        let mut framer = Framer::default();
        for (index, byte) in bytes.chunks(1).enumerate().take(bytes.len() - 1) {
            let now = NOW + Duration::from_secs(index as u64);
            assert_eq!(framer.next_frame(now, &mut &byte[..], FRAME_SIZE_MAX), Ok(None));
            assert_eq!(framer.torn_since(), Some(NOW));
        }
    }

    #[test]
    fn what_follows_a_held_frame_can_be_kept_and_cut_later() {
        let bytes = stream(&[b"first", b"second", b"third"]);
        let (head, tail) = bytes.split_at(bytes.len() - 2);
        let mut framer = Framer::default();
        let mut input = head;
        assert_eq!(framer.next_frame(NOW, &mut input, FRAME_SIZE_MAX), Ok(Some(&b"first"[..])));
        let kept = input.to_vec();
        assert_eq!(cut_all(&mut framer, &kept), [b"second"]);
        assert_eq!(cut_all(&mut framer, tail), [b"third"]);
    }
}
