//! The product's store on a disk on which everything happens at once and nothing goes wrong: for setting up, and for
//! reading what a disk holds.

use std::collections::BTreeSet;

use protocol::ids::{ConversationId, Epoch, Realm, Seq, UserSeq};
use protocol::time::Now;
use storage_api::{Mutation, Request, Response, StoreToken, StoreTraits, UserRow};
use storage_embedded::{EmbeddedOptions, EmbeddedStore, Opening, StoreEvent};
use storage_log::{Disk, Monotonic, SimDisk};

use crate::store::database::{Database, Row};

/// Entries and events are read so many at a time.
const PAGE: usize = 64;

pub(super) struct StoreAtOnce {
    disk: SimDisk,
    store: EmbeddedStore,
}

impl StoreAtOnce {
    /// Opens the store that is on a disk, or makes one.
    pub(super) fn open(options: EmbeddedOptions, mut disk: SimDisk) -> Result<StoreAtOnce, String> {
        let mut opening = Opening::new(options);
        while !opening.is_done() {
            while let Some((id, operation)) = opening.poll_operation() {
                disk.submit(id, operation);
            }
            disk.perform_one();
            while let Some(completion) = disk.poll_completion() {
                opening.handle_completion(completion).map_err(|error| error.to_string())?;
            }
        }
        Ok(StoreAtOnce { disk, store: opening.finish(Monotonic::default()) })
    }

    pub(super) fn traits(&self) -> StoreTraits {
        self.store.traits()
    }

    pub(super) fn ensure_user(&mut self, realm: Realm, handle: &str) -> UserRow {
        match self.ask(Request::EnsureUser { realm, handle: handle.to_owned() }) {
            Ok(Response::Users(users)) => users.into_iter().next().expect("it was made if need be"),
            other => panic!("a user was asked for, not {other:?}"),
        }
    }

    /// Ends when everything is durable and proved, and the disk has nothing left to do.
    pub(super) fn end(mut self) {
        self.store.seal();
        while self.turn() {}
        assert!(self.store.is_settled(), "a disk without faults does everything");
    }

    /// The entries and the logs of these conversations and users, as plain rows.
    pub(super) fn read(
        &mut self,
        users: &[UserRow],
        conversations: &BTreeSet<ConversationId>,
    ) -> Result<Database, String> {
        let mut rows = Database::of_users(users);
        for conversation in conversations {
            let mut from = Seq(1);
            loop {
                let (count_max, bytes_max) = (PAGE, usize::MAX);
                let (conversation, to) = (*conversation, Seq(u64::MAX));
                let entries =
                    Request::ReadEntries { conversation, from, to, newest_first: false, count_max, bytes_max };
                let Response::Entries(entries) = self.ask(entries)? else { panic!("entries were asked for") };
                let Some(last) = entries.last() else { break };
                from = last.key.seq.next();
                entries.into_iter().for_each(|entry| rows.apply(Row::Entry(entry)));
            }
        }
        for UserRow { id: user, .. } in users {
            let mut after = UserSeq(0);
            loop {
                let page = Request::ReadUserLog { user: *user, after, count_max: PAGE, bytes_max: usize::MAX };
                let Response::UserLog(page) = self.ask(page)? else { panic!("a user's log was asked for") };
                let Some(last) = page.last() else { break };
                let first_user_seq = after.next();
                after = last.user_seq;
                let events = page.iter().map(|logged| logged.event).collect();
                let events = Mutation::UserEvents { user: *user, first_user_seq, epoch: Epoch(0), events };
                rows.apply(Row::Other(events));
            }
        }
        Ok(rows)
    }

    fn ask(&mut self, request: Request) -> Result<Response, String> {
        self.store.handle_request(Now::default(), StoreToken(0), request);
        loop {
            while let Some(event) = self.store.poll_event() {
                match event {
                    StoreEvent::Answer { result, .. } => return result.map_err(|error| error.to_string()),
                    StoreEvent::Damaged { text } => return Err(text),
                    StoreEvent::SideFileFailed { .. }
                    | StoreEvent::Pressure { .. }
                    | StoreEvent::Ballast { .. }
                    | StoreEvent::Failed { .. } => {}
                }
            }
            assert!(self.turn(), "a store that has something to do asks its disk to do it");
        }
    }

    /// Whether there was anything to do.
    fn turn(&mut self) -> bool {
        while let Some((id, operation)) = self.store.poll_operation() {
            self.disk.submit(id, operation);
        }
        let has_done = self.disk.perform_one();
        while let Some(completion) = self.disk.poll_completion() {
            self.store.handle_completion(Now::default(), completion);
        }
        has_done
    }
}
