//! Sentences that are typed as text, cut into words in the way of the training sentences. The
//! recipe notes that way, and `predict` follows it.

use progtune_datasets::TaggedSentence;

/// Marks that end a clause or enclose one. In most corpora they are words of their own.
const MARKS: [char; 14] = [
    '.', ',', ';', ':', '!', '?', '(', ')', '[', ']', '{', '}', '"', '…',
];

/// A sentence as it was typed.
///
/// ```
/// use progtune_pipeline::token_classification::raw_text::RawSentence;
///
/// let sentence = RawSentence::cut("Ann (née Lee) left.", true);
/// assert_eq!(sentence.words, ["Ann", "(", "née", "Lee", ")", "left", "."]);
/// assert_eq!(sentence.offsets[2], (5, 8));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawSentence {
    /// The text.
    pub text: String,
    /// Its words.
    pub words: Vec<String>,
    /// The first code point of each word in the text, and the one after its last.
    pub offsets: Vec<(usize, usize)>,
}

impl RawSentence {
    /// Cuts a text at spaces. If `punctuation_is_apart`, marks before and after a word become
    /// words; those within it (`e.g.`, `3.14`, `don't`) do not.
    pub fn cut(text: &str, punctuation_is_apart: bool) -> Self {
        let mut sentence = Self {
            text: text.to_owned(),
            words: Vec::new(),
            offsets: Vec::new(),
        };
        let characters: Vec<char> = text.chars().collect();
        let mut start = 0;
        while start < characters.len() {
            if characters[start].is_whitespace() {
                start += 1;
                continue;
            }
            let length = characters[start..]
                .iter()
                .take_while(|c| !c.is_whitespace());
            let end = start + length.count();
            if punctuation_is_apart {
                sentence.add_parts(&characters, start, end);
            } else {
                sentence.add(&characters, start, end);
            }
            start = end;
        }
        sentence
    }

    /// The sentence as a tagger reads it.
    pub fn untagged(&self) -> TaggedSentence {
        TaggedSentence {
            words: self.words.clone(),
            tags: None,
        }
    }

    /// The text from the first of some words to the last of them.
    pub fn part(&self, words: std::ops::Range<usize>) -> String {
        let ends = self.offsets.get(words.start).zip(
            words
                .end
                .checked_sub(1)
                .and_then(|last| self.offsets.get(last)),
        );
        let Some((&(start, _), &(_, end))) = ends else {
            return String::new();
        };
        self.text.chars().skip(start).take(end - start).collect()
    }

    fn add(&mut self, characters: &[char], start: usize, end: usize) {
        if start < end {
            self.words.push(characters[start..end].iter().collect());
            self.offsets.push((start, end));
        }
    }

    /// Adds what stands between two spaces: leading marks, the word, trailing marks.
    fn add_parts(&mut self, characters: &[char], start: usize, end: usize) {
        let is_mark = |at: &usize| MARKS.contains(&characters[*at]);
        let first = (start..end).find(|at| !is_mark(at)).unwrap_or(end);
        let mut last = (first..end)
            .rev()
            .find(|at| !is_mark(at))
            .map_or(first, |at| at + 1);
        let word = &characters[first..last];
        // The point belongs to an abbreviation with points inside: `U.S.`, `e.g.`
        let ends_with_point = characters.get(last) == Some(&'.') && last < end;
        if ends_with_point && is_abbreviation(word) {
            last += 1;
        }
        let marks = |from: usize, to: usize| {
            // Three points are one mark.
            let mut parts = Vec::new();
            let mut at = from;
            while at < to {
                let same = characters[at..to]
                    .iter()
                    .take_while(|c| **c == '.' && characters[at] == '.');
                let next = at + same.count().max(1);
                parts.push((at, next));
                at = next;
            }
            parts
        };
        for (from, to) in marks(start, first) {
            self.add(characters, from, to);
        }
        self.add(characters, first, last);
        for (from, to) in marks(last, end) {
            self.add(characters, from, to);
        }
    }
}

/// Whether a word consists of single letters with points between them.
fn is_abbreviation(word: &[char]) -> bool {
    let mut parts = word.split(|&c| c == '.');
    word.contains(&'.') && parts.all(|part| matches!(part, [c] if c.is_alphabetic()))
}

/// Whether punctuation marks are words of their own in these training words, rather than parts of
/// the words before them. Without any mark, they are taken to be apart, as in most corpora.
pub fn is_punctuation_apart<'a>(words: impl Iterator<Item = &'a str>) -> bool {
    let (mut apart, mut attached) = (0_usize, 0_usize);
    for word in words {
        let all_marks = word.chars().all(|c| MARKS.contains(&c));
        // A final point may also be that of an abbreviation.
        let ends_in_mark = word.ends_with([',', ';', ':', '!', '?', ')']);
        apart += usize::from(all_marks);
        attached += usize::from(!all_marks && ends_in_mark);
    }
    apart >= attached
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn cut(text: &str, apart: bool, expected: &[&str]) {
        let sentence = RawSentence::cut(text, apart);
        assert_eq!(sentence.words, expected, "{text}");
        for (word, &(start, end)) in sentence.words.iter().zip(&sentence.offsets) {
            let part: String = text.chars().skip(start).take(end - start).collect();
            assert_eq!(part, *word, "{text}");
        }
    }

    #[test]
    fn marks_at_the_ends_of_words_are_words() {
        cut(
            "Angela Merkel, 63, visited Paris.",
            true,
            &["Angela", "Merkel", ",", "63", ",", "visited", "Paris", "."],
        );
        cut("(\"né\")", true, &["(", "\"", "né", "\"", ")"]);
        cut(
            "the U.S. rate is 3.14, e.g. now...",
            true,
            &[
                "the", "U.S.", "rate", "is", "3.14", ",", "e.g.", "now", "...",
            ],
        );
        cut("don't  stop\t!", true, &["don't", "stop", "!"]);
        cut("?! ", true, &["?", "!"]);
        cut("", true, &[]);
        cut("Paris, now.", false, &["Paris,", "now."]);
    }

    #[test]
    fn a_part_is_the_text_itself() {
        let sentence = RawSentence::cut("Où est  l'Île-de-France?", true);
        assert_eq!(sentence.part(1..3), "est  l'Île-de-France");
        assert_eq!(sentence.part(0..0), "");
        assert_eq!(sentence.untagged().words.len(), 4);
    }

    #[test]
    fn training_words_tell_their_way() {
        let words = |text: &'static str| text.split(' ');
        assert!(is_punctuation_apart(words("Paris , Rome .")));
        assert!(!is_punctuation_apart(words(
            "Paris, Rome, and so on. - yes!"
        )));
        assert!(is_punctuation_apart(words("no marks")));
    }
}
