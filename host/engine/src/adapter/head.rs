//! The head of an adapter that PEFT saved: the kind of task, the number of outputs, and the labels,
//! if the base model's `config.json` has them. `result_record` calls it for such an adapter.

use super::Adapter;
use crate::{
    error::{Error, Result},
    learned_task::LearnedTask,
    model::config::ModelConfig,
};
use progtune_datasets::ProblemType;
use serde_json::json;

impl Adapter {
    /// The task of the adapter's head. The labels are the base model's if it has the same number,
    /// otherwise Transformers' `LABEL_0`, ….
    ///
    /// # Errors
    /// When the adapter's kind of task has no head here, or neither it nor the base model has a
    /// head.
    pub fn learned_task(&self, base: &ModelConfig, base_origin: &str) -> Result<LearnedTask> {
        let Some(problem) = self.problem_type(base)? else {
            return LearnedTask::of_checkpoint(base, base_origin);
        };
        if problem == ProblemType::QuestionAnswering {
            return Ok(LearnedTask::of_questions());
        }
        let mut config = base.clone();
        if let Some(outputs) = self.outputs()
            && outputs != config.labels.len()
        {
            config.labels = (0..outputs).map(|id| format!("LABEL_{id}")).collect();
            config.labels_are_stated = true;
        }
        let class = base.architecture.class_of(problem);
        config
            .raw
            .insert("architectures".to_owned(), json!([class]));
        LearnedTask::of_checkpoint(&config, base_origin)
    }

    /// The type of problem by `task_type`, otherwise by the head's tensors; `None` when only the
    /// base model knows it.
    fn problem_type(&self, base: &ModelConfig) -> Result<Option<ProblemType>> {
        let has = |name: &str| self.tensors.contains_key(name);
        let sequence = ProblemType::SingleLabelClassification;
        Ok(match self.task_type.as_deref() {
            Some("SEQ_CLS") => Some(sequence),
            Some("TOKEN_CLS") => Some(ProblemType::TokenClassification),
            Some("QUESTION_ANS") => Some(ProblemType::QuestionAnswering),
            None | Some("FEATURE_EXTRACTION") if has("qa_outputs.weight") => {
                Some(ProblemType::QuestionAnswering)
            }
            None | Some("FEATURE_EXTRACTION") if has("classifier.out_proj.weight") => {
                Some(sequence)
            }
            None | Some("FEATURE_EXTRACTION") if has("classifier.weight") => {
                Some(match base.problem_type() {
                    ProblemType::TokenClassification => ProblemType::TokenClassification,
                    _ => sequence,
                })
            }
            None | Some("FEATURE_EXTRACTION") => None,
            Some(other) => {
                return Err(Error::Model(format!(
                    "{}: key `task_type`: expected SEQ_CLS, TOKEN_CLS or QUESTION_ANS, found {other}, which has no head here",
                    self.origin
                )));
            }
        })
    }

    /// The number of outputs of the adapter's head, if it has one.
    fn outputs(&self) -> Option<usize> {
        let names = ["classifier.out_proj.weight", "classifier.weight"];
        let head = names.iter().find_map(|name| self.tensors.get(*name))?;
        head.dims().first().copied()
    }
}
