//! What somebody may have meant who mistyped a name.

/// The candidate that takes the fewest edits, if that is few enough for a slip of the hand.
pub(super) fn nearest<'a>(typed: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let edits_max = (typed.chars().count() / 4).max(2);
    let by_edits = candidates.map(|candidate| (strsim::osa_distance(typed, candidate), candidate));
    by_edits.filter(|(edits, _)| *edits <= edits_max).min_by_key(|(edits, _)| *edits).map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_finds_its_name_and_nonsense_finds_none() {
        let names = ["connections_max", "handshakes_max", "listen"];
        assert_eq!(nearest("conections_max", names.into_iter()), Some("connections_max"));
        assert_eq!(nearest("lsiten", names.into_iter()), Some("listen"));
        assert_eq!(nearest("colour", names.into_iter()), None);
    }
}
