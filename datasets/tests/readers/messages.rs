//! Properties of every message: it is one line, and says where the fault is and what to do.

use super::*;

#[test]
fn messages_are_one_line_and_not_endless() {
    let long = "x\u{7}\u{1b}[31m".repeat(10_000);
    let files = [
        ("sst2", "tsv", format!("sentence\tlabel\na\t{long}\n")),
        ("sst2", "tsv", format!("{long}\t{long}\n")),
        (
            "stsb",
            "tsv",
            format!("sentence1\tsentence2\tscore\na\tb\t{long}\n"),
        ),
        (
            "sst2",
            "jsonl",
            format!("{{\"sentence\": [\"{}\"]}}\n", "x\\n".repeat(10_000)),
        ),
        (
            "sst2",
            "jsonl",
            format!("{{\"{}\": 1}}\n", "x\\n".repeat(10_000)),
        ),
        ("sst2", "jsonl", "[".repeat(1000)),
        ("sst2", "tsv", vec!["column"; 5000].join("\t")),
    ];
    for (name, extension, contents) in files {
        let message = train_message(name, extension, contents.as_bytes());
        let start: String = message.chars().take(300).collect();
        assert!(message.len() < 2500, "{} bytes: {start}", message.len());
        assert!(!message.contains(|c: char| c.is_control()), "{start:?}");
        assert_has(&message, &["train.", "expected ", "found ", "; "]);
    }
}
