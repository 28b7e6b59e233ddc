//! The shard's end of the link: batches between the queues of the link and the shard.

use std::task::{Context, Poll, Waker};

use gateway_core::LinkEvent;
use protocol::link::LinkError;
use protocol::time::Now;

use crate::shard_port::ShardPort;
use protocol_shell::{LINK_BATCHES_MAX, LinkClosed, LinkSource, LinkTransport};

/// One link after the other, as the source gives them. A link is dropped when its other end is, and when it is down for
/// the shard.
pub(crate) struct LinkPort {
    source: LinkSource,
    transport: Option<LinkTransport>,
    /// Rings the bell of the shard thread.
    waker: Waker,
}

impl LinkPort {
    pub(crate) fn new(source: LinkSource, waker: Waker) -> LinkPort {
        LinkPort { source, transport: None, waker }
    }

    /// Takes the next link where there is none. Also called now and then without a ring: a source that always has a link
    /// is thereby asked no more often.
    pub(crate) fn connect(&mut self, now: Now, shard: &mut impl ShardPort) {
        if self.transport.is_none()
            && let Poll::Ready(transport) = self.source.poll_link(&mut Context::from_waker(&self.waker))
        {
            self.transport = Some(transport);
            shard.handle_link(now, LinkEvent::Up);
            // It may hold batches already, for which nobody has rung.
            self.waker.wake_by_ref();
        }
    }

    /// Tells the shard what has come, at most one queue full a turn.
    pub(crate) fn receive(&mut self, now: Now, shard: &mut impl ShardPort) {
        let Some(transport) = &mut self.transport else { return };
        let mut context = Context::from_waker(&self.waker);
        for _ in 0..LINK_BATCHES_MAX {
            let is_alive = match transport.receiver.poll_receive(&mut context) {
                Poll::Pending => return,
                Poll::Ready(Ok(batch)) => shard.handle_link_batch(now, batch).inspect_err(complain).is_ok(),
                Poll::Ready(Err(_)) => false,
            };
            if !is_alive {
                return self.disconnect(now, shard);
            }
        }
        self.waker.wake_by_ref();
    }

    /// Sends what the shard has, as long as there is room; room later rings the bell.
    pub(crate) fn send(&mut self, now: Now, shard: &mut impl ShardPort) {
        let Some(transport) = &mut self.transport else { return };
        let mut context = Context::from_waker(&self.waker);
        if !shard.has_link() {
            complain(&LinkError::Silent);
            self.disconnect(now, shard);
        } else if send_all(transport, &mut context, shard).is_err() {
            self.disconnect(now, shard);
        }
    }

    fn disconnect(&mut self, now: Now, shard: &mut impl ShardPort) {
        self.transport = None;
        shard.handle_link(now, LinkEvent::Down);
    }
}

/// A silent router is the world's fault, everything else is a fault of ours.
fn complain(error: &LinkError) {
    match error {
        LinkError::Silent => tracing::warn!(%error, "the link to the router is given up"),
        _ => tracing::error!(%error, "the link to the router is given up"),
    }
}

fn send_all(
    transport: &mut LinkTransport,
    context: &mut Context<'_>,
    shard: &mut impl ShardPort,
) -> Result<(), LinkClosed> {
    while let Some(batch) = shard.take_spent() {
        transport.receiver.give_back(batch);
    }
    while transport.sender.poll_room(context)?.is_ready() {
        if let Some(batch) = transport.sender.take_spent() {
            shard.take_back(batch);
        }
        match shard.poll_batch() {
            Some(batch) => transport.sender.send(batch)?,
            None => break,
        }
    }
    Ok(())
}
