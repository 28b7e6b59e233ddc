//! The records of the store: how each thing that is kept stands in the log.
//!
//! A key is a letter for the kind and the ids that name the thing, big-endian, so that keys sort as the things do. Of two
//! records with one key the later one counts; of two entries at one seq the one with the higher epoch. This layout is
//! version [`FORMAT_VERSION`]; a record of a later one is refused.

use std::sync::Arc;

use protocol::event::{MemberChanged, MessageBytes, Receipt};
use protocol::ids::{ClientMsgId, ConversationId, DeviceGeneration, DeviceId, Epoch, Ordinal, Seq, UserId, UserSeq};
use protocol::time::WallTime;
use protocol::wire::{ConversationKind, MembershipAction, Role};
use storage_api::{DeviceRow, Entry, EntryBody, EntryKey, UserEvent, UserRow};
use storage_log::{Class, RecordView};

use crate::error::RecordFault;

/// The version of everything below.
pub(crate) const FORMAT_VERSION: u16 = 1;

/// One thing that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    Entry(Arc<Entry>),
    UserEvents {
        user: UserId,
        first_user_seq: UserSeq,
        epoch: Epoch,
        events: Vec<UserEvent>,
    },
    DeviceCursor {
        user: UserId,
        device: DeviceId,
        user_seq: UserSeq,
    },
    ReadCursor {
        user: UserId,
        conversation: ConversationId,
        seq: Seq,
        ordinal: Ordinal,
    },
    User(UserRow),
    Device {
        user: UserId,
        install_id: ClientMsgId,
        row: DeviceRow,
        name: String,
    },
    /// A process has begun to serve under this epoch.
    Started(Epoch),
}

/// A record in parts: the body of a message is not copied before the log copies it.
pub(crate) struct Encoded {
    pub(crate) class: Class,
    pub(crate) key: Vec<u8>,
    pub(crate) head: Vec<u8>,
    pub(crate) body: Option<MessageBytes>,
}

impl Encoded {
    pub(crate) fn payload(&self) -> [&[u8]; 2] {
        [&self.head, self.body.as_ref().map_or(&[], MessageBytes::as_bytes)]
    }
}

mod kind {
    pub(super) const ENTRY: u8 = b'e';
    pub(super) const USER_EVENTS: u8 = b'l';
    pub(super) const DEVICE_CURSOR: u8 = b'c';
    pub(super) const READ_CURSOR: u8 = b'r';
    pub(super) const USER: u8 = b'u';
    pub(super) const DEVICE: u8 = b'd';
    pub(super) const STARTED: u8 = b's';
}

mod body {
    pub(super) const MESSAGE: u8 = 1;
    pub(super) const MEMBERSHIP: u8 = 2;
    pub(super) const VOID: u8 = 3;
}

mod event {
    pub(super) const ENTRY: u8 = 1;
    pub(super) const DELIVERED: u8 = 2;
    pub(super) const READ: u8 = 3;
    pub(super) const SYNC_READ: u8 = 4;
}

/// The key of an entry, for reading it back.
pub(crate) fn entry_key(key: EntryKey, epoch: Epoch) -> Vec<u8> {
    Writer::kind(kind::ENTRY).id(key.conversation).u64(key.seq.0).u64(epoch.0).0
}

impl Row {
    pub(crate) fn encode(&self) -> Encoded {
        let state =
            |key: Writer, payload: Writer| Encoded { class: Class::State, key: key.0, head: payload.0, body: None };
        match self {
            Row::Entry(entry) => encode_entry(entry),
            Row::UserEvents { user, first_user_seq, epoch, events } => {
                let key = Writer::kind(kind::USER_EVENTS).u64(user.0).u64(first_user_seq.0).u64(epoch.0);
                let payload = events.iter().fold(Writer::default(), Writer::event);
                Encoded { class: Class::UserLog30d, ..state(key, payload) }
            }
            Row::DeviceCursor { user, device, user_seq } => {
                let key = Writer::kind(kind::DEVICE_CURSOR).u64(user.0).u64(device.0);
                state(key, Writer::default().u64(user_seq.0))
            }
            Row::ReadCursor { user, conversation, seq, ordinal } => {
                let key = Writer::kind(kind::READ_CURSOR).u64(user.0).id(*conversation);
                state(key, Writer::default().u64(seq.0).u64(ordinal.0))
            }
            Row::User(row) => state(Writer::kind(kind::USER).u64(row.id.0), Writer::default().text(&row.handle)),
            Row::Device { user, install_id, row, name } => {
                let key = Writer::kind(kind::DEVICE).u64(user.0).u64(row.id.0);
                let payload = Writer::default().bytes(&install_id.0).u32(row.generation.0).u8(row.revoked.into());
                state(key, payload.text(name))
            }
            Row::Started(epoch) => state(Writer::kind(kind::STARTED), Writer::default().u64(epoch.0)),
        }
    }

    /// The thing that a record holds.
    pub(crate) fn decode(record: RecordView<'_>) -> Result<Row, RecordFault> {
        if record.format_version > FORMAT_VERSION {
            return Err(RecordFault::NewerFormat(record.format_version));
        }
        decode(record).ok_or(RecordFault::Invalid)
    }
}

fn encode_entry(entry: &Entry) -> Encoded {
    let head = Writer::default().u64(entry.ordinal.0);
    let (head, body) = match &entry.body {
        EntryBody::Message(message) => (head.u8(body::MESSAGE), Some(message.clone())),
        EntryBody::Membership(change) => (head.u8(body::MEMBERSHIP).membership(change), None),
        EntryBody::Void => (head.u8(body::VOID), None),
    };
    Encoded { class: Class::Permanent, key: entry_key(entry.key, entry.epoch), head: head.0, body }
}

fn decode(record: RecordView<'_>) -> Option<Row> {
    let (mut key, mut payload) = (Reader(record.key), Reader(record.payload));
    let row = match key.u8()? {
        kind::ENTRY => {
            let key = (EntryKey { conversation: key.id()?, seq: Seq(key.u64()?) }, Epoch(key.u64()?));
            Row::Entry(Arc::new(decode_entry(key, &mut payload)?))
        }
        kind::USER_EVENTS => Row::UserEvents {
            user: UserId(key.u64()?),
            first_user_seq: UserSeq(key.u64()?),
            epoch: Epoch(key.u64()?),
            events: payload.events()?,
        },
        kind::DEVICE_CURSOR => Row::DeviceCursor {
            user: UserId(key.u64()?),
            device: DeviceId(key.u64()?),
            user_seq: UserSeq(payload.u64()?),
        },
        kind::READ_CURSOR => Row::ReadCursor {
            user: UserId(key.u64()?),
            conversation: key.id()?,
            seq: Seq(payload.u64()?),
            ordinal: Ordinal(payload.u64()?),
        },
        kind::USER => Row::User(UserRow { id: UserId(key.u64()?), handle: payload.rest_as_text()? }),
        kind::DEVICE => {
            let (user, id) = (UserId(key.u64()?), DeviceId(key.u64()?));
            let install_id = ClientMsgId(payload.array()?);
            let (generation, revoked) = (DeviceGeneration(payload.u32()?), payload.u8()? != 0);
            let row = DeviceRow { generation, revoked, ..DeviceRow::new(id) };
            Row::Device { user, install_id, row, name: payload.rest_as_text()? }
        }
        kind::STARTED => Row::Started(Epoch(payload.u64()?)),
        _ => return None,
    };
    (key.is_empty() && payload.is_empty()).then_some(row)
}

fn decode_entry((key, epoch): (EntryKey, Epoch), payload: &mut Reader<'_>) -> Option<Entry> {
    let ordinal = Ordinal(payload.u64()?);
    let body = match payload.u8()? {
        body::MESSAGE => EntryBody::Message(MessageBytes::new(payload.rest().into()).ok()?),
        body::MEMBERSHIP => EntryBody::Membership(Arc::new(payload.membership(key, ordinal)?)),
        body::VOID => EntryBody::Void,
        _ => return None,
    };
    // A place is given from 1, and an index has room for what memory can hold.
    (key.seq.0 > 0 && key.seq.0 <= u64::from(u32::MAX)).then_some(Entry { key, epoch, ordinal, body })
}

/// Appends fields, big-endian.
#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn kind(kind: u8) -> Writer {
        Writer(vec![kind])
    }

    fn bytes(mut self, bytes: &[u8]) -> Writer {
        self.0.extend_from_slice(bytes);
        self
    }

    fn u8(self, value: u8) -> Writer {
        self.bytes(&[value])
    }

    fn u32(self, value: u32) -> Writer {
        self.bytes(&value.to_be_bytes())
    }

    fn u64(self, value: u64) -> Writer {
        self.bytes(&value.to_be_bytes())
    }

    fn id(self, id: ConversationId) -> Writer {
        self.bytes(&id.0)
    }

    fn text(self, text: &str) -> Writer {
        self.bytes(text.as_bytes())
    }

    fn receipt(self, tag: u8, receipt: &Receipt) -> Writer {
        self.u8(tag).id(receipt.conversation).u64(receipt.up_to.0).u64(receipt.by.0)
    }

    fn event(self, event: &UserEvent) -> Writer {
        match event {
            UserEvent::Entry { key, sender } => self.u8(event::ENTRY).id(key.conversation).u64(key.seq.0).u64(sender.0),
            UserEvent::Delivered(receipt) => self.receipt(event::DELIVERED, receipt),
            UserEvent::Read(receipt) => self.receipt(event::READ, receipt),
            UserEvent::SyncRead { conversation, up_to } => self.u8(event::SYNC_READ).id(*conversation).u64(up_to.0),
        }
    }

    fn membership(self, change: &MemberChanged) -> Writer {
        let head = self.u8(change.action.0).u64(change.actor.0).u64(change.actor_device.0);
        let head = head.u8(change.role.0).u8(change.kind.0).bytes(&change.client_op_id.0);
        let head = head.u64(change.server_time.0).u32(change.users.len() as u32);
        change.users.iter().fold(head, |head, user| head.u64(user.0)).text(&change.title)
    }
}

/// Takes fields from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    fn id(&mut self) -> Option<ConversationId> {
        self.array().map(ConversationId)
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn rest_as_text(&mut self) -> Option<String> {
        std::str::from_utf8(self.rest()).ok().map(ToOwned::to_owned)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn events(&mut self) -> Option<Vec<UserEvent>> {
        let mut events = Vec::new();
        while !self.is_empty() {
            events.push(self.event()?);
        }
        Some(events)
    }

    fn event(&mut self) -> Option<UserEvent> {
        let (tag, conversation, up_to) = (self.u8()?, self.id()?, Seq(self.u64()?));
        Some(match tag {
            event::ENTRY => {
                UserEvent::Entry { key: EntryKey { conversation, seq: up_to }, sender: UserId(self.u64()?) }
            }
            event::DELIVERED => UserEvent::Delivered(Receipt { conversation, up_to, by: UserId(self.u64()?) }),
            event::READ => UserEvent::Read(Receipt { conversation, up_to, by: UserId(self.u64()?) }),
            event::SYNC_READ => UserEvent::SyncRead { conversation, up_to },
            _ => return None,
        })
    }

    fn membership(&mut self, key: EntryKey, ordinal: Ordinal) -> Option<MemberChanged> {
        let (action, actor, actor_device) = (MembershipAction(self.u8()?), UserId(self.u64()?), DeviceId(self.u64()?));
        let (role, kind) = (Role(self.u8()?), ConversationKind(self.u8()?));
        let (client_op_id, server_time) = (ClientMsgId(self.array()?), WallTime(self.u64()?));
        let count = self.u32()?;
        let users = (0..count).map(|_| self.u64().map(UserId)).collect::<Option<Vec<_>>>()?;
        Some(MemberChanged {
            conversation: key.conversation,
            seq: key.seq,
            ordinal,
            action,
            actor,
            actor_device,
            users,
            role,
            kind,
            title: self.rest_as_text()?,
            client_op_id,
            server_time,
        })
    }
}
