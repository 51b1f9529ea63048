//! Turns questions into a split for training or evaluation. If the same questions were tokenised
//! before, the cached windows are used; otherwise they are made now. Called when a run's data is
//! loaded, and by `evaluate` and `predict`.

use super::{
    answers::Asked,
    windows::{WindowMap, each_window},
};
use crate::{
    question_answering::Answering,
    token_cache::TokenCache,
    token_store::{
        Examples,
        key::{Key, KeyBuilder},
    },
    tokenizer::Tokenizer,
};
use progtune_datasets::{Question, Sample, Task, sampled_questions};
use progtune_engine::{EncodedExample, Result};
use progtune_process::{Phase, interrupt};

fn tokenising() -> Phase {
    Phase::begin("tokenize", "tokenising questions", "windows", None)
}

/// Turns questions into inputs.
pub struct QuestionSource<'a> {
    /// The task, which knows whether questions may be unanswerable.
    pub task: &'a Task,
    /// The model's tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// The cache of windows.
    pub cache: &'a TokenCache,
    /// The settings for splitting and answering questions.
    pub answering: Answering,
}

impl QuestionSource<'_> {
    /// The windows of a sample of questions, or of all for `None`, for training.
    ///
    /// # Errors
    /// Fails like [`QuestionSource::split`].
    pub fn examples(&self, questions: &[Question], sample: Option<Sample>) -> Result<Examples> {
        let questions = &*sampled_questions(questions, sample);
        let key = self.keys(questions).map(|[key, _]| key);
        if let Some(known) = key.and_then(|key| self.cache.get(&key)) {
            return Ok(known);
        }
        let mut examples = self.cache.builder(key.as_ref());
        let stride = self.answering.doc_stride;
        let phase = tokenising();
        each_window(self.tokenizer, questions, stride, &mut |example, _| {
            interrupt::check()?;
            phase.advance(1);
            examples.push(example)
        })?;
        let mut examples = examples.finish()?;
        phase.finish();
        if let Some(key) = key {
            self.cache.keep(&key, &mut examples);
        }
        Ok(examples)
    }

    /// The windows of a sample of questions, or of all for `None`, and the questions that turn
    /// logits into answers.
    ///
    /// # Errors
    /// Fails if a question is too long for the model's input, or the tokenizer refuses a text.
    pub fn split(
        &self,
        questions: &[Question],
        sample: Option<Sample>,
    ) -> Result<(Examples, Asked)> {
        let questions = &*sampled_questions(questions, sample);
        let (examples, maps) = self.windows(questions)?;
        let asked = Asked {
            questions: questions.to_vec(),
            maps,
            settings: self.answering.decode_settings(self.task),
        };
        Ok((examples, asked))
    }

    fn windows(&self, questions: &[Question]) -> Result<(Examples, Vec<WindowMap>)> {
        let keys = self.keys(questions);
        let kept = |at: usize| keys.and_then(|keys| self.cache.get(&keys[at]));
        if let (Some(examples), Some(maps)) = (kept(0), kept(1)) {
            let maps = maps.iter().map(|numbers| Ok(from_numbers(&numbers?)));
            let maps: Option<Vec<WindowMap>> = maps.collect::<Result<_>>()?;
            if let Some(maps) = maps.filter(|maps| maps.len() == examples.len()) {
                return Ok((examples, maps));
            }
        }
        let builder = |at: usize| self.cache.builder(keys.as_ref().map(|keys| &keys[at]));
        let (mut examples, mut numbers, mut maps) = (builder(0), builder(1), Vec::new());
        let stride = self.answering.doc_stride;
        let phase = tokenising();
        each_window(self.tokenizer, questions, stride, &mut |example, map| {
            interrupt::check()?;
            phase.advance(1);
            examples.push(example)?;
            numbers.push(to_numbers(&map))?;
            maps.push(map);
            Ok(())
        })?;
        let (mut examples, mut numbers) = (examples.finish()?, numbers.finish()?);
        phase.finish();
        if let Some(keys) = keys {
            self.cache.keep(&keys[0], &mut examples);
            self.cache.keep(&keys[1], &mut numbers);
        }
        Ok((examples, maps))
    }

    /// The keys of the windows and of their maps. Questions are hashed by their contents,
    /// regardless of the file they came from. `None` if the cache is off.
    fn keys(&self, questions: &[Question]) -> Option<[Key; 2]> {
        if !self.cache.is_on() {
            return None;
        }
        let mut key = KeyBuilder::new();
        self.tokenizer.add_to(&mut key);
        key.add_number("doc_stride", self.answering.doc_stride as u64);
        let mut last: *const str = "";
        for question in questions {
            // The questions of a paragraph share its text.
            if !std::ptr::eq(last, &*question.context) {
                key.add("context", question.context.as_bytes());
            }
            last = &*question.context;
            key.add("question", question.question.as_bytes());
            if let Some(answers) = &question.answers {
                key.add_number("answers", answers.len() as u64);
                for answer in answers.iter().take(1) {
                    key.add_number("start", answer.start as u64);
                    key.add("text", answer.text.as_bytes());
                }
            }
        }
        let mut maps = key.clone();
        maps.add("part", b"maps");
        Some([key.finish(), maps.finish()])
    }
}

/// Encodes a map for the cache, in two rows of numbers. The first row contains the question, the
/// number of tokens, and the start of each token of the context. The second row contains the number
/// of tokens before the context, 0, and the end of each token of the context.
fn to_numbers(map: &WindowMap) -> EncodedExample {
    let before = map.offsets.iter().take_while(|part| part.is_none()).count();
    let parts = || map.offsets.iter().flatten();
    let head = [map.question, map.offsets.len() as u32];
    EncodedExample {
        input_ids: head.into_iter().chain(parts().map(|part| part.0)).collect(),
        token_type_ids: [before as u32, 0]
            .into_iter()
            .chain(parts().map(|part| part.1))
            .collect(),
        target: None,
    }
}

fn from_numbers(numbers: &EncodedExample) -> Option<WindowMap> {
    let (&[question, tokens], starts) = numbers.input_ids.split_first_chunk()?;
    let (&[before, _], ends) = numbers.token_type_ids.split_first_chunk()?;
    let parts = starts
        .iter()
        .zip(ends)
        .map(|(start, end)| Some((*start, *end)));
    let outside = std::iter::repeat(None);
    let offsets = outside
        .clone()
        .take(before as usize)
        .chain(parts)
        .chain(outside);
    Some(WindowMap {
        question,
        offsets: offsets.take(tokens as usize).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_survive_the_cache() {
        for offsets in [
            vec![None, None, Some((0, 3)), Some((4, 9)), None],
            vec![None, Some((7, 8))],
            vec![None, None],
            vec![],
        ] {
            let map = WindowMap {
                question: 7,
                offsets,
            };
            assert_eq!(from_numbers(&to_numbers(&map)), Some(map));
        }
    }
}
