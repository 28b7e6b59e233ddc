//! Room in memory for one more owner.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Beyond the bound idle owners are taken out, which is the answer: the next of a few candidates after the newcomer's place,
/// so that no one is searched for. Owners with work under way stay, so the bound may be passed by those, and it may have
/// been lowered: each newcomer then takes several out, until there are no more than it says.
pub(crate) fn make_room<K: Ord + Copy, V>(
    owners: &mut BTreeMap<K, V>,
    owners_max: usize,
    near: K,
    is_idle: fn(&V) -> bool,
) -> Vec<V> {
    const CANDIDATES: usize = 8;
    let excess = (owners.len() + 1).saturating_sub(owners_max);
    if excess == 0 {
        return Vec::new();
    }
    let after = owners.range(near..).chain(owners.range(..near));
    let idle = after.take(CANDIDATES).filter(|(_, owner)| is_idle(owner)).map(|(id, _)| *id);
    let idle: Vec<K> = idle.take(excess).collect();
    idle.iter().filter_map(|id| owners.remove(id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_passed_the_bound_comes_back_to_it_and_the_busy_stay() {
        let is_idle = |owner: &bool| *owner;
        let mut owners: BTreeMap<u32, bool> = (0..100).map(|id| (2 * id, id != 7)).collect();
        for id in 0..20 {
            make_room(&mut owners, 10, 2 * id + 1, is_idle);
            owners.insert(2 * id + 1, true);
        }
        assert_eq!((owners.len(), owners.get(&14)), (10, Some(&false)));
    }

    #[test]
    fn below_the_bound_nobody_goes() {
        let mut owners = BTreeMap::from([(1, true), (2, true)]);
        make_room(&mut owners, 3, 3, |owner| *owner);
        assert_eq!(owners.len(), 2);
        make_room(&mut owners, 2, 3, |owner| *owner);
        assert_eq!(owners.len(), 1);
    }
}
