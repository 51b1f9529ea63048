//! The candidate most similar to a name that was not found. Called where error messages are made.

/// The candidate nearest to `name`, ignoring case: the Damerau-Levenshtein distance divided by the
/// longer length. The first of several equally near candidates wins; `None` if there are no
/// candidates.
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
