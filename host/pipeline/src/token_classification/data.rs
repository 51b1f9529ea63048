//! A run's sentences: what is told of them, and the examples they make. Called by `task_data`, the recipe, `evaluate`
//! and `predict`.

use super::align::{AlignedSentence, Coverage, align};
use crate::{
    data_description::{describe_skipped, in_line},
    token_store::Examples,
    tokenizer::Tokenizer,
};
use progtune_datasets::{
    RepairTags, SplitName, TagFindings, TagScheme, TaggedData, TaggedSentence,
};
use progtune_engine::error::Result;
use progtune_plain_text::shown_line;

/// Columns, tags, what was found in these, and sentences left out, a line each.
pub fn describe(data: &TaggedData, how: RepairTags) -> String {
    let columns = &data.task.columns;
    let column = |what: &str, key: &str, name: &str| {
        let guessed = match data.guessed.contains(&key) {
            true => " (guessed)",
            false => "",
        };
        format!("{what} `{}`{guessed}", shown_line(name))
    };
    format!(
        "columns: {}, {}\ntags: {}\n{}{}{}",
        column("words", "text", &columns.first.name),
        column("tags", "label", &columns.label.name),
        in_line(&data.task.labels),
        describe_scheme(&data.findings, how),
        describe_findings(&data.findings, how),
        describe_skipped(&data.skipped)
    )
}

/// The scheme of the tags, and what a default score makes of one that seqeval's default mode does not know.
fn describe_scheme(findings: &TagFindings, how: RepairTags) -> String {
    let Some(scheme) = findings.scheme else {
        return String::new();
    };
    let name = scheme.as_str();
    match (scheme, how) {
        (_, RepairTags::Bio) if scheme != TagScheme::Iob2 => {
            format!("scheme: {name}, changed to IOB2\n")
        }
        (TagScheme::Bilou | TagScheme::Ioe2, _) => format!(
            "scheme: {name}; seqeval's default mode, which `f1` is, may count neighbours of one type as one entity: \
             `f1_strict` follows the scheme, and --repair-tags bio changes the tags to IOB2\n"
        ),
        _ => format!("scheme: {name}\n"),
    }
}

fn describe_findings(findings: &TagFindings, how: RepairTags) -> String {
    let mut text = String::new();
    if findings.n_left_out > 0 {
        text.push_str(&format!(
            "comments and other lines that are no words: {} left out\n",
            findings.n_left_out
        ));
    }
    if let Some(first) = &findings.first_stray {
        let first = shown_line(&first.to_string());
        let what = match how {
            RepairTags::Off => {
                "they stay, and count as seqeval's default mode has it; --repair-tags bio makes B- of them, drop O (files \
                 in the scheme IOB1 need bio)"
            }
            RepairTags::Bio => "they are B- now",
            RepairTags::Drop => "they are O now",
        };
        text.push_str(&format!(
            "tags that continue no entity: {}, the first {first}: {what}\n",
            findings.n_strays
        ));
    }
    if findings.n_changed > 0 {
        text.push_str(&format!("tags changed: {}\n", findings.n_changed));
    }
    text
}

/// The examples of a split; what takes no part is told in the log.
///
/// # Errors
/// When the tokenizer refuses a sentence.
pub fn examples(
    tokenizer: &Tokenizer,
    split: SplitName,
    sentences: &[TaggedSentence],
    max_length: usize,
) -> Result<Examples> {
    let aligned = align(tokenizer, sentences)?;
    warn_of_gaps(&aligned, split, max_length);
    Ok(aligned
        .into_iter()
        .map(|sentence| sentence.example)
        .collect())
}

/// Says how many words take no part.
pub fn warn_of_gaps(aligned: &[AlignedSentence], split: SplitName, max_length: usize) {
    if let Some(note) = Coverage::of(aligned).note(split.as_str(), max_length) {
        tracing::warn!("{note}");
    }
}

/// The first `limit` sentences, all of them for `None`.
pub fn first(sentences: &[TaggedSentence], limit: Option<usize>) -> &[TaggedSentence] {
    &sentences[..sentences.len().min(limit.unwrap_or(usize::MAX))]
}
