//! From questions to the model's inputs. A context that is too long for one input is cut into several, which overlap by
//! `doc_stride` tokens; each has the whole question. Called by the loading of data for training, evaluation and prediction.
//!
//! As Hugging Face's `prepare_train_features` and `prepare_validation_features` (`run_qa.py`): the question loses its white
//! space on the left, only the context is cut, offsets count code points, and a window without the answer (or of a question
//! that has none) is to point at its first token. One thing differs: where an answer begins in a window's last token of
//! context, `run_qa.py` runs past it and has the start of the answer at the end of the input; here it is that token.

use crate::tokenizer::Tokenizer;
use progtune_datasets::{Answer, Question};
use progtune_engine::{
    batch::{EncodedExample, Target},
    error::{Error, Result},
};
use tokenizers::{Encoding, PostProcessor, TruncationParams, TruncationStrategy};

/// Questions that are tokenised at a time: enough for all threads, and few enough that what the library makes of them, many
/// times the size of what is kept, stays small.
const CHUNK: usize = 1024;

/// Which part of which context a window's tokens stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowMap {
    /// The question, as an index.
    pub question: u32,
    /// Of each token of the input, the code points of the context that it stands for, from and to; `None` outside the context.
    pub offsets: Vec<Option<(u32, u32)>>,
}

/// The inputs that questions make, a question's own one after the other.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Windows {
    /// Tokens, and where answers are known the tokens of the first one ([`Target::Span`]).
    pub examples: Vec<EncodedExample>,
    /// What they stand for, one an example.
    pub maps: Vec<WindowMap>,
}

/// Cuts questions into windows, on all threads.
///
/// # Errors
/// As [`each_window`].
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

/// Hands every window of questions on, in order.
///
/// # Errors
/// A question leaves so little of the longest input that windows would not get on, the tokenizer fails, or `take` does.
pub fn each_window(
    tokenizer: &Tokenizer,
    questions: &[Question],
    doc_stride: usize,
    take: &mut dyn FnMut(EncodedExample, WindowMap) -> Result<()>,
) -> Result<()> {
    let library = tokenizer.inner()?;
    let max_length = tokenizer.max_length();
    let mut counting = library.clone();
    let mut cutting = library.clone();
    // As `run_qa.py` has it: a tokenizer that pads on the left takes the context first.
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
    let least_room = doc_stride + 1;
    if max_length <= special + least_room {
        return Err(Error::Usage(format!(
            "--doc-stride {doc_stride}: expected less than what the longest input has for a context: with --max-length \
             {max_length} and {special} special tokens, at most {} for a question of one token; give a smaller one, or a \
             larger --max-length",
            max_length.saturating_sub(special + 2)
        )));
    }
    cutting.with_truncation(Some(truncation)).map_err(failed)?;
    let context_at = if context_first { 0 } else { 1 };
    for (chunk, number) in questions.chunks(CHUNK).zip((0..).step_by(CHUNK)) {
        let texts: Vec<&str> = chunk.iter().map(|q| strip_left(&q.question)).collect();
        let counted = counting
            .encode_batch_fast(texts.clone(), false)
            .map_err(failed)?;
        let room = |question: &Encoding| max_length.saturating_sub(special + question.len());
        if let Some(at) = counted
            .iter()
            .position(|question| room(question) < least_room)
        {
            return Err(too_long(
                &chunk[at],
                counted[at].len(),
                max_length,
                doc_stride,
            ));
        }
        let pairs: Vec<(&str, &str)> = texts
            .into_iter()
            .zip(chunk.iter().map(|q| &*q.context))
            .map(|(question, context)| {
                if context_first {
                    (context, question)
                } else {
                    (question, context)
                }
            })
            .collect();
        let encodings = cutting
            .encode_batch_char_offsets(pairs, true)
            .map_err(failed)?;
        for ((encoding, question), number) in encodings.iter().zip(chunk).zip(number..) {
            for window in std::iter::once(encoding).chain(encoding.get_overflowing()) {
                tokenizer.check(window)?;
                let (example, map) = read_window(tokenizer, window, question, number, context_at);
                take(example, map)?;
            }
        }
    }
    Ok(())
}

/// A window as the library made it, of the question with this number; its context is the first or the second text.
fn read_window(
    tokenizer: &Tokenizer,
    window: &Encoding,
    question: &Question,
    number: u32,
    context_at: usize,
) -> (EncodedExample, WindowMap) {
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
        token_type_ids: tokenizer.token_type_ids(window),
        target,
    };
    let map = WindowMap {
        question: number,
        offsets,
    };
    (example, map)
}

/// The tokens that an answer begins and ends with; `None` if the window does not have it all.
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
    // The last token that does not begin behind the answer's start, counted from the first that does; likewise its end.
    let begins = context().take_while(|(_, part)| part.0 <= start).last();
    let ends = context().rev().take_while(|(_, part)| part.1 >= end).last();
    Some([begins?.0 as u32, ends?.0 as u32])
}

/// Without the white space on the left, as Python's `lstrip` has it: some questions of SQuAD have a thousand spaces there.
fn strip_left(question: &str) -> &str {
    question.trim_start_matches(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c))
}

fn too_long(question: &Question, tokens: usize, max_length: usize, doc_stride: usize) -> Error {
    Error::Usage(format!(
        "question `{}`: it has {tokens} tokens, and with --max-length {max_length} an input has no room for it and for more \
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
