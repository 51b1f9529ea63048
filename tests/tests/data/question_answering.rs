//! Windows, answers and metrics for real questions against transformers' `run_qa.py` and
//! `utils_qa.py` and the official SQuAD scripts. `tests/fixtures/make_question_answering.py` keeps
//! their results as figures and hashes. Everything is exact, except probabilities (1e-5) and
//! metrics (1e-9).

use progtune_datasets::{
    AnswerRule, DataFile, Format, Header, OnBadRow, Question, Task, TextEncoding, read_questions,
};
use progtune_engine::{ModelSource, Target};
use progtune_pipeline::{
    question_answering::{Answering, Decoded, Windows, answers::Asked, make_windows},
    tokenizer::Tokenizer,
};
use progtune_tests::{fixture, read_json, shared_data};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::Path;

fn questions(data: &Path, file: &str, limit: &Value) -> Vec<Question> {
    let file = DataFile {
        path: data.join(file),
        format: Format::Jsonl,
        encoding: TextEncoding::default(),
        header: Header::default(),
        part: None,
    };
    let limit = limit.as_u64().map(|n| n as usize);
    read_questions(&[file], AnswerRule::OrNone, OnBadRow::Error, limit)
        .unwrap()
        .questions
}

/// The tokenizer for a model that is only a vocabulary.
fn tokenizer(data: &Path, name: &str, max_length: usize) -> Tokenizer {
    let directory = tempfile::tempdir().unwrap();
    let write = |file: &str, text: &str| std::fs::write(directory.path().join(file), text).unwrap();
    let mut config = json!({
        "model_type": name, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 64, "max_position_embeddings": 514, "vocab_size": 30522, "type_vocab_size": 2,
    });
    match name {
        "bert" => {
            let vocabulary = data.join("vocab/bert-base-uncased/vocab.txt");
            write("vocab.txt", &std::fs::read_to_string(vocabulary).unwrap());
        }
        _ => {
            let mut vocabulary = read_json(&data.join("vocab/gpt2/vocab.json"));
            let ids = vocabulary.as_object_mut().unwrap();
            for token in ["<s>", "<pad>", "</s>", "<unk>", "<mask>"] {
                ids.insert(token.to_owned(), json!(ids.len()));
            }
            config["vocab_size"] = json!(ids.len());
            config["pad_token_id"] = ids["<pad>"].clone();
            config["max_position_embeddings"] = json!(60_000);
            write("vocab.json", &vocabulary.to_string());
            let merges = data.join("vocab/gpt2/merges.txt");
            write("merges.txt", &std::fs::read_to_string(merges).unwrap());
        }
    }
    write("config.json", &config.to_string());
    let source = ModelSource::Directory(directory.path().to_owned().into());
    Tokenizer::of_model(&source, &source.config().unwrap(), max_length).unwrap()
}

fn span(windows: &Windows, window: usize) -> [u32; 2] {
    match windows.examples[window].target {
        Some(Target::Span(span)) => span,
        ref other => panic!("window {window} has the target {other:?}"),
    }
}

/// The hash of a window's contents, as the script computes it.
fn hash(windows: &Windows) -> String {
    let mut hash = Sha256::new();
    let mut add = |number: i32| hash.update(number.to_le_bytes());
    for (at, (example, map)) in windows.examples.iter().zip(&windows.maps).enumerate() {
        add(map.question as i32);
        add(example.input_ids.len() as i32);
        example.input_ids.iter().for_each(|&id| add(id as i32));
        example
            .token_type_ids
            .iter()
            .for_each(|&kind| add(kind as i32));
        for part in &map.offsets {
            let (start, end) = part.map_or((-1, -1), |(start, end)| (start as i32, end as i32));
            add(start);
            add(end);
        }
        span(windows, at)
            .into_iter()
            .for_each(|token| add(token as i32));
    }
    hex(hash)
}

fn hex(hash: Sha256) -> String {
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[test]
fn windows_are_those_of_run_qa() {
    let Some(data) = shared_data() else { return };
    let expected = read_json(&fixture("question_answering.json"));
    for case in expected["windows"].as_array().unwrap() {
        let name = case["tokenizer"].as_str().unwrap();
        let [max_length, stride] =
            ["max_length", "doc_stride"].map(|key| case[key].as_u64().unwrap() as usize);
        let tokenizer = tokenizer(&data, name, max_length);
        let questions = questions(&data, "SQuAD/v2-style/train.json", &case["questions"]);
        let windows = make_windows(&tokenizer, &questions, stride).unwrap();
        let what = format!("{name}, {max_length} tokens, stride {stride}");
        println!("{what}: {} windows", windows.maps.len());
        assert_eq!(json!(windows.maps.len()), case["windows"], "{what}");
        let tokens: usize = windows
            .examples
            .iter()
            .map(|example| example.input_ids.len())
            .sum();
        assert_eq!(json!(tokens), case["tokens"], "{what}");
        let spans = (0..windows.maps.len()).map(|at| span(&windows, at));
        let answered = spans.filter(|span| *span != [0, 0]).count();
        assert_eq!(json!(answered), case["answered"], "{what}");
        assert_eq!(json!(hash(&windows)), case["sha256"], "{what}");
    }
}

/// SplitMix64's finaliser, as in the script.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// The logits that the script invents for a window: noise, plus 6 for the intended answer.
fn logits(windows: &Windows, window: usize, question: &Question, can_be_empty: bool) -> Vec<f32> {
    let n = windows.examples[window].input_ids.len();
    let noise = |token: usize, side: u64| {
        let random = mix((window as u64) << 32 | (token as u64) << 1 | side) >> 49;
        ((random * 512 + token as u64) as f64 / f64::from(1 << 21) - 4.0) as f32
    };
    let mut logits: Vec<f32> = (0..n)
        .flat_map(|token| [noise(token, 0), noise(token, 1)])
        .collect();
    let is_right = !mix(u64::from(windows.maps[window].question) + 1).is_multiple_of(4);
    let is_answerable = !question.is_impossible();
    let [start, end] = span(windows, window);
    if is_right && is_answerable && [start, end] != [0, 0] {
        logits[2 * start as usize] += 6.0;
        logits[2 * end as usize + 1] += 6.0;
    } else if can_be_empty && is_right != is_answerable {
        logits[0] += 6.0;
        logits[1] += 6.0;
    }
    logits
}

#[test]
fn answers_and_metrics_are_those_of_utils_qa_and_the_official_scripts() {
    let Some(data) = shared_data() else { return };
    let expected = read_json(&fixture("question_answering.json"));
    let tokenizer = tokenizer(&data, "bert", 384);
    for (version, task) in [("v1", "squad"), ("v2", "squad_v2")] {
        let case = &expected["decoded"][version];
        let questions = questions(&data, case["file"].as_str().unwrap(), &case["questions"]);
        assert_eq!(questions.len(), 2000);
        let windows = make_windows(&tokenizer, &questions, 128).unwrap();
        assert_eq!(json!(windows.maps.len()), case["windows"]);
        let task = Task::by_name(task).unwrap();
        let logits: Vec<Vec<f32>> = (0..windows.maps.len())
            .map(|window| {
                let question = &questions[windows.maps[window].question as usize];
                logits(&windows, window, question, task.has_unanswerable)
            })
            .collect();
        let asked = Asked {
            questions,
            maps: windows.maps,
            settings: Answering::default().decode_settings(task),
        };
        let answers = asked.answers(&logits);
        check(&asked, &answers, case, version);
    }
}

fn check(asked: &Asked, answers: &[Decoded], expected: &Value, version: &str) {
    let (mut predictions, mut n_best, mut odds) = (Sha256::new(), Sha256::new(), Sha256::new());
    for (question, answer) in asked.questions.iter().zip(answers) {
        for text in [question.id.as_str(), answer.answer.text(&question.context)] {
            predictions.update(text.as_bytes());
            predictions.update([0]);
        }
        for span in &answer.n_best {
            n_best.update(span.said.text(&question.context).as_bytes());
            n_best.update([0]);
            n_best.update(span.start_logit.to_le_bytes());
            n_best.update(span.end_logit.to_le_bytes());
        }
        if let Some(value) = answer.null_odds {
            odds.update(value.to_le_bytes());
        }
    }
    let spans: usize = answers.iter().map(|answer| answer.n_best.len()).sum();
    assert_eq!(json!(spans), expected["spans"], "{version}");
    assert_eq!(
        json!(hex(predictions)),
        expected["predictions"],
        "{version}: predictions"
    );
    assert_eq!(json!(hex(n_best)), expected["nbest"], "{version}: n best");
    if version == "v2" {
        assert_eq!(
            json!(hex(odds)),
            expected["null_odds"],
            "{version}: null odds"
        );
    }
    let probabilities = expected["probabilities"].as_array().unwrap();
    for (answer, probability) in answers.iter().zip(probabilities) {
        let difference = f64::from(answer.n_best[0].probability) - probability.as_f64().unwrap();
        assert!(difference.abs() < 1e-5, "{version}: {difference}");
    }
    let metrics = asked.measure(answers).unwrap();
    let official = expected["metrics"].as_object().unwrap();
    assert_eq!(metrics.len(), official.len(), "{version}: {metrics:?}");
    for (name, value) in metrics {
        let reference = official[name].as_f64().unwrap();
        println!("{version} {name}: {value}, the official script says {reference}");
        assert!(
            (value - reference).abs() < 1e-9,
            "{version} {name}: {value}, not {reference}"
        );
    }
}
