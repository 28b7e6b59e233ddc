//! The shard's end of the link: batches between the queues of the link and the shard.

use std::task::{Context, Poll, Waker};

use gateway_core::LinkEvent;
use protocol::time::Now;

use crate::shard_port::ShardPort;
use protocol_shell::{LINK_BATCHES_MAX, LinkClosed, LinkTransport};

/// Gone for good when the other end is.
pub(crate) struct LinkPort {
    transport: Option<LinkTransport>,
    /// Rings the bell of the shard thread.
    waker: Waker,
}

impl LinkPort {
    pub(crate) fn new(transport: LinkTransport, waker: Waker) -> LinkPort {
        LinkPort { transport: Some(transport), waker }
    }

    /// Tells the shard what has come, at most one queue full a turn.
    pub(crate) fn receive(&mut self, now: Now, shard: &mut impl ShardPort) {
        let Some(transport) = &mut self.transport else { return };
        let mut context = Context::from_waker(&self.waker);
        for _ in 0..LINK_BATCHES_MAX {
            let is_alive = match transport.receiver.poll_receive(&mut context) {
                Poll::Pending => return,
                Poll::Ready(Ok(batch)) => shard
                    .handle_link_batch(now, &batch)
                    .inspect_err(|error| tracing::error!(%error, "the link to the router is given up"))
                    .is_ok(),
                Poll::Ready(Err(_)) => false,
            };
            if !is_alive {
                self.transport = None;
                shard.handle_link(now, LinkEvent::Down);
                return;
            }
        }
        self.waker.wake_by_ref();
    }

    /// Sends what the shard has, as long as there is room; room later rings the bell.
    pub(crate) fn send(&mut self, now: Now, shard: &mut impl ShardPort) {
        let Some(transport) = &mut self.transport else { return };
        let mut context = Context::from_waker(&self.waker);
        if send_all(transport, &mut context, shard).is_err() {
            self.transport = None;
            shard.handle_link(now, LinkEvent::Down);
        }
    }
}

fn send_all(
    transport: &mut LinkTransport,
    context: &mut Context<'_>,
    shard: &mut impl ShardPort,
) -> Result<(), LinkClosed> {
    while transport.sender.poll_room(context)?.is_ready() {
        match shard.poll_batch() {
            Some(batch) => transport.sender.send(batch)?,
            None => break,
        }
    }
    Ok(())
}
