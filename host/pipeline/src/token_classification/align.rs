//! From sentences with tags to tokenised examples, as Hugging Face's `run_ner` makes them: a word's tag is its first token's, no
//! other token has one. Words beyond the longest input, and words that the tokenizer makes nothing of, take no part.
//! Called by the recipe, `evaluate`, `predict` and `data inspect`.

use crate::tokenizer::Tokenizer;
use progtune_datasets::TaggedSentence;
use progtune_engine::{
    batch::{EncodedExample, Target},
    error::Result,
};
use progtune_process::phase::Phase;

/// A tokenised sentence.
#[derive(Debug, Clone, PartialEq)]
pub struct AlignedSentence {
    /// Its tokens; the target has the tags, where they are known.
    pub example: EncodedExample,
    /// The first token of each word; `None` for a word that takes no part.
    pub first_tokens: Vec<Option<usize>>,
}

/// Tokenises sentences.
///
/// # Errors
/// When the tokenizer refuses one, or the longest input is too short.
pub fn align(tokenizer: &Tokenizer, sentences: &[TaggedSentence]) -> Result<Vec<AlignedSentence>> {
    let phase = Phase::begin("tokenize", "tokenising sentences", "", None);
    let encoded = tokenizer.encode_words(sentences)?;
    phase.finish();
    let aligned = sentences.iter().zip(encoded);
    Ok(aligned
        .map(|(sentence, (mut example, words))| {
            let mut first_tokens = vec![None; sentence.words.len()];
            for (token, word) in words.iter().enumerate() {
                if let Some(first) = word.and_then(|word| first_tokens.get_mut(word as usize)) {
                    first.get_or_insert(token);
                }
            }
            example.target = sentence.tags.as_ref().map(|tags| {
                let mut of_tokens = vec![None; example.input_ids.len()];
                for (first, tag) in first_tokens.iter().zip(tags) {
                    if let Some(first) = first {
                        of_tokens[*first] = Some(*tag);
                    }
                }
                Target::Tags(of_tokens)
            });
            AlignedSentence {
                example,
                first_tokens,
            }
        })
        .collect())
}

/// The words of sentences, those of them that take no part, and the sentences these are in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Coverage {
    /// All words.
    pub n_words: usize,
    /// Words without a token.
    pub n_left_out: usize,
    /// Sentences that have such.
    pub n_sentences: usize,
}

impl Coverage {
    /// Counts.
    pub fn of(sentences: &[AlignedSentence]) -> Self {
        let mut coverage = Self::default();
        for sentence in sentences {
            let left_out = sentence.first_tokens.iter().filter(|first| first.is_none());
            let n_left_out = left_out.count();
            coverage.n_words += sentence.first_tokens.len();
            coverage.n_left_out += n_left_out;
            coverage.n_sentences += usize::from(n_left_out > 0);
        }
        coverage
    }

    /// What to tell of it; `None` if every word takes part.
    pub fn note(&self, split: &str, max_length: usize) -> Option<String> {
        (self.n_left_out > 0).then(|| {
            format!(
                "{split}: {} of {} words, in {} sentences, take no part: they are beyond --max-length {max_length}, or the \
                 tokenizer makes nothing of them",
                self.n_left_out, self.n_words, self.n_sentences
            )
        })
    }
}
