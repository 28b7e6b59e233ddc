//! Pages of side files that were read lately. Bounded by bytes; what came first goes first.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::limits::{PAGE_BYTES, PAGE_CACHE_BYTES_MAX};
use crate::table::{Page, PageId};

#[derive(Default)]
pub(crate) struct PageCache {
    pages: HashMap<PageId, Arc<Page>>,
    order: VecDeque<PageId>,
}

impl PageCache {
    pub(crate) fn find(&self, id: PageId) -> Option<Arc<Page>> {
        self.pages.get(&id).cloned()
    }

    pub(crate) fn insert(&mut self, id: PageId, page: Arc<Page>) {
        if self.pages.insert(id, page).is_none() {
            self.order.push_back(id);
        }
        while self.order.len() * PAGE_BYTES > PAGE_CACHE_BYTES_MAX {
            let oldest = self.order.pop_front().expect("there is at least one");
            self.pages.remove(&oldest);
        }
    }
}
