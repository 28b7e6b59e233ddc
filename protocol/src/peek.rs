//! A few fields of a frame without verifying all of it: what metrics and traces need of every frame, in some ten
//! nanoseconds instead of a hundred.
//!
//! For counting only, never for deciding: of bytes that are no frame it may say nothing, or nonsense. It never panics, and
//! its work is bounded by the frame. Whoever decides verifies with [`crate::frame`].

use wire::{ClientBody, ServerBody};

use crate::ids::ClientMsgId;

/// The number of a client's frame, 0 where there is none.
pub fn client_frame_number(frame: &[u8]) -> u8 {
    Table::root(frame).and_then(|root| root.byte(wire::ClientFrame::VT_BODY_TYPE)).unwrap_or_default()
}

/// The number of a server's frame, 0 where there is none.
pub fn server_frame_number(frame: &[u8]) -> u8 {
    Table::root(frame).and_then(|root| root.byte(wire::ServerFrame::VT_BODY_TYPE)).unwrap_or_default()
}

/// What its client calls a request that becomes an entry: a message, or an operation.
pub fn requested(frame: &[u8]) -> Option<ClientMsgId> {
    let root = Table::root(frame)?;
    if root.byte(wire::ClientFrame::VT_BODY_TYPE) == Some(ClientBody::MessageSend.0) {
        return root.table(wire::ClientFrame::VT_BODY)?.id(wire::MessageSend::VT_CLIENT_MSG_ID);
    }
    root.id(wire::ClientFrame::VT_CLIENT_OP_ID)
}

/// Which request a server's frame acks.
pub fn acked(frame: &[u8]) -> Option<ClientMsgId> {
    let root = Table::root(frame)?;
    let body = root.table(wire::ServerFrame::VT_BODY)?;
    match ServerBody(root.byte(wire::ServerFrame::VT_BODY_TYPE)?) {
        ServerBody::MessageAck => body.id(wire::MessageAck::VT_CLIENT_MSG_ID),
        ServerBody::OpAck => body.id(wire::OpAck::VT_CLIENT_OP_ID),
        _ => None,
    }
}

#[derive(Clone, Copy)]
struct Table<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Table<'a> {
    fn root(bytes: &'a [u8]) -> Option<Table<'a>> {
        Table { bytes, at: 0 }.behind(0)
    }

    /// The table to which the offset at this place leads.
    fn behind(self, at: usize) -> Option<Table<'a>> {
        let at = at.checked_add(u32::from_le_bytes(self.chunk(at)?) as usize)?;
        Some(Table { at, ..self })
    }

    fn chunk<const SIZE: usize>(self, at: usize) -> Option<[u8; SIZE]> {
        self.bytes.get(at..)?.first_chunk().copied()
    }

    /// Where a field is; `None` when it is not set.
    fn field(self, slot: flatbuffers::VOffsetT) -> Option<usize> {
        let back = i32::from_le_bytes(self.chunk(self.at)?);
        let vtable = usize::try_from(i64::try_from(self.at).ok()? - i64::from(back)).ok()?;
        let vtable_size = u16::from_le_bytes(self.chunk(vtable)?);
        if slot >= vtable_size {
            return None;
        }
        let offset = u16::from_le_bytes(self.chunk(vtable.checked_add(slot.into())?)?);
        (offset > 0).then_some(self.at + usize::from(offset))
    }

    fn byte(self, slot: flatbuffers::VOffsetT) -> Option<u8> {
        let [byte] = self.chunk(self.field(slot)?)?;
        Some(byte)
    }

    fn table(self, slot: flatbuffers::VOffsetT) -> Option<Table<'a>> {
        self.behind(self.field(slot)?)
    }

    fn id(self, slot: flatbuffers::VOffsetT) -> Option<ClientMsgId> {
        Some(ClientMsgId(self.chunk(self.field(slot)?)?))
    }
}
