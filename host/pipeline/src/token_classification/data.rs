//! A run's tagged sentences: their description, and the examples made from them. Called by
//! `task_data`, the recipe, `evaluate` and `predict`.

use super::align::{AlignedSentence, Coverage, align};
use crate::{
    data_description::{describe_skipped, in_line},
    token_store::Examples,
    tokenizer::Tokenizer,
};
use progtune_datasets::{
    RepairTags, SplitName, TagFindings, TagScheme, TaggedData, TaggedSentence,
};
use progtune_engine::Result;
use progtune_plain_text::shown_line;

/// Describes columns, tags, findings about the tags, and skipped sentences, one per line.
pub fn describe(data: &TaggedData, how: RepairTags) -> String {
    let columns = &data.task.columns;
    let column = |what: &str, key: &str, name: &str| {
        let guessed = if data.guessed.contains(&key) {
            " (guessed)"
        } else {
            ""
        };
        format!("{what} `{}`{guessed}", shown_line(name))
    };
    format!(
        "columns: {}, {}\n{}\n{}{}{}",
        column("words", "text", &columns.first.name),
        column("tags", "label", &columns.label.name),
        in_line("tags", &data.task.labels, ""),
        describe_scheme(&data.findings, how),
        describe_findings(&data.findings, how),
        describe_skipped(&data.skipped)
    )
}

/// The scheme of the tags, with a warning if seqeval's default mode does not know it.
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
            "scheme: {name}; seqeval's default mode, which `f1` uses, may count neighbours of one type as one entity: \
             `f1_strict` follows the scheme, and --repair-tags bio changes the tags to IOB2\n"
        ),
        _ => format!("scheme: {name}\n"),
    }
}

fn describe_findings(findings: &TagFindings, how: RepairTags) -> String {
    let mut text = String::new();
    if findings.n_left_out > 0 {
        text.push_str(&format!(
            "comments and other lines without a word: {} left out\n",
            findings.n_left_out
        ));
    }
    if let Some(first) = &findings.first_stray {
        let first = shown_line(&first.to_string());
        let what = match how {
            RepairTags::Off => {
                "they are kept and count as in seqeval's default mode; --repair-tags bio changes them to B-, drop to O \
                 (files in the scheme IOB1 need bio)"
            }
            RepairTags::Bio => "they were changed to B-",
            RepairTags::Drop => "they were changed to O",
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

/// The examples of a split; words left out are reported in the log.
///
/// # Errors
/// Fails if the tokenizer refuses a sentence.
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

/// Warns about words that were left out.
pub fn warn_of_gaps(aligned: &[AlignedSentence], split: SplitName, max_length: usize) {
    if let Some(note) = Coverage::of(aligned).note(split.as_str(), max_length) {
        tracing::warn!("{note}");
    }
}
