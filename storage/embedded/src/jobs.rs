//! Requests that wait for something from the disk: what they lack is read once for all, and each is tried again when it
//! has been given everything it asked for.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use storage_api::{StoreError, StoreToken};
use storage_log::{Completion, FileName, Log, Operation, OperationId, Outcome, ReadRefusal, ReadToken};

use crate::answers::Question;
use crate::limits::{PAGE_BYTES, PAGE_READS_MAX};
use crate::memo::{Memo, WantedRecord};
use crate::pages::PageCache;
use crate::record::Row;
use crate::side_ids::SideIds;
use crate::table::{Page, PageId};

/// Names a waiting request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct JobId(u64);

/// A request, and what it has got.
pub(crate) struct Job {
    pub(crate) token: StoreToken,
    pub(crate) question: Question,
    pub(crate) memo: Memo,
    missing_count: usize,
}

/// What can be read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Target {
    Page(PageId),
    /// With the key that it must have: who expects another one reads for itself.
    Record(WantedRecord),
}

/// See the file's head.
#[derive(Default)]
pub(crate) struct Jobs {
    jobs: BTreeMap<JobId, Job>,
    job_count: u64,
    waiting: HashMap<Target, Vec<JobId>>,
    record_reads: HashMap<ReadToken, WantedRecord>,
    record_read_count: u64,
    queued_records: VecDeque<WantedRecord>,
    page_reads: BTreeMap<OperationId, PageId>,
    queued_pages: VecDeque<PageId>,
}

impl Jobs {
    /// A request waits for what its memo lacks.
    pub(crate) fn wait(&mut self, token: StoreToken, question: Question, mut memo: Memo) {
        self.job_count += 1;
        let id = JobId(self.job_count);
        let (pages, records) = (std::mem::take(&mut memo.lacking_pages), std::mem::take(&mut memo.lacking_records));
        let missing_count = pages.len() + records.len();
        assert!(missing_count > 0, "a request waits for something");
        for page in pages {
            if self.is_first_to_wait(Target::Page(page), id) {
                self.queued_pages.push_back(page);
            }
        }
        for record in records {
            if self.is_first_to_wait(Target::Record(record.clone()), id) {
                self.queued_records.push_back(record);
            }
        }
        self.jobs.insert(id, Job { token, question, memo, missing_count });
    }

    fn is_first_to_wait(&mut self, target: Target, id: JobId) -> bool {
        let waiting = self.waiting.entry(target).or_default();
        waiting.push(id);
        waiting.len() == 1
    }

    /// Hands the log as many reads as it takes.
    pub(crate) fn advance(&mut self, log: &mut Log) {
        while let Some(wanted) = self.queued_records.pop_front() {
            self.record_read_count += 1;
            let token = ReadToken(self.record_read_count);
            match log.read_from(token, wanted.file, wanted.place, &wanted.key_prefix) {
                Ok(()) => {
                    self.record_reads.insert(token, wanted);
                }
                Err(ReadRefusal::Busy) => return self.queued_records.push_front(wanted),
                Err(ReadRefusal::NotDurable) => panic!("the index names what is durable"),
            }
        }
    }

    /// The next read of a page.
    pub(crate) fn poll_operation(&mut self, ids: &mut SideIds) -> Option<(OperationId, Operation)> {
        if self.page_reads.len() == PAGE_READS_MAX {
            return None;
        }
        let page = self.queued_pages.pop_front()?;
        let id = ids.next();
        self.page_reads.insert(id, page);
        let offset = page.number * PAGE_BYTES as u32;
        Some((id, Operation::Read { file: page.file, offset, length: PAGE_BYTES as u32 }))
    }

    pub(crate) fn awaits(&self, id: OperationId) -> bool {
        self.page_reads.contains_key(&id)
    }

    /// A page has been read. Answers the requests that have everything now; or which page is damaged, and those that
    /// waited for it.
    pub(crate) fn page_read(
        &mut self,
        cache: &mut PageCache,
        completion: Completion,
    ) -> Result<Vec<Job>, (PageId, StoreError, Vec<Job>)> {
        let id = self.page_reads.remove(&completion.id).expect("the caller asked whether it is awaited");
        let (bytes, error) = match completion.result {
            Ok(Outcome::Read(bytes)) => (bytes, StoreError::Corrupt),
            Ok(other) => panic!("a read was answered with {other:?}"),
            Err(_) => (Vec::new(), StoreError::Unavailable),
        };
        let Some(page) = Page::verify(id, bytes) else {
            return Err((id, error, self.fail(&Target::Page(id))));
        };
        let page = Arc::new(page);
        cache.insert(id, page.clone());
        Ok(self.give(&Target::Page(id), |memo| memo.give_page(id, page.clone())))
    }

    /// A record has been read. Answers the requests that have everything now.
    pub(crate) fn record_read(&mut self, token: ReadToken, row: &Row) -> Vec<Job> {
        let wanted = self.record_reads.remove(&token).expect("the log answers what it was asked");
        let (file, place) = (wanted.file, wanted.place);
        self.give(&Target::Record(wanted), |memo| memo.give_record(file, place, row.clone()))
    }

    /// A record cannot be had: the requests that waited for it.
    pub(crate) fn record_failed(&mut self, token: ReadToken) -> Vec<Job> {
        let wanted = self.record_reads.remove(&token).expect("the log answers what it was asked");
        self.fail(&Target::Record(wanted))
    }

    /// Whether something is to come from this file.
    pub(crate) fn reads(&self, file: FileName) -> bool {
        self.waiting.keys().any(|target| match target {
            Target::Page(page) => page.file == file,
            Target::Record(wanted) => wanted.file == file,
        })
    }

    fn give(&mut self, target: &Target, give: impl Fn(&mut Memo)) -> Vec<Job> {
        let mut complete = Vec::new();
        for id in self.waiting.remove(target).unwrap_or_default() {
            // One that has failed for something else is gone.
            let Some(job) = self.jobs.get_mut(&id) else { continue };
            give(&mut job.memo);
            job.missing_count -= 1;
            if job.missing_count == 0 {
                complete.extend(self.jobs.remove(&id));
            }
        }
        complete
    }

    fn fail(&mut self, target: &Target) -> Vec<Job> {
        let ids = self.waiting.remove(target).unwrap_or_default();
        ids.into_iter().filter_map(|id| self.jobs.remove(&id)).collect()
    }
}
