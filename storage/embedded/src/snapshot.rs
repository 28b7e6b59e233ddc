//! A snapshot: the small state as records of the log, so that a start reads it instead of everything that led to it.
//!
//! It is written in parts while the store goes on: a part says how something was at some time after the snapshot began.
//! A start reads the parts, and then every record from where it began; what a part knew already changes nothing. The
//! record that ends a snapshot names its parts; without that record there is no snapshot.
//!
//! A part, big-endian: things one behind another, each with a letter for its kind.

use std::ops::Range;

use protocol::ids::{ClientMsgId, ConversationId, DeviceId, Epoch, Ordinal, Seq, UserId, UserSeq};
use protocol::small_map::SmallMap;
use protocol::time::WallTime;
use protocol::wire::{ConversationKind, Role};
use storage_api::{DeviceRow, EntryKey, MemberRow, ReceiptRow, Span, UserRow};
use storage_log::{Place, Position, SegmentNumber};

use crate::bytes::{Reader, Writer};
use crate::conversation::Conversation;
use crate::erasures::{Erased, ErasedUser, Erasures, Sweep};
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
    pub(super) const HOLDINGS: u8 = b'H';
    pub(super) const CONVERSATION: u8 = b'C';
    /// As version 2 of the records wrote them: every number in full.
    pub(super) const HOLDINGS_V2: u8 = b'h';
    pub(super) const CONVERSATION_V2: u8 = b'c';
}

/// What a user holds of so many conversations is one thing in a part: about 2 KB.
const HOLDINGS_PER_PIECE: usize = 32;

/// A snapshot that is being written.
pub(crate) struct SnapshotWriter {
    /// With the parts that are durable.
    end: SnapshotEnd,
    part_bytes: usize,
    /// Parts that were given to the log, and their bytes.
    part_count: u32,
    part_bytes_sum: u64,
    /// Of those that are durable.
    durable_bytes: u64,
    /// What came after it began is in the records behind that.
    users: Range<usize>,
    conversations: Range<usize>,
    is_ended: bool,
}

impl SnapshotWriter {
    /// Everything before `begun_at` has been applied to the state.
    pub(crate) fn new(number: u64, begun_at: Position, part_bytes: usize, state: &State) -> SnapshotWriter {
        let end = SnapshotEnd { number, begun_at, written_at: WallTime(0), parts: Vec::new() };
        SnapshotWriter {
            end,
            part_bytes,
            part_count: 0,
            part_bytes_sum: 0,
            durable_bytes: 0,
            users: 0..state.users.len(),
            conversations: 0..state.conversations.len(),
            is_ended: false,
        }
    }

    /// The next records, if it is time: mostly one part, and the end when all of the state is in durable parts.
    /// `log_bytes`: of all records since it began.
    pub(crate) fn poll_rows(&mut self, now: WallTime, state: &State, log_bytes: u64) -> Option<Vec<Row>> {
        let is_under_way = self.part_count as usize > self.end.parts.len();
        if self.is_ended || (is_under_way && self.part_bytes_sum > log_bytes - self.durable_bytes) {
            return None;
        }
        let rows = self.next_parts(state);
        if rows.is_empty() && !is_under_way {
            self.is_ended = true;
            return Some(vec![Row::Snapshot(SnapshotEnd { written_at: now, ..self.end.clone() })]);
        }
        (!rows.is_empty()).then_some(rows)
    }

    fn next_parts(&mut self, state: &State) -> Vec<Row> {
        let mut parts = Parts { part_bytes: self.part_bytes, full: Vec::new(), last: Writer::default() };
        if self.part_count == 0 {
            parts.push(|writer| writer.counters(state.counters));
            let Erasures { entries, users, sweep } = &state.erasures;
            entries.iter().for_each(|(key, erased)| parts.push(|writer| writer.erased(*key, *erased)));
            users.iter().for_each(|(user, erased)| parts.push(|writer| writer.pending_user(*user, *erased)));
            sweep.iter().for_each(|sweep| parts.push(|writer| writer.sweep(*sweep)));
        }
        for (_, user) in state.users.iter(self.users.clone()) {
            if !parts.full.is_empty() {
                break;
            }
            parts.push_user(user);
            self.users.start += 1;
        }
        for (id, conversation) in state.conversations.iter(self.conversations.clone()) {
            if !parts.full.is_empty() {
                break;
            }
            parts.push(|writer| writer.conversation(id, conversation));
            self.conversations.start += 1;
        }
        let Parts { full, last, .. } = parts;
        let parts = full.into_iter().chain([last.0]).filter(|bytes| !bytes.is_empty());
        let rows = parts.map(|bytes| {
            let part = self.part_count;
            self.part_count += 1;
            self.part_bytes_sum += bytes.len() as u64;
            Row::SnapshotPart { number: self.end.number, part, bytes }
        });
        rows.collect()
    }

    /// A part is durable.
    pub(crate) fn part_written(&mut self, place: Place) {
        self.durable_bytes += u64::from(place.length);
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

/// How numbers stand in a part.
#[derive(Clone, Copy)]
enum Numbers {
    /// As most are small.
    Short,
    /// As in version 2.
    Full,
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
            kind::HOLDINGS => reader.holdings(state, Numbers::Short)?,
            kind::HOLDINGS_V2 => reader.holdings(state, Numbers::Full)?,
            kind::CONVERSATION => reader.conversation(state, Numbers::Short)?,
            kind::CONVERSATION_V2 => reader.conversation(state, Numbers::Full)?,
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
        let writer = self.u8(kind::HOLDINGS).u64(user.0).small(holdings.len() as u64);
        holdings.into_iter().fold(writer, |writer, (id, holding)| {
            let Holding { held, held_ordinal, touched, read, read_ordinal } = holding;
            // An ordinal counts entries, so it is never as high as this.
            let held_ordinal = held_ordinal.map_or(u64::MAX, |ordinal| ordinal.0);
            writer.id(*id).small(held.0).small(held_ordinal).small(touched.0).small(read.0).small(read_ordinal.0)
        })
    }

    fn conversation(self, id: ConversationId, conversation: &Conversation) -> Writer {
        let Conversation { kind, title, head, head_ordinal, head_epoch, members, read } = conversation;
        let writer = self.u8(kind::CONVERSATION).id(id).u8(kind.0).sized_text(title);
        let writer = writer.small(head.0).small(head_ordinal.0).small(head_epoch.0).small(members.len() as u64);
        let writer = members.iter().fold(writer, |writer, MemberRow { user, role, spans }| {
            let writer = writer.small(user.0).u8(role.0).u8(spans.len() as u8);
            // Nobody leaves at 0.
            spans.iter().fold(writer, |writer, span| writer.small(span.join.0).small(span.left.unwrap_or_default().0))
        });
        let writer = writer.small(read.len() as u64);
        read.iter().fold(writer, |writer, ReceiptRow { user, read }| writer.small(user.0).small(read.0))
    }
}

impl Reader<'_> {
    fn user(&mut self, device: impl Fn(&mut Self) -> Option<(ClientMsgId, DeviceRow)>) -> Option<User> {
        let row = UserRow { id: UserId(self.u64()?), handle: self.sized_text()? };
        let head = UserSeq(self.u64()?);
        let devices = (0..self.u32()?).map(|_| device(self)).collect::<Option<_>>()?;
        Some(User { row, devices, head, is_erased: false, conversations: SmallMap::new() })
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

    fn number(&mut self, numbers: Numbers) -> Option<u64> {
        match numbers {
            Numbers::Short => self.small(),
            Numbers::Full => self.u64(),
        }
    }

    fn count(&mut self, numbers: Numbers) -> Option<u64> {
        match numbers {
            Numbers::Short => self.small(),
            Numbers::Full => self.u32().map(u64::from),
        }
    }

    fn holdings(&mut self, state: &mut State, numbers: Numbers) -> Option<()> {
        let holdings = &mut state.users.find_mut(UserId(self.u64()?))?.conversations;
        for _ in 0..self.count(numbers)? {
            let id = self.id()?;
            let mut number = || self.number(numbers);
            let (held, held_ordinal) = (Seq(number()?), Some(Ordinal(number()?)));
            let (touched, read, read_ordinal) = (UserSeq(number()?), Seq(number()?), Ordinal(number()?));
            let held_ordinal = held_ordinal.filter(|ordinal| *ordinal != Ordinal(u64::MAX));
            holdings.insert(id, Holding { held, held_ordinal, touched, read, read_ordinal });
        }
        Some(())
    }

    fn conversation(&mut self, state: &mut State, numbers: Numbers) -> Option<()> {
        let (id, kind, title) = (self.id()?, ConversationKind(self.u8()?), self.sized_text()?);
        let (head, head_ordinal) = (Seq(self.number(numbers)?), Ordinal(self.number(numbers)?));
        let head_epoch = Epoch(self.number(numbers)?);
        let mut members = Vec::new();
        for _ in 0..self.count(numbers)? {
            let (user, role, span_count) = (UserId(self.number(numbers)?), Role(self.u8()?), self.u8()?);
            let spans = (0..span_count).map(|_| {
                let (join, left) = (Seq(self.number(numbers)?), Seq(self.number(numbers)?));
                Some(Span { join, left: (left > Seq(0)).then_some(left) })
            });
            members.push(MemberRow { user, role, spans: spans.collect::<Option<_>>()? });
        }
        let mut read = Vec::new();
        for _ in 0..self.count(numbers)? {
            read.push(ReceiptRow { user: UserId(self.number(numbers)?), read: Seq(self.number(numbers)?) });
        }
        members.shrink_to_fit();
        read.shrink_to_fit();
        state.restore_conversation(id, Conversation { kind, title, head, head_ordinal, head_epoch, members, read });
        Some(())
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
    fn what_version_2_knew_of_a_conversation_is_read() {
        let part = Writer::default().u8(kind::USER).u64(1).sized_text("alice").u64(9).u32(0);
        let part = part.u8(kind::HOLDINGS_V2).u64(1).u32(1).id(ConversationId([7; 16]));
        let part = part.u64(5).u64(u64::MAX).u64(9).u64(4).u64(3);
        let part = part.u8(kind::CONVERSATION_V2).id(ConversationId([7; 16])).u8(1).sized_text("");
        let part = part.u64(300).u64(200).u64(2).u32(1).u64(1).u8(1).u8(1).u64(1).u64(0).u32(1).u64(1).u64(4).0;
        let mut state = State::default();
        assert_eq!(restore(&mut state, &part), Some(()));
        let held = state.users.find(UserId(1)).expect("it is in the part").conversations();
        let holding =
            Holding { held: Seq(5), held_ordinal: None, touched: UserSeq(9), read: Seq(4), read_ordinal: Ordinal(3) };
        assert_eq!(held, [(ConversationId([7; 16]), holding)]);
        let found = state.conversations.find(ConversationId([7; 16])).expect("it is in the part").clone();
        let span = Span { join: Seq(1), left: None };
        assert_eq!(found.members, [MemberRow { user: UserId(1), role: Role(1), spans: vec![span] }]);
        assert_eq!((found.head, found.head_ordinal, found.head_epoch), (Seq(300), Ordinal(200), Epoch(2)));
        assert_eq!(found.read, [ReceiptRow { user: UserId(1), read: Seq(4) }]);
        // As it is written now, it says the same.
        let mut again = State::default();
        let part = Writer::default().conversation(ConversationId([7; 16]), &found).0;
        assert_eq!(restore(&mut again, &part), Some(()));
        assert_eq!(again.conversations.find(ConversationId([7; 16])), Some(&found));
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
