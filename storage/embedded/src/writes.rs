//! Writes on their way into the log, in order.
//!
//! What does not fit one batch is split, and what the log has no room for waits. Nothing that has come is ever refused:
//! a refusal between two writes would tear a hole between what follows from one and from the other.

use std::collections::VecDeque;

use protocol::ids::UserId;
use storage_api::StoreToken;
use storage_log::{Admission, AppendRefusal, AppendToken, Class, Log, Place, Record};

use crate::record::{Encoded, FORMAT_VERSION, Row};

/// What is reported when everything before it is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The epoch of this process.
    Started,
    Write(StoreToken),
    /// A message is erased.
    Erased(StoreToken),
    /// This user is erased.
    UserErased(StoreToken, UserId),
    /// Nobody waits for it, or who is answered is known by the row itself.
    Unasked,
}

/// What becomes durable as one.
#[derive(Default)]
pub(crate) struct Chunk {
    pub(crate) rows: Vec<Row>,
    /// Of the last chunk of a write.
    pub(crate) ending: Option<Ending>,
    encoded: Vec<Encoded>,
    pub(crate) classes: Vec<Class>,
    pub(crate) places: Vec<Place>,
    stored_bytes: usize,
}

#[derive(Default)]
pub(crate) struct Writes {
    waiting: VecDeque<Chunk>,
    waiting_bytes: usize,
    in_log: VecDeque<(AppendToken, Chunk)>,
    appended_count: u64,
}

impl Writes {
    /// Puts rows behind everything that has come before.
    pub(crate) fn push(&mut self, log: &Log, rows: Vec<Row>, ending: Ending) {
        let mut chunk = Chunk::default();
        for row in rows {
            let encoded = row.encode();
            let stored_bytes = record(&encoded, &encoded.payload()).stored_bytes();
            if chunk.stored_bytes + stored_bytes > log.append_bytes_max() && !chunk.rows.is_empty() {
                self.wait(std::mem::take(&mut chunk));
            }
            chunk.stored_bytes += stored_bytes;
            chunk.rows.push(row);
            chunk.classes.push(encoded.class);
            chunk.encoded.push(encoded);
        }
        chunk.ending = Some(ending);
        self.wait(chunk);
    }

    fn wait(&mut self, chunk: Chunk) {
        self.waiting_bytes += chunk.stored_bytes;
        self.waiting.push_back(chunk);
    }

    /// Hands the log what it has room for.
    pub(crate) fn advance(&mut self, log: &mut Log) {
        while let Some(chunk) = self.waiting.front_mut() {
            match log.admits(Admission::Accepted, chunk.stored_bytes) {
                Ok(()) => {}
                Err(AppendRefusal::Full | AppendRefusal::DiskLow) => return,
                // Its owner hears of the failure from the log, or is read-only and never got here.
                Err(AppendRefusal::Failed | AppendRefusal::NeedsCheck) => return,
                Err(AppendRefusal::TooLarge) => panic!("a record of {} bytes fits no batch", chunk.stored_bytes),
            }
            let token = AppendToken(self.appended_count + 1);
            let payloads: Vec<_> = chunk.encoded.iter().map(Encoded::payload).collect();
            let records: Vec<_> =
                chunk.encoded.iter().zip(&payloads).map(|(encoded, payload)| record(encoded, payload)).collect();
            let appended = log.append(token, Admission::Accepted, &records, &mut chunk.places);
            appended.expect("it was admitted a moment ago");
            let mut chunk = self.waiting.pop_front().expect("it was just looked at");
            self.appended_count += 1;
            self.waiting_bytes -= chunk.stored_bytes;
            chunk.encoded.clear();
            self.in_log.push_back((token, chunk));
        }
    }

    /// The oldest chunk in the log is durable.
    pub(crate) fn appended(&mut self, token: AppendToken) -> Chunk {
        let (oldest, chunk) = self.in_log.pop_front().expect("the log reports what it was given");
        assert_eq!(oldest, token, "the log reports in order");
        chunk
    }

    /// Nothing of this will be reported durable.
    pub(crate) fn abandon(&mut self) -> Vec<Chunk> {
        let in_log = std::mem::take(&mut self.in_log).into_iter().map(|(_, chunk)| chunk);
        self.waiting_bytes = 0;
        in_log.chain(std::mem::take(&mut self.waiting)).collect()
    }

    pub(crate) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.in_log.is_empty()
    }
}

fn record<'a>(encoded: &'a Encoded, payload: &'a [&'a [u8]; 2]) -> Record<'a> {
    Record { class: encoded.class, format_version: FORMAT_VERSION, key: encoded.key(), payload }
}
