//! The records of the store: how each thing that is kept stands in the log.
//!
//! A key is a letter for the kind and the ids that name the thing, big-endian, so that keys sort as the things do. Of two
//! records with one key the later one counts; of two entries at one seq the one with the higher epoch. This layout is
//! version [`FORMAT_VERSION`]; a record of a later one is refused. In version 1 a device had no date and no standing;
//! until version 2 a snapshot knew the records before its beginning only from segment to segment, and had no date.

use std::sync::Arc;

use protocol::event::{MemberChanged, MessageBytes, Receipt};
use protocol::ids::{ClientMsgId, ConversationId, DeviceGeneration, DeviceId, Epoch, Ordinal, Seq, UserId, UserSeq};
use protocol::time::WallTime;
use protocol::wire::{ConversationKind, MembershipAction, Role};
use storage_api::{DeviceRow, Entry, EntryBody, EntryKey, Standing, UserEvent, UserRow};
use storage_log::{Class, Place, Position, RecordView, SegmentNumber};

use crate::bytes::{Reader, Writer};
use crate::erasures::{Erased, Sweep};
use crate::error::RecordFault;

/// The version of everything below.
pub(crate) const FORMAT_VERSION: u16 = 3;

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
    /// As it was registered; its cursor and its standing have records of their own.
    Device {
        user: UserId,
        install_id: ClientMsgId,
        row: DeviceRow,
    },
    DeviceStanding {
        user: UserId,
        device: DeviceId,
        standing: Standing,
    },
    /// A process has begun to serve under this epoch.
    Started(Epoch),
    /// The content of an entry is to be taken away.
    Erased {
        key: EntryKey,
        erased: Erased,
    },
    /// What was to be taken away is no longer on the disk.
    Gone(EntryKey),
    /// A user is erased with all that it has said.
    UserErased {
        user: UserId,
        at: WallTime,
    },
    /// An erased user has left all conversations.
    UserForgotten(UserId),
    /// How far the sweep for erased users is.
    Swept(Sweep),
    /// A piece of a snapshot; see `snapshot.rs`.
    SnapshotPart {
        number: u64,
        part: u32,
        bytes: Vec<u8>,
    },
    /// A snapshot is whole.
    Snapshot(SnapshotEnd),
}

/// What ends a snapshot, and names all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SnapshotEnd {
    /// Of two the one with the higher number is the newer one.
    pub(crate) number: u64,
    /// Every record before this is in it.
    pub(crate) begun_at: Position,
    /// When it was ended. 1970 before version 3.
    pub(crate) written_at: WallTime,
    pub(crate) parts: Vec<Place>,
}

/// A record in parts: the body of a message is not copied before the log copies it.
pub(crate) struct Encoded {
    pub(crate) class: Class,
    /// The key, and behind it what comes before the body.
    bytes: Vec<u8>,
    key_size: usize,
    body: Option<MessageBytes>,
}

impl Encoded {
    fn new(class: Class, key: Writer, payload: impl FnOnce(Writer) -> Writer) -> Encoded {
        let key_size = key.0.len();
        Encoded { class, bytes: payload(key).0, key_size, body: None }
    }

    pub(crate) fn key(&self) -> &[u8] {
        self.bytes.get(..self.key_size).expect("the key comes first")
    }

    pub(crate) fn payload(&self) -> [&[u8]; 2] {
        let head = self.bytes.get(self.key_size..).expect("the key comes first");
        [head, self.body.as_ref().map_or(&[], MessageBytes::as_bytes)]
    }
}

/// Most records without a body fit, so that they are allocated once.
const SMALL_RECORD_SIZE: usize = 96;

mod kind {
    pub(super) const ENTRY: u8 = b'e';
    pub(super) const USER_EVENTS: u8 = b'l';
    pub(super) const DEVICE_CURSOR: u8 = b'c';
    pub(super) const READ_CURSOR: u8 = b'r';
    pub(super) const USER: u8 = b'u';
    pub(super) const DEVICE: u8 = b'd';
    pub(super) const DEVICE_STANDING: u8 = b't';
    pub(super) const STARTED: u8 = b's';
    pub(super) const ERASED: u8 = b'x';
    pub(super) const GONE: u8 = b'g';
    pub(super) const USER_ERASED: u8 = b'y';
    pub(super) const USER_FORGOTTEN: u8 = b'f';
    pub(super) const SWEPT: u8 = b'w';
    pub(super) const SNAPSHOT_PART: u8 = b'p';
    pub(super) const SNAPSHOT: u8 = b'n';
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

/// How the key of an entry begins, for reading it back: its epoch is behind that.
pub(crate) fn entry_prefix(key: EntryKey) -> Vec<u8> {
    Writer::kind(kind::ENTRY).id(key.conversation).u64(key.seq.0).0
}

/// How the key of any entry begins.
pub(crate) fn any_entry_prefix() -> Vec<u8> {
    Writer::kind(kind::ENTRY).0
}

/// How the key of a row of a user's log begins.
pub(crate) fn user_events_prefix(user: UserId, first: UserSeq) -> Vec<u8> {
    Writer::kind(kind::USER_EVENTS).u64(user.0).u64(first.0).0
}

/// How the key of a part of a snapshot begins.
pub(crate) fn snapshot_part_prefix(number: u64, part: u32) -> Vec<u8> {
    Writer::kind(kind::SNAPSHOT_PART).u64(number).u32(part).0
}

/// How the key of the end of a snapshot begins.
pub(crate) fn snapshot_prefix() -> Vec<u8> {
    Writer::kind(kind::SNAPSHOT).0
}

impl Row {
    /// How long it is kept.
    pub(crate) fn class(&self) -> Class {
        match self {
            Row::Entry(entry) => class_of(entry),
            Row::UserEvents { .. } => Class::UserLog30d,
            _ => Class::State,
        }
    }

    /// When it was written, if it says so. Of small state.
    pub(crate) fn time(&self) -> Option<WallTime> {
        let time = match self {
            Row::Device { row, .. } => row.registered_at,
            Row::Erased { erased, .. } => erased.at,
            Row::UserErased { at, .. } => *at,
            Row::Snapshot(end) => end.written_at,
            _ => WallTime(0),
        };
        (time > WallTime(0)).then_some(time)
    }

    pub(crate) fn encode(&self) -> Encoded {
        let class = self.class();
        match self {
            Row::Entry(entry) => encode_entry(class, entry),
            Row::UserEvents { user, first_user_seq, epoch, events } => {
                let key = Writer::kind(kind::USER_EVENTS).u64(user.0).u64(first_user_seq.0).u64(epoch.0);
                Encoded::new(class, key, |head| events.iter().fold(head, Writer::event))
            }
            Row::DeviceCursor { user, device, user_seq } => {
                let key = Writer::kind(kind::DEVICE_CURSOR).u64(user.0).u64(device.0);
                Encoded::new(class, key, |head| head.u64(user_seq.0))
            }
            Row::ReadCursor { user, conversation, seq, ordinal } => {
                let key = Writer::kind(kind::READ_CURSOR).u64(user.0).id(*conversation);
                Encoded::new(class, key, |head| head.u64(seq.0).u64(ordinal.0))
            }
            Row::User(row) => {
                Encoded::new(class, Writer::kind(kind::USER).u64(row.id.0), |head| head.text(&row.handle))
            }
            Row::Device { user, install_id, row } => {
                let key = Writer::kind(kind::DEVICE).u64(user.0).u64(row.id.0);
                Encoded::new(class, key, |head| {
                    head.bytes(&install_id.0).standing(row.standing).u64(row.registered_at.0).text(&row.name)
                })
            }
            Row::DeviceStanding { user, device, standing } => {
                let key = Writer::kind(kind::DEVICE_STANDING).u64(user.0).u64(device.0);
                Encoded::new(class, key, |head| head.standing(*standing))
            }
            Row::Started(epoch) => Encoded::new(class, Writer::kind(kind::STARTED), |head| head.u64(epoch.0)),
            Row::Erased { key, erased } => {
                let key = Writer::kind(kind::ERASED).id(key.conversation).u64(key.seq.0);
                Encoded::new(class, key, |head| head.u32(erased.segment.0).u64(erased.at.0))
            }
            Row::Gone(key) => {
                Encoded::new(class, Writer::kind(kind::GONE).id(key.conversation).u64(key.seq.0), |head| head)
            }
            Row::UserErased { user, at } => {
                Encoded::new(class, Writer::kind(kind::USER_ERASED).u64(user.0), |head| head.u64(at.0))
            }
            Row::UserForgotten(user) => {
                Encoded::new(class, Writer::kind(kind::USER_FORGOTTEN).u64(user.0), |head| head)
            }
            Row::Swept(sweep) => {
                Encoded::new(class, Writer::kind(kind::SWEPT), |head| head.u32(sweep.end.0).u32(sweep.through.0))
            }
            Row::SnapshotPart { number, part, bytes } => {
                Encoded::new(class, Writer::kind(kind::SNAPSHOT_PART).u64(*number).u32(*part), |head| head.bytes(bytes))
            }
            Row::Snapshot(SnapshotEnd { number, begun_at, written_at, parts }) => {
                Encoded::new(class, Writer::kind(kind::SNAPSHOT).u64(*number), |head| {
                    let head = head.u64(begun_at.to_u64()).u64(written_at.0);
                    parts.iter().fold(head, |head, place| head.place(*place))
                })
            }
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

/// A message that disappears goes with its class; beyond the longest one it stays and is not shown.
fn class_of(entry: &Entry) -> Class {
    const DAY_S: u32 = 24 * 60 * 60;
    let EntryBody::Message(message) = &entry.body else { return Class::Permanent };
    match message.head().expires_in_s {
        0 => Class::Permanent,
        lifetime_s if lifetime_s <= DAY_S => Class::Ttl1d,
        lifetime_s if lifetime_s <= 7 * DAY_S => Class::Ttl7d,
        lifetime_s if lifetime_s <= 90 * DAY_S => Class::Ttl90d,
        _ => Class::Permanent,
    }
}

fn encode_entry(class: Class, entry: &Entry) -> Encoded {
    let key = Writer(entry_prefix(entry.key)).u64(entry.epoch.0);
    let encoded = Encoded::new(class, key, |head| {
        let head = head.u64(entry.ordinal.0);
        match &entry.body {
            EntryBody::Message(_) => head.u8(body::MESSAGE),
            EntryBody::Membership(change) => head.u8(body::MEMBERSHIP).membership(change),
            EntryBody::Void => head.u8(body::VOID),
        }
    });
    let body = if let EntryBody::Message(message) = &entry.body { Some(message.clone()) } else { None };
    Encoded { body, ..encoded }
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
            let (install_id, standing) = (ClientMsgId(payload.array()?), payload.standing()?);
            let registered_at = if record.format_version == 1 { WallTime(0) } else { WallTime(payload.u64()?) };
            let row = DeviceRow { standing, ..DeviceRow::new(id, &payload.rest_as_text()?, registered_at) };
            Row::Device { user, install_id, row }
        }
        kind::DEVICE_STANDING => Row::DeviceStanding {
            user: UserId(key.u64()?),
            device: DeviceId(key.u64()?),
            standing: payload.standing()?,
        },
        kind::STARTED => Row::Started(Epoch(payload.u64()?)),
        kind::ERASED => {
            let entry = EntryKey { conversation: key.id()?, seq: Seq(key.u64()?) };
            let erased = Erased { segment: SegmentNumber(payload.u32()?), at: WallTime(payload.u64()?) };
            Row::Erased { key: entry, erased }
        }
        kind::GONE => Row::Gone(EntryKey { conversation: key.id()?, seq: Seq(key.u64()?) }),
        kind::USER_ERASED => Row::UserErased { user: UserId(key.u64()?), at: WallTime(payload.u64()?) },
        kind::USER_FORGOTTEN => Row::UserForgotten(UserId(key.u64()?)),
        kind::SWEPT => Row::Swept(Sweep { end: SegmentNumber(payload.u32()?), through: SegmentNumber(payload.u32()?) }),
        kind::SNAPSHOT_PART => {
            Row::SnapshotPart { number: key.u64()?, part: key.u32()?, bytes: payload.rest().to_vec() }
        }
        kind::SNAPSHOT => {
            let (number, begun_at) = (key.u64()?, Position::from_u64(payload.u64()?));
            let (begun_at, written_at) = match record.format_version {
                ..3 => (Position::first_of(begun_at.segment), WallTime(0)),
                _ => (begun_at, WallTime(payload.u64()?)),
            };
            let mut parts = Vec::new();
            while !payload.is_empty() {
                parts.push(payload.place()?);
            }
            Row::Snapshot(SnapshotEnd { number, begun_at, written_at, parts })
        }
        _ => return None,
    };
    (key.is_empty() && payload.is_empty()).then_some(row)
}

fn decode_entry((key, epoch): (EntryKey, Epoch), payload: &mut Reader<'_>) -> Option<Entry> {
    let ordinal = Ordinal(payload.u64()?);
    let body = match payload.u8()? {
        body::MESSAGE => EntryBody::Message(MessageBytes::new(payload.rest()).ok()?),
        body::MEMBERSHIP => EntryBody::Membership(Arc::new(payload.membership(key, ordinal)?)),
        body::VOID => EntryBody::Void,
        _ => return None,
    };
    // A place is given from 1, and an index has room for what memory can hold.
    (key.seq.0 > 0 && key.seq.0 <= u64::from(u32::MAX)).then_some(Entry { key, epoch, ordinal, body })
}

impl Writer {
    fn kind(kind: u8) -> Writer {
        Writer(Vec::with_capacity(SMALL_RECORD_SIZE)).u8(kind)
    }

    pub(crate) fn standing(self, standing: Standing) -> Writer {
        self.u32(standing.generation.0).u8(standing.revoked.into())
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

impl Reader<'_> {
    pub(crate) fn standing(&mut self) -> Option<Standing> {
        Some(Standing { generation: DeviceGeneration(self.u32()?), revoked: self.u8()? != 0 })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(format_version: u16, encoded: &Encoded) -> Result<Row, RecordFault> {
        Row::decode(RecordView {
            class: encoded.class,
            format_version,
            key: encoded.key(),
            payload: encoded.payload()[0],
        })
    }

    #[test]
    fn a_device_of_version_1_has_no_date() {
        let key = Writer::kind(kind::DEVICE).u64(1).u64(2);
        let encoded = Encoded::new(Class::State, key, |head| head.bytes(&[7; 16]).u32(1).u8(0).text("pocket"));
        let row = DeviceRow::new(DeviceId(2), "pocket", WallTime(0));
        let device = Row::Device { user: UserId(1), install_id: ClientMsgId([7; 16]), row };
        assert_eq!(decoded(1, &encoded), Ok(device));
    }

    #[test]
    fn a_device_and_its_standing_are_read_as_they_were_written() {
        let row = DeviceRow::new(DeviceId(2), "pocket", WallTime(5));
        let device = Row::Device { user: UserId(1), install_id: ClientMsgId([7; 16]), row };
        let standing = Standing { generation: DeviceGeneration(3), revoked: true };
        let stands = Row::DeviceStanding { user: UserId(1), device: DeviceId(2), standing };
        for row in [device, stands] {
            assert_eq!(decoded(FORMAT_VERSION, &row.encode()), Ok(row));
        }
    }
}
