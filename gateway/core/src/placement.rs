//! Where a user is at home: one shard of a gateway serves all devices of a user, so that what is said to one of them and
//! concerns the others stays within that shard.
//!
//! By rendezvous: of all shards the one that has the highest score for this user. So a shard more takes its share of the
//! users from all others and moves nobody else, and nothing has to be kept. Says where a user's devices are to be, never
//! where they are: a session is found by its route.

use protocol::ids::UserId;

/// Of the shards below this number, of which there is at least one.
pub fn home_shard(user: UserId, shards_count: u16) -> u16 {
    (0..shards_count).max_by_key(|shard| score(user, *shard)).unwrap_or_default()
}

fn score(user: UserId, shard: u16) -> u64 {
    scramble(scramble(user.0) ^ u64::from(shard))
}

/// Numbers that differ in one bit come out as if they had nothing to do with each other.
fn scramble(number: u64) -> u64 {
    let number = (number ^ (number >> 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let number = (number ^ (number >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    number ^ (number >> 32)
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use protocol::ids::Realm;

    use super::*;

    const USERS: u64 = 60_000;

    fn users() -> impl Iterator<Item = UserId> {
        (1..=USERS).map(|number| UserId::new(Realm(1), number))
    }

    #[test]
    fn each_shard_is_home_to_an_even_share_of_neighbouring_ids() {
        for shards_count in [1, 2, 3, 8, 64] {
            let mut shares = vec![0; usize::from(shards_count)];
            users().for_each(|user| shares[usize::from(home_shard(user, shards_count))] += 1);
            let even = USERS / u64::from(shards_count);
            let is_even = |share: &u64| share.abs_diff(even) <= even / 5;
            assert!(shares.iter().all(is_even), "{shards_count}: {shares:?}");
        }
    }

    #[test]
    fn a_shard_more_moves_its_own_share_of_the_users_and_nobody_else() {
        for shards_count in [1, 2, 7] {
            let homes = users().map(|user| (home_shard(user, shards_count), home_shard(user, shards_count + 1)));
            let (mut moved, newest) = (0, shards_count);
            for (before, after) in homes.filter(|(before, after)| before != after) {
                assert_eq!(after, newest, "from {before}");
                moved += 1;
            }
            let share = USERS / u64::from(shards_count + 1);
            assert!(u64::abs_diff(moved, share) <= share / 10, "{moved} of {share}");
        }
    }
}
