//! What one request has been given so far, and what it lacks: so that a request is a function which is tried again when
//! more is there, and needs no state of its own.

use std::collections::HashMap;
use std::sync::Arc;

use storage_log::{FileName, Place};

use crate::pages::PageCache;
use crate::record::Row;
use crate::table::{Page, PageId};

/// Something is not here yet; the memo knows what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lacking;

/// A record that is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct WantedRecord {
    pub(crate) file: FileName,
    pub(crate) place: Place,
    pub(crate) key_prefix: Vec<u8>,
}

#[derive(Default)]
pub(crate) struct Memo {
    pages: HashMap<PageId, Arc<Page>>,
    records: HashMap<(FileName, Place), Row>,
    pub(crate) lacking_pages: Vec<PageId>,
    pub(crate) lacking_records: Vec<WantedRecord>,
}

impl Memo {
    /// A page, from here or from what was read lately.
    pub(crate) fn page(&mut self, cache: &PageCache, id: PageId) -> Result<Arc<Page>, Lacking> {
        if let Some(page) = self.pages.get(&id) {
            return Ok(page.clone());
        }
        if let Some(page) = cache.find(id) {
            // It must not go away before the request is answered: it might never have everything at once.
            self.pages.insert(id, page.clone());
            return Ok(page);
        }
        if !self.lacking_pages.contains(&id) {
            self.lacking_pages.push(id);
        }
        Err(Lacking)
    }

    pub(crate) fn record(
        &mut self,
        file: FileName,
        place: Place,
        key_prefix: impl FnOnce() -> Vec<u8>,
    ) -> Result<&Row, Lacking> {
        if !self.records.contains_key(&(file, place))
            && !self.lacking_records.iter().any(|wanted| wanted.place == place)
        {
            self.lacking_records.push(WantedRecord { file, place, key_prefix: key_prefix() });
        }
        self.records.get(&(file, place)).ok_or(Lacking)
    }

    pub(crate) fn give_page(&mut self, id: PageId, page: Arc<Page>) {
        self.pages.insert(id, page);
    }

    pub(crate) fn give_record(&mut self, file: FileName, place: Place, row: Row) {
        self.records.insert((file, place), row);
    }
}
