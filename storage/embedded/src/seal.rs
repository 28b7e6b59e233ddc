//! Writing the side file of a full segment: its index, sorted, in bounded steps, under a name that counts only when all
//! of it is durable.
//!
//! One operation is under way at a time, and makes at most [`crate::limits::SEAL_STEP_BYTES`]. After a failure the file
//! is given up and made anew later: it holds nothing that the segment does not.

use std::time::Duration;

use storage_log::{
    Completion, DiskError, FileName, LogId, Monotonic, Operation, OperationId, Outcome, Place, SegmentNumber,
};

use crate::filter::Filter;
use crate::limits::{PAGE_BYTES, SEAL_STEP_BYTES};
use crate::open_segment::OpenSegment;
use crate::open_table::Walk;
use crate::sealed_segment::{Home, SealedSegment};
use crate::side_ids::SideIds;
use crate::table::{PageId, PageWriter, Table};

/// When a side file that could not be written is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

enum Phase {
    Creating,
    Table(Table),
    Directory,
    Header,
    Syncing,
    Renaming,
    SyncingFolder,
    /// What could not be finished is thrown away.
    Clearing,
}

/// A side file that is being written.
struct Sealing {
    prepared: FileName,
    phase: Phase,
    awaited: Option<OperationId>,
    /// What comes of it.
    sealed: SealedSegment,
    snapshot: Option<Place>,
    /// Over the table in work, and the hashes of the prefixes that it has passed.
    walk: Option<Walk>,
    hashes: Vec<u64>,
    /// From the start of the file.
    page_count: u32,
    header: Vec<u8>,
}

/// What a completion has led to.
pub(crate) enum SealChange {
    None,
    /// The side file is there: what was in memory can go.
    Sealed(Box<SealedSegment>),
    /// It is not, and will be tried again.
    Failed(DiskError),
}

/// See the file's head.
pub(crate) struct Sealer {
    log_id: LogId,
    work: Option<Sealing>,
    retry_due: Option<Monotonic>,
}

impl Sealer {
    pub(crate) fn new(log_id: LogId) -> Sealer {
        Sealer { log_id, work: None, retry_due: None }
    }

    /// The segment whose side file is being written.
    pub(crate) fn segment(&self) -> Option<SegmentNumber> {
        self.work.as_ref().map(|work| work.sealed.number)
    }

    /// Whether the next one may begin.
    pub(crate) fn is_free(&self) -> bool {
        self.work.is_none() && self.retry_due.is_none()
    }

    /// Begins a side file.
    pub(crate) fn begin(&mut self, segment: &OpenSegment, snapshot: Option<Place>) {
        let prepared = FileName::PreparedIndex(segment.number);
        self.begin_at(segment, Home::of_segment(segment.number), prepared, snapshot);
        if let Some(work) = &mut self.work {
            work.phase = Phase::Creating;
        }
    }

    /// Begins an index in a file that is there already, under the name `prepared`.
    pub(crate) fn begin_at(&mut self, segment: &OpenSegment, home: Home, prepared: FileName, snapshot: Option<Place>) {
        assert!(self.work.is_none(), "one side file is written at a time");
        let (number, summary) = (segment.number, segment.summary.clone());
        self.work = Some(Sealing {
            prepared,
            phase: Phase::Table(Table::Entries),
            awaited: None,
            sealed: SealedSegment { number, home, summary, tables: Default::default() },
            snapshot,
            walk: None,
            hashes: Vec::new(),
            page_count: home.first_page + 1,
            header: Vec::new(),
        });
    }

    pub(crate) fn poll_timeout(&self) -> Option<Monotonic> {
        self.retry_due
    }

    pub(crate) fn handle_timeout(&mut self, now: Monotonic) {
        if self.retry_due.is_some_and(|due| due <= now) {
            self.retry_due = None;
        }
    }

    /// The next step. `segment` is the one that [`Self::begin`] was given.
    pub(crate) fn poll_operation(
        &mut self,
        ids: &mut SideIds,
        segment: &OpenSegment,
    ) -> Option<(OperationId, Operation)> {
        let work = self.work.as_mut().filter(|work| work.awaited.is_none())?;
        assert_eq!(work.sealed.number, segment.number, "one side file is written at a time");
        let operation = work.next_operation(self.log_id, segment);
        let id = ids.next();
        work.awaited = Some(id);
        Some((id, operation))
    }

    pub(crate) fn awaits(&self, id: OperationId) -> bool {
        self.work.as_ref().is_some_and(|work| work.awaited == Some(id))
    }

    pub(crate) fn handle(&mut self, now: Monotonic, completion: Completion) -> SealChange {
        let mut work = self.work.take().expect("the caller asked whether it is awaited");
        work.awaited = None;
        match completion.result {
            _ if matches!(work.phase, Phase::Clearing) => {
                self.retry_due = Some(now.after(RETRY_AFTER));
                SealChange::None
            }
            Err(error) => {
                work.phase = Phase::Clearing;
                self.work = Some(work);
                SealChange::Failed(error)
            }
            Ok(outcome) => {
                if matches!(work.phase, Phase::SyncingFolder) {
                    return SealChange::Sealed(Box::new(work.sealed));
                }
                work.advance(&outcome);
                self.work = Some(work);
                SealChange::None
            }
        }
    }
}

/// All of an index at once, as it stands at `home`.
pub(crate) fn index_of(segment: &OpenSegment, home: Home, log_id: LogId, snapshot: Option<Place>) -> Vec<u8> {
    let (mut sealer, mut ids, mut index) = (Sealer::new(log_id), SideIds::default(), Vec::new());
    sealer.begin_at(segment, home, home.index, snapshot);
    while let Some((id, operation)) = sealer.poll_operation(&mut ids, segment) {
        let outcome = match operation {
            Operation::Write { offset, bytes, .. } => {
                let start = offset as usize - home.first_page as usize * PAGE_BYTES;
                index.resize((start + bytes.len()).max(index.len()), 0);
                index[start..start + bytes.len()].copy_from_slice(&bytes);
                Outcome::Written(bytes)
            }
            _ => Outcome::Done,
        };
        sealer.handle(Monotonic::default(), Completion { id, result: Ok(outcome) });
    }
    index
}

impl Sealing {
    fn next_operation(&mut self, log_id: LogId, segment: &OpenSegment) -> Operation {
        let (file, home) = (self.prepared, self.sealed.home);
        match self.phase {
            Phase::Creating => Operation::Create { file, size_bytes: 0 },
            Phase::Table(table) => {
                let offset = self.page_count * PAGE_BYTES as u32;
                Operation::Write { file, offset, bytes: self.next_pages(table, segment) }
            }
            Phase::Directory => {
                let page_count = self.page_count - home.first_page;
                let (header, directory) = self.sealed.encode(log_id, page_count, self.snapshot);
                self.header = header;
                Operation::Write { file, offset: self.page_count * PAGE_BYTES as u32, bytes: directory }
            }
            Phase::Header => {
                let offset = home.first_page * PAGE_BYTES as u32;
                Operation::Write { file, offset, bytes: std::mem::take(&mut self.header) }
            }
            Phase::Syncing => Operation::Sync { file },
            Phase::Renaming => Operation::Rename { from: file, to: home.index },
            Phase::SyncingFolder => Operation::SyncFolder,
            Phase::Clearing => Operation::Unlink { file },
        }
    }

    fn advance(&mut self, outcome: &Outcome) {
        assert!(matches!(outcome, Outcome::Done | Outcome::Written(_)), "nothing is read for a side file");
        self.phase = match self.phase {
            Phase::Creating => Phase::Table(Table::Entries),
            Phase::Table(table) if self.walk.is_some() => Phase::Table(table),
            Phase::Table(Table::Entries) => Phase::Table(Table::UserRows),
            Phase::Table(Table::UserRows) => Phase::Table(Table::Identities),
            Phase::Table(Table::Identities) => Phase::Directory,
            Phase::Directory => Phase::Header,
            Phase::Header => Phase::Syncing,
            Phase::Syncing => Phase::Renaming,
            Phase::Renaming => Phase::SyncingFolder,
            Phase::SyncingFolder | Phase::Clearing => unreachable!("nothing follows"),
        };
    }

    /// The next pages of a table; none if it has no rows.
    fn next_pages(&mut self, table: Table, segment: &OpenSegment) -> Vec<u8> {
        let rows = segment.table(table);
        let walk = self.walk.get_or_insert_with(|| rows.begin_walk());
        let directory = &mut self.sealed.tables[table as usize];
        if directory.first_page == 0 {
            directory.first_page = self.page_count;
        }
        let mut pages = Vec::with_capacity(SEAL_STEP_BYTES);
        while pages.len() < SEAL_STEP_BYTES && walk.peek().is_some() {
            let mut page = PageWriter::new(table);
            while let Some(row) = walk.peek().filter(|_| !page.is_full()) {
                if page.is_empty() {
                    row.key.encode_into(table, &mut directory.fences);
                }
                let hash = row.key.prefix_hash(table);
                // Rows with one prefix stand together.
                if self.hashes.last() != Some(&hash) {
                    self.hashes.push(hash);
                }
                page.push(row);
                walk.advance(rows);
                directory.row_count += 1;
            }
            pages.extend_from_slice(&page.finish(PageId {
                segment: segment.number,
                file: self.prepared,
                number: self.page_count,
            }));
            self.page_count += 1;
        }
        if walk.peek().is_none() {
            directory.filter = Filter::of(&std::mem::take(&mut self.hashes));
            self.walk = None;
        }
        pages
    }
}

#[cfg(test)]
mod tests {
    use protocol::encode::FrameBuilder;
    use protocol::event::Message;
    use protocol::ids::{ClientMsgId, ConversationId, DeviceId, Epoch, Ordinal, Seq, UserId, UserSeq};
    use protocol::time::WallTime;
    use protocol::wire::Encryption;
    use std::io::Write;
    use std::sync::Arc;
    use storage_api::{Entry, EntryBody, EntryKey, UserEvent};

    use super::*;
    use crate::hash::hash;
    use crate::record::Row;

    const MESSAGES: u32 = 120_000;
    const USERS: u64 = 20_000;
    const SEGMENTS: u32 = 10;

    /// As many messages as a segment of 64 MiB holds, in as many conversations as there are users.
    fn rows(numbers: std::ops::Range<u64>, user_seqs: &mut [u64]) -> Vec<Row> {
        let mut builder = FrameBuilder::default();
        let mut rows = Vec::new();
        for number in numbers {
            let one = hash(&number.to_be_bytes()) % USERS;
            let (sender, peer) = (UserId(one), UserId((one + 1) % USERS));
            let conversation = ConversationId::direct(sender, peer);
            let key = EntryKey { conversation, seq: Seq(number + 1) };
            let message = Message {
                conversation,
                seq: key.seq,
                ordinal: Ordinal(key.seq.0),
                direct_peer: Some(peer),
                sender,
                sender_device: DeviceId(1),
                client_msg_id: ClientMsgId::new(WallTime(number), number.into()),
                server_time: WallTime(number),
                content_type: "text/plain".to_owned(),
                encryption: Encryption::default(),
                body: vec![b'x'; 140],
                reply_to: None,
                mentions: Vec::new(),
                expires_in_s: 0,
            };
            let body = EntryBody::Message(builder.message(&message));
            rows.push(Row::Entry(Arc::new(Entry { key, epoch: Epoch(1), ordinal: message.ordinal, body })));
            for user in [sender, peer] {
                let user_seq = &mut user_seqs[user.0 as usize];
                *user_seq += 1;
                let events = vec![UserEvent::Entry { key, sender }];
                rows.push(Row::UserEvents { user, first_user_seq: UserSeq(*user_seq), epoch: Epoch(1), events });
            }
        }
        rows
    }

    /// What this thread has had of a processor: others may want it too.
    fn cpu_time() -> Duration {
        let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").expect("this is Linux");
        let nanos = statistics.split(' ').next().and_then(|nanos| nanos.parse().ok());
        Duration::from_nanos(nanos.expect("the first number is in nanoseconds"))
    }

    /// What a segment costs.
    #[derive(Default)]
    struct Costs {
        inserted: Duration,
        sealed: Duration,
        dropped: Duration,
        longest_step: Duration,
        file_bytes: usize,
        resident_bytes: usize,
    }

    impl Costs {
        fn add_segment(&mut self) {
            let mut segment = OpenSegment::new(SegmentNumber(1));
            let (mut user_seqs, mut offset) = (vec![0; USERS as usize], 0);
            // In batches, since a store inserts what it has just written.
            for first in (0..u64::from(MESSAGES)).step_by(256) {
                let rows = rows(first..first + 256, &mut user_seqs);
                let begun = cpu_time();
                for row in &rows {
                    let place = Place { segment: SegmentNumber(1), offset, length: 180 };
                    segment.insert(place, row.class(), row);
                    offset += 180;
                }
                self.inserted += cpu_time() - begun;
            }
            self.seal(&segment);
            let begun = cpu_time();
            drop(segment);
            self.dropped += cpu_time() - begun;
        }

        fn seal(&mut self, segment: &OpenSegment) {
            let (mut sealer, mut ids) = (Sealer::new(LogId([7; 16])), SideIds::default());
            sealer.begin(segment, None);
            loop {
                let begun = cpu_time();
                let (id, operation) = sealer.poll_operation(&mut ids, segment).expect("it is not done");
                let step = cpu_time() - begun;
                self.longest_step = self.longest_step.max(step);
                self.sealed += step;
                let outcome = match operation {
                    Operation::Write { bytes, .. } => {
                        self.file_bytes += bytes.len();
                        Outcome::Written(bytes)
                    }
                    _ => Outcome::Done,
                };
                let change = sealer.handle(Monotonic::default(), Completion { id, result: Ok(outcome) });
                if let SealChange::Sealed(sealed) = change {
                    self.resident_bytes += sealed.resident_bytes();
                    return;
                }
            }
        }
    }

    #[test]
    #[ignore = "measures: run it with --release"]
    fn the_index_costs_at_most_a_microsecond_a_message() {
        let mut costs = Costs::default();
        // The kernel counts in ticks of some ms, so one would say little.
        (0..SEGMENTS).for_each(|_| costs.add_segment());
        let messages = MESSAGES * SEGMENTS;
        let Costs { inserted, sealed, dropped, longest_step, file_bytes, resident_bytes } = costs;
        let per_message = |time: Duration| time.as_nanos() / u128::from(messages);
        let line = format!(
            "per message: {} ns to insert, {} ns to seal, {} ns to drop; {} bytes of side file, {} in memory; the \
             longest step {longest_step:?}\n",
            per_message(inserted),
            per_message(sealed),
            per_message(dropped),
            file_bytes / messages as usize,
            resident_bytes as f64 / f64::from(messages),
        );
        std::io::stderr().write_all(line.as_bytes()).expect("standard error is open");
        assert!(per_message(inserted + sealed + dropped) < 1000, "{line}");
    }
}
