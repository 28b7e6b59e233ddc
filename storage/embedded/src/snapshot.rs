//! A snapshot: the small state as records of the log, so that a start reads it instead of everything that led to it.
//!
//! It is written in parts while the store goes on: a part says how something was at some time after the snapshot began.
//! A start reads the parts, and then every record from where it began; what a part knew already changes nothing. The
//! record that ends a snapshot names its parts; without that record there is no snapshot.
//!
//! A part, big-endian: things one behind another, each with a letter for its kind.

use std::collections::HashMap;

use protocol::ids::{ClientMsgId, ConversationId, DeviceId, Epoch, Ordinal, Seq, UserId, UserSeq};
use protocol::time::WallTime;
use protocol::wire::{ConversationKind, Role};
use storage_api::{DeviceRow, EntryKey, MemberRow, ReceiptRow, Span, UserRow};
use storage_log::{Place, Position, SegmentNumber};

use crate::bytes::{Reader, Writer};
use crate::conversation::Conversation;
use crate::erasures::{Erased, ErasedUser, Erasures, Sweep};
use crate::hash::IdHashes;
use crate::record::{Row, SnapshotEnd};
use crate::state::{Counters, State};
use crate::user::{Holding, User};

mod kind {
    pub(super) const COUNTERS: u8 = b'#';
    pub(super) const USER: u8 = b'U';
    /// As version 1 of the records wrote it: devices without name and date.
    pub(super) const USER_V1: u8 = b'u';
    pub(super) const ERASED: u8 = b'x';
    /// The user before it is erased.
    pub(super) const ERASED_USER: u8 = b'y';
    /// The disk still has something of an erased user.
    pub(super) const PENDING_USER: u8 = b'z';
    pub(super) const SWEEP: u8 = b'w';
    pub(super) const HOLDINGS: u8 = b'h';
    pub(super) const CONVERSATION: u8 = b'c';
}

/// What a user holds of so many conversations is one thing in a part: about 2 KB.
const HOLDINGS_PER_PIECE: usize = 32;

/// A snapshot that is being written: one part at a time.
pub(crate) struct SnapshotWriter {
    end: SnapshotEnd,
    part_bytes: usize,
    users_done: usize,
    conversations_done: usize,
}

impl SnapshotWriter {
    /// Everything before `begun_at` has been applied to the state.
    pub(crate) fn new(number: u64, begun_at: Position, part_bytes: usize) -> SnapshotWriter {
        let end = SnapshotEnd { number, begun_at, parts: Vec::new() };
        SnapshotWriter { end, part_bytes, users_done: 0, conversations_done: 0 }
    }

    /// The next records: mostly one part, and the end when all of the state is in parts.
    pub(crate) fn next_rows(&mut self, state: &State) -> Vec<Row> {
        let mut parts = Parts { part_bytes: self.part_bytes, full: Vec::new(), last: Writer::default() };
        if self.end.parts.is_empty() {
            parts.push(|writer| writer.counters(state.counters));
            let Erasures { entries, users, sweep } = &state.erasures;
            entries.iter().for_each(|(key, erased)| parts.push(|writer| writer.erased(*key, *erased)));
            users.iter().for_each(|(user, erased)| parts.push(|writer| writer.pending_user(*user, *erased)));
            sweep.iter().for_each(|sweep| parts.push(|writer| writer.sweep(*sweep)));
        }
        for (_, user) in state.users.iter_from(self.users_done) {
            if !parts.full.is_empty() {
                break;
            }
            parts.push_user(user);
            self.users_done += 1;
        }
        for (id, conversation) in state.conversations.iter_from(self.conversations_done) {
            if !parts.full.is_empty() {
                break;
            }
            parts.push(|writer| writer.conversation(id, conversation));
            self.conversations_done += 1;
        }
        let Parts { full, last, .. } = parts;
        let parts = full.into_iter().chain([last.0]).filter(|bytes| !bytes.is_empty());
        let (number, first) = (self.end.number, self.end.parts.len() as u32);
        let rows: Vec<Row> =
            parts.zip(first..).map(|(bytes, part)| Row::SnapshotPart { number, part, bytes }).collect();
        if rows.is_empty() { vec![Row::Snapshot(self.end.clone())] } else { rows }
    }

    /// A part is durable.
    pub(crate) fn part_written(&mut self, place: Place) {
        self.end.parts.push(place);
    }
}

/// Things on their way into parts.
struct Parts {
    part_bytes: usize,
    full: Vec<Vec<u8>>,
    last: Writer,
}

impl Parts {
    fn push(&mut self, write: impl FnOnce(Writer) -> Writer) {
        self.last = write(std::mem::take(&mut self.last));
        if self.last.0.len() >= self.part_bytes {
            self.full.push(std::mem::take(&mut self.last).0);
        }
    }

    /// What a user holds comes in pieces: there is no bound to it, and there is one to a record.
    fn push_user(&mut self, user: &User) {
        self.push(|writer| if user.is_erased { writer.erased_user(user) } else { writer.user(user) });
        let mut holdings = user.conversations.iter().peekable();
        while holdings.peek().is_some() {
            self.push(|writer| writer.holdings(user.row.id, holdings.by_ref().take(HOLDINGS_PER_PIECE)));
        }
    }
}

/// Puts a part into the state. `None`: it is not what a part is.
pub(crate) fn restore(state: &mut State, part: &[u8]) -> Option<()> {
    let mut reader = Reader(part);
    while !reader.is_empty() {
        match reader.u8()? {
            kind::COUNTERS => state.restore_counters(Epoch(reader.u64()?), reader.u64()?, reader.u64()?),
            kind::USER => state.restore_user(reader.user(Reader::device)?),
            kind::USER_V1 => state.restore_user(reader.user(Reader::device_v1)?),
            kind::ERASED => {
                let key = EntryKey { conversation: reader.id()?, seq: Seq(reader.u64()?) };
                let erased = Erased { segment: SegmentNumber(reader.u32()?), at: WallTime(reader.u64()?) };
                state.erasures.entries.insert(key, erased);
            }
            kind::ERASED_USER => state.restore_erased_user(UserId(reader.u64()?)),
            kind::PENDING_USER => {
                let (user, at) = (UserId(reader.u64()?), WallTime(reader.u64()?));
                let (segment, is_forgotten) = (SegmentNumber(reader.u32()?), reader.u8()? != 0);
                state.erasures.users.insert(user, ErasedUser { at, segment, is_forgotten });
            }
            kind::SWEEP => {
                let (end, through) = (SegmentNumber(reader.u32()?), SegmentNumber(reader.u32()?));
                state.erasures.sweep = Some(Sweep { end, through });
            }
            kind::HOLDINGS => {
                let user = UserId(reader.u64()?);
                reader.holdings(&mut state.users.find_mut(user)?.conversations)?;
            }
            kind::CONVERSATION => {
                let id = reader.id()?;
                state.restore_conversation(id, reader.conversation()?);
            }
            _ => return None,
        }
    }
    Some(())
}

impl Writer {
    fn counters(self, counters: Counters) -> Writer {
        let Counters { epoch, user, device, .. } = counters;
        self.u8(kind::COUNTERS).u64(epoch.0).u64(user).u64(device)
    }

    fn erased(self, key: EntryKey, erased: Erased) -> Writer {
        self.u8(kind::ERASED).id(key.conversation).u64(key.seq.0).u32(erased.segment.0).u64(erased.at.0)
    }

    fn pending_user(self, user: UserId, erased: ErasedUser) -> Writer {
        let ErasedUser { at, segment, is_forgotten } = erased;
        self.u8(kind::PENDING_USER).u64(user.0).u64(at.0).u32(segment.0).u8(is_forgotten.into())
    }

    fn sweep(self, Sweep { end, through }: Sweep) -> Writer {
        self.u8(kind::SWEEP).u32(end.0).u32(through.0)
    }

    fn erased_user(self, user: &User) -> Writer {
        self.user(user).u8(kind::ERASED_USER).u64(user.row.id.0)
    }

    fn user(self, user: &User) -> Writer {
        let User { row, devices, head, is_erased: _, conversations: _ } = user;
        let writer = self.u8(kind::USER).u64(row.id.0).sized_text(&row.handle).u64(head.0).u32(devices.len() as u32);
        devices.iter().fold(writer, |writer, (install_id, device)| {
            let DeviceRow { id, name, registered_at, standing, cursor } = device;
            let writer = writer.bytes(&install_id.0).u64(id.0).standing(*standing).u64(cursor.0);
            writer.u64(registered_at.0).sized_text(name)
        })
    }

    fn holdings<'a>(self, user: UserId, holdings: impl Iterator<Item = (&'a ConversationId, &'a Holding)>) -> Writer {
        let holdings: Vec<_> = holdings.collect();
        let writer = self.u8(kind::HOLDINGS).u64(user.0).u32(holdings.len() as u32);
        holdings.into_iter().fold(writer, |writer, (id, holding)| {
            let Holding { held, held_ordinal, touched, read, read_ordinal } = holding;
            // An ordinal counts entries, so it is never as high as this.
            let held_ordinal = held_ordinal.map_or(u64::MAX, |ordinal| ordinal.0);
            writer.id(*id).u64(held.0).u64(held_ordinal).u64(touched.0).u64(read.0).u64(read_ordinal.0)
        })
    }

    fn conversation(self, id: ConversationId, conversation: &Conversation) -> Writer {
        let Conversation { kind, title, head, head_ordinal, head_epoch, members, read } = conversation;
        let writer = self.u8(kind::CONVERSATION).id(id).u8(kind.0).sized_text(title);
        let writer = writer.u64(head.0).u64(head_ordinal.0).u64(head_epoch.0).u32(members.len() as u32);
        let writer = members.iter().fold(writer, |writer, MemberRow { user, role, spans }| {
            let writer = writer.u64(user.0).u8(role.0).u8(spans.len() as u8);
            // Nobody leaves at 0.
            spans.iter().fold(writer, |writer, span| writer.u64(span.join.0).u64(span.left.unwrap_or_default().0))
        });
        let writer = writer.u32(read.len() as u32);
        read.iter().fold(writer, |writer, ReceiptRow { user, read }| writer.u64(user.0).u64(read.0))
    }
}

impl Reader<'_> {
    fn user(&mut self, device: impl Fn(&mut Self) -> Option<(ClientMsgId, DeviceRow)>) -> Option<User> {
        let row = UserRow { id: UserId(self.u64()?), handle: self.sized_text()? };
        let head = UserSeq(self.u64()?);
        let mut devices = Vec::new();
        for _ in 0..self.u32()? {
            devices.push(device(self)?);
        }
        Some(User { row, devices, head, is_erased: false, conversations: HashMap::default() })
    }

    fn device(&mut self) -> Option<(ClientMsgId, DeviceRow)> {
        let (install_id, row) = self.device_v1()?;
        let (registered_at, name) = (WallTime(self.u64()?), self.sized_text()?.into());
        Some((install_id, DeviceRow { registered_at, name, ..row }))
    }

    fn device_v1(&mut self) -> Option<(ClientMsgId, DeviceRow)> {
        let (install_id, id) = (ClientMsgId(self.array()?), DeviceId(self.u64()?));
        let (standing, cursor) = (self.standing()?, UserSeq(self.u64()?));
        Some((install_id, DeviceRow { standing, cursor, ..DeviceRow::new(id, "", WallTime(0)) }))
    }

    fn holdings(&mut self, holdings: &mut HashMap<ConversationId, Holding, IdHashes>) -> Option<()> {
        let count = self.u32()?;
        for _ in 0..count {
            let id = self.id()?;
            let (held, held_ordinal) = (Seq(self.u64()?), Some(Ordinal(self.u64()?)));
            let (touched, read, read_ordinal) = (UserSeq(self.u64()?), Seq(self.u64()?), Ordinal(self.u64()?));
            let held_ordinal = held_ordinal.filter(|ordinal| *ordinal != Ordinal(u64::MAX));
            holdings.insert(id, Holding { held, held_ordinal, touched, read, read_ordinal });
        }
        Some(())
    }

    fn conversation(&mut self) -> Option<Conversation> {
        let (kind, title) = (ConversationKind(self.u8()?), self.sized_text()?);
        let (head, head_ordinal, head_epoch) = (Seq(self.u64()?), Ordinal(self.u64()?), Epoch(self.u64()?));
        let mut members = Vec::new();
        for _ in 0..self.u32()? {
            let (user, role, span_count) = (UserId(self.u64()?), Role(self.u8()?), self.u8()?);
            let spans = (0..span_count).map(|_| {
                let (join, left) = (Seq(self.u64()?), Seq(self.u64()?));
                Some(Span { join, left: (left > Seq(0)).then_some(left) })
            });
            members.push(MemberRow { user, role, spans: spans.collect::<Option<_>>()? });
        }
        let mut read = Vec::new();
        for _ in 0..self.u32()? {
            read.push(ReceiptRow { user: UserId(self.u64()?), read: Seq(self.u64()?) });
        }
        members.shrink_to_fit();
        read.shrink_to_fit();
        Some(Conversation { kind, title, head, head_ordinal, head_epoch, members, read })
    }
}

#[cfg(test)]
mod tests {
    use protocol::limits::TITLE_SIZE_MAX;
    use storage_api::{MEMBER_ROWS_MAX, MEMBER_SPANS_MAX};
    use storage_log::limits::BATCH_BYTES_MAX;

    use super::*;
    use crate::limits::SNAPSHOT_PART_BYTES;

    #[test]
    fn a_user_of_version_1_has_devices_without_name_and_date() {
        let head = Writer::default().u8(kind::USER_V1).u64(1).sized_text("alice").u64(9).u32(1);
        let part = head.bytes(&[7; 16]).u64(2).u32(3).u8(1).u64(8).0;
        let mut state = State::default();
        assert_eq!(restore(&mut state, &part), Some(()));
        let standing = storage_api::Standing { generation: protocol::ids::DeviceGeneration(3), revoked: true };
        let row = DeviceRow { standing, cursor: UserSeq(8), ..DeviceRow::new(DeviceId(2), "", WallTime(0)) };
        assert_eq!(state.device(UserId(1), ClientMsgId([7; 16])), Some(&row));
    }

    #[test]
    fn the_largest_conversation_fits_a_record_behind_an_almost_full_part() {
        let spans = vec![Span { join: Seq(1), left: Some(Seq(2)) }; MEMBER_SPANS_MAX];
        let users = || (0..MEMBER_ROWS_MAX as u64).map(UserId);
        let conversation = Conversation {
            title: "t".repeat(TITLE_SIZE_MAX),
            members: users().map(|user| MemberRow { user, role: Role::None, spans: spans.clone() }).collect(),
            read: users().map(|user| ReceiptRow { user, read: Seq(2) }).collect(),
            ..Conversation::default()
        };
        let size = Writer::default().conversation(ConversationId([0; 16]), &conversation).0.len();
        let besides = 1024;
        assert!(SNAPSHOT_PART_BYTES + size + besides <= BATCH_BYTES_MAX as usize, "{size} bytes");
    }
}
