//! Every random table is read as Python reads it.

use super::*;
use progtune_datasets::{Header, OnBadRow};
use serde_json::Value;

/// The bytes of a Base64 text.
fn base64(text: &str) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let text = text.trim_end_matches('=').as_bytes();
    let mut bytes = Vec::new();
    for four in text.chunks(4) {
        let bits = four
            .iter()
            .fold(0u32, |bits, byte| bits << 6 | u32::from(value(*byte)));
        let bits = bits << (6 * (4 - four.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..four.len()]);
    }
    bytes
}

fn texts_of(value: &Value) -> Vec<String> {
    let list = value.as_array().unwrap().iter();
    list.map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// An example in the script's form: both texts, and the label as its name, number or names.
fn shown(example: &Example, labels: &[String]) -> Value {
    let label = match example.label.as_ref().unwrap() {
        Label::Class(id) => Value::from(labels[*id as usize].as_str()),
        Label::Score(score) => Value::from(f64::from(*score)),
        Label::Classes(ids) => {
            let mut names: Vec<&str> = ids.iter().map(|id| labels[*id as usize].as_str()).collect();
            names.sort_unstable();
            Value::from(names)
        }
    };
    serde_json::json!([example.text, example.pair, label])
}

fn expected(row: &Value) -> Value {
    let mut row = row.clone();
    match &mut row[2] {
        Value::Number(number) => {
            let score = number.as_f64().unwrap() as f32;
            row[2] = Value::from(f64::from(score));
        }
        Value::Array(names) => names.sort_by_key(|name| name.as_str().unwrap().to_owned()),
        _ => {}
    }
    row
}

fn read_draw(draw: &Value) -> Result<(usize, Vec<Value>), String> {
    let mut reading = Reading {
        on_bad_row: OnBadRow::Skip,
        ..Reading::default()
    };
    if draw["columns"].is_array() {
        reading.header = Header::Absent(texts_of(&draw["columns"]));
    }
    let file = base64(draw["file"].as_str().unwrap());
    let data = read(draw["name"].as_str().unwrap(), &file, reading)?;
    let rows = data.train.iter();
    let rows = rows.map(|row| shown(row, &data.task.labels)).collect();
    Ok((data.skipped.n_rows, rows))
}

#[test]
fn all_draws_are_read_as_python_reads_them() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/own/tables/draws.json");
    let draws: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(draws.len() >= 200, "{} draws", draws.len());
    let mut n_rows = 0;
    let mut failures = Vec::new();
    for draw in &draws {
        let wanted: Vec<Value> = draw["rows"]
            .as_array()
            .unwrap()
            .iter()
            .map(expected)
            .collect();
        let n_skipped = draw["skipped"].as_u64().unwrap() as usize;
        n_rows += wanted.len();
        match read_draw(draw) {
            Ok(found) if found == (n_skipped, wanted.clone()) => {}
            found => failures.push(format!(
                "seed {}: {}\n  expected {n_skipped} skipped, {wanted:?}\n  found {found:?}",
                draw["seed"], draw["about"]
            )),
        }
    }
    println!(
        "{} draws, {n_rows} rows, {} differ",
        draws.len(),
        failures.len()
    );
    assert!(
        failures.is_empty(),
        "{} of {}:\n{}",
        failures.len(),
        draws.len(),
        failures.join("\n")
    );
}
