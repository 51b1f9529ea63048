//! `progtune data inspect`: what is in the user's own files, before anything is trained on them. Called by `main`.

use crate::{
    config::InspectConfig, error::Result, model_source::ModelSource, plan::grouped,
    task_data::describe, terminal, token_classification::inspect::inspect,
};
use progtune_datasets::{Example, Label, OwnData, ProblemType, TaggedData};
use std::collections::HashMap;

/// Longer than any text: the lengths before anything is cut.
const NO_LIMIT: usize = 1 << 24;

/// How many labels are listed.
const N_LABELS: usize = 50;

/// Prints columns, labels, lengths and duplicates of all splits.
pub fn run_inspect(config: &InspectConfig) -> Result<()> {
    let source = ModelSource::new(config.model.as_deref())?;
    let model = source.config()?;
    let tokenizer = source.tokenizer(&model, NO_LIMIT)?;
    let limit = config.max_length.min(model.max_tokens());
    if TaggedData::is_asked_for(&config.own) {
        let tokenizer = tokenizer.for_task(ProblemType::TokenClassification);
        return terminal::print(&inspect(config, &tokenizer, limit)?);
    }
    let data = OwnData::load(&config.own, None)?;

    let mut text = String::from("columns of the first file\n");
    for (name, kind) in &data.survey.columns {
        text.push_str(&format!("  {name:<24} {kind}\n"));
    }
    text.push_str(&describe(&data));
    for (name, examples) in splits(&data) {
        text.push_str(&format!(
            "\n{name}: {} rows\n",
            grouped(examples.len() as u64)
        ));
        text.push_str(&label_lines(&data, examples));
        let lengths: Vec<usize> = tokenizer
            .encode(examples)?
            .iter()
            .map(|example| example.input_ids.len())
            .collect();
        text.push_str(&length_lines(lengths, limit));
    }
    text.push_str(&duplicate_lines(&data));
    terminal::print(&text)
}

/// The splits that have rows.
fn splits(data: &OwnData) -> impl Iterator<Item = (&'static str, &[Example])> {
    [
        ("train", data.train.as_slice()),
        ("validation", data.validation.as_slice()),
        ("test", data.test.as_slice()),
    ]
    .into_iter()
    .filter(|(_, examples)| !examples.is_empty())
}

/// Per cent.
pub fn share(part: usize, of: usize) -> f64 {
    100.0 * part as f64 / of as f64
}

fn label_lines(data: &OwnData, examples: &[Example]) -> String {
    let n = examples.len();
    let unlabelled = examples.iter().filter(|e| e.label.is_none()).count();
    let mut text = String::new();
    match data.task.problem_type {
        ProblemType::Regression => {
            let mut scores: Vec<f32> = examples
                .iter()
                .filter_map(|example| match example.label {
                    Some(Label::Score(score)) => Some(score),
                    _ => None,
                })
                .collect();
            scores.sort_by(f32::total_cmp);
            if let (Some(least), Some(most)) = (scores.first(), scores.last()) {
                let mean = scores.iter().map(|&x| f64::from(x)).sum::<f64>() / scores.len() as f64;
                let median = scores[scores.len() / 2];
                text.push_str(&format!(
                    "  labels: from {least} to {most}, mean {mean:.3}, median {median}\n"
                ));
            }
        }
        ProblemType::SingleLabelClassification | ProblemType::MultiLabelClassification => {
            let mut counts = vec![0; data.task.labels.len()];
            for example in examples {
                match &example.label {
                    Some(Label::Class(id)) => counts[*id as usize] += 1,
                    Some(Label::Classes(ids)) => {
                        ids.iter().for_each(|&id| counts[id as usize] += 1);
                    }
                    Some(Label::Score(_)) | None => {}
                }
            }
            for (label, &count) in data.task.labels.iter().zip(&counts).take(N_LABELS) {
                text.push_str(&format!(
                    "  {label:<24} {count:>8} {:5.1} %\n",
                    share(count, n)
                ));
            }
            if counts.len() > N_LABELS {
                text.push_str(&format!("  and {} labels more\n", counts.len() - N_LABELS));
            }
        }
        // Their files are inspected elsewhere.
        ProblemType::TokenClassification | ProblemType::QuestionAnswering => {}
    }
    if unlabelled > 0 {
        text.push_str(&format!("  without a label: {unlabelled}\n"));
    }
    text
}

/// Lengths in tokens: percentiles by the nearest rank, and what would be cut.
pub fn length_lines(mut lengths: Vec<usize>, limit: usize) -> String {
    lengths.sort_unstable();
    let n = lengths.len();
    let percentile = |p: usize| {
        let rank = (n * p).div_ceil(100).max(1);
        lengths[rank - 1]
    };
    let cut = lengths.iter().filter(|&&length| length > limit).count();
    format!(
        "  tokens: median {}, 90 % {}, 95 % {}, 99 % {}, longest {}\n  cut at {limit} tokens: {cut} rows ({:.1} %)\n",
        percentile(50),
        percentile(90),
        percentile(95),
        percentile(99),
        percentile(100),
        share(cut, n)
    )
}

type Text<'a> = (&'a str, Option<&'a str>);

fn text_of(example: &Example) -> Text<'_> {
    (&example.text, example.pair.as_deref())
}

/// Texts that occur more than once: within a split, under different labels, and in two splits.
fn duplicate_lines(data: &OwnData) -> String {
    let mut text = String::from("\nduplicates\n");
    let splits: Vec<(&str, &[Example])> = splits(data).collect();
    let mut seen: Vec<HashMap<Text<'_>, &Option<Label>>> = Vec::new();
    for (name, examples) in &splits {
        let mut first: HashMap<Text<'_>, &Option<Label>> = HashMap::new();
        let (mut again, mut contradicting) = (0, 0);
        for example in *examples {
            match first.get(&text_of(example)) {
                None => {
                    first.insert(text_of(example), &example.label);
                }
                Some(label) => {
                    again += 1;
                    contradicting += usize::from(**label != example.label);
                }
            }
        }
        text.push_str(&format!(
            "  within {name}: {again} rows, {contradicting} of them with another label\n"
        ));
        for ((other, _), known) in splits.iter().zip(&seen) {
            let shared = examples
                .iter()
                .filter(|example| known.contains_key(&text_of(example)))
                .count();
            text.push_str(&format!(
                "  {name} rows that are also in {other}: {shared}\n"
            ));
        }
        seen.push(first);
    }
    text
}
