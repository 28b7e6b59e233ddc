//! Where a gateway shard gets its links from, one after the other: from the other half of its process, or from a thread
//! that connects.

use std::task::{Context, Poll};

use crate::LinkTransport;

/// Gives a shard its next link, once the last one is gone.
pub struct LinkSource(Box<PollLink>);

type PollLink = dyn FnMut(&mut Context<'_>) -> Poll<LinkTransport> + Send;

impl LinkSource {
    /// `poll_link` must not wait. Where there is no link yet it leaves the waker with whoever makes one, or is asked again
    /// by and by.
    pub fn new(poll_link: impl FnMut(&mut Context<'_>) -> Poll<LinkTransport> + Send + 'static) -> LinkSource {
        LinkSource(Box::new(poll_link))
    }

    /// The next link. Only without one.
    pub fn poll_link(&mut self, context: &mut Context<'_>) -> Poll<LinkTransport> {
        (self.0)(context)
    }
}
