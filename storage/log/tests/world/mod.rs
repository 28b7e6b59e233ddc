//! A process with a log on a simulated disk, and beside it a model that knows only what was appended and what was
//! reported. The process can be killed, and the machine lose power, at any step.

mod rot;

use std::collections::BTreeMap;
use std::time::Duration;

use storage_log::{
    Admission, AppendRefusal, AppendToken, Class, Disk, FileName, Log, LogEvent, LogId, LogIdentity, Monotonic,
    OpenError, Options, Place, Purpose, ReadError, ReadToken, Record, Recovery, RecoverySummary, SegmentNumber,
    SimDisk, StoreIncarnation,
};

pub(crate) const SEGMENT_BYTES: u32 = 24 << 10;

/// The splitmix64 sequence.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// What the model keeps of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) class: Class,
    pub(crate) format_version: u16,
    pub(crate) key: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

#[derive(Debug)]
struct Append {
    token: AppendToken,
    records: Vec<Stored>,
    places: Vec<Place>,
}

/// How a promise was broken.
#[derive(Debug)]
pub(crate) struct Broken(pub(crate) String);

macro_rules! ensure {
    ($condition:expr, $($message:tt)*) => {
        if !$condition { return Err(Broken(format!($($message)*))); }
    };
}
use ensure;

pub(crate) struct World<D: Disk> {
    pub(crate) random: Random,
    pub(crate) disk: SimDisk,
    /// What the log sees: the disk itself, or a saboteur round it.
    make_seam: fn(SimDisk) -> D,
    seam: D,
    log: Option<Log>,
    now: Monotonic,
    /// In the order of the appends. The first `acked_count` were reported durable.
    history: Vec<Append>,
    acked_count: usize,
    token_count: u64,
    reads: BTreeMap<ReadToken, (Stored, bool)>,
    /// The log has reported that it failed, and whether it left a mark.
    failed: Option<bool>,
    /// The mark is on the disk with its content: a read-only log shows what was acked and nothing more.
    is_marked: bool,
    is_full: bool,
    pub(crate) counts: Counts,
}

#[derive(Default, Debug, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) acked: u64,
    pub(crate) reads_verified: u64,
    pub(crate) rot_reported: u64,
    pub(crate) recoveries: u64,
    pub(crate) recoveries_cut_short: u64,
    pub(crate) recoveries_failed: u64,
    pub(crate) torn_tails: u64,
    pub(crate) checks: u64,
    pub(crate) shed: u64,
    pub(crate) unacked_found: u64,
    pub(crate) unacked_lost: u64,
    pub(crate) segments_max: u64,
}

impl Counts {
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            acked: self.acked + other.acked,
            reads_verified: self.reads_verified + other.reads_verified,
            rot_reported: self.rot_reported + other.rot_reported,
            recoveries: self.recoveries + other.recoveries,
            recoveries_cut_short: self.recoveries_cut_short + other.recoveries_cut_short,
            recoveries_failed: self.recoveries_failed + other.recoveries_failed,
            torn_tails: self.torn_tails + other.torn_tails,
            checks: self.checks + other.checks,
            shed: self.shed + other.shed,
            unacked_found: self.unacked_found + other.unacked_found,
            unacked_lost: self.unacked_lost + other.unacked_lost,
            segments_max: self.segments_max.max(other.segments_max),
        }
    }
}

impl<D: Disk> World<D> {
    pub(crate) fn new(seed: u64, make_seam: fn(SimDisk) -> D) -> Result<Self, Broken> {
        let disk = SimDisk::new(seed ^ 0x5eed, 1 << 30);
        let seam = make_seam(disk.clone());
        let mut world = Self {
            random: Random(seed),
            disk,
            make_seam,
            seam,
            log: None,
            now: Monotonic::default(),
            history: Vec::new(),
            acked_count: 0,
            token_count: 0,
            reads: BTreeMap::new(),
            failed: None,
            is_marked: false,
            is_full: false,
            counts: Counts::default(),
        };
        world.start()?;
        Ok(world)
    }

    fn options(&self) -> Options {
        let identity = LogIdentity { log_id: LogId([0xa5; 16]), incarnation: StoreIncarnation(1) };
        Options {
            segment_bytes: SEGMENT_BYTES,
            disk_low_bytes: u64::from(SEGMENT_BYTES),
            ballast_bytes: SEGMENT_BYTES,
            new_log: identity,
        }
    }

    /// One random thing happens.
    pub(crate) fn step(&mut self) -> Result<(), Broken> {
        match self.random.below(100) {
            0..45 => self.append(),
            45..55 => self.read(),
            55..90 => self.turn(),
            90..94 => {
                self.now = self.now.after(Duration::from_millis(self.random.below(400)));
                self.turn()
            }
            94 => self.crash(),
            95 => self.rot(),
            96 => self.drain(),
            97 => {
                self.fail_something(3);
                Ok(())
            }
            98 => {
                self.is_full = !self.is_full;
                let room = if self.is_full { self.random.below(3 * u64::from(SEGMENT_BYTES)) } else { 1 << 30 };
                self.disk.set_capacity_bytes(self.disk.used_bytes() + room);
                Ok(())
            }
            _ => self.restart(),
        }
    }

    fn fail_something(&mut self, seldom: u64) {
        match self.random.below(seldom) {
            0 => self.disk.fail_next_sync(),
            1 => self.disk.fail_next_write(),
            _ => {}
        }
    }

    fn append(&mut self) -> Result<(), Broken> {
        let count = 1 + self.random.below(3);
        let mut records = Vec::new();
        for index in 0..count {
            let size = self.random.below(700) as usize;
            let fill = self.random.next();
            records.push(Stored {
                class: Class::ALL[self.random.below(6) as usize],
                format_version: self.random.below(4) as u16,
                key: [self.token_count.to_be_bytes(), index.to_be_bytes()].concat(),
                payload: (0..size).map(|at| (fill >> (at % 8 * 8)) as u8).collect(),
            });
        }
        let token = AppendToken(self.token_count);
        self.token_count += 1;
        let admission = if self.random.below(4) == 0 { Admission::Accepted } else { Admission::New };
        let halves: Vec<[&[u8]; 2]> =
            records.iter().map(|record| record.payload.split_at(record.payload.len() / 2).into()).collect();
        let to_append: Vec<Record<'_>> = records
            .iter()
            .zip(&halves)
            .map(|(record, halves)| Record {
                class: record.class,
                format_version: record.format_version,
                key: &record.key,
                payload: halves,
            })
            .collect();
        let mut places = Vec::new();
        let log = self.log.as_mut().expect("a process runs");
        match log.append(token, admission, &to_append, &mut places) {
            Ok(()) => self.history.push(Append { token, records, places }),
            Err(AppendRefusal::DiskLow) => self.counts.shed += 1,
            Err(AppendRefusal::Full) => {}
            Err(AppendRefusal::Failed) => {
                ensure!(self.failed.is_some() || !log.is_read_only(), "a good log says that it failed")
            }
            Err(refusal) => return Err(Broken(format!("an append was refused: {refusal}"))),
        }
        Ok(())
    }

    fn read(&mut self) -> Result<(), Broken> {
        if self.acked_count == 0 {
            return Ok(());
        }
        let index = self.random.below(self.acked_count as u64) as usize;
        self.read_record(index, false);
        Ok(())
    }

    fn read_record(&mut self, index: usize, is_rotten: bool) {
        let append = &self.history[index];
        let (place, stored) = (append.places[0], append.records[0].clone());
        let token = ReadToken(self.token_count);
        self.token_count += 1;
        let log = self.log.as_mut().expect("a process runs");
        if log.read(token, place, &stored.key).is_ok() {
            self.reads.insert(token, (stored, is_rotten));
        }
    }

    /// One turn of the loop that an embedder runs.
    fn turn(&mut self) -> Result<(), Broken> {
        let log = self.log.as_mut().expect("a process runs");
        for _ in 0..1 + self.random.below(4) {
            self.disk.perform_one();
        }
        while let Some(completion) = self.seam.poll_completion() {
            log.handle_completion(self.now, completion);
        }
        if log.poll_timeout().is_some_and(|due| due <= self.now) {
            log.handle_timeout(self.now);
        }
        while let Some((id, operation)) = log.poll_operation() {
            self.seam.submit(id, operation);
        }
        while let Some(event) = self.log.as_mut().and_then(Log::poll_event) {
            self.handle_event(event)?;
        }
        if self.failed.is_some() { self.restart() } else { Ok(()) }
    }

    fn handle_event(&mut self, event: LogEvent) -> Result<(), Broken> {
        match event {
            LogEvent::Appended { token } => {
                let next = self.history.get(self.acked_count).map(|append| append.token);
                ensure!(next == Some(token), "{token:?} was reported where {next:?} was due");
                self.acked_count += 1;
                self.counts.acked += 1;
            }
            LogEvent::AppendFailed { .. } | LogEvent::DiskLow { .. } | LogEvent::Ballast { .. } => {}
            LogEvent::ReadDone { token, result } => {
                let (stored, is_rotten) = self.reads.remove(&token).expect("it was begun");
                match result {
                    Ok(record) => {
                        let view = record.view();
                        ensure!(!is_rotten, "a rotten record was served");
                        ensure!(
                            view.payload == stored.payload && view.class == stored.class && view.key == stored.key,
                            "a read served something else"
                        );
                        self.counts.reads_verified += 1;
                    }
                    Err(ReadError::Corrupt(_)) if is_rotten => self.counts.rot_reported += 1,
                    Err(error) => return Err(Broken(format!("an acked record cannot be read: {error}"))),
                }
            }
            LogEvent::Failed { is_marked, .. } => {
                self.failed = Some(is_marked);
                self.is_marked = is_marked;
            }
        }
        Ok(())
    }

    fn crash(&mut self) -> Result<(), Broken> {
        self.lose_process();
        self.start()
    }

    fn lose_process(&mut self) {
        if self.random.below(2) == 0 {
            self.disk.kill()
        } else {
            self.disk.cut_power()
        }
        self.end_process();
    }

    fn end_process(&mut self) {
        self.log = None;
        self.reads.clear();
        self.failed = None;
        self.seam = (self.make_seam)(self.disk.clone());
    }

    /// The process ends, the machine goes on.
    fn restart(&mut self) -> Result<(), Broken> {
        self.stop();
        self.start()
    }

    fn stop(&mut self) {
        self.disk.kill();
        self.end_process();
    }

    /// Starts processes until one has recovered the log and can append.
    fn start(&mut self) -> Result<(), Broken> {
        loop {
            let is_checking = self.log.as_ref().is_some_and(Log::is_read_only);
            let purpose = if is_checking { Purpose::Check } else { Purpose::Open };
            // A process that starts can be lost as well, but not for ever.
            let steps_left = if self.random.below(3) == 0 { self.random.below(40) } else { u64::MAX };
            self.log = None;
            self.fail_something(20);
            // A check that is cut short may have removed the mark already.
            self.is_marked &= !is_checking;
            match self.recover(purpose, steps_left) {
                Ok(Some((log, summary, found))) => {
                    self.compare(&found, log.is_read_only())?;
                    self.counts.recoveries += 1;
                    self.counts.torn_tails += u64::from(summary.torn_at.is_some());
                    self.counts.checks += u64::from(is_checking);
                    self.counts.segments_max = self.counts.segments_max.max(summary.segment_count.into());
                    let is_read_only = log.is_read_only();
                    self.log = Some(log);
                    if !is_read_only {
                        return Ok(());
                    }
                    self.append_is_refused()?;
                }
                Ok(None) => {
                    self.counts.recoveries_cut_short += 1;
                    self.lose_process();
                }
                Err(OpenError::Disk { error, .. }) if error.is_no_space() => {
                    self.is_full = false;
                    self.disk.set_capacity_bytes(1 << 30);
                    self.stop();
                }
                Err(OpenError::Disk { .. }) => {
                    self.counts.recoveries_failed += 1;
                    self.lose_process();
                }
                Err(error) => return Err(Broken(format!("acked data cannot be opened: {error}"))),
            }
        }
    }

    fn append_is_refused(&mut self) -> Result<(), Broken> {
        let record = Record { class: Class::State, format_version: 1, key: b"k", payload: &[] };
        let log = self.log.as_mut().expect("it was just opened");
        let refusal = log.append(AppendToken(u64::MAX), Admission::Accepted, &[record], &mut Vec::new());
        ensure!(refusal == Err(AppendRefusal::NeedsCheck), "a marked log took an append: {refusal:?}");
        Ok(())
    }

    /// `None` if the steps did not suffice.
    #[expect(clippy::type_complexity, reason = "the three things a recovery answers")]
    fn recover(
        &mut self,
        purpose: Purpose,
        mut steps_left: u64,
    ) -> Result<Option<(Log, RecoverySummary, Vec<(Place, Stored)>)>, OpenError> {
        let mut recovery = Recovery::new(self.options(), purpose);
        let mut found = Vec::new();
        while !recovery.is_done() {
            if steps_left == 0 {
                return Ok(None);
            }
            steps_left -= 1;
            while let Some((id, operation)) = recovery.poll_operation() {
                self.seam.submit(id, operation);
            }
            self.disk.perform_one();
            while let Some(completion) = self.seam.poll_completion() {
                recovery.handle_completion(completion)?;
            }
            while let Some(recovered) = recovery.poll_record()? {
                let view = recovered.record;
                found.push((
                    recovered.place,
                    Stored {
                        class: view.class,
                        format_version: view.format_version,
                        key: view.key.to_vec(),
                        payload: view.payload.to_vec(),
                    },
                ));
            }
        }
        let summary = recovery.summary();
        Ok(Some((recovery.finish(self.now), summary, found)))
    }

    /// What was found must be what was appended, from the first on, each append wholly, and at least what was acked.
    fn compare(&mut self, found: &[(Place, Stored)], is_read_only: bool) -> Result<(), Broken> {
        let mut rest = found;
        let mut append_count = 0;
        for append in &self.history {
            if rest.is_empty() {
                break;
            }
            let (records, behind) =
                rest.split_at_checked(append.records.len()).ok_or_else(|| Broken("half an append".into()))?;
            for ((place, stored), (expected_place, expected)) in
                records.iter().zip(append.places.iter().zip(&append.records))
            {
                ensure!(place == expected_place && stored == expected, "{:?} came back as another", append.token);
            }
            rest = behind;
            append_count += 1;
        }
        ensure!(rest.is_empty(), "{} records were invented", rest.len());
        ensure!(append_count >= self.acked_count, "{} acked appends are lost", self.acked_count - append_count);
        ensure!(is_read_only || !self.is_marked, "a log that had failed was opened without a check");
        if is_read_only {
            let shows_unacked = append_count > self.acked_count;
            ensure!(!(self.is_marked && shows_unacked), "a read-only log showed what was never acked");
        } else {
            self.counts.unacked_found += (append_count - self.acked_count) as u64;
            self.counts.unacked_lost += (self.history.len() - append_count) as u64;
            self.history.truncate(append_count);
            self.acked_count = append_count;
        }
        Ok(())
    }

    /// Time passes without faults: everything that was accepted must become durable, and be sealed.
    pub(crate) fn drain(&mut self) -> Result<(), Broken> {
        for _ in 0..500 {
            self.now = self.now.after(Duration::from_millis(50));
            self.turn()?;
            let log = self.log.as_ref().expect("a process runs");
            if log.is_settled() && self.acked_count == self.history.len() && self.reads.is_empty() {
                return Ok(());
            }
            if self.is_full {
                self.is_full = false;
                self.disk.set_capacity_bytes(1 << 30);
            }
        }
        Err(Broken(format!("{} of {} appends were reported after a long time", self.acked_count, self.history.len())))
    }

    /// The end of a run: drained, restarted without power in between, everything is there.
    pub(crate) fn finish(&mut self) -> Result<(), Broken> {
        self.drain()?;
        self.disk.cut_power();
        self.end_process();
        self.start()?;
        ensure!(self.disk.content(FileName::Segment(SegmentNumber::FIRST)).is_some(), "the log has no first segment");
        for index in 0..self.acked_count {
            self.read_record(index, false);
        }
        self.drain()
    }
}
