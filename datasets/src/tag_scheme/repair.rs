//! Repairs tags that mark where entities begin and end, if they follow another scheme or contradict
//! each other. Called by `tags`, one sentence at a time.
//!
//! A tag is a prefix, a hyphen and a type: `B-` begins an entity, and `I-` continues one. BIOES
//! (BILOU) files also mark an entity's end with `E-` (`L-`), and a single word with `S-` (`U-`). In
//! IOB1 files `B-` occurs only between two adjacent entities of the same type.

use crate::tag_scheme::TagScheme;

/// The treatment of the tags of a file (`--repair-tags`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RepairTags {
    /// Tags are used unchanged, and those that continue nothing are counted.
    #[default]
    Off,
    /// IOB1, BIOES and BILOU are converted to BIO (IOB2); an `I-` that continues nothing becomes
    /// `B-`.
    Bio,
    /// An `I-` that continues nothing becomes `O`.
    Drop,
}

impl RepairTags {
    /// The values and their names in configurations.
    pub const NAMES: &'static [(&'static str, Self)] =
        &[("off", Self::Off), ("bio", Self::Bio), ("drop", Self::Drop)];

    /// The name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Bio => "bio",
            Self::Drop => "drop",
        }
    }
}

/// The findings about the tags of all files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TagFindings {
    /// The number of tags that continue an entity (`I-`, `E-`, `L-`) without a preceding one of
    /// their type.
    pub n_strays: usize,
    /// The first of these tags, with its place.
    pub first_stray: Option<String>,
    /// The number of tags changed.
    pub n_changed: usize,
    /// The number of lines in column files that were comments or not words of their own.
    pub n_left_out: usize,
    /// The scheme of the unmodified tags in the training files, or in the first existing split.
    pub scheme: Option<TagScheme>,
}

/// The findings in one sentence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// The number of stray tags, and the first word that has one.
    pub(crate) n_strays: usize,
    pub(crate) first_stray: usize,
    pub(crate) n_changed: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Begin,
    Inside,
    End,
    Single,
    /// `O`, and any tag that belongs to no scheme.
    Other,
}

/// The meaning of a tag, and its type.
fn read(tag: &str) -> (Part, &str) {
    let mut characters = tag.chars();
    let part = match characters.next() {
        Some('B') => Part::Begin,
        Some('I' | 'M') => Part::Inside,
        Some('E' | 'L') => Part::End,
        Some('S' | 'U') => Part::Single,
        _ => return (Part::Other, ""),
    };
    match (characters.next(), characters.as_str()) {
        (None, rest) | (Some('-'), rest) => (part, rest),
        _ => (Part::Other, ""),
    }
}

/// Whether a tag marks a word as part of an entity.
pub(crate) fn is_part(tag: &str) -> bool {
    read(tag).0 != Part::Other
}

/// Counts the faults in the tags of a sentence, and changes them as requested.
pub(crate) fn repair(tags: &mut [String], how: RepairTags) -> Found {
    let mut found = Found::default();
    // The previous tag, as it was in the file and as it is now.
    let mut before = (Part::Other, String::new());
    let mut before_now = before.clone();
    for (word, tag) in tags.iter_mut().enumerate() {
        let (part, kind) = read(tag);
        let continues = |before: &(Part, String)| {
            matches!(before.0, Part::Begin | Part::Inside) && before.1 == kind
        };
        let is_stray = matches!(part, Part::Inside | Part::End) && !continues(&before);
        if is_stray {
            if found.n_strays == 0 {
                found.first_stray = word;
            }
            found.n_strays += 1;
        }
        let is_loose = matches!(part, Part::Inside | Part::End) && !continues(&before_now);
        let now = match (how, part) {
            (RepairTags::Off, _) | (_, Part::Other) => None,
            (RepairTags::Drop, _) => is_loose.then(|| "O".to_owned()),
            (RepairTags::Bio, Part::Begin | Part::Single) => Some(join('B', kind)),
            (RepairTags::Bio, Part::Inside | Part::End) => {
                Some(join(if is_loose { 'B' } else { 'I' }, kind))
            }
        };
        let read_now = |text: &str| {
            let (part, kind) = read(text);
            (part, kind.to_owned())
        };
        before = (part, kind.to_owned());
        // An entity that ended in the file is not continued, whatever its last tag is now.
        let ended = matches!(part, Part::End | Part::Single);
        before_now = match &now {
            _ if ended => (Part::Other, String::new()),
            Some(now) => read_now(now),
            None => before.clone(),
        };
        if let Some(now) = now.filter(|now| now != tag) {
            *tag = now;
            found.n_changed += 1;
        }
    }
    found
}

fn join(prefix: char, kind: &str) -> String {
    match kind {
        "" => prefix.to_string(),
        kind => format!("{prefix}-{kind}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repaired(tags: &str, how: RepairTags) -> (String, Found) {
        let mut tags: Vec<String> = tags.split(' ').map(str::to_owned).collect();
        let found = repair(&mut tags, how);
        (tags.join(" "), found)
    }

    #[test]
    fn bio_is_made_of_every_scheme() {
        for (given, expected) in [
            // BIO itself
            ("B-a I-a O B-b", "B-a I-a O B-b"),
            // IOB1: the sentence of the CoNLL-2003 paper's kind, and neighbours
            ("I-a I-a O I-b B-b I-b", "B-a I-a O B-b B-b I-b"),
            // BIOES and BILOU
            ("B-a I-a E-a S-a O", "B-a I-a I-a B-a O"),
            ("B-a L-a U-b", "B-a I-a B-b"),
            // Two adjacent entities remain two.
            ("B-a E-a I-a", "B-a I-a B-a"),
            ("S-a I-a", "B-a B-a"),
            // another type
            ("B-a I-b I-b", "B-a B-b I-b"),
            // a scheme without types, and tags of no scheme
            ("I I O S", "B I O B"),
            ("NN IN VB O", "NN IN VB O"),
            ("I-a-b I-a-b I-a", "B-a-b I-a-b B-a"),
        ] {
            assert_eq!(repaired(given, RepairTags::Bio).0, expected, "{given}");
        }
    }

    #[test]
    fn strays_are_counted_and_may_be_dropped() {
        let given = "O I-a I-a B-b I-b E-b I-c";
        let (same, found) = repaired(given, RepairTags::Off);
        assert_eq!(same, given);
        assert_eq!(
            found,
            Found {
                n_strays: 2,
                first_stray: 1,
                n_changed: 0
            }
        );
        let (dropped, found) = repaired(given, RepairTags::Drop);
        assert_eq!(dropped, "O O O B-b I-b E-b O");
        assert_eq!(found.n_changed, 3);
        assert_eq!(repaired("B-a I-a S-b", RepairTags::Off).1, Found::default());
    }
}
