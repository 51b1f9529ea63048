//! Question answering over texts, as SQuAD has it: questions become windows of tokens, logits of windows become answers,
//! answers become metrics and files. The steps are Hugging Face's `run_qa.py` (transformers, examples/pytorch/
//! question-answering). The readers of questions are in `progtune_datasets`.

mod answering;
pub mod answers;
pub mod decode;
pub mod load;
pub mod prediction_files;
pub mod squad_metrics;
pub mod windows;

pub use answering::Answering;
