//! The router's end of a link: batches between its queues and `router/core`.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use protocol::link::Batch;
use protocol_shell::{LINK_BATCHES_MAX, LinkClosed, LinkTransport};

/// One link. What waits to be sent is bounded by the credits of the link, which `router/core` respects.
pub(crate) struct LinkPort {
    transport: LinkTransport,
    waiting: VecDeque<Batch>,
}

impl LinkPort {
    pub(crate) fn new(transport: LinkTransport) -> LinkPort {
        LinkPort { transport, waiting: VecDeque::new() }
    }

    /// What has come, at most one queue full a turn; the bell rings again where there may be more.
    pub(crate) fn receive(&mut self, waker: &Waker) -> Result<Vec<Batch>, LinkClosed> {
        let mut context = Context::from_waker(waker);
        let mut received = Vec::new();
        while received.len() < LINK_BATCHES_MAX {
            match self.transport.receiver.poll_receive(&mut context) {
                Poll::Pending => return Ok(received),
                Poll::Ready(Ok(batch)) => received.push(batch),
                // What came before the end is not worth a turn: nobody is left for the answers.
                Poll::Ready(Err(closed)) => return Err(closed),
            }
        }
        waker.wake_by_ref();
        Ok(received)
    }

    /// Has handled a batch that was received.
    pub(crate) fn give_back(&mut self, batch: Batch) {
        self.transport.receiver.give_back(batch);
    }

    /// A batch that the gateway has handled.
    pub(crate) fn take_spent(&mut self) -> Option<Batch> {
        self.transport.sender.take_spent()
    }

    pub(crate) fn queue(&mut self, batch: Batch) {
        self.waiting.push_back(batch);
    }

    /// Sends what there is room for; room later rings the bell.
    pub(crate) fn send(&mut self, waker: &Waker) -> Result<(), LinkClosed> {
        let mut context = Context::from_waker(waker);
        while !self.waiting.is_empty() && self.transport.sender.poll_room(&mut context)?.is_ready() {
            if let Some(batch) = self.waiting.pop_front() {
                self.transport.sender.send(batch)?;
            }
        }
        Ok(())
    }
}
