//! `ringpost store check`: every byte from the medium; every record, index and snapshot.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use storage_log::{
    Corruption, Damage, FileName, Place, RealDisk, RecordView, RecoveredRecord, RecoverySummary, SegmentNumber,
    check_each,
};

use super::ToolError;
use super::files::Files;
use crate::error::{IndexFault, OpenError, RecordFault};
use crate::limits::PAGE_BYTES;
use crate::open_segment::OpenSegment;
use crate::record::{Row, SnapshotEnd};
use crate::remnant::RemnantHeader;
use crate::seal::index_of;
use crate::sealed_segment::{BadIndex, Home, IndexHeader};
use crate::snapshot;
use crate::state::State;

/// What a check has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Of the log.
    pub log: RecoverySummary,
    /// Indexes that are what their segments say.
    pub indexes_whole: u32,
    /// Indexes that were not, and are removed: the next start makes them again.
    pub indexes_removed: Vec<SegmentNumber>,
    /// Whole snapshots.
    pub snapshots: u32,
    /// Remnants of segments, each whole with its index.
    pub remnants: u32,
}

/// Verifies the log as [`storage_log::check`] does, that every record can be understood, every snapshot be restored, and
/// every index says what its segment does.
///
/// # Errors
/// Something is damaged or in use; nothing was repaired but indexes.
pub fn check(folder: &Path) -> Result<CheckReport, ToolError> {
    let mut checker =
        Checker { folder: folder.to_owned(), report: CheckReport::default(), segment: None, parts: HashMap::new() };
    // Nobody else works in the folder: said before anything is read.
    drop(RealDisk::open(folder, || ()).map_err(ToolError::Folder)?);
    let files = Files::of(folder)?;
    for (number, (generation, _)) in &files.remnants {
        checker.remnant(*number, *generation)?;
    }
    let first = files.remnants.last_key_value().map_or(SegmentNumber::FIRST, |(number, _)| number.next());
    let before: Vec<_> = files.segments.iter().map(|(number, _)| *number).filter(|number| *number < first).collect();
    let log = check_each(folder, &before, first, |record| checker.record(record))?;
    Ok(CheckReport { log, ..checker.report })
}

struct Checker {
    folder: PathBuf,
    report: CheckReport,
    /// The segment whose records come.
    segment: Option<OpenSegment>,
    /// Of the snapshot that is being read.
    parts: HashMap<Place, Vec<u8>>,
}

impl Checker {
    fn record(&mut self, recovered: RecoveredRecord<'_>) -> Result<(), ToolError> {
        let (place, class) = (recovered.place, recovered.record.class);
        let row = Row::decode(recovered.record).map_err(|fault| OpenError::Record { place, class, fault })?;
        if self.segment.as_ref().is_none_or(|segment| segment.number != place.segment)
            && let Some(full) = self.segment.replace(OpenSegment::new(place.segment))
        {
            self.compare_index(&full)?;
        }
        if let Some(segment) = &mut self.segment {
            segment.insert(place, class, &row);
        }
        match row {
            Row::SnapshotPart { part, bytes, .. } => {
                if part == 0 {
                    self.parts.clear();
                }
                self.parts.insert(place, bytes);
                Ok(())
            }
            Row::Snapshot(end) => self.restore(place, &end),
            _ => Ok(()),
        }
    }

    /// Everything in a remnant, and its index.
    fn remnant(&mut self, number: SegmentNumber, generation: u16) -> Result<(), ToolError> {
        let file = FileName::Remnant(number, generation);
        let path = self.folder.join(file.to_string());
        let bytes = fs::read(&path).map_err(ToolError::at(&path))?;
        let bad = |bad| match bad {
            BadIndex::Newer(version) => OpenError::Index { file, fault: IndexFault::NewerFormat(version) },
            BadIndex::Damaged => OpenError::Index { file, fault: IndexFault::Damaged },
        };
        let header = RemnantHeader::decode(number, generation, &bytes).map_err(bad)?;
        let mut segment = OpenSegment::new(number);
        let mut at = PAGE_BYTES;
        while at < header.records_end as usize {
            let damaged = |damage| storage_log::OpenError::Corrupt(Corruption { file, offset: at as u32, damage });
            let rest = bytes.get(at..header.records_end as usize).unwrap_or_default();
            let (view, length) = RecordView::parse(rest)
                .and_then(|parsed| parsed.ok_or(Damage::Record))
                .map_err(damaged)
                .map_err(OpenError::from)?;
            let place = Place { segment: number, offset: at as u32, length: length as u32 };
            let class = view.class;
            let row = Row::decode(view).map_err(|fault| OpenError::Record { place, class, fault })?;
            segment.insert(place, class, &row);
            at += length;
        }
        let home = Home::of_remnant(number, generation, header.index_page);
        let index = bytes.get(header.index_page as usize * PAGE_BYTES..).unwrap_or_default();
        let (log_id, index_header) = IndexHeader::decode(number, index).map_err(bad)?;
        if index != index_of(&segment, home, log_id, index_header.snapshot) {
            return Err(bad(BadIndex::Damaged).into());
        }
        self.report.remnants += 1;
        Ok(())
    }

    fn restore(&mut self, place: Place, end: &SnapshotEnd) -> Result<(), ToolError> {
        let mut state = State::default();
        for part in &end.parts {
            let restored = self.parts.get(part).and_then(|bytes| snapshot::restore(&mut state, bytes));
            let class = storage_log::Class::State;
            restored.ok_or(OpenError::Record { place, class, fault: RecordFault::Invalid })?;
        }
        self.parts.clear();
        self.report.snapshots += 1;
        Ok(())
    }

    fn compare_index(&mut self, segment: &OpenSegment) -> Result<(), ToolError> {
        let number = segment.number;
        let path = self.folder.join(FileName::Index(number).to_string());
        // The next start makes one that is missing.
        let Ok(file) = fs::read(&path) else { return Ok(()) };
        let is_whole = match IndexHeader::decode(number, &file) {
            Ok((log_id, header)) => file == index_of(segment, Home::of_segment(number), log_id, header.snapshot),
            Err(BadIndex::Newer(version)) => {
                let fault = IndexFault::NewerFormat(version);
                return Err(OpenError::Index { file: FileName::Index(number), fault }.into());
            }
            Err(BadIndex::Damaged) => false,
        };
        if is_whole {
            self.report.indexes_whole += 1;
        } else {
            fs::remove_file(&path).map_err(ToolError::at(&path))?;
            self.report.indexes_removed.push(number);
        }
        Ok(())
    }
}
