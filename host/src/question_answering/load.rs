//! From questions to a split to train or evaluate on: windows kept on disk when the same questions were tokenised before, else
//! made now. Called by the loading of a run's data and by `evaluate` and `predict`.

use super::{
    answers::Asked,
    windows::{WindowMap, Windows, make_windows},
};
use crate::{
    batch::EncodedExample,
    config::Answering,
    error::Result,
    token_cache::{
        TokenCache,
        key::{Key, KeyBuilder},
    },
    tokenizer::Tokenizer,
    train::EvalSplit,
};
use progtune_datasets::{Question, SplitName, Task};

/// What turns questions into inputs.
pub struct QuestionSource<'a> {
    /// The task, which knows whether a question may be without answer.
    pub task: &'a Task,
    /// The model's tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// Where windows are kept.
    pub cache: &'a TokenCache,
    /// How questions are cut and answered.
    pub answering: Answering,
}

impl QuestionSource<'_> {
    /// The windows of the first `limit` questions, all of them for `None`, and what turns their logits into answers.
    ///
    /// # Errors
    /// When a question is too long for the model's input, or the tokenizer refuses a text.
    pub fn split(
        &self,
        name: SplitName,
        questions: &[Question],
        limit: Option<usize>,
    ) -> Result<EvalSplit> {
        let questions = &questions[..questions.len().min(limit.unwrap_or(usize::MAX))];
        let windows = self.windows(questions)?;
        Ok(EvalSplit {
            name,
            examples: windows.examples,
            asked: Some(Asked {
                questions: questions.to_vec(),
                maps: windows.maps,
                settings: self.answering.decode_settings(self.task),
            }),
        })
    }

    fn windows(&self, questions: &[Question]) -> Result<Windows> {
        let stride = self.answering.doc_stride;
        let Some([of_examples, of_maps]) = self.cache.is_on().then(|| self.keys(questions)) else {
            return make_windows(self.tokenizer, questions, stride);
        };
        if let (Some(examples), Some(maps)) =
            (self.cache.get(&of_examples), self.cache.get(&of_maps))
            && let Some(maps) = maps.iter().map(from_numbers).collect::<Option<Vec<_>>>()
            && maps.len() == examples.len()
        {
            return Ok(Windows { examples, maps });
        }
        let windows = make_windows(self.tokenizer, questions, stride)?;
        self.cache.put(&of_examples, &windows.examples);
        let maps: Vec<EncodedExample> = windows.maps.iter().map(to_numbers).collect();
        self.cache.put(&of_maps, &maps);
        Ok(windows)
    }

    /// What decides the windows; questions count by what they say, wherever they were read.
    fn keys(&self, questions: &[Question]) -> [Key; 2] {
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
        [key.finish(), maps.finish()]
    }
}

/// A map as the cache keeps it: two rows of numbers. First the question and how many tokens come before the context; the
/// number of tokens; then the context's tokens, from and to.
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
