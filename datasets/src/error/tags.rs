//! What can be wrong with a sentence whose words have tags.

use super::place::Place;
use super::show::printable;

/// A sentence that is not as it should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TagError {
    /// A sentence with another number of tags than of words.
    #[error(
        "{place}: expected a tag for each word, found {words} words in `{words_column}` and {tags} tags in \
         `{tags_column}`; correct the row",
        words_column = printable(words_column, 60),
        tags_column = printable(tags_column, 60)
    )]
    Counts {
        /// The row.
        place: Place,
        /// Its words.
        words: usize,
        /// Their column.
        words_column: String,
        /// Its tags.
        tags: usize,
        /// Their column.
        tags_column: String,
    },

    /// A word whose tag is none.
    #[error(
        "{place}: column `{column}`: expected the tag of word {word} to be a name or an id, found {found}; add the tag, \
         such as O",
        column = printable(column, 60)
    )]
    BadTag {
        /// The word's line, or its row.
        place: Place,
        /// The column of the tags.
        column: String,
        /// Which word of the sentence, from 1.
        word: usize,
        /// What is there.
        found: String,
    },
}
