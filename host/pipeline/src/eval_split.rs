//! An evaluation split: its examples and, for question answering, the questions that turn logits of
//! windows into answers. Built when data is loaded; read by the evaluator.

use crate::{question_answering::answers::Asked, token_store::Examples};
use progtune_datasets::SplitName;

/// An evaluation split.
pub struct EvalSplit {
    /// Its name.
    pub name: SplitName,
    /// Its examples; for question answering, the windows of its questions.
    pub examples: Examples,
    /// The questions behind the windows.
    pub asked: Option<Asked>,
}

impl EvalSplit {
    /// A split whose logits are the result.
    pub fn of_examples(name: SplitName, examples: Examples) -> Self {
        Self {
            name,
            examples,
            asked: None,
        }
    }

    /// A split of questions: their windows, and the questions that turn logits into answers.
    pub fn of_questions(name: SplitName, (examples, asked): (Examples, Asked)) -> Self {
        Self {
            name,
            examples,
            asked: Some(asked),
        }
    }

    /// Number of rows in the data: questions or examples.
    pub fn rows(&self) -> usize {
        let asked = self.asked.as_ref();
        asked.map_or(self.examples.len(), |asked| asked.questions.len())
    }

    /// The suffix of its metrics: `_mm` for MNLI's mismatched half, as in Hugging Face's
    /// `run_glue`.
    pub fn suffix(&self) -> &'static str {
        match self.name {
            SplitName::ValidationMismatched | SplitName::TestMismatched => "_mm",
            _ => "",
        }
    }
}
