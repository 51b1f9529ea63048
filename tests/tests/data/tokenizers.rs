//! Tokenizers against transformers' AutoTokenizer: files in every layout, with every setting.
//! Compared are the ids, token types, word numbers and offsets for difficult texts.
//! `tests/fixtures/make_tokenizers.py` makes the rows (transformers 5.24.0, tokenizers 0.23.3) and
//! judges them; everything is compared exactly.
//!
//! `cargo xtask check-tokenizers` runs the same over further draws. PROGTUNE_TOKENIZER_ROWS names
//! their file, PROGTUNE_TOKENIZER_SAVED a directory for what progtune saves.

use progtune_datasets::{Example, ProblemType, Question, TaggedSentence};
use progtune_engine::{EncodedExample, model::ModelConfig};
use progtune_pipeline::{question_answering::make_windows, tokenizer::Tokenizer};
use progtune_tests::{fixture, read_json};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// A file with rows. Parts that rows share are stored once.
struct Rows {
    value: Value,
}

/// One row: files and inputs, and the expected result.
struct Row<'a> {
    rows: &'a Rows,
    value: &'a Value,
}

impl Rows {
    fn shared(&self, kind: &str, index: &Value) -> &Value {
        &self.value[kind][index.as_u64().expect("an index") as usize]
    }

    fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        let rows = self.value["rows"].as_array().expect("rows");
        rows.iter().map(|value| Row { rows: self, value })
    }
}

impl Row<'_> {
    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let files = self.value["files"].as_object().expect("files");
        files
            .iter()
            .map(|(name, file)| {
                let parts = self.rows.shared("files", file);
                let parts = parts.as_array().expect("parts").iter();
                let parts =
                    parts.map(|part| self.rows.shared("blobs", part).as_str().expect("text"));
                (name.clone(), parts.collect::<String>().into_bytes())
            })
            .collect()
    }

    fn kind(&self) -> &str {
        self.value["kind"].as_str().expect("a kind")
    }

    fn inputs(&self) -> Vec<Vec<String>> {
        let text = |index| {
            self.rows
                .shared("texts", index)
                .as_str()
                .expect("a text")
                .to_owned()
        };
        let inputs = self.rows.shared("inputs", &self.value["inputs"]);
        let inputs = inputs.as_array().expect("inputs").iter();
        inputs
            .map(|input| input.as_array().expect("texts").iter().map(text).collect())
            .collect()
    }

    fn config(&self) -> ModelConfig {
        let config = self.rows.shared("configs", &self.value["config"]);
        ModelConfig::parse(&config.to_string(), "config.json").expect("a configuration")
    }

    fn max_length(&self) -> usize {
        self.value["max_length"].as_u64().expect("a length") as usize
    }

    fn for_task(&self, tokenizer: Tokenizer) -> Tokenizer {
        tokenizer.for_task(match self.kind() {
            "words" => ProblemType::TokenClassification,
            "question" => ProblemType::QuestionAnswering,
            _ => ProblemType::SingleLabelClassification,
        })
    }

    fn tokenizer(&self) -> Tokenizer {
        let (config, origin) = (self.config(), "MODEL".to_owned());
        self.for_task(Tokenizer::from_files(
            self.files(),
            &config,
            self.max_length(),
            origin,
        ))
    }

    /// The tokenizer that `save` wrote.
    fn saved(&self, directory: &Path) -> progtune_engine::Result<Tokenizer> {
        Ok(self.for_task(Tokenizer::read(
            directory,
            &self.config(),
            self.max_length(),
        )?))
    }

    /// AutoTokenizer's results, or the name of an error if it, or the model, cannot take part.
    fn expected(&self) -> Result<Vec<Value>, String> {
        match self.value.get("error") {
            Some(error) => Err(error.to_string()),
            None => {
                let list = self.rows.shared("outputs", &self.value["expected"]);
                let list = list.as_array().expect("encodings");
                let list = list
                    .iter()
                    .map(|i| self.rows.shared("encodings", i).clone());
                Ok(list.collect())
            }
        }
    }

    fn encode(&self, tokenizer: &Tokenizer) -> progtune_engine::Result<Vec<Value>> {
        match self.kind() {
            "words" => {
                let sentence = |words| TaggedSentence { words, tags: None };
                let sentences: Vec<_> = self.inputs().into_iter().map(sentence).collect();
                let encoded = tokenizer.encode_words(&sentences)?;
                let words = |list: Vec<Option<u32>>| -> Vec<i64> {
                    list.into_iter().map(|w| w.map_or(-1, i64::from)).collect()
                };
                let values = encoded.into_iter();
                Ok(values
                    .map(|(example, list)| value(&example, &[("words", json!(words(list)))]))
                    .collect())
            }
            "question" => self.windows(tokenizer),
            _ => {
                let example = |texts: Vec<String>| Example {
                    text: texts[0].clone(),
                    pair: texts.get(1).cloned(),
                    label: None,
                };
                let encoded = self.inputs().into_iter().map(|texts| {
                    let encoded = tokenizer.encode(&[example(texts)])?;
                    Ok(value(&encoded[0], &[]))
                });
                encoded.collect()
            }
        }
    }

    fn windows(&self, tokenizer: &Tokenizer) -> progtune_engine::Result<Vec<Value>> {
        let questions: Vec<Question> = self
            .inputs()
            .into_iter()
            .enumerate()
            .map(|(number, texts)| Question {
                id: number.to_string(),
                question: texts[0].clone(),
                context: texts[1].as_str().into(),
                answers: None,
            })
            .collect();
        let stride = self.value["stride"].as_u64().expect("a stride") as usize;
        let windows = make_windows(tokenizer, &questions, stride)?;
        let windows = windows.examples.iter().zip(&windows.maps);
        Ok(windows
            .map(|(example, map)| {
                let offsets = map.offsets.iter();
                let offsets: Vec<[i64; 2]> = offsets
                    .map(|part| part.map_or([-1, -1], |(a, b)| [a.into(), b.into()]))
                    .collect();
                value(example, &[("offsets", json!(offsets))])
            })
            .collect())
    }
}

/// An encoding as in the fixture: types as runs that begin with zeros, and none if all are 0.
fn value(example: &EncodedExample, more: &[(&str, Value)]) -> Value {
    let mut map = Map::new();
    map.insert("ids".into(), json!(example.input_ids));
    if example.token_type_ids.iter().any(|&kind| kind > 0) {
        let (mut runs, mut now) = (vec![0], 0);
        for &kind in &example.token_type_ids {
            if kind != now {
                runs.push(0);
                now = 1 - now;
            }
            *runs.last_mut().expect("a run") += 1;
        }
        map.insert("types".into(), json!(runs));
    }
    for (key, value) in more {
        map.insert((*key).to_owned(), value.clone());
    }
    Value::Object(map)
}

/// The number of ids, or other numbers in an encoding, that differ.
fn differing(found: &[Value], expected: &[Value]) -> usize {
    let numbers = |value: &Value| value["ids"].as_array().map_or(0, Vec::len);
    let pairs = found.iter().zip(expected).filter(|(a, b)| a != b);
    let within: usize = pairs
        .map(|(a, b)| match (a["ids"].as_array(), b["ids"].as_array()) {
            (Some(x), Some(y)) => {
                let unequal = x.iter().zip(y).filter(|(a, b)| a != b).count();
                (unequal + x.len().abs_diff(y.len())).max(1)
            }
            _ => 1,
        })
        .sum();
    let longer = if found.len() > expected.len() {
        found
    } else {
        expected
    };
    within
        + longer[found.len().min(expected.len())..]
            .iter()
            .map(numbers)
            .sum::<usize>()
}

/// The file of rows: the committed one, or the one that `check-tokenizers` made.
fn rows() -> Rows {
    let file = std::env::var_os("PROGTUNE_TOKENIZER_ROWS").map(PathBuf::from);
    let file = file.unwrap_or_else(|| fixture("tokenizers.json"));
    Rows {
        value: read_json(&file),
    }
}

/// Runs a row and reads its saved files again. Returns a line about each fault.
fn run(row: &Row<'_>, directory: &Path, ids: &mut usize, wrong_ids: &mut usize) -> Vec<String> {
    let tokenizer = row.tokenizer();
    let found = row.encode(&tokenizer);
    let expected = match (row.expected(), &found) {
        (Err(_), Err(error)) => {
            let message = error.to_string();
            let is_clear = message.chars().count() > 30 && message.chars().count() < 700;
            return if is_clear {
                Vec::new()
            } else {
                vec![format!("a message that is no message: {message}")]
            };
        }
        (Err(error), Ok(found)) => return vec![format!("is {error} there, and here {found:?}")],
        (Ok(expected), Err(error)) => {
            *wrong_ids += differing(&[], &expected);
            return vec![format!("refused: {error}")];
        }
        (Ok(expected), Ok(_)) => expected,
    };
    let mut faults = Vec::new();
    let mut compare = |what: &str, found: progtune_engine::Result<Vec<Value>>| match found {
        Ok(found) => {
            *ids += expected
                .iter()
                .filter_map(|e| e["ids"].as_array())
                .map(Vec::len)
                .sum::<usize>();
            *wrong_ids += differing(&found, &expected);
            for (n, (found, expected)) in found.iter().zip(&expected).enumerate() {
                if found != expected {
                    faults.push(format!(
                        "{what}, input {n}:\n  found    {found}\n  expected {expected}"
                    ));
                }
            }
            if found.len() != expected.len() {
                faults.push(format!(
                    "{what}: {} encodings, expected {}",
                    found.len(),
                    expected.len()
                ));
            }
        }
        Err(error) => faults.push(format!("{what}: refused: {error}")),
    };
    compare("as read", found);
    if let Err(error) = tokenizer.save(directory) {
        faults.push(format!("cannot be saved: {error}"));
        return faults;
    }
    let mut compare = |found| compare("as saved", found);
    compare(row.saved(directory).and_then(|again| row.encode(&again)));
    faults
}

#[test]
fn ids_are_those_of_auto_tokenizer() {
    let rows = rows();
    let kept = std::env::var_os("PROGTUNE_TOKENIZER_SAVED").map(PathBuf::from);
    let scratch = tempfile::tempdir().unwrap();
    let (mut n_rows, mut n_refused, mut ids, mut wrong_ids, mut failures) = (0, 0, 0, 0, 0);
    for (n, row) in rows.iter().enumerate() {
        let directory = kept
            .as_deref()
            .unwrap_or(scratch.path())
            .join(n.to_string());
        std::fs::create_dir_all(&directory).unwrap();
        let faults = run(&row, &directory, &mut ids, &mut wrong_ids);
        n_rows += 1;
        n_refused += usize::from(row.expected().is_err());
        if !faults.is_empty() {
            failures += 1;
            println!(
                "row {n} ({}):\n  {}",
                row.value["name"].as_str().unwrap_or_default(),
                faults.join("\n  ")
            );
        }
    }
    println!(
        "{n_rows} tokenizers, {n_refused} of them refused on both sides; {ids} ids compared (as read and as saved), \
         {wrong_ids} differing; {failures} failures"
    );
    assert!(n_rows >= 200, "{n_rows} rows");
    assert_eq!((wrong_ids, failures), (0, 0));
}
