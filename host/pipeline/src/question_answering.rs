//! Question answering about texts, as in SQuAD. Questions become windows of tokens, logits of
//! windows become answers, and answers become metrics and files. The steps are those of Hugging
//! Face's `run_qa.py` (transformers, examples/pytorch/question-answering). The readers of questions
//! are in `progtune_datasets`.

pub mod answers;
pub mod prediction_files;

mod answering;
mod decode;
mod load;
pub(crate) mod squad_metrics;
mod windows;

pub use answering::Answering;
pub use decode::Decoded;
pub use load::QuestionSource;
pub use windows::{Windows, make_windows};
