//! The candidate that looks most like a name that was not found; called where error messages are made.

/// The candidate nearest to `name` without regard to case (Damerau-Levenshtein distance over the longer length), the
/// first one if several are as near; `None` if there are no candidates.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let name = name.to_lowercase();
    let mut best: Option<(f64, &str)> = None;
    for candidate in candidates {
        let likeness = strsim::normalized_damerau_levenshtein(&name, &candidate.to_lowercase());
        if best.is_none_or(|(so_far, _)| likeness > so_far) {
            best = Some((likeness, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_the_nearest_name() {
        assert_eq!(nearest("Lable", ["sentence", "label"]), Some("label"));
        assert_eq!(nearest("x", []), None);
    }
}
