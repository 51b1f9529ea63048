//! A split to evaluate on: its examples, and what turns a model's logits into answers where they are windows of questions.
//! Made by the loading of data, read by the evaluator.

use crate::{question_answering::answers::Asked, token_store::Examples};
use progtune_datasets::SplitName;

/// A split to evaluate on.
pub struct EvalSplit {
    /// Its name.
    pub name: SplitName,
    /// Its examples; of questions about texts their windows.
    pub examples: Examples,
    /// The questions behind the windows.
    pub asked: Option<Asked>,
}

impl EvalSplit {
    /// Examples whose logits are what is asked for.
    pub fn of_examples(name: SplitName, examples: Examples) -> Self {
        Self {
            name,
            examples,
            asked: None,
        }
    }

    /// Questions about texts: their windows, and what turns logits into answers.
    pub fn of_questions(name: SplitName, (examples, asked): (Examples, Asked)) -> Self {
        Self {
            name,
            examples,
            asked: Some(asked),
        }
    }

    /// Rows of the data: questions, or examples.
    pub fn rows(&self) -> usize {
        let asked = self.asked.as_ref();
        asked.map_or(self.examples.len(), |asked| asked.questions.len())
    }

    /// The suffix of its metrics: `_mm` for MNLI's mismatched half, as Hugging Face's `run_glue` writes it.
    pub fn suffix(&self) -> &'static str {
        match self.name {
            SplitName::ValidationMismatched | SplitName::TestMismatched => "_mm",
            _ => "",
        }
    }
}
