//! Everything that the documents take for granted: data files with the documented names, and a hub
//! with the models and data sets that they name. Small fixture models replace large ones where
//! commands are only run. Where a plan is shown, `config.json` is the real one.

use progtune_tests::{fixture, hub_server::Repo, shared_data};
use serde_json::{Value, json};
use std::{fs, path::Path};

/// Texts with one of two labels.
const REVIEWS: [(&str, &str); 6] = [
    (
        "A story that holds from the first minute to the last",
        "positive",
    ),
    (
        "The plot is thin and the ending was not worth the wait",
        "negative",
    ),
    ("I would gladly see it again with friends", "positive"),
    ("Two hours that I will never get back", "negative"),
    (
        "The music alone, which is wonderful, pays for the ticket",
        "positive",
    ),
    (
        "Nobody in the cast seems to know why they are there",
        "negative",
    ),
];

/// The rows for a file with these texts: `n` of them, each slightly different.
fn rows(n: usize, line: impl Fn(usize, &str, &str) -> String) -> String {
    let rows = (0..n).map(|at| {
        let (text, label) = REVIEWS[at % REVIEWS.len()];
        line(at, &format!("{text}, part {at}."), label)
    });
    rows.collect()
}

fn csv(n: usize) -> String {
    rows(n, |_, text, label| format!("\"{text}\",{label}\n"))
}

/// SQuAD's JSON: `n` texts with two questions each. With `v2` there is a third question without an
/// answer.
fn squad(n: usize, v2: bool) -> String {
    let paragraph = |at: usize| {
        let context = format!(
            "The bridge number {at} was built in {} by the city of Lund.",
            1800 + at
        );
        let question = |of: usize, question: &str, answer: &str| {
            let start = context.find(answer).expect("the answer is in the text");
            json!({
                "id": format!("{at}-{of}"), "question": question, "is_impossible": false,
                "answers": [{"text": answer, "answer_start": start}],
            })
        };
        let mut questions = vec![
            question(0, "When was the bridge built?", &(1800 + at).to_string()),
            question(1, "Who built the bridge?", "the city of Lund"),
        ];
        if v2 {
            questions.push(json!({
                "id": format!("{at}-2"), "question": "Who paid for it?", "is_impossible": true, "answers": [],
            }));
        }
        json!({"context": context, "qas": questions})
    };
    let paragraphs: Vec<Value> = (0..n).map(paragraph).collect();
    json!({"version": "1.1", "data": [{"title": "Bridges", "paragraphs": paragraphs}]}).to_string()
}

/// Sentences in columns: a word, its part of speech and its tag, or only the word and the tag.
fn sentences(n: usize, line: impl Fn(&str, &str, &str) -> String) -> String {
    let words = [
        ("Ada", "NNP", "B-PER"),
        ("Byron", "NNP", "I-PER"),
        ("went", "VBD", "O"),
        ("to", "TO", "O"),
        ("Turin", "NNP", "B-LOC"),
        (".", ".", "O"),
    ];
    let sentence: String = words
        .iter()
        .map(|(word, part, tag)| line(word, part, tag))
        .collect();
    format!("{sentence}\n").repeat(n)
}

/// Writes the files into a directory.
pub(super) fn files(directory: &Path) {
    let write = |name: &str, contents: &[u8]| {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, contents).expect("a file");
    };
    write_texts(&write);

    write(
        "train.conll",
        sentences(24, |word, _, tag| format!("{word} {tag}\n")).as_bytes(),
    );
    write(
        "dev.conll",
        sentences(6, |word, _, tag| format!("{word} {tag}\n")).as_bytes(),
    );
    write(
        "words.conll",
        sentences(3, |word, _, _| format!("{word}\n")).as_bytes(),
    );
    let tagged = sentences(24, |word, part, tag| format!("{word}\t{part}\t{tag}\n"));
    write("tagged.txt", tagged.as_bytes());

    write("squad/train.json", squad(8, false).as_bytes());
    write("squad/dev.json", squad(4, false).as_bytes());
    write("squad2/train.json", squad(8, true).as_bytes());
    write("squad2/dev.json", squad(4, true).as_bytes());
    write("questions.json", squad(10, false).as_bytes());
    let question =
        json!({"question": "Who built it?", "context": "It was built by the city of Lund."});
    write("questions.jsonl", format!("{question}\n").as_bytes());

    for name in ["train.tsv", "dev.tsv"] {
        let rows = fs::read(fixture("parity/data").join(name)).expect("a fixture");
        write(&format!("glue/MRPC/{name}"), &rows);
    }
    let pair = json!({"sentence1": "It rains in Lund.", "sentence2": "In Lund it rains."});
    write("pairs.jsonl", format!("{pair}\n").as_bytes());
}

/// Writes the files of texts with labels.
fn write_texts(write: &impl Fn(&str, &[u8])) {
    let header = |rows: String| format!("text,label\n{rows}");
    write("reviews.csv", header(csv(60)).as_bytes());
    write("plain.csv", csv(60).as_bytes());
    write("reviews/train.csv", header(csv(24)).as_bytes());
    write("reviews/validation.csv", header(csv(12)).as_bytes());
    let more = rows(12, |_, text, label| {
        json!({"text": text, "label": label}).to_string() + "\n"
    });
    write("more.jsonl", more.as_bytes());
    write(
        "new.csv",
        "text\nShort and good.\n\"Long, and not good.\"\n".as_bytes(),
    );

    for at in 0..24 {
        let (text, label) = REVIEWS[at % REVIEWS.len()];
        write(
            &format!("folders/{label}/{at}.txt"),
            format!("{text}, part {at}.\n").as_bytes(),
        );
    }
    let intents = |n: usize| -> Value {
        let pair = |at: usize| {
            let (text, intent) = REVIEWS[at % REVIEWS.len()];
            json!([format!("{text}, part {at}."), intent])
        };
        (0..n).map(pair).collect()
    };
    let intents = json!({"train": intents(24), "val": intents(12)});
    write("intents.json", intents.to_string().as_bytes());
    write("reviews.txt", b"Short and good.\nLong, and not good.\n");

    let kinds = ["DESC:manner", "ENTY:animal", "NUM:date"];
    let trec = |n| rows(n, |at, text, _| format!("{} {text}\n", kinds[at % 3])).into_bytes();
    let mut train = trec(36);
    train.extend_from_slice(b"DESC:def What is a caf\xe9 ?\n");
    write("TREC.train", &train);
    write("TREC.test", &trec(9));
    let lines = |label: &str| {
        let lines = rows(36, |_, text, of| {
            if of == label {
                format!("{text}\n")
            } else {
                String::new()
            }
        });
        [lines.as_bytes(), b"na\xefve all the same\n"].concat()
    };
    write("rt-polarity.pos", &lines("positive"));
    write("rt-polarity.neg", &lines("negative"));

    let similar = rows(30, |at, text, _| {
        format!("\"{text}\",\"{text} Again.\",{}.5\n", at % 5)
    });
    write(
        "similar.csv",
        format!("text,other,label\n{similar}").as_bytes(),
    );
    let topics = ["music;plot", "cast", "", "plot;cast;music"];
    let topics = rows(32, |at, text, _| format!("\"{text}\",{}\n", topics[at % 4]));
    write("topics.csv", header(topics).as_bytes());
}

/// A directory's files under names with a prefix.
fn files_of(directory: &Path, names: &[&str], prefix: &str) -> Vec<(String, Vec<u8>)> {
    let read = |name: &&str| {
        let path = directory.join(name);
        let contents = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        (format!("{prefix}{name}"), contents)
    };
    names.iter().map(read).collect()
}

/// The repositories on the hub. With `real`, MRPC and BERT's vocabulary are the real ones, for
/// figures that are shown.
pub(super) fn repos(real: bool) -> Vec<Repo> {
    let shared =
        real.then(|| shared_data().expect("PROGTUNE_SHARED: figures are those of real data"));
    let tokenizer = ["tokenizer.json", "tokenizer_config.json"];
    let model = [
        "config.json",
        "model.safetensors",
        tokenizer[0],
        tokenizer[1],
    ];
    let bert = files_of(&fixture("parity/bert"), &model, "");
    let roberta = files_of(&fixture("parity/roberta"), &model, "");
    let lora = ["adapter_config.json", "adapter_model.safetensors"];
    let adapter = files_of(&fixture("parity/roberta/lora"), &lora, "");
    let mut named = Repo::new("org/name", "4d", bert.clone());
    named.revisions.push("v1.0".into());
    let config = json!({
        "architectures": ["BertForMaskedLM"], "attention_probs_dropout_prob": 0.1, "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1, "hidden_size": 768, "initializer_range": 0.02, "intermediate_size": 3072,
        "layer_norm_eps": 1e-12, "max_position_embeddings": 512, "model_type": "bert", "num_attention_heads": 12,
        "num_hidden_layers": 12, "pad_token_id": 0, "type_vocab_size": 2, "vocab_size": 30522,
    });
    let vocabulary = match &shared {
        Some(shared) => shared.join("vocab/bert-base-uncased"),
        None => fixture("parity/bert"),
    };
    let mut base = files_of(&vocabulary, &["vocab.txt"], "");
    base.push(("config.json".into(), config.to_string().into_bytes()));
    let mrpc = shared.map_or_else(|| fixture("parity/data"), |shared| shared.join("MRPC"));
    let reviews = |name: &str| {
        (
            name.to_owned(),
            format!("text,label\n{}", csv(30)).into_bytes(),
        )
    };
    vec![
        Repo::new("sentence-transformers/all-MiniLM-L6-v2", "1a", bert),
        Repo::new("FacebookAI/roberta-base", "2b", roberta),
        Repo::new("google-bert/bert-base-uncased", "3c", base),
        named,
        Repo::new("org/adapter", "5e", adapter),
        Repo::new(
            "datasets/nyu-mll/glue",
            "6f",
            files_of(&mrpc, &["train.tsv", "dev.tsv"], "mrpc/"),
        ),
        Repo::new(
            "datasets/org/reviews",
            "7a",
            vec![reviews("en/train.csv"), reviews("sv/train.csv")],
        ),
    ]
}
