//! Tagging schemes that mark where entities begin and end, as defined by seqeval 1.2.2
//! (`seqeval.scheme`). Detects the scheme of given tags, and finds the entities of a sentence in a
//! scheme. Called by `tags`, and by the host's entity scores.
//!
//! A scheme consists of lists of patterns over a word's tag and the previous one. The first list
//! says where an entity begins, the second what continues it. An entity ends before the first word
//! that does not continue it, and counts only if a third list allows it to end there.

pub(crate) mod repair;

/// A scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TagScheme {
    /// `B-` only between two adjacent entities of the same type (CoNLL-2003 as published).
    Iob1,
    /// `B-` at every beginning (BIO).
    Iob2,
    /// `E-` at every end.
    Ioe2,
    /// IOB2 with `E-` at the ends and `S-` for single words (BIOES, IOBES).
    Iobes,
    /// The same with `L-` and `U-`.
    Bilou,
}

/// An entity of a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TagSpan<'a> {
    /// Its type: the part after the prefix, without hyphens at its ends; `_` if there is none.
    pub kind: &'a str,
    /// Its first word.
    pub start: usize,
    /// The word after its last one.
    pub end: usize,
}

/// The requirements for two adjacent tags: prefixes, prefixes, and whether their types are equal
/// (`None`: either).
type Pattern = (&'static str, &'static str, Option<bool>);

const ANY: &str = "IOBESUL";
const SAME: Option<bool> = Some(true);
const DIFFERENT: Option<bool> = Some(false);

/// The prefixes, and the patterns of starts, continuations and ends of entities.
struct Rules {
    prefixes: &'static str,
    start: &'static [Pattern],
    inside: &'static [Pattern],
    end: &'static [Pattern],
}

/// `seqeval.scheme.IOB1`.
const IOB1: Rules = Rules {
    prefixes: "IOB",
    start: &[
        ("O", "I", None),
        ("I", "I", DIFFERENT),
        ("B", "I", None),
        ("I", "B", SAME),
        ("B", "B", SAME),
    ],
    inside: &[("B", "I", SAME), ("I", "I", SAME)],
    end: &[
        ("I", "I", DIFFERENT),
        ("I", "O", None),
        ("I", "B", None),
        ("B", "O", None),
        ("B", "I", DIFFERENT),
        ("B", "B", SAME),
    ],
};

/// `seqeval.scheme.IOB2`.
const IOB2: Rules = Rules {
    prefixes: "IOB",
    start: &[(ANY, "B", None)],
    inside: &[("B", "I", SAME), ("I", "I", SAME)],
    end: &[
        ("I", "O", None),
        ("I", "I", DIFFERENT),
        ("I", "B", None),
        ("B", "O", None),
        ("B", "I", DIFFERENT),
        ("B", "B", None),
    ],
};

/// `seqeval.scheme.IOE2`.
const IOE2: Rules = Rules {
    prefixes: "IOE",
    start: &[
        ("O", "I", None),
        ("O", "E", None),
        ("E", "I", None),
        ("E", "E", None),
        ("I", "I", DIFFERENT),
        ("I", "E", DIFFERENT),
    ],
    inside: &[("I", "E", SAME), ("I", "I", SAME)],
    end: &[("E", ANY, None)],
};

/// `seqeval.scheme.IOBES`.
const IOBES: Rules = Rules {
    prefixes: "IOBES",
    start: &[(ANY, "B", None), (ANY, "S", None)],
    inside: &[("BI", "IE", SAME)],
    end: &[("SE", ANY, None)],
};

/// `seqeval.scheme.BILOU`.
const BILOU: Rules = Rules {
    prefixes: "IOBLU",
    start: &[(ANY, "B", None), (ANY, "U", None)],
    inside: &[("BI", "IL", SAME)],
    end: &[("UL", ANY, None)],
};

impl TagScheme {
    /// Every scheme, in the order of [`TagScheme`].
    pub const ALL: [Self; 5] = [Self::Iob1, Self::Iob2, Self::Ioe2, Self::Iobes, Self::Bilou];

    /// The name that seqeval gives it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Iob1 => "IOB1",
            Self::Iob2 => "IOB2",
            Self::Ioe2 => "IOE2",
            Self::Iobes => "IOBES",
            Self::Bilou => "BILOU",
        }
    }

    fn rules(self) -> &'static Rules {
        match self {
            Self::Iob1 => &IOB1,
            Self::Iob2 => &IOB2,
            Self::Ioe2 => &IOE2,
            Self::Iobes => &IOBES,
            Self::Bilou => &BILOU,
        }
    }

    /// The entities of a sentence in seqeval's strict mode; `None` if a tag does not belong to the
    /// scheme.
    pub fn entities<'a>(self, tags: &[&'a str]) -> Option<Vec<TagSpan<'a>>> {
        let rules = self.rules();
        let mut read = Vec::with_capacity(tags.len() + 1);
        for tag in tags {
            let (prefix, kind) = split(tag)?;
            rules.prefixes.contains(prefix).then_some(())?;
            read.push((prefix, kind));
        }
        read.push(OUTSIDE);
        let mut found = Vec::new();
        let (mut at, mut before) = (0, OUTSIDE);
        while at < read.len() {
            let start = at;
            at += 1;
            if matches(rules.start, before, read[start]) {
                while at < read.len() && matches(rules.inside, read[at - 1], read[at]) {
                    at += 1;
                }
                if at < read.len() && matches(rules.end, read[at - 1], read[at]) {
                    let kind = read[start].1;
                    found.push(TagSpan {
                        kind,
                        start,
                        end: at,
                    });
                }
            }
            before = read[at - 1];
        }
        Some(found)
    }
}

/// The tag of a word that is not part of an entity.
const OUTSIDE: (char, &str) = ('O', "_");

/// The prefix of a tag and its type; `None` for a tag with any other beginning.
fn split(tag: &str) -> Option<(char, &str)> {
    let prefix = tag.chars().next().filter(|prefix| ANY.contains(*prefix))?;
    let kind = tag[1..].trim_matches('-');
    Some((prefix, if kind.is_empty() { "_" } else { kind }))
}

fn matches(patterns: &[Pattern], before: (char, &str), now: (char, &str)) -> bool {
    patterns.iter().any(|&(first, second, same)| {
        let is_type = same.is_none_or(|same| same == (before.1 == now.1));
        first.contains(before.0) && second.contains(now.0) && is_type
    })
}

/// The evidence about the scheme, collected from the tags of many sentences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SchemeEvidence {
    prefixes: [bool; ANY.len()],
    /// Whether some tag begins with another letter.
    has_others: bool,
    /// Whether a `B-` does not follow a word of its type, so that IOB1 would have used `I-`.
    has_needless_begin: bool,
    /// Whether an `I-` does not follow a word of its type, so that IOB2 would have used `B-`.
    has_stray_inside: bool,
}

impl SchemeEvidence {
    /// Adds the tags of a sentence.
    pub fn add<'a>(&mut self, tags: impl IntoIterator<Item = &'a str>) {
        let mut before = OUTSIDE;
        for tag in tags {
            let Some(now) = split(tag) else {
                self.has_others = true;
                before = OUTSIDE;
                continue;
            };
            let place = ANY.find(now.0).unwrap_or_default();
            self.prefixes[place] = true;
            let follows = matches!(before.0, 'B' | 'I') && before.1 == now.1;
            self.has_needless_begin |= now.0 == 'B' && !follows;
            self.has_stray_inside |= now.0 == 'I' && !follows;
            before = now;
        }
    }

    /// The scheme, by the rules of seqeval's `auto_detect`, which does not know IOB1. Tags of `I`,
    /// `O` and `B` are IOB1 if an entity begins with `I-` and no `B-` contradicts IOB1. `None` for
    /// parts of speech and the like, and for tags that mix schemes.
    pub fn scheme(&self) -> Option<TagScheme> {
        let has = |prefix: char| ANY.find(prefix).is_some_and(|place| self.prefixes[place]);
        let only = |allowed: &str| {
            ANY.chars()
                .all(|prefix| !has(prefix) || allowed.contains(prefix))
        };
        let is_iob1 = has('I') && self.has_stray_inside && !self.has_needless_begin;
        if self.has_others {
            None
        } else if only("IOB") && is_iob1 {
            Some(TagScheme::Iob1)
        } else if only("IOB") && has('B') {
            Some(TagScheme::Iob2)
        } else if only("IOE") && has('E') {
            Some(TagScheme::Ioe2)
        } else if only("IOBES") && has('B') && has('E') || only("OS") && has('S') {
            Some(TagScheme::Iobes)
        } else if only("IOBLU") && has('B') && has('L') || only("OU") && has('U') {
            Some(TagScheme::Bilou)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(sentences: &[&str]) -> Option<TagScheme> {
        let mut evidence = SchemeEvidence::default();
        for sentence in sentences {
            evidence.add(sentence.split(' '));
        }
        evidence.scheme()
    }

    #[test]
    fn a_scheme_is_told_by_its_prefixes() {
        for (sentences, expected) in [
            (&["O B-a I-a", "B-b O"][..], Some(TagScheme::Iob2)),
            // Strays do not turn tags that begin entities with `B-` into IOB1.
            (&["O B-a I-b"], Some(TagScheme::Iob2)),
            (&["O I-a B-a I-a O I-b"], Some(TagScheme::Iob1)),
            (&["O I-a I-a", "I-b"], Some(TagScheme::Iob1)),
            (&["I-a E-a O E-b"], Some(TagScheme::Ioe2)),
            (&["B-a I-a E-a S-a O"], Some(TagScheme::Iobes)),
            (&["S-a O"], Some(TagScheme::Iobes)),
            (&["B-a I-a L-a U-a O"], Some(TagScheme::Bilou)),
            (&["U-a O"], Some(TagScheme::Bilou)),
            (&["O O"], None),
            (&["NN VB O"], None),
            (&["B-a E-a L-a U-a"], None),
        ] {
            assert_eq!(of(sentences), expected, "{sentences:?}");
        }
    }

    #[test]
    fn neighbours_are_two_entities_where_the_scheme_says_so() {
        let spans = |scheme: TagScheme, tags: &str| {
            let tags: Vec<&str> = tags.split(' ').collect();
            let found = scheme.entities(&tags)?;
            Some(
                found
                    .iter()
                    .map(|span| (span.start, span.end))
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(
            spans(TagScheme::Bilou, "U-a U-a B-a L-a"),
            Some(vec![(0, 1), (1, 2), (2, 4)])
        );
        assert_eq!(
            spans(TagScheme::Iob1, "I-a B-a I-a O I-a"),
            Some(vec![(0, 1), (1, 3), (4, 5)])
        );
        assert_eq!(spans(TagScheme::Iobes, "B-a I-a O S-a"), Some(vec![(3, 4)]));
        assert_eq!(spans(TagScheme::Iob2, "B-a E-a"), None);
    }
}
