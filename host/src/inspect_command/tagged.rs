//! The report of `progtune data inspect` on sentences whose words have tags. Called by
//! `inspect_command`.

use super::{lengths::Lengths, share};
use crate::config::InspectConfig;
use progtune_datasets::{TaggedData, TaggedSentence};
use progtune_engine::Result;
use progtune_pipeline::{
    metrics::entities,
    token_classification::{Coverage, align, describe},
    tokenizer::Tokenizer,
};
use progtune_plain_text::shown_line;
use progtune_process::grouped;
use std::collections::{BTreeMap, HashSet};

/// Lists columns, tags, entities by type, lengths and duplicates of all splits. `tokenizer`
/// truncates nothing; the report counts the inputs longer than `limit`.
///
/// # Errors
/// Fails if the files are not valid, or the tokenizer refuses a sentence.
pub(super) fn inspect(
    config: &InspectConfig,
    tokenizer: &Tokenizer,
    limit: usize,
) -> Result<String> {
    let data = TaggedData::load(&config.own, None)?;
    let mut text = String::from("columns of the first file\n");
    for (name, kind) in &data.survey.columns {
        text.push_str(&format!("  {:<24} {kind}\n", shown_line(name)));
    }
    let repair = config.own.reading.repair_tags.unwrap_or_default();
    text.push_str(&describe(&data, repair));
    let splits: Vec<(&str, &[TaggedSentence])> = [
        ("train", data.train.as_slice()),
        ("validation", data.validation.as_slice()),
        ("test", data.test.as_slice()),
    ]
    .into_iter()
    .filter(|(_, sentences)| !sentences.is_empty())
    .collect();
    for (name, sentences) in &splits {
        let words: usize = sentences.iter().map(|sentence| sentence.words.len()).sum();
        text.push_str(&format!(
            "\n{name}: {} sentences, {} words\n",
            grouped(sentences.len() as u64),
            grouped(words as u64)
        ));
        text.push_str(&tag_lines(&data.task.labels, sentences));
        let aligned = align(tokenizer, sentences)?;
        let mut lengths = Lengths::new(tokenizer);
        for sentence in &aligned {
            lengths.add_length(sentence.example.input_ids.len());
        }
        text.push_str(&lengths.report(limit, 1)?);
        let nothing = Coverage::of(&aligned).n_left_out;
        if nothing > 0 {
            text.push_str(&format!(
                "  words for which the tokenizer produces no token: {nothing}\n"
            ));
        }
    }
    text.push_str("\nduplicates\n");
    let mut seen: Vec<(&str, HashSet<&[String]>)> = Vec::new();
    for (name, sentences) in splits {
        let different: HashSet<&[String]> = sentences.iter().map(|s| s.words.as_slice()).collect();
        text.push_str(&format!(
            "  within {name}: {} sentences\n",
            sentences.len() - different.len()
        ));
        for (other, known) in &seen {
            let shared = sentences
                .iter()
                .filter(|s| known.contains(s.words.as_slice()));
            text.push_str(&format!(
                "  {name} sentences that are also in {other}: {}\n",
                shared.count()
            ));
        }
        seen.push((name, different));
    }
    Ok(text)
}

/// Counts the words with each tag and the entities of each type.
fn tag_lines(labels: &[String], sentences: &[TaggedSentence]) -> String {
    let mut counts = vec![0; labels.len()];
    let mut types: BTreeMap<String, usize> = BTreeMap::new();
    let (mut n_words, mut untagged) = (0_u64, 0);
    for sentence in sentences {
        let Some(tags) = &sentence.tags else {
            untagged += 1;
            continue;
        };
        n_words += tags.len() as u64;
        tags.iter().for_each(|&tag| counts[tag as usize] += 1);
        let names: Vec<&str> = tags
            .iter()
            .map(|&tag| labels[tag as usize].as_str())
            .collect();
        for entity in entities(&names) {
            *types.entry(entity.kind.to_owned()).or_default() += 1;
        }
    }
    let mut text = String::new();
    if n_words > 0 {
        for (label, &count) in labels.iter().zip(&counts) {
            text.push_str(&format!(
                "  {:<24} {count:>8} {:5.1} %\n",
                shown_line(label),
                share(count, n_words)
            ));
        }
        let types: Vec<String> = types
            .iter()
            .map(|(kind, count)| format!("{} {count}", shown_line(kind)))
            .collect();
        text.push_str(&format!("  entities: {}\n", types.join(", ")));
    }
    if untagged > 0 {
        text.push_str(&format!("  without tags: {untagged}\n"));
    }
    text
}
