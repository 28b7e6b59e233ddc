//! What is asked of the store: answered from memory, or when what it takes has been read.

use storage_api::{EntryKey, Response, StoreError, StoreToken};
use storage_log::{Completion, ReadError, ReadToken, StoredRecord};

use super::{EmbeddedStore, StoreEvent};
use crate::answers::{Question, Sight};
use crate::erasures::Erased;
use crate::jobs::Job;
use crate::memo::Memo;
use crate::record::Row;
use crate::search::Search;
use crate::writes::Ending;

impl EmbeddedStore {
    /// Looks for the entry, so that it is known which segment is to lose it.
    fn try_to_erase(&mut self, token: StoreToken, key: EntryKey, mut memo: Memo) {
        match self.sight().erasable(&mut memo, key) {
            Ok(Err(erasure)) => self.answer(token, Ok(Response::Erased(erasure))),
            Ok(Ok(place)) => {
                let erased = Erased { segment: place.segment, at: self.wall };
                self.write(vec![Row::Erased { key, erased }], Ending::Erased(token));
            }
            Err(_) => self.jobs.wait(token, Question::Erase(key), memo),
        }
    }

    pub(super) fn ask(&mut self, token: StoreToken, question: Question) {
        self.try_to_answer(token, question, Memo::default());
        self.jobs.advance(&mut self.log);
    }

    fn try_to_answer(&mut self, token: StoreToken, question: Question, mut memo: Memo) {
        if let Question::Erase(key) = question {
            return self.try_to_erase(token, key, memo);
        }
        match self.sight().answer(&mut memo, &question) {
            Ok(result) => self.answer(token, result),
            Err(_) => self.jobs.wait(token, question, memo),
        }
    }

    fn sight(&self) -> Sight<'_> {
        let search = Search { segments: &self.side.segments, cache: &self.pages };
        Sight { now: self.wall, state: &self.state, recent: &self.recent, search }
    }

    fn go_on(&mut self, jobs: Vec<Job>) {
        for Job { token, question, memo, .. } in jobs {
            self.try_to_answer(token, question, memo);
        }
    }

    fn give_up(&mut self, jobs: Vec<Job>, error: StoreError) {
        for job in jobs {
            self.answer(job.token, Err(error));
        }
    }

    pub(super) fn fetched(&mut self, token: ReadToken, result: Result<StoredRecord, ReadError>) {
        let (text, error) = match result.map(|record| Row::decode(record.view())) {
            Ok(Ok(row)) => {
                if let Row::Entry(entry) = &row {
                    self.recent.insert(entry);
                }
                let complete = self.jobs.record_read(token, &row);
                return self.go_on(complete);
            }
            Ok(Err(fault)) => (fault.to_string(), StoreError::Corrupt),
            Err(error @ ReadError::Disk(_)) => (error.to_string(), StoreError::Unavailable),
            Err(error) => (error.to_string(), StoreError::Corrupt),
        };
        self.events.push_back(StoreEvent::Damaged { text });
        let waiting = self.jobs.record_failed(token);
        self.give_up(waiting, error);
    }

    pub(super) fn page_read(&mut self, completion: Completion) {
        match self.jobs.page_read(&mut self.pages, completion) {
            Ok(complete) => self.go_on(complete),
            Err((page, error, waiting)) => {
                let file = page.file;
                let text = format!(
                    "{file} cannot be read at page {}. Nothing is lost: stop the server and run `ringpost store check`, \
                     which has it made again from its segment",
                    page.number
                );
                self.events.push_back(StoreEvent::Damaged { text });
                self.give_up(waiting, error);
            }
        }
    }
}
