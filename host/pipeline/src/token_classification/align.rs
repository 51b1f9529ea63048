//! Turns sentences with tags into tokenised examples, like Hugging Face's `run_ner`. A word's tag
//! belongs to its first token; other tokens have none. Words beyond the maximum length, and words
//! for which the tokenizer produces no token, are left out. Called by the recipe, `evaluate`,
//! `predict` and `data inspect`.

use crate::tokenizer::Tokenizer;
use progtune_datasets::TaggedSentence;
use progtune_engine::{EncodedExample, Result, Target};
use progtune_process::Phase;

/// A tokenised sentence.
#[derive(Debug, Clone, PartialEq)]
pub struct AlignedSentence {
    /// Its tokens; the target contains the tags, if they are known.
    pub example: EncodedExample,
    /// The first token of each word; `None` for a word that was left out.
    pub first_tokens: Vec<Option<usize>>,
}

/// Tokenises sentences.
///
/// # Errors
/// Fails if the tokenizer refuses a sentence, or the maximum length is too short.
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

/// Counts of words, of words that were left out, and of the sentences that contain these.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Number of words.
    pub n_words: usize,
    /// Number of words without a token.
    pub n_left_out: usize,
    /// Number of sentences with such words.
    pub n_sentences: usize,
}

impl Coverage {
    /// Counts the words of sentences.
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

    /// A note about the words left out; `None` if there are none.
    pub fn note(&self, split: &str, max_length: usize) -> Option<String> {
        (self.n_left_out > 0).then(|| {
            let sentences = match self.n_sentences {
                1 => "1 sentence".to_owned(),
                n => format!("{n} sentences"),
            };
            format!(
                "{split}: words left out: {} of {}, in {sentences}; they are beyond --max-length {max_length} (raise it to \
                 keep them), or the tokenizer produces no token for them",
                self.n_left_out, self.n_words
            )
        })
    }
}
