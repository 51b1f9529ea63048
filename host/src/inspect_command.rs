//! `progtune data inspect`: reports on the user's own files before anything is trained on them.
//! Called by `main`.
//!
//! Files of any size are read row by row. For large files, lengths are measured on rows at regular
//! intervals, and duplicates are counted in a sample of the texts. The report then says so.

mod duplicates;
mod labels;
mod lengths;
mod questions;
mod tagged;

use crate::{
    config::{InspectConfig, max_length},
    evaluate::only_label,
    fetch::{Fetcher, ModelFiles},
};
use duplicates::Texts;
use labels::LabelCount;
use lengths::Lengths;
use progtune_datasets::{OwnFiles, ProblemType, QuestionData, SplitName, TaggedData};
use progtune_engine::{ModelSource, Result};
use progtune_pipeline::{data_description::describe, data_remarks, tokenizer::Tokenizer};
use progtune_plain_text::shown_line;
use progtune_process::{grouped, terminal};

/// A maximum length above that of any text, so that lengths are measured before truncation.
const NO_LIMIT: usize = 1 << 24;

/// The maximum number of rows tokenised per split.
const SAMPLED: usize = 100_000;

/// Prints columns, labels, lengths and duplicates of all splits.
///
/// # Errors
/// Fails if the files, the model or its tokenizer cannot be read.
pub fn run_inspect(config: &InspectConfig) -> Result<()> {
    let fetcher = Fetcher::new(&config.hub);
    let source = || {
        let model = fetcher.model(config.model.as_ref(), ModelFiles::Tokenizer)?;
        ModelSource::new(model.as_ref())
    };
    if QuestionData::are_meant(&config.own)? {
        let data = QuestionData::own(&config.own, None)?;
        let asked = config.max_length;
        let report = questions::inspect(&source()?, asked, &data)?;
        return Ok(terminal::print(&report)?);
    }
    let source = source()?;
    let model = source.config()?;
    let tokenizer = Tokenizer::of_model(&source, &model, NO_LIMIT)?;
    if TaggedData::is_asked_for(&config.own) {
        let problem = ProblemType::TokenClassification;
        let limit = max_length(config.max_length, problem).min(model.max_tokens());
        let tokenizer = tokenizer.for_task(problem);
        return Ok(terminal::print(tagged::inspect(
            config, &tokenizer, limit,
        )?)?);
    }
    let files = OwnFiles::open(&config.own, None, None)?;
    let limit = max_length(config.max_length, files.task.problem_type).min(model.max_tokens());

    let mut text = String::from("columns of the first file\n");
    for (name, kind) in &files.survey.columns {
        text.push_str(&format!("  {:<24} {kind}\n", shown_line(name)));
    }
    text.push_str(&describe(&files));
    let mut texts: Vec<Texts> = Vec::new();
    let mut remarks = data_remarks::remarks(&files);
    for split in [SplitName::Train, SplitName::Validation, SplitName::Test] {
        let n_rows = files.n_rows(split);
        if n_rows == 0 {
            continue;
        }
        let every = n_rows.div_ceil(SAMPLED);
        let mut labels = LabelCount::new(&files.task, every);
        let mut lengths = Lengths::new(&tokenizer);
        let mut own = Texts::new(split, texts.len());
        for (at, example) in files.rows(split, None).enumerate() {
            let example = example?;
            labels.add(example.label.as_ref(), at);
            own.add(&example, &texts);
            if at.is_multiple_of(every) {
                lengths.add(example)?;
            }
        }
        text.push_str(&format!("\n{split}: {} rows\n", grouped(n_rows as u64)));
        let only = labels.only().map(|label| shown_line(&label));
        remarks.extend(only.map(|label| only_label::remark(split.as_str(), &label)));
        text.push_str(&labels.report(n_rows));
        text.push_str(&lengths.report(limit, every)?);
        texts.push(own);
    }
    text.push_str("\nduplicates\n");
    for (at, own) in texts.iter().enumerate() {
        text.push_str(&own.report(&texts[..at]));
    }
    if !remarks.is_empty() {
        text.push_str(&format!("\nremarks\n  {}\n", remarks.join("\n  ")));
    }
    Ok(terminal::print(&text)?)
}

/// The share of a part in per cent.
fn share(part: u64, of: u64) -> f64 {
    100.0 * part as f64 / of as f64
}

/// Says which rows were sampled; empty if every row was read.
fn of_every(every: usize) -> String {
    match every {
        1 => String::new(),
        2 => " of every 2nd row".to_owned(),
        3 => " of every 3rd row".to_owned(),
        n => format!(" of every {n}th row"),
    }
}
