//! Question answering about texts, as in SQuAD. Questions become windows of tokens, logits of
//! windows become answers, and answers become metrics and files. The steps are those of Hugging
//! Face's `run_qa.py` (transformers, examples/pytorch/question-answering). The readers of questions
//! are in `progtune_datasets`.

mod answering;
pub mod answers;
pub mod decode;
pub mod load;
pub mod prediction_files;
pub mod squad_metrics;
pub mod windows;

pub use answering::Answering;
