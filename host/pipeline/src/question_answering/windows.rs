//! Turns questions into the model's inputs. A context that is too long for one input is split into
//! windows, which overlap by `doc_stride` tokens and each contain the whole question. Called when
//! data is loaded for training, evaluation and prediction.
//!
//! This follows Hugging Face's `prepare_train_features` and `prepare_validation_features`
//! (`run_qa.py`). The question loses its leading white space, only the context is truncated, and
//! offsets count code points. The target of a window without the answer is its first token, and so
//! is that of a question without one. One thing differs, for an answer that begins in a window's
//! last token of context. There, `run_qa.py` runs past that token and puts the start of the answer
//! at the end of the input. Here the target is that token.

use crate::tokenizer::Tokenizer;
use progtune_datasets::{Answer, Question};
use progtune_engine::{EncodedExample, Error, Result, Target};
use tokenizers::{Encoding, PostProcessor, TruncationParams, TruncationStrategy};

/// The number of questions tokenised at once. It is enough for all threads, and small enough for
/// the library's output, which is many times the size of the result.
const CHUNK: usize = 1024;

/// The map from a window's tokens to the context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowMap {
    /// The index of the question.
    pub question: u32,
    /// For each token of the input, the start and exclusive end of its part of the context in code
    /// points; `None` outside the context.
    pub offsets: Vec<Option<(u32, u32)>>,
}

/// The inputs made from questions; those of one question are consecutive.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Windows {
    /// The tokens, with the answer's tokens as target if the answer is known ([`Target::Span`]).
    pub examples: Vec<EncodedExample>,
    /// The map of each example.
    pub maps: Vec<WindowMap>,
}

/// Splits questions into windows, on all threads.
///
/// # Errors
/// Fails like `each_window`.
pub fn make_windows(
    tokenizer: &Tokenizer,
    questions: &[Question],
    doc_stride: usize,
) -> Result<Windows> {
    let mut windows = Windows::default();
    each_window(tokenizer, questions, doc_stride, &mut |example, map| {
        windows.examples.push(example);
        windows.maps.push(map);
        Ok(())
    })?;
    Ok(windows)
}

/// Passes every window of the questions to `take`, in order.
///
/// # Errors
/// Fails if a question leaves less room in an input than windows need to advance, or if the
/// tokenizer or `take` fails.
pub(crate) fn each_window(
    tokenizer: &Tokenizer,
    questions: &[Question],
    doc_stride: usize,
    take: &mut dyn FnMut(EncodedExample, WindowMap) -> Result<()>,
) -> Result<()> {
    let cutter = Cutter::new(tokenizer, doc_stride)?;
    for (chunk, number) in questions.chunks(CHUNK).zip((0..).step_by(CHUNK)) {
        let encodings = cutter.cut(chunk)?;
        for ((encoding, question), number) in encodings.iter().zip(chunk).zip(number..) {
            for window in std::iter::once(encoding).chain(encoding.get_overflowing()) {
                tokenizer.check(window)?;
                let (example, map) = cutter.read(window, question, number);
                take(example, map)?;
            }
        }
    }
    Ok(())
}

/// Splits questions into windows with the library's tokenizer.
struct Cutter<'a> {
    tokenizer: &'a Tokenizer,
    doc_stride: usize,
    /// The library's tokenizer without truncation, which counts the tokens of questions.
    counting: tokenizers::Tokenizer,
    /// The library's tokenizer with truncation of the context.
    cutting: tokenizers::Tokenizer,
    /// Number of special tokens in a window.
    special: usize,
    /// Whether the context precedes the question.
    context_first: bool,
}

impl<'a> Cutter<'a> {
    /// Prepares the library's tokenizer for windows that overlap by `doc_stride` tokens.
    ///
    /// # Errors
    /// Fails if no context fits into an input together with a question of one token.
    fn new(tokenizer: &'a Tokenizer, doc_stride: usize) -> Result<Self> {
        let library = tokenizer.inner()?;
        let max_length = tokenizer.max_length();
        let mut counting = library.clone();
        let mut cutting = library.clone();
        // Like `run_qa.py`: a tokenizer that pads on the left takes the context first.
        let context_first = tokenizer.pads_left()?;
        let truncation = TruncationParams {
            max_length,
            strategy: if context_first {
                TruncationStrategy::OnlyFirst
            } else {
                TruncationStrategy::OnlySecond
            },
            stride: doc_stride,
            direction: tokenizer.truncation_direction()?,
        };
        let failed = |e: Box<dyn std::error::Error + Send + Sync>| tokenizer.failure(&*e);
        counting.with_truncation(None).map_err(failed)?;
        let special = library
            .get_post_processor()
            .map_or(0, |processor| processor.added_tokens(true));
        // The library panics at a stride that no window can have.
        if max_length <= special + doc_stride + 1 {
            return Err(Error::Usage(format!(
                "--doc-stride {doc_stride}: expected less than the room for a context in the longest input: with \
                 --max-length {max_length} and {special} special tokens, at most {} for a question of one token; choose a \
                 smaller one, or a larger --max-length",
                max_length.saturating_sub(special + 2)
            )));
        }
        cutting.with_truncation(Some(truncation)).map_err(failed)?;
        Ok(Self {
            tokenizer,
            doc_stride,
            counting,
            cutting,
            special,
            context_first,
        })
    }

    /// Encodes the first window of each question; the others are its overflowing encodings.
    ///
    /// # Errors
    /// Fails if a question is too long, or the library fails.
    fn cut(&self, questions: &[Question]) -> Result<Vec<Encoding>> {
        let texts: Vec<&str> = questions.iter().map(|q| strip_left(&q.question)).collect();
        let count = || self.counting.encode_batch_fast(texts.clone(), false);
        let counted = self.tokenizer.run(count)?;
        self.check_room(questions, &counted)?;
        let pairs: Vec<(&str, &str)> = texts
            .into_iter()
            .zip(questions.iter().map(|q| &*q.context))
            .map(|(question, context)| {
                if self.context_first {
                    (context, question)
                } else {
                    (question, context)
                }
            })
            .collect();
        let cut = || self.cutting.encode_batch_char_offsets(pairs, true);
        self.tokenizer.run(cut)
    }

    /// Checks that each question leaves enough room for a context.
    fn check_room(&self, questions: &[Question], counted: &[Encoding]) -> Result<()> {
        let max_length = self.tokenizer.max_length();
        for (question, tokens) in questions.iter().zip(counted.iter().map(Encoding::len)) {
            if max_length.saturating_sub(self.special + tokens) <= self.doc_stride {
                return Err(too_long(question, tokens, max_length, self.doc_stride));
            }
        }
        Ok(())
    }

    /// Reads a window of the question with this number.
    fn read(
        &self,
        window: &Encoding,
        question: &Question,
        number: u32,
    ) -> (EncodedExample, WindowMap) {
        let context_at = if self.context_first { 0 } else { 1 };
        let offsets = window.get_offsets().iter();
        let offsets: Vec<Option<(u32, u32)>> = offsets
            .zip(window.get_sequence_ids())
            .map(|(&(start, end), sequence)| {
                (sequence == Some(context_at)).then_some((start as u32, end as u32))
            })
            .collect();
        let target = question.answers.as_ref().map(|answers| {
            let span = answers.first().and_then(|answer| span_of(&offsets, answer));
            Target::Span(span.unwrap_or([0, 0]))
        });
        let example = EncodedExample {
            input_ids: window.get_ids().to_vec(),
            token_type_ids: self.tokenizer.token_type_ids(window),
            target,
        };
        let map = WindowMap {
            question: number,
            offsets,
        };
        (example, map)
    }
}

/// The first and last token of an answer; `None` if the window does not contain all of it.
fn span_of(offsets: &[Option<(u32, u32)>], answer: &Answer) -> Option<[u32; 2]> {
    let start = answer.start as u32;
    let end = start + answer.text.chars().count() as u32;
    let mut context = offsets
        .iter()
        .enumerate()
        .filter_map(|(at, part)| Some((at, (*part)?)));
    let first = context.next()?;
    let last = context.next_back().unwrap_or(first);
    if first.1.0 > start || last.1.1 < end {
        return None;
    }
    let context = || {
        offsets
            .iter()
            .enumerate()
            .filter_map(|(at, part)| Some((at, (*part)?)))
    };
    // The last token that begins at or before the answer's start, counted from the first that does;
    // likewise for its end.
    let begins = context().take_while(|(_, part)| part.0 <= start).last();
    let ends = context().rev().take_while(|(_, part)| part.1 >= end).last();
    Some([begins?.0 as u32, ends?.0 as u32])
}

/// Removes leading white space like Python's `lstrip`; some questions of SQuAD begin with a
/// thousand spaces.
fn strip_left(question: &str) -> &str {
    question.trim_start_matches(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c))
}

fn too_long(question: &Question, tokens: usize, max_length: usize, doc_stride: usize) -> Error {
    Error::Usage(format!(
        "question `{}`: it has {tokens} tokens, so an input of --max-length {max_length} has no room for it and for more \
         than --doc-stride {doc_stride} tokens of the context; raise --max-length, lower --doc-stride, or shorten the \
         question",
        question.id
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(start: usize, text: &str) -> Answer {
        Answer {
            text: text.to_owned(),
            start,
        }
    }

    /// `[CLS] q [SEP] The cat – sat [SEP]`, from code point 10 on.
    const OFFSETS: [Option<(u32, u32)>; 8] = [
        None,
        None,
        None,
        Some((10, 13)),
        Some((14, 17)),
        Some((18, 19)),
        Some((20, 23)),
        None,
    ];

    #[test]
    fn an_answer_is_the_tokens_that_hold_it() {
        let span = |start, text| span_of(&OFFSETS, &answer(start, text));
        assert_eq!(span(14, "cat"), Some([4, 4]));
        assert_eq!(span(14, "cat – sat"), Some([4, 6]));
        assert_eq!(span(15, "at"), Some([4, 4]), "inside a token");
        assert_eq!(span(20, "sat"), Some([6, 6]), "the last token");
        assert_eq!(span(10, "The"), Some([3, 3]), "the first token");
        assert_eq!(span(9, " The"), None, "begins before the window");
        assert_eq!(span(20, "sat on"), None, "ends behind the window");
        assert_eq!(span_of(&[None, None], &answer(0, "a")), None);
    }

    #[test]
    fn questions_lose_white_space_on_the_left() {
        assert_eq!(strip_left(" \u{a0}\u{1c}\tWho? "), "Who? ");
    }
}
