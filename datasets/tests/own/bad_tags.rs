//! The table of bad input for tagged sentences: each kind of damage, its message, and the sentences
//! that remain when bad ones may be skipped.

use super::tags::{all_shown, load_tags, typed};
use super::*;
use progtune_datasets::OnBadRow;

fn cases() -> Vec<Case<'static>> {
    let long = [
        b"a O\n\n".as_slice(),
        b"b B-x\n".repeat(3 << 20).as_slice(),
        b"\nc B-x\n",
    ]
    .concat();
    let good: Option<&[&str]> = Some(&["a/O", "c/B-x"]);
    vec![
        (
            "tag missing",
            "f.conll",
            b"a\tO\n\nb\tB-x\nq\n\nc\tB-x\n".to_vec(),
            &[
                "f.conll, line 4: expected 2 tab-separated cells as in the file's first word, found 1",
                "repair",
            ],
            good,
        ),
        (
            "tag that is empty",
            "f.conll",
            b"a\tO\n\nb\tB-x\nq\t\n\nc\tB-x\n".to_vec(),
            &[
                "f.conll, line 4: column `2`: expected the tag of word 2",
                "found \"\"",
                "add the tag",
            ],
            good,
        ),
        (
            "too many columns",
            "f.conll",
            b"a O\n\nb x B-x\n\nc B-x\n".to_vec(),
            &[
                "f.conll, line 3: expected 2 space-separated cells",
                "found 3",
            ],
            good,
        ),
        (
            "invalid UTF-8",
            "f.conll",
            b"a O\n\nb B-x\n\xFF O\nd O\n\nc B-x\n".to_vec(),
            &["f.conll, line 4: expected UTF-8 text, found the byte 0xFF"],
            good,
        ),
        (
            "NUL byte",
            "f.conll",
            b"a O\n\nb\0 B-x\n\nc B-x\n".to_vec(),
            &["f.conll, line 3: expected text, found a NUL character"],
            good,
        ),
        (
            "sentence without end",
            "f.conll",
            long,
            &["f.conll, line ", "expected a sentence of at most 16 MiB"],
            good,
        ),
        (
            "one tag only",
            "f.conll",
            b"a O\nb O\n".to_vec(),
            &[
                "f.conll: column `2`: expected at least two different labels, found `O` in all 2 rows",
            ],
            None,
        ),
        (
            "words only",
            "f.conll",
            b"a\nb\n".to_vec(),
            &["f.conll: cannot tell which column is the list of tags: no column is left"],
            None,
        ),
        (
            "no such column",
            "f.jsonl",
            b"{\"words\": \"a b\", \"tags\": \"O O\"}\n".to_vec(),
            &["f.jsonl: cannot tell which column is the list of words: none holds lists"],
            None,
        ),
        (
            "empty file",
            "f.conll",
            Vec::new(),
            &["f.conll: cannot tell which column is the list of words"],
            None,
        ),
        (
            "counts that differ",
            "f.jsonl",
            br#"{"tokens": ["a"], "tags": ["O"]}
{"tokens": ["q", "r"], "tags": ["O"]}
{"tokens": ["c"], "tags": ["B-x"]}"#
                .to_vec(),
            &[
                "f.jsonl, line 2: expected a tag for each word, found 2 words in `tokens` and 1 tags in `tags`",
                "correct the row",
            ],
            good,
        ),
        (
            "tag that is null",
            "f.jsonl",
            br#"{"tokens": ["a"], "tags": ["O"]}
{"tokens": ["q", "r"], "tags": ["O", null]}
{"tokens": ["c"], "tags": ["B-x"]}"#
                .to_vec(),
            &[
                "f.jsonl, line 2: column `tags`: expected the tag of word 2 to be a name or an id, found nothing",
            ],
            good,
        ),
        (
            "words that are none",
            "f.jsonl",
            br#"{"tokens": ["a"], "tags": ["O"]}
{"tokens": ["q", 3], "tags": ["O", "O"]}
{"tokens": ["c"], "tags": ["B-x"]}"#
                .to_vec(),
            &[
                "f.jsonl, line 2: column `tokens`: expected a list of words, at least one, found a list with 3",
            ],
            good,
        ),
        (
            "no word",
            "f.jsonl",
            br#"{"tokens": ["a"], "tags": ["O"]}
{"tokens": [], "tags": []}
{"tokens": ["c"], "tags": ["B-x"]}"#
                .to_vec(),
            &[
                "f.jsonl, line 2: column `tokens`: expected a list of words, at least one, found the list []",
            ],
            good,
        ),
        (
            "tags that are a text",
            "f.jsonl",
            br#"{"tokens": ["a"], "tags": ["O"]}
{"tokens": ["q"], "tags": "O"}
{"tokens": ["c"], "tags": ["B-x"]}"#
                .to_vec(),
            &["f.jsonl, line 2: column `tags`: expected a list of tags, found \"O\""],
            good,
        ),
    ]
}

#[test]
fn each_damage_is_told_by_file_and_line() {
    for (damage, name, contents, parts, good) in cases() {
        let dir = dir_with(&[(name, &contents)]);
        let mut request = train_on(dir.path(), &[name], typed());
        if name.ends_with("jsonl") {
            request.reading.label_column = Some("tags".into());
        }
        if damage == "no such column" {
            request.reading.label_column = None;
        }
        let message = match load_tags(dir.path(), &request) {
            Err(message) => message,
            Ok(_) => panic!("{damage}: read"),
        };
        println!("{damage}: {message}");
        assert_has(&message, parts);
        request.reading.on_bad_row = OnBadRow::Skip;
        match (load_tags(dir.path(), &request), good) {
            (Ok(data), Some(sentences)) => {
                assert_eq!(all_shown(&data), sentences, "{damage}");
                assert_eq!(data.skipped.n_rows, 1, "{damage}");
            }
            (Err(again), None) => assert_eq!(again, message, "{damage}"),
            (Ok(_), None) => panic!("{damage}: read"),
            (Err(message), Some(_)) => panic!("{damage}: {message}"),
        }
    }
}
