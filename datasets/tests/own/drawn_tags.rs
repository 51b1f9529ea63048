//! Tagged sentences that `drawn_tags/make.py` generated, each file with a random format, layout,
//! scheme, encoding and compression. The same words and tags must be read back. Failures are shown
//! with their seeds.

use std::io::Read;

use progtune_datasets::{ProblemType, TaggedData, TaggedSentence};
use serde_json::{Value, json};

use super::*;

/// The bytes of a text in base64 (RFC 4648).
fn base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut n_bits, mut bytes) = (0_u32, 0, Vec::new());
    for digit in text.bytes().filter(|digit| *digit != b'=') {
        let value = DIGITS.iter().position(|known| *known == digit).unwrap();
        bits = (bits << 6) | value as u32;
        n_bits += 6;
        if n_bits >= 8 {
            n_bits -= 8;
            bytes.push((bits >> n_bits) as u8);
        }
    }
    bytes
}

fn text<'a>(draw: &'a Value, key: &str) -> Option<&'a str> {
    draw.get(key).and_then(Value::as_str)
}

/// Reads the file of a draw.
fn read_draw(draw: &Value) -> Result<TaggedData, String> {
    let packed = base64(text(draw, "file").unwrap());
    let mut contents = Vec::new();
    let mut unpacked = flate2::read::GzDecoder::new(packed.as_slice());
    unpacked.read_to_end(&mut contents).unwrap();
    let name = text(draw, "name").unwrap();
    let dir = dir_with(&[(name, contents.as_slice())]);
    let reading = Reading {
        text_column: text(draw, "text_column").map(str::to_owned),
        label_column: text(draw, "label_column").map(str::to_owned),
        problem_type: Some(ProblemType::TokenClassification),
        ..Reading::default()
    };
    let request = train_on(dir.path(), &[name], reading);
    TaggedData::load(&request, None).map_err(|error| error.to_string())
}

/// A sentence in the script's form: its words, and the names of their tags.
fn shown(data: &TaggedData, sentence: &TaggedSentence) -> Value {
    let ids = sentence.tags.iter().flatten();
    let tags: Vec<&String> = ids.map(|&id| &data.task.labels[id as usize]).collect();
    json!([sentence.words, tags])
}

/// The number of words, or the difference from the expected result.
fn check(draw: &Value) -> Result<usize, String> {
    let data = read_draw(draw)?;
    let labels = json!(data.task.labels);
    if let Some(expected) = draw.get("labels").filter(|names| **names != labels) {
        return Err(format!("expected the labels {expected}, found {labels}"));
    }
    let found: Vec<Value> = data.train.iter().map(|it| shown(&data, it)).collect();
    let found = Value::from(found);
    if found == draw["sentences"] {
        Ok(data.train.iter().map(|it| it.words.len()).sum())
    } else {
        Err(format!("expected {}, found {found}", draw["sentences"]))
    }
}

#[test]
fn drawn_sentences_come_back() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/own/drawn_tags/draws.json");
    let draws: Vec<Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let (mut n_words, mut failures) = (0, Vec::new());
    for draw in &draws {
        match check(draw) {
            Ok(n) => n_words += n,
            Err(why) => failures.push(format!("{} ({}): {why}", draw["seed"], draw["how"])),
        }
    }
    let n_failures = failures.len();
    assert!(
        failures.is_empty(),
        "{n_failures} of {} draws fail:\n{}",
        draws.len(),
        failures.join("\n")
    );
    assert_eq!((draws.len(), n_words), (252, 4263));
}
