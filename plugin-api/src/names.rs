//! Nearest names, so that a name or pattern that matches nothing becomes an error that says what was meant.
//!
//! Used by the option parser, the graph checker, the selection helpers and the host's "unknown id" messages.

/// Longest part of a name that is compared; whatever a file holds, a message costs little.
const COMPARED: usize = 160;

/// At most `count` of the candidates, nearest to `name` first, among equals the shorter, then in name order. Candidates that have nothing in
/// common with it are left out.
pub fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
    count: usize,
) -> Vec<&'a str> {
    let wanted = characters(name);
    let mut ranked: Vec<(usize, usize, &str)> = candidates
        .into_iter()
        .filter_map(|candidate| {
            let candidate_characters = characters(candidate);
            let longest = wanted.len().max(candidate_characters.len());
            let mut distance = levenshtein(&wanted, &candidate_characters);
            // `lora` should find `lora-fa`, and `query` `encoder.layer.0.attention.self.query`.
            if !wanted.is_empty() && contains(&candidate_characters, &wanted) {
                distance = distance.min(1 + longest / 16);
            }
            (distance < longest).then_some((distance, candidate.len(), candidate))
        })
        .collect();
    ranked.sort_unstable();
    ranked.dedup();
    ranked
        .into_iter()
        .take(count)
        .map(|(_, _, candidate)| candidate)
        .collect()
}

/// The end of an error message: `; did you mean 'a', 'b' or 'c'?`, or nothing when no candidate is near.
pub fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let near: Vec<String> = nearest(name, candidates, 3)
        .iter()
        .map(|name| format!("'{name}'"))
        .collect();
    match near.as_slice() {
        [] => String::new(),
        [one] => format!("; did you mean {one}?"),
        [first @ .., last] => format!("; did you mean {} or {last}?", first.join(", ")),
    }
}

fn characters(name: &str) -> Vec<char> {
    name.chars()
        .take(COMPARED)
        .flat_map(char::to_lowercase)
        .collect()
}

fn contains(text: &[char], part: &[char]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Insertions, deletions and substitutions between two texts.
fn levenshtein(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_the_textbook_ones() {
        let distance = |a: &str, b: &str| levenshtein(&characters(a), &characters(b));
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("lora", "lora"), 0);
    }

    #[test]
    fn the_nearest_come_first_and_strangers_not_at_all() {
        let ids = [
            "full",
            "progressive",
            "grow-from-hb",
            "wo-lb",
            "single-block",
        ];
        assert_eq!(nearest("progresive", ids, 3).first(), Some(&"progressive"));
        assert_eq!(nearest("xyz", ["abc"], 3), Vec::<&str>::new());
        assert_eq!(did_you_mean("ful", ["full"]), "; did you mean 'full'?");
        assert_eq!(
            nearest("qery", ["encoder.layer.0.attention.self.query", "query"], 1),
            ["query"]
        );
        assert_eq!(
            nearest(
                "query",
                ["quarry-of-x", "encoder.layer.0.attention.self.query"],
                1
            )[0]
            .len(),
            36
        );
    }
}
