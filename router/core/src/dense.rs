//! Rows that are found by a number, close together: a vector, and a table of their places in it. For what is there once
//! for everybody online, where a tree takes twice the room of its rows when they come in order, as these do.
//!
//! Several rows may have one number. Their numbers are not of a client's making, so nobody can pick some that collide.

use alloc::vec::Vec;

use hashbrown::HashTable;

pub(crate) trait Numbered {
    /// Never changes.
    fn number(&self) -> u64;
}

pub(crate) struct DenseTable<R> {
    rows: Vec<R>,
    places: HashTable<u32>,
}

impl<R> Default for DenseTable<R> {
    fn default() -> Self {
        DenseTable { rows: Vec::new(), places: HashTable::new() }
    }
}

impl<R: Numbered> DenseTable<R> {
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn insert(&mut self, row: R) {
        if self.rows.len() == self.rows.capacity() {
            self.rows.reserve_exact(self.rows.len() / 8 + 1);
        }
        let place = u32::try_from(self.rows.len()).expect("a router has fewer sessions than that");
        self.rows.push(row);
        let rows = &self.rows;
        self.places.insert_unique(hash_at(rows, place), place, |place| hash_at(rows, *place));
    }

    /// A row of this number of which `is` is true.
    pub(crate) fn find(&self, number: u64, is: impl Fn(&R) -> bool) -> Option<&R> {
        let place = self.places.find(hash(number), matching(&self.rows, number, is))?;
        self.rows.get(*place as usize)
    }

    pub(crate) fn find_mut(&mut self, number: u64, is: impl Fn(&R) -> bool) -> Option<&mut R> {
        let place = self.places.find(hash(number), matching(&self.rows, number, is))?;
        self.rows.get_mut(*place as usize)
    }

    pub(crate) fn remove(&mut self, number: u64, is: impl Fn(&R) -> bool) -> Option<R> {
        let found = self.places.find_entry(hash(number), matching(&self.rows, number, is)).ok()?;
        let (place, _) = found.remove();
        let row = self.rows.swap_remove(place as usize);
        // What was last has taken its place.
        let last = self.rows.len() as u32;
        if place < last {
            let moved = self.places.find_mut(hash_at(&self.rows, place), |known| *known == last);
            *moved.expect("every row has its place in the table") = place;
        }
        if self.rows.len() < self.rows.capacity() / 4 {
            let (rows, len) = (&mut self.rows, last as usize);
            rows.shrink_to(2 * len);
            self.places.shrink_to(2 * len, |place| hash_at(rows, *place));
        }
        Some(row)
    }

    pub(crate) fn into_rows(self) -> impl Iterator<Item = R> {
        self.rows.into_iter()
    }
}

fn matching<R: Numbered>(rows: &[R], number: u64, is: impl Fn(&R) -> bool) -> impl Fn(&u32) -> bool {
    move |place| rows.get(*place as usize).is_some_and(|row| row.number() == number && is(row))
}

fn hash_at<R: Numbered>(rows: &[R], place: u32) -> u64 {
    hash(rows[place as usize].number())
}

/// Both halves of a product with a number whose bits are even: numbers that differ little end far apart.
fn hash(number: u64) -> u64 {
    let product = u128::from(number ^ 0x243f_6a88_85a3_08d3) * 0x9e37_79b9_7f4a_7c15;
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use super::*;

    impl Numbered for (u64, u64) {
        fn number(&self) -> u64 {
            self.0
        }
    }

    #[test]
    fn it_holds_what_was_put_in_and_gives_back_the_room_of_what_was_taken_out() {
        let (mut table, mut known) = (DenseTable::default(), BTreeMap::new());
        let mut random = 7_u64;
        for step in 0..50_000_u64 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // Three rows may have one number.
            let row = ((random >> 33) % 1000, (random >> 50) % 3);
            let is = |other: &(u64, u64)| other.1 == row.1;
            let is_growing = step < 30_000;
            match (random >> 60) % 4 {
                0 if is_growing => drop(known.entry(row).or_insert_with(|| table.insert(row))),
                1 | 2 if !is_growing => {
                    assert_eq!(table.remove(row.0, is).is_some(), known.remove(&row).is_some());
                }
                3 => assert_eq!(table.remove(row.0, is).is_some(), known.remove(&row).is_some()),
                _ => {}
            }
            assert_eq!((table.find(row.0, is).is_some(), table.len()), (known.contains_key(&row), known.len()));
        }
        let rows: Vec<_> = known.keys().copied().collect();
        assert!(rows.iter().all(|row| table.remove(row.0, |other| other == row).is_some()));
        assert_eq!((table.rows.capacity(), table.places.capacity()), (0, 0));
    }
}
