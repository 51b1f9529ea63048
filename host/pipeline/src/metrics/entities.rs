//! The entities in a sentence's tags, as seqeval 1.2.2 reads them. Called by `entity_scores` and by
//! the predictions of tags.

/// An entity in a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entity<'a> {
    /// Its type, which follows the prefix of the tag.
    pub kind: &'a str,
    /// The index of its first word.
    pub start: usize,
    /// The index after its last word.
    pub end: usize,
}

/// The entities according to seqeval's default mode, which is that of `conlleval`. It tolerates
/// tags that contradict each other, and works with several schemes (IOB1, IOB2, BIOES).
pub fn entities<'a>(tags: &[&'a str]) -> Vec<Entity<'a>> {
    let mut found = Vec::new();
    let (mut before, mut kind_before, mut start) = ('O', "", 0);
    for (at, tag) in tags.iter().copied().chain(["O"]).enumerate() {
        let (prefix, kind) = read(tag);
        if ends(before, prefix, kind_before, kind) {
            found.push(Entity {
                kind: kind_before,
                start,
                end: at,
            });
        }
        if starts(before, prefix, kind_before, kind) {
            start = at;
        }
        (before, kind_before) = (prefix, kind);
    }
    found
}

/// Splits a tag into prefix and type. The type follows the first hyphen after the prefix; without a
/// hyphen it is the rest of the tag, or `_` if nothing is left.
fn read(tag: &str) -> (char, &str) {
    let mut characters = tag.chars();
    let prefix = characters.next().unwrap_or('O');
    let rest = characters.as_str();
    let kind = rest.split_once('-').map_or(rest, |(_, kind)| kind);
    (prefix, if kind.is_empty() { "_" } else { kind })
}

/// Whether an entity ends between a word and the next.
fn ends(before: char, now: char, kind_before: &str, kind: &str) -> bool {
    matches!((before, now), ('E' | 'S', _) | ('B' | 'I', 'B' | 'S' | 'O'))
        || (!matches!(before, 'O' | '.') && kind_before != kind)
}

/// Whether an entity starts between a word and the next.
fn starts(before: char, now: char, kind_before: &str, kind: &str) -> bool {
    matches!((before, now), (_, 'B' | 'S') | ('E' | 'S' | 'O', 'E' | 'I'))
        || (!matches!(now, 'O' | '.') && kind_before != kind)
}
