//! Expanded keys of the connections that were busy last, a few for each thread: a key of 16 bytes takes some 500 expanded,
//! and a tenth of a microsecond to expand for each record of a connection that says one after the other.
//!
//! Direct-mapped: each key has one place, and whoever came last has it. A key is found by the secret that it follows from,
//! by all of its bytes, so that no two connections can be taken for each other.

use std::cell::RefCell;

use ring::aead::LessSafeKey;

use crate::traffic_keys::{Cipher, SECRET_SIZE};

/// Some 40 KB for a thread.
const KEYS_MAX: usize = 64;

thread_local! {
    static EXPANDED: RefCell<Vec<Option<Entry>>> = RefCell::new((0..KEYS_MAX).map(|_| None).collect());
}

struct Entry {
    secret: [u8; SECRET_SIZE],
    cipher: Cipher,
    expanded: LessSafeKey,
}

/// Gives the expanded form of the key of a secret to `use_it`, and makes it with `expand` where it is not at hand.
pub(crate) fn with<T>(
    secret: &[u8; SECRET_SIZE],
    cipher: Cipher,
    expand: impl FnOnce() -> LessSafeKey,
    use_it: impl FnOnce(&LessSafeKey) -> T,
) -> T {
    EXPANDED.with_borrow_mut(|entries| {
        let [first, ..] = secret;
        let place = entries.get_mut(usize::from(*first) % KEYS_MAX).expect("a remainder is below its divisor");
        let is_at_hand = place.as_ref().is_some_and(|entry| entry.secret == *secret && entry.cipher == cipher);
        if !is_at_hand {
            *place = None;
        }
        use_it(&place.get_or_insert_with(|| Entry { secret: *secret, cipher, expanded: expand() }).expanded)
    })
}
