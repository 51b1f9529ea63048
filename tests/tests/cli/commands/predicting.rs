//! The forms of input and output of `predict`: texts from the command line, standard input, columns
//! that are kept, tables, and the flags that have no effect.

use super::*;
use progtune_tests::{feed, feed_to_success};
use std::path::PathBuf;

/// A model of reviews of two words, trained on rows with an id.
fn reviews(scratch: &Scratch, flags: &str) -> PathBuf {
    let (good, bad) = (["kebe", "zepi"], ["moli", "natomo"]);
    let row = |i: usize| {
        let (words, label) = if i.is_multiple_of(2) {
            (good, "good")
        } else {
            (bad, "bad")
        };
        format!("{i},the {} end,{label},u{i}\n", words[(i / 2) % 2])
    };
    let rows: String = (0..40).map(row).collect();
    let data = scratch.write("reviews.csv", format!("id,text,label,url\n{rows}"));
    let run = scratch.path("reviews");
    CommandLine::new("train --quiet --max-length 32 --epochs 6 --lr 3e-3 --validation-split 0.2")
        .words(flags)
        .words("--text-column text --label-column label")
        .path("--model", fixture("parity/bert"))
        .path("--train-file", &data)
        .path("--output", &run)
        .run();
    run
}

fn lines(text: &str) -> Vec<Value> {
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect()
}

fn labels(text: &str) -> Vec<String> {
    let label = |line: Value| line["label"].as_str().unwrap().to_owned();
    lines(text).into_iter().map(label).collect()
}

#[test]
fn texts_come_from_the_command_line_or_a_pipe() {
    let scratch = Scratch::new();
    let run = reviews(&scratch, "--peft lora");
    let predict = || CommandLine::new("predict --quiet").path("--adapter", &run);
    let typed = predict()
        .path("--text", "the kebe end")
        .path("--text", "the moli end")
        .run();
    assert!(
        labels(&typed)
            .iter()
            .all(|label| ["good", "bad"].contains(&label.as_str()))
    );
    let first = &lines(&typed)[0];
    assert_eq!(keys(first), ["logits", "label", "score", "probabilities"]);
    let label = first["label"].as_str().unwrap();
    assert_eq!(first["score"], first["probabilities"][label]);
    assert!(first["score"].as_f64() > Some(0.5));

    let expected = lines(&typed);
    for (input, flags) in [
        ("the kebe end\n\nthe moli end\n", "--input -"),
        ("the kebe end\nthe moli end", ""),
        (
            "{\"text\": \"the kebe end\"}\n{\"text\": \"the moli end\"}\n",
            "",
        ),
        (
            "[{\"text\": \"the kebe end\"}, {\"text\": \"the moli end\"}]",
            "",
        ),
        ("url,text\nx,the kebe end\ny,the moli end\n", ""),
        ("text\turl\nthe kebe end\tx\nthe moli end\ty\n", "--input -"),
        (
            "text;url\nthe kebe end;x\nthe moli end;y\n",
            "--file-format csv",
        ),
    ] {
        let said = feed_to_success(&mut predict().words(flags).command(), input);
        assert_eq!(lines(&said), expected, "{flags}: {input}");
    }
    let text = scratch.write("in.txt", "the kebe end\nthe moli end\n");
    assert_eq!(lines(&predict().path("--input", &text).run()), expected);

    // What is wrong with a pipe is said of standard input.
    let said = feed(&mut predict().command(), "{\"txet\": \"a\"}\n");
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(
        said.contains("standard input") && !said.contains(".progtune-"),
        "{said}"
    );
    // Without any input there is nothing to do.
    let said = predict().fail(2);
    assert!(said.contains("standard input is empty"), "{said}");
}

#[test]
fn columns_are_kept() {
    let scratch = Scratch::new();
    let run = reviews(&scratch, "--peft lora");
    let input = scratch.write(
        "in.csv",
        "id,url,text,label\n7,http://a,the kebe end,good\n8,\"b,c\",the moli end,good\n",
    );
    let predict = || {
        CommandLine::new("predict --quiet")
            .path("--adapter", &run)
            .path("--input", &input)
    };
    let said = lines(&predict().run());
    assert_eq!(keys(&said[0])[..2], ["id", "logits"], "an id stays");
    assert_eq!(said[1]["id"], "8");
    let said = lines(&predict().words("--keep-columns url,label").run());
    assert_eq!(
        keys(&said[0]),
        [
            "url",
            "input_label",
            "logits",
            "label",
            "score",
            "probabilities"
        ]
    );
    assert_eq!(
        (&said[1]["url"], &said[1]["input_label"]),
        (&"b,c".into(), &"good".into())
    );
    assert_ne!(said[1]["label"], Value::Null);
    let said = lines(&predict().words("--keep-columns all").run());
    assert_eq!(keys(&said[0])[..4], ["id", "url", "text", "input_label"]);
    predict().words("--keep-columns urll").fail(3);
    predict().words("--keep-columns id,id").fail(2);
    CommandLine::new("predict --text x --keep-columns id")
        .path("--adapter", &run)
        .fail(2);

    CommandLine::new("predict --text kebe --text-pair moli")
        .path("--adapter", &run)
        .fail(2);

    // Rows that are left out have no columns either.
    let ragged = scratch.write(
        "ragged.csv",
        "id,text\n1,the kebe end\n2,the,moli,end\n3,the moli end\n",
    );
    let said = CommandLine::new("predict --quiet --on-bad-row skip")
        .path("--adapter", &run)
        .path("--input", &ragged)
        .run();
    let ids: Vec<Value> = lines(&said).iter().map(|line| line["id"].clone()).collect();
    assert_eq!(ids, ["1", "3"]);
}

/// A named task reads every format, keeps typed values, and takes pairs from the command line.
#[test]
fn pairs_are_read_from_every_file() {
    let scratch = Scratch::new();
    // A named task keeps typed values.
    let mrpc = scratch.path("mrpc");
    CommandLine::train("bert", &mrpc)
        .words("--max-steps 1 --peft lora")
        .run();
    let pairs = scratch.write(
        "pairs.jsonl",
        "{\"id\": 3, \"sentence1\": \"kebe\", \"sentence2\": \"moli\", \"more\": [1, 2]}\n",
    );
    let said = CommandLine::new("predict --quiet --keep-columns id,more")
        .path("--adapter", &mrpc)
        .path("--input", &pairs)
        .run();
    let line = &lines(&said)[0];
    assert_eq!(
        (&line["id"], &line["more"]),
        (&3.into(), &serde_json::json!([1, 2]))
    );
    // The same pair as CSV, TSV, and from the command line.
    let expected = line["logits"].clone();
    for (name, text) in [
        ("pairs.csv", "sentence2,sentence1\nmoli,kebe\n"),
        ("pairs.tsv", "#1 String\t#2 String\nkebe\tmoli\n"),
        ("pairs.txt", "kebe\tmoli\n"),
    ] {
        let file = scratch.write(name, text);
        let said = CommandLine::new("predict --quiet")
            .path("--adapter", &mrpc)
            .path("--input", &file)
            .run();
        assert_eq!(lines(&said)[0]["logits"], expected, "{name}");
    }
    let typed = || CommandLine::new("predict --quiet --text kebe").path("--adapter", &mrpc);
    let said = typed().words("--text-pair moli").run();
    assert_eq!(lines(&said)[0]["logits"], expected);
    typed().fail(2);
    typed().words("--text-pair moli --text-pair tubo").fail(2);
}

#[test]
fn predictions_are_tables_on_demand() {
    let scratch = Scratch::new();
    let run = reviews(&scratch, "");
    let input = scratch.write("in.csv", "id,text\n7,the kebe end\n8,\"the, moli\"\n");
    let predict = |flags: &str| {
        CommandLine::new("predict --quiet")
            .path("--model", &run)
            .path("--input", &input)
            .words(flags)
    };
    let csv = predict("--output-format csv").run();
    let rows: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(
        rows[0],
        [
            "id",
            "label",
            "score",
            "probability_bad",
            "probability_good"
        ]
    );
    let first = &lines(&predict("").run())[0];
    assert_eq!(
        (rows[1][0], rows[1][1]),
        ("7", first["label"].as_str().unwrap())
    );
    let sum: f64 = rows[1][3..]
        .iter()
        .map(|cell| cell.parse::<f64>().unwrap())
        .sum();
    assert!((sum - 1.0).abs() < 1e-9);
    // The name of the file decides, and the two agree.
    let output = scratch.path("out.csv");
    assert_eq!(predict("").path("--output", &output).run(), "");
    assert_eq!(fs::read_to_string(&output).unwrap(), csv);
    let output = scratch.path("out.tsv");
    predict("--keep-columns text")
        .path("--output", &output)
        .run();
    let tsv = fs::read_to_string(&output).unwrap();
    assert!(
        tsv.starts_with("text\tlabel\tscore\t") && tsv.contains("\nthe, moli\t"),
        "{tsv}"
    );
    let output = scratch.path("forced.csv");
    predict("--output-format jsonl")
        .path("--output", &output)
        .run();
    assert_eq!(read_jsonl(&output).len(), 2);

    let table = predict("--output-format table").run();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(rows[0], ["id", "text", "label", "score"], "{table}");
    assert_eq!(rows[1][..4], ["7", "the", "kebe", "end"], "{table}");

    let top = lines(&predict("--top-k 1").run());
    assert_eq!(keys(&top[0]), ["id", "logits", "label", "score", "top_k"]);
    assert_eq!(top[0]["top_k"][0]["label"], top[0]["label"]);
    let csv = predict("--top-k 9 --output-format csv").run();
    assert!(
        csv.starts_with("id,label,score,label_1,score_1,label_2,score_2\n"),
        "{csv}"
    );
    predict("--top-k 0").fail(2);
    predict("--output-format cvs").fail(2);
}

/// Questions, with their texts, from the command line.
#[test]
fn questions_are_typed() {
    let scratch = Scratch::new();
    let question = |i: usize| {
        let words = ["kebe", "zepi", "moli", "natomo"];
        serde_json::json!({
            "id": format!("q{i}"), "question": "kebe zepi?", "context": format!("the {} end", words[i % 4]),
            "answers": { "text": [words[i % 4]], "answer_start": [4] },
        })
    };
    let rows: String = (0..16).map(|i| format!("{}\n", question(i))).collect();
    let data = scratch.write("questions.jsonl", rows);
    let run = scratch.path("run");
    CommandLine::new("train --quiet --max-length 48 --doc-stride 8 --max-steps 2 --peft lora")
        .path("--model", fixture("parity/bert"))
        .path("--train-file", &data)
        .path("--validation-file", &data)
        .path("--output", &run)
        .run();
    let predict = || CommandLine::new("predict --quiet").path("--adapter", &run);
    let said = predict()
        .path("--question", "kebe zepi?")
        .path("--question", "moli?")
        .path("--context", "the natomo end")
        .run();
    let said = lines(&said);
    assert_eq!(said.len(), 2, "one text for both questions");
    let input = scratch.write(
        "in.jsonl",
        "{\"id\": \"1\", \"question\": \"kebe zepi?\", \"context\": \"the natomo end\"}\n",
    );
    let read = lines(&predict().path("--input", &input).run());
    assert_eq!(read[0], said[0]);
    let csv = predict()
        .path("--input", &input)
        .words("--output-format csv")
        .run();
    assert!(
        csv.starts_with("id,answer,start,end,probability\n1,"),
        "{csv}"
    );
    predict().path("--text", "kebe").fail(2);
    predict()
        .words("--question a? --question b? --context x --context y --context z")
        .fail(2);
    predict()
        .words("--top-k 2 --question a? --context x")
        .fail(2);
    // The data and the windows are those of the run.
    let evaluated = CommandLine::new("evaluate --quiet")
        .path("--adapter", &run)
        .run();
    let evaluated: Value = serde_json::from_str(&evaluated).unwrap();
    assert_eq!(
        measured(&evaluated),
        measured(&read_json(&run.join("all_results.json")))
    );
}

/// A flag of the cache that only training has is accepted, and has no effect.
#[test]
fn flags_without_effect_are_reported() {
    let scratch = Scratch::new();
    let run = reviews(&scratch, "--peft lora");
    let predict = CommandLine::new("predict --text kebe").path("--adapter", &run);
    let plain = predict.run();
    let (cached, said) = predict
        .words("--prefix-cache off --prefix-cache-budget 1MiB")
        .output();
    assert_eq!(cached, plain);
    for flag in ["--prefix-cache ", "--prefix-cache-budget "] {
        assert!(
            said.contains(&format!("{flag}has no effect here")),
            "{said}"
        );
    }
    let help = CommandLine::new("predict --help").run();
    assert!(
        !help.contains("prefix-cache") && help.contains("--keep-columns"),
        "{help}"
    );
    CommandLine::new("evaluate --quiet")
        .path("--adapter", &run)
        .path("--config", run.join("config.toml"))
        .run();
}
