//! The candidate most similar to a name that was not found. Called where error messages are made.

/// The candidate nearest to `name`, ignoring case: the Damerau-Levenshtein distance divided by the
/// longer length. The first of several equally near candidates wins; `None` if there are no
/// candidates.
fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
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

/// The share of letters that a misspelt name has in common with the right one.
const NEAR: f64 = 0.6;

/// The [`nearest`] candidate, if `name` may be a misspelling of it. Names that differ only in their
/// digits (`sentence1`, `sentence2`) are different names.
pub(crate) fn near<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    let candidate = nearest(name, candidates)?;
    let found = candidate.to_lowercase();
    let likeness = strsim::normalized_damerau_levenshtein(&wanted, &found);
    let is_sibling = wanted != found && without_digits(&wanted) == without_digits(&found);
    (likeness >= NEAR && !is_sibling).then_some(candidate)
}

fn without_digits(name: &str) -> String {
    name.chars().filter(|c| !c.is_ascii_digit()).collect()
}

#[cfg(test)]
mod tests {
    use super::{near, nearest};

    #[test]
    fn finds_the_nearest_name() {
        assert_eq!(nearest("Lable", ["sentence", "label"]), Some("label"));
        assert_eq!(nearest("x", []), None);
    }

    #[test]
    fn only_a_misspelling_is_near() {
        assert_eq!(near("labl", ["id", "Label"]), Some("Label"));
        assert_eq!(near("label", ["LABEL"]), Some("LABEL"));
        assert_eq!(near("sentence2", ["sentence1", "label"]), None);
        assert_eq!(near("sentence1", ["x", "y"]), None);
        assert_eq!(near("3", ["1", "2"]), None);
    }
}
