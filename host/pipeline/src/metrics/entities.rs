//! Which words of a sentence make an entity, by the tags, as seqeval 1.2.2 reads them. Called by `entity_scores` and by
//! the predictions of tags.

/// An entity of a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entity<'a> {
    /// Its type: what follows the prefix.
    pub kind: &'a str,
    /// Its first word.
    pub start: usize,
    /// The word after its last one.
    pub end: usize,
}

/// The entities of seqeval's default mode, which is that of `conlleval`: forgiving about tags that contradict each other,
/// and about the scheme (IOB1, IOB2, BIOES).
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

/// The prefix of a tag, and its type: what follows the first hyphen after the prefix, else all after the prefix, else `_`.
fn read(tag: &str) -> (char, &str) {
    let mut characters = tag.chars();
    let prefix = characters.next().unwrap_or('O');
    let rest = characters.as_str();
    let kind = rest.split_once('-').map_or(rest, |(_, kind)| kind);
    (prefix, if kind.is_empty() { "_" } else { kind })
}

/// Whether an entity ended between a word and the next.
fn ends(before: char, now: char, kind_before: &str, kind: &str) -> bool {
    matches!((before, now), ('E' | 'S', _) | ('B' | 'I', 'B' | 'S' | 'O'))
        || (!matches!(before, 'O' | '.') && kind_before != kind)
}

/// Whether an entity started between a word and the next.
fn starts(before: char, now: char, kind_before: &str, kind: &str) -> bool {
    matches!((before, now), (_, 'B' | 'S') | ('E' | 'S' | 'O', 'E' | 'I'))
        || (!matches!(now, 'O' | '.') && kind_before != kind)
}
