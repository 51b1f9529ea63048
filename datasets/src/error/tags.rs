//! Errors in a sentence of tagged words.

use super::place::Place;
use super::show::printable;

/// A sentence with invalid words or tags.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TagError {
    /// A sentence in which the numbers of tags and words differ.
    #[error(
        "{place}: expected a tag for each word, found {words} words in `{words_column}` and {tags} tags in \
         `{tags_column}`; correct the row",
        words_column = printable(words_column, 60),
        tags_column = printable(tags_column, 60)
    )]
    Counts {
        /// The row.
        place: Place,
        /// The number of words.
        words: usize,
        /// The column of the words.
        words_column: String,
        /// The number of tags.
        tags: usize,
        /// The column of the tags.
        tags_column: String,
    },

    /// A word without a usable tag.
    #[error(
        "{place}: column `{column}`: expected the tag of word {word} to be a name or an id, found {found}; add the tag, \
         such as O",
        column = printable(column, 60)
    )]
    BadTag {
        /// The line of the word, or the row.
        place: Place,
        /// The column of the tags.
        column: String,
        /// The position of the word in the sentence, counted from 1.
        word: usize,
        /// The value found.
        found: String,
    },
}
