//! A few fields of a frame without verifying all of it: what metrics and traces need of every frame, in some ten
//! nanoseconds instead of a hundred.
//!
//! For counting only, never for deciding: of bytes that are no frame it may say nothing, or nonsense. It never panics, and
//! its work is bounded by the frame. Whoever decides verifies with [`crate::frame`].

use wire::{ClientBody, EventBody, ServerBody};

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

/// Which request a server's frame answers, and the code it is refused with; 0 where it is done.
pub fn answered(frame: &[u8]) -> Option<(ClientMsgId, u16)> {
    let root = Table::root(frame)?;
    let body = root.table(wire::ServerFrame::VT_BODY)?;
    match ServerBody(root.byte(wire::ServerFrame::VT_BODY_TYPE)?) {
        ServerBody::MessageAck => Some((body.id(wire::MessageAck::VT_CLIENT_MSG_ID)?, 0)),
        ServerBody::OpAck => Some((body.id(wire::OpAck::VT_CLIENT_OP_ID)?, body.code(wire::OpAck::VT_CODE))),
        ServerBody::Error => Some((body.id(wire::Error::VT_CLIENT_MSG_ID)?, body.code(wire::Error::VT_CODE))),
        _ => None,
    }
}

/// What a server's frame tells a device of, by the names of those who sent it.
pub fn told(frame: &[u8]) -> impl Iterator<Item = ClientMsgId> {
    events(frame).into_iter().flatten().filter_map(sent_as)
}

fn events(frame: &[u8]) -> Option<impl Iterator<Item = Table<'_>>> {
    let root = Table::root(frame)?;
    let body = root.table(wire::ServerFrame::VT_BODY)?;
    match ServerBody(root.byte(wire::ServerFrame::VT_BODY_TYPE)?) {
        ServerBody::Push => body.tables(wire::Push::VT_EVENTS),
        ServerBody::SyncPage => body.tables(wire::SyncPage::VT_EVENTS),
        _ => None,
    }
}

fn sent_as(event: Table<'_>) -> Option<ClientMsgId> {
    let body = event.table(wire::Event::VT_BODY)?;
    match EventBody(event.byte(wire::Event::VT_BODY_TYPE)?) {
        EventBody::MessageNew => {
            Table::root(body.bytes(wire::MessageNew::VT_MESSAGE)?)?.id(wire::Message::VT_CLIENT_MSG_ID)
        }
        EventBody::Echo => body.id(wire::Echo::VT_CLIENT_MSG_ID),
        EventBody::MemberChanged => body.id(wire::MemberChanged::VT_CLIENT_OP_ID),
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

    fn code(self, slot: flatbuffers::VOffsetT) -> u16 {
        self.field(slot).and_then(|at| self.chunk(at)).map_or(0, u16::from_le_bytes)
    }

    /// How many there are, and where the first one is.
    fn vector(self, slot: flatbuffers::VOffsetT) -> Option<(usize, usize)> {
        let vector = self.table(slot)?.at;
        Some((u32::from_le_bytes(self.chunk(vector)?) as usize, vector + 4))
    }

    fn bytes(self, slot: flatbuffers::VOffsetT) -> Option<&'a [u8]> {
        let (count, first) = self.vector(slot)?;
        self.bytes.get(first..)?.get(..count)
    }

    /// Up to the first that is not there.
    fn tables(self, slot: flatbuffers::VOffsetT) -> Option<impl Iterator<Item = Table<'a>>> {
        let (count, first) = self.vector(slot)?;
        Some((0..count).map_while(move |index| self.behind(first + 4 * index)))
    }

    fn id(self, slot: flatbuffers::VOffsetT) -> Option<ClientMsgId> {
        Some(ClientMsgId(self.chunk(self.field(slot)?)?))
    }
}
