//! The names most similar to one that was not found, in the words of the whole project
//! (`progtune_plugin_api::names`). Called where error messages are made.

use progtune_plugin_api::names::did_you_mean;

use super::show::printable;

/// The end of a sentence about a missing `name`: `; did you mean 'a'?`, or nothing if `name` may
/// not be a misspelling of a candidate or a part of it. Columns that differ only in their digits
/// (`sentence1`, `sentence2`) are different columns.
pub(crate) fn suggestion<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let wanted = name.to_lowercase();
    let is_sibling = |candidate: &str| {
        let found = candidate.to_lowercase();
        wanted != found && without_digits(&wanted) == without_digits(&found)
    };
    let candidates: Vec<String> = candidates
        .into_iter()
        .filter(|candidate| !is_sibling(candidate))
        .map(|candidate| printable(candidate, 60))
        .collect();
    did_you_mean(name, candidates.iter().map(String::as_str))
}

fn without_digits(name: &str) -> String {
    name.chars().filter(|c| !c.is_ascii_digit()).collect()
}

#[cfg(test)]
mod tests {
    use super::suggestion;

    #[test]
    fn only_a_misspelling_is_near() {
        let label = "; did you mean 'label'?";
        assert_eq!(suggestion("labl", ["id", "label"]), label);
        assert_eq!(suggestion("Lable", ["sentence", "label"]), label);
        assert_eq!(suggestion("label", ["LABEL"]), "; did you mean 'LABEL'?");
        assert_eq!(suggestion("sentence2", ["sentence1", "label"]), "");
        assert_eq!(suggestion("sentence1", ["x", "y"]), "");
        assert_eq!(suggestion("3", ["1", "2"]), "");
        assert_eq!(suggestion("x", []), "");
        assert_eq!(
            suggestion("label", ["label\u{1b}"]),
            "; did you mean 'label\\u{1b}'?"
        );
    }
}
