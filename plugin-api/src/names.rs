//! Nearest names, so that the error for a name or pattern that matches nothing suggests what was
//! meant. This is the only such rule of the project; every crate that reads names uses it.
//!
//! Used by the option parser, the graph checker, the selection helpers, and the host's messages
//! about flags, keys, commands, ids, paths and columns.

/// The maximum length of a name that is compared, so that a message stays cheap whatever a file
/// contains.
const COMPARED: usize = 160;

/// The length from which a part of a name may stand for it. Shorter parts are in too many names.
const SHORTEST_PART: usize = 3;

/// At most `count` of the candidates, nearest to `name` first; ties are broken by length, then by
/// name. Candidates that have nothing in common with it are left out.
pub fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
    count: usize,
) -> Vec<&'a str> {
    let ranked = ranked(name, candidates).into_iter().take(count);
    ranked.map(|(_, candidate)| candidate).collect()
}

/// The candidates of which `name` may be a misspelling or a part, nearest first. A misspelling
/// differs in at most one letter of three, and a part has at least three letters.
pub fn alike<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let ranked = ranked(name, candidates).into_iter();
    let near = ranked.filter(|(likeness, _)| *likeness == Likeness::Near);
    near.map(|(_, candidate)| candidate).collect()
}

/// Candidates with their distance, if it is less than the length of either name.
fn ranked<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Vec<(Likeness, &'a str)> {
    let wanted = characters(name);
    let mut ranked: Vec<(usize, usize, &str, Likeness)> = candidates
        .into_iter()
        .filter_map(|candidate| {
            let candidate_characters = characters(candidate);
            let longest = wanted.len().max(candidate_characters.len());
            let mut distance = distance(&wanted, &candidate_characters);
            let mut likeness = Likeness::of(distance, longest);
            // `lora` should find `lora-fa`, and `query` should find
            // `encoder.layer.0.attention.self.query`.
            if wanted.len() >= SHORTEST_PART && contains(&candidate_characters, &wanted) {
                distance = distance.min(1 + longest / 16);
                likeness = Likeness::Near;
            }
            (distance < longest).then_some((distance, candidate.len(), candidate, likeness))
        })
        .collect();
    ranked.sort_unstable_by_key(|&(distance, length, candidate, _)| (distance, length, candidate));
    ranked.dedup_by_key(|&mut (.., candidate, _)| candidate);
    ranked
        .into_iter()
        .map(|(_, _, candidate, likeness)| (likeness, candidate))
        .collect()
}

/// Whether a name may have been a misspelling of another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Likeness {
    /// A part of it, or a few letters away.
    Near,
    /// No more similar to it than an arbitrary name.
    Far,
}

impl Likeness {
    fn of(distance: usize, longest: usize) -> Self {
        // Two letters of five may differ in words that have nothing to do with each other (`serve`
        // and `merge`).
        if distance * 3 <= longest {
            Self::Near
        } else {
            Self::Far
        }
    }
}

/// The end of an error message: `; did you mean 'a', 'b' or 'c'?`, or nothing if no candidate is
/// [`alike`]. The words are the same wherever a name is typed.
pub fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let near: Vec<String> = alike(name, candidates)
        .iter()
        .take(3)
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

/// The number of insertions, deletions, substitutions and swaps of neighbours between two texts,
/// with each place changed once (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut least = (row[j] + usize::from(x != y))
                .min(row[j + 1] + 1)
                .min(next[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                least = least.min(before[j - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_the_textbook_ones() {
        let distance = |a: &str, b: &str| distance(&characters(a), &characters(b));
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("lora", "lora"), 0);
        assert_eq!(distance("lroa", "lora"), 1, "neighbours swapped");
        assert_eq!(distance("ca", "abc"), 3, "each place once");
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
            did_you_mean("progresive", ids),
            "; did you mean 'progressive'?",
            "a name that shares only a few letters was not meant"
        );
        let methods = ["adapter", "bitfit", "dora", "lora", "vera"];
        assert_eq!(did_you_mean("lra", methods), "; did you mean 'lora'?");
        assert_eq!(
            did_you_mean("batch-size", ["eval-batch-size", "batch-size-x"]),
            "; did you mean 'batch-size-x' or 'eval-batch-size'?",
            "a name that contains it may be meant"
        );
        assert_eq!(did_you_mean("lroa", methods), "; did you mean 'lora'?");
        assert_eq!(did_you_mean("elephant", methods), "");
        assert_eq!(did_you_mean("serve", ["merge"]), "", "two letters of five");
        assert_eq!(did_you_mean("x", ["max_length", "next"]), "", "one letter");
        assert_eq!(did_you_mean("cvs", ["csv", "tsv"]), "; did you mean 'csv'?");
        assert_eq!(alike("eval", ["evaluate", "plan"]), ["evaluate"]);
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
