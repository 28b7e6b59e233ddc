//! Room in memory for one more owner.

use alloc::collections::BTreeMap;

/// Beyond the bound an idle owner is forgotten: the next of a few candidates after the newcomer's place, so that no one
/// is searched for. Owners with work under way are never forgotten, so the bound may be passed by those.
pub(crate) fn make_room<K: Ord + Copy, V>(
    owners: &mut BTreeMap<K, V>,
    owners_max: usize,
    near: K,
    is_idle: fn(&V) -> bool,
) {
    const CANDIDATES: usize = 8;
    if owners.len() < owners_max {
        return;
    }
    let after = owners.range(near..).chain(owners.range(..near));
    let idle = after.take(CANDIDATES).find(|(_, owner)| is_idle(owner)).map(|(id, _)| *id);
    if let Some(id) = idle {
        owners.remove(&id);
    }
}
