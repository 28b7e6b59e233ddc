//! What a gateway's batch asks of the router.

use alloc::vec::Vec;

use protocol::link::{ConnectionKey, SessionOpen};

use crate::links::LinkId;
use crate::mail::SessionRef;
use crate::request::OpenRequest;

/// A message of a batch, owned until the batch has been read.
pub(super) enum Input {
    Hello(u16),
    Open(SessionRef, OpenRequest),
    Close(ConnectionKey),
    Request(ConnectionKey, Vec<u8>),
}

impl Input {
    pub(super) fn open(open: &SessionOpen<'_>) -> Input {
        let session = SessionRef { link: LinkId(0), connection: open.connection, user: open.user, device: open.device };
        Input::Open(session, OpenRequest::from(open))
    }
}
