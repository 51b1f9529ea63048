//! The report of `progtune data inspect` on questions about texts. Called by `inspect_command`.

use crate::config::max_length;
use progtune_datasets::{ProblemType, Question, QuestionData};
use progtune_engine::{ModelSource, Result};
use progtune_pipeline::{
    data_description::describe_skipped,
    question_answering::{Answering, make_windows},
    tokenizer::Tokenizer,
};
use progtune_process::grouped;
use std::collections::HashSet;

/// Counts questions, texts, windows and shared texts of all splits. Windows have the length `asked`
/// for, or the default.
///
/// # Errors
/// Fails if a question is too long for the model's input, or the tokenizer cannot be read.
pub(super) fn inspect(
    source: &ModelSource,
    asked: Option<usize>,
    data: &QuestionData,
) -> Result<String> {
    let model = source.config()?;
    let limit = max_length(asked, ProblemType::QuestionAnswering);
    let limit = limit.min(model.max_tokens());
    let tokenizer = Tokenizer::of_model(source, &model, limit)?;
    let stride = Answering::default().doc_stride.min(limit / 3);
    let mut text = String::from("questions about texts\n") + &describe_skipped(&data.skipped);
    let mut seen: Vec<(&str, HashSet<&str>)> = Vec::new();
    for (name, questions) in [
        ("train", &data.train),
        ("validation", &data.validation),
        ("test", &data.test),
    ] {
        if questions.is_empty() {
            continue;
        }
        let windows = make_windows(&tokenizer, questions, stride)?;
        let texts: HashSet<&str> = questions
            .iter()
            .map(|question| &*question.context)
            .collect();
        let count = |of: fn(&&Question) -> bool| questions.iter().filter(of).count();
        text.push_str(&format!(
            "\n{name}: {} questions about {} texts, {} without an answer, {} unlabelled\n  windows of \
             {limit} tokens with --doc-stride {stride}: {} (questions with more than one: {})\n",
            grouped(questions.len() as u64),
            grouped(texts.len() as u64),
            count(|question| question.is_impossible()),
            count(|question| question.answers.is_none()),
            grouped(windows.maps.len() as u64),
            windows
                .maps
                .chunk_by(|a, b| a.question == b.question)
                .filter(|windows| windows.len() > 1)
                .count(),
        ));
        for (other, known) in &seen {
            let shared = texts.intersection(known).count();
            text.push_str(&format!("  texts that are also in {other}: {shared}\n"));
        }
        seen.push((name, texts));
    }
    Ok(text)
}
