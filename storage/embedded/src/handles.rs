//! Who has which handle. A handle is not kept a second time: the table has the ids of users, and looks at theirs.
//!
//! Invariant: a user in it has the handle under which it was put in. People choose their handles, so their hashes are
//! seeded.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;
use protocol::ids::{Realm, UserId};
use storage_api::UserRow;

use crate::slab::Slab;
use crate::user::User;

#[derive(Default)]
pub(crate) struct Handles {
    users: HashTable<UserId>,
    hashes: RandomState,
}

impl Handles {
    pub(crate) fn find<'a>(&self, users: &'a Slab<UserId, User>, realm: Realm, handle: &str) -> Option<&'a UserRow> {
        let has_it = |id: &UserId| id.realm() == realm && row(users, *id).handle == handle;
        self.users.find(self.hashes.hash_one((realm, handle)), has_it).map(|id| row(users, *id))
    }

    /// A user has its handle from now on, whoever had it before.
    pub(crate) fn put(&mut self, users: &Slab<UserId, User>, id: UserId) {
        let hash_of = |id: &UserId| hash_of(&self.hashes, users, *id);
        let new = row(users, id);
        let has_it = |other: &UserId| other.realm() == id.realm() && row(users, *other).handle == new.handle;
        match self.users.find_mut(hash_of(&id), has_it) {
            Some(known) => *known = id,
            None => drop(self.users.insert_unique(hash_of(&id), id, hash_of)),
        }
    }

    /// A user is about to lose its handle, which may be somebody else's by now.
    pub(crate) fn remove(&mut self, users: &Slab<UserId, User>, id: UserId) {
        if users.find(id).is_some()
            && let Ok(found) = self.users.find_entry(hash_of(&self.hashes, users, id), |known| *known == id)
        {
            found.remove();
        }
    }
}

fn hash_of(hashes: &RandomState, users: &Slab<UserId, User>, id: UserId) -> u64 {
    hashes.hash_one((id.realm(), row(users, id).handle.as_str()))
}

fn row(users: &Slab<UserId, User>, id: UserId) -> &UserRow {
    &users.find(id).expect("who has a handle is there").row
}
