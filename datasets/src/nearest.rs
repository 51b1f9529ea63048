//! The name most similar to one that was not found, by the rule of the whole project
//! (`progtune_plugin_api::names`). Called where error messages are made.

use progtune_plugin_api::names::alike;

/// The nearest candidate, if `name` may be a misspelling or a part of it. Columns that differ only
/// in their digits (`sentence1`, `sentence2`) are different columns.
pub(crate) fn near<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    let is_sibling = |candidate: &&str| {
        let found = candidate.to_lowercase();
        wanted != found && without_digits(&wanted) == without_digits(&found)
    };
    let nearest = alike(name, candidates).into_iter().next()?;
    (!is_sibling(&nearest)).then_some(nearest)
}

fn without_digits(name: &str) -> String {
    name.chars().filter(|c| !c.is_ascii_digit()).collect()
}

#[cfg(test)]
mod tests {
    use super::near;

    #[test]
    fn only_a_misspelling_is_near() {
        assert_eq!(near("labl", ["id", "Label"]), Some("Label"));
        assert_eq!(near("Lable", ["sentence", "label"]), Some("label"));
        assert_eq!(near("label", ["LABEL"]), Some("LABEL"));
        assert_eq!(near("sentence2", ["sentence1", "label"]), None);
        assert_eq!(near("sentence1", ["x", "y"]), None);
        assert_eq!(near("3", ["1", "2"]), None);
        assert_eq!(near("x", []), None);
    }
}
