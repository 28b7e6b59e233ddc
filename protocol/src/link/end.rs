//! One end of a link: gathers messages into batches, counts credits, and hands out what arrives.
//!
//! Credits bound what is under way in each direction: a message costs its frame and a fixed overhead, and is paid back
//! when the receiver has finished with it. Hellos, closes, answers to an open and credits themselves cost nothing: there
//! is at most one of each per connection.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;

use flatbuffers::FlatBufferBuilder;

use super::batch::Batch;
use super::codec::{BatchBuilder, BatchView, Incoming};
use super::message::{ConnectionKey, GatewayMessage, RouterMessage};
use super::{BATCH_MESSAGES_MAX, BATCH_SIZE_TARGET, FANOUT_TARGETS_MAX, LINK_WINDOW_BYTES, MESSAGE_OVERHEAD_BYTES};
use crate::ids::UserSeq;

/// The other end sent what it may not. Drop the link and start over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkError {
    /// A batch over [`super::BATCH_SIZE_MAX`].
    BatchTooLarge,
    /// Not a valid batch.
    Invalid,
    /// A message of the wrong direction.
    WrongDirection,
    /// More credits than were ever used.
    CreditsOverflow,
    /// Something else than a hello of this version first, or a second hello.
    HelloExpected,
    /// Nothing has come for [`super::LINK_SILENCE_MAX`].
    Silent,
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LinkError::BatchTooLarge => "the other end of the link sent a batch over the limit",
            LinkError::Invalid => "the other end of the link sent a batch that does not verify",
            LinkError::WrongDirection => "the other end of the link sent a message of the wrong direction",
            LinkError::CreditsOverflow => "the other end of the link returned more credits than it was given",
            LinkError::HelloExpected => "the other end of the link did not begin with one hello of this version",
            LinkError::Silent => "the other end of the link was not heard of for 3 s",
        })
    }
}

impl core::error::Error for LinkError {}

/// The window is used up: keep the message and try again when credits have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoCredit;

/// One end of a link.
pub struct LinkEnd {
    /// What may still be sent.
    credits_bytes: u64,
    /// Finished with here and not yet paid back.
    owed_bytes: u64,
    /// A batch is to leave, also an empty one.
    must_beat: bool,
    builder: BatchBuilder,
    ready: VecDeque<Batch>,
    /// The builders of batches that have been read, for the next ones.
    spent: Vec<FlatBufferBuilder<'static>>,
}

/// Builders that wait here for the next batches; each holds at most some 512 KiB.
const SPENT_MAX: usize = 4;

impl Default for LinkEnd {
    fn default() -> Self {
        LinkEnd {
            credits_bytes: LINK_WINDOW_BYTES,
            owed_bytes: 0,
            must_beat: false,
            builder: BatchBuilder::new(),
            ready: VecDeque::new(),
            spent: Vec::new(),
        }
    }
}

impl LinkEnd {
    /// After a break: forgets what was under way in both directions.
    pub fn reset(&mut self) {
        self.builder.clear();
        self.ready.clear();
        self.credits_bytes = LINK_WINDOW_BYTES;
        self.owed_bytes = 0;
        self.must_beat = false;
    }

    /// What a message with a frame of this size costs.
    pub fn cost(frame_size: usize) -> u64 {
        frame_size as u64 + MESSAGE_OVERHEAD_BYTES
    }

    /// Bytes that may be sent before credits must come back.
    pub fn credits_bytes(&self) -> u64 {
        self.credits_bytes
    }

    /// From a gateway shard.
    pub fn send_to_router(&mut self, message: &GatewayMessage<'_>) -> Result<(), NoCredit> {
        if let GatewayMessage::ClientRequest { frame, .. } = message {
            self.pay(Self::cost(frame.len()))?;
        }
        self.builder.gateway(message);
        self.cut_when_full();
        Ok(())
    }

    /// From a router.
    pub fn send_to_gateway(&mut self, message: &RouterMessage<'_>) -> Result<(), NoCredit> {
        if let RouterMessage::Deliver { frame, .. } | RouterMessage::Publish { frame, .. } = message {
            self.pay(Self::cost(frame.len()))?;
        }
        self.builder.router(message);
        self.cut_when_full();
        Ok(())
    }

    /// From a router: one Push for at most [`FANOUT_TARGETS_MAX`] connections.
    pub fn send_fanout(
        &mut self,
        targets: &[(ConnectionKey, UserSeq)],
        user_seq_offset: usize,
        frame: &[u8],
    ) -> Result<(), NoCredit> {
        assert!(targets.len() <= FANOUT_TARGETS_MAX, "the caller cuts a fan-out of {} targets", targets.len());
        self.pay(Self::fanout_cost(targets.len(), frame.len()))?;
        self.builder.fanout(targets, user_seq_offset, frame);
        self.cut_when_full();
        Ok(())
    }

    /// What a fan-out costs.
    pub fn fanout_cost(targets_count: usize, frame_size: usize) -> u64 {
        frame_size as u64 + MESSAGE_OVERHEAD_BYTES * (1 + targets_count as u64)
    }

    /// This end has finished with a message whose cost was this.
    pub fn release(&mut self, cost_bytes: u64) {
        self.owed_bytes += cost_bytes;
        if self.owed_bytes >= LINK_WINDOW_BYTES / 8 {
            self.builder.credits(self.owed_bytes);
            self.owed_bytes = 0;
        }
    }

    /// The other end is to hear of this one: a batch leaves, an empty one where there is nothing to send.
    pub fn beat(&mut self) {
        self.must_beat = true;
    }

    /// The next batch for the other end; `None` when there is nothing to send.
    pub fn poll_batch(&mut self) -> Option<Batch> {
        let must_beat = core::mem::take(&mut self.must_beat);
        if self.ready.is_empty() && (must_beat || !self.builder.is_empty()) {
            return Some(self.finish_batch());
        }
        self.ready.pop_front()
    }

    /// The other end has read a batch of this one: its memory serves the next.
    pub fn take_back(&mut self, batch: Batch) {
        if self.spent.len() < SPENT_MAX {
            self.spent.extend(batch.into_builder());
        }
    }

    fn finish_batch(&mut self) -> Batch {
        self.builder.finish(self.spent.pop())
    }

    /// A batch for the router's end. Calls back once a message, in order; credits are counted here.
    pub fn handle_batch_of_gateway<'a>(
        &mut self,
        bytes: &'a [u8],
        mut handle: impl FnMut(&mut LinkEnd, GatewayMessage<'a>),
    ) -> Result<(), LinkError> {
        for message in BatchView::new(bytes)?.messages() {
            match message? {
                Incoming::Gateway(message) => handle(self, message),
                Incoming::Router(_) => return Err(LinkError::WrongDirection),
                Incoming::Credits(credits_bytes) => self.take_credits(credits_bytes)?,
                Incoming::Unknown => {}
            }
        }
        Ok(())
    }

    /// A batch for the gateway's end, likewise.
    pub fn handle_batch_of_router<'a>(
        &mut self,
        bytes: &'a [u8],
        mut handle: impl FnMut(&mut LinkEnd, RouterMessage<'a>),
    ) -> Result<(), LinkError> {
        for message in BatchView::new(bytes)?.messages() {
            match message? {
                Incoming::Router(message) => handle(self, message),
                Incoming::Gateway(_) => return Err(LinkError::WrongDirection),
                Incoming::Credits(credits_bytes) => self.take_credits(credits_bytes)?,
                Incoming::Unknown => {}
            }
        }
        Ok(())
    }

    fn pay(&mut self, cost_bytes: u64) -> Result<(), NoCredit> {
        self.credits_bytes = self.credits_bytes.checked_sub(cost_bytes).ok_or(NoCredit)?;
        Ok(())
    }

    fn take_credits(&mut self, credits_bytes: u64) -> Result<(), LinkError> {
        let total = self.credits_bytes.saturating_add(credits_bytes);
        if total > LINK_WINDOW_BYTES {
            return Err(LinkError::CreditsOverflow);
        }
        self.credits_bytes = total;
        Ok(())
    }

    fn cut_when_full(&mut self) {
        if self.builder.size() >= BATCH_SIZE_TARGET || self.builder.messages_count() >= BATCH_MESSAGES_MAX {
            let batch = self.finish_batch();
            self.ready.push_back(batch);
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn request(frame: &[u8]) -> GatewayMessage<'_> {
        GatewayMessage::ClientRequest { connection: ConnectionKey(7), frame }
    }

    /// Moves every batch from the gateway's end to the router's; returns the frames that arrived.
    fn deliver(gateway: &mut LinkEnd, router: &mut LinkEnd) -> Vec<Vec<u8>> {
        let mut frames = vec![];
        while let Some(batch) = gateway.poll_batch() {
            let handled = router.handle_batch_of_gateway(&batch, |end, message| {
                let GatewayMessage::ClientRequest { frame, .. } = message else { panic!("only requests were sent") };
                end.release(LinkEnd::cost(frame.len()));
                frames.push(frame.to_vec());
            });
            assert_eq!(handled, Ok(()));
        }
        frames
    }

    #[test]
    fn messages_arrive_in_order_across_batches() {
        let (mut gateway, mut router) = (LinkEnd::default(), LinkEnd::default());
        let frames: Vec<Vec<u8>> = (0..40u8).map(|index| vec![index; 20_000]).collect();
        for frame in &frames {
            assert_eq!(gateway.send_to_router(&request(frame)), Ok(()));
        }
        assert_eq!(deliver(&mut gateway, &mut router), frames);
    }

    #[test]
    fn a_sender_stops_at_the_window_and_goes_on_when_credits_come_back() {
        let (mut gateway, mut router) = (LinkEnd::default(), LinkEnd::default());
        let frame = vec![1; 60_000];
        let mut sent = 0;
        while gateway.send_to_router(&request(&frame)).is_ok() {
            sent += 1;
        }
        assert_eq!(sent, LINK_WINDOW_BYTES / LinkEnd::cost(frame.len()));
        deliver(&mut gateway, &mut router);
        let credits = router.poll_batch().expect("the router owes the whole window");
        assert_eq!(gateway.handle_batch_of_router(&credits, |_, _| panic!("credits only")), Ok(()));
        assert_eq!(gateway.send_to_router(&request(&frame)), Ok(()));
    }

    #[test]
    fn a_peer_that_returns_more_than_it_was_given_is_caught() {
        let (mut gateway, mut router) = (LinkEnd::default(), LinkEnd::default());
        router.release(LINK_WINDOW_BYTES / 8);
        let credits = router.poll_batch().expect("credits are due");
        assert_eq!(gateway.handle_batch_of_router(&credits, |_, _| {}), Err(LinkError::CreditsOverflow));
    }

    #[test]
    fn a_beat_is_one_batch_and_nothing_to_handle() {
        let (mut gateway, mut router) = (LinkEnd::default(), LinkEnd::default());
        gateway.beat();
        let beat = gateway.poll_batch().expect("a beat is due");
        assert_eq!(gateway.poll_batch(), None);
        assert_eq!(router.handle_batch_of_gateway(&beat, |_, _| panic!("it says nothing")), Ok(()));
        gateway.send_to_router(&request(b"x")).expect("the window is open");
        gateway.beat();
        assert_eq!(deliver(&mut gateway, &mut router), [b"x"], "what is sent anyway is beat enough");
        gateway.beat();
        gateway.reset();
        assert_eq!(gateway.poll_batch(), None);
    }

    #[test]
    fn garbage_and_the_wrong_direction_are_refused() {
        let (mut gateway, mut router) = (LinkEnd::default(), LinkEnd::default());
        assert_eq!(router.handle_batch_of_gateway(&[1, 2, 3], |_, _| {}), Err(LinkError::Invalid));
        gateway.send_to_router(&request(b"x")).expect("the window is open");
        let batch = gateway.poll_batch().expect("one message waits");
        assert_eq!(LinkEnd::default().handle_batch_of_router(&batch, |_, _| {}), Err(LinkError::WrongDirection));
    }
}
