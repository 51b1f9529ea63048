//! CSV and TSV without a header, other separators and line ends, and encodings.

use super::*;
use progtune_datasets::{Header, TextEncoding};

fn without_header(names: &[&str]) -> Reading {
    Reading {
        header: Header::Absent(names.iter().map(|&name| name.to_owned()).collect()),
        ..Reading::default()
    }
}

#[test]
fn a_first_row_that_looks_like_data_is_refused() {
    let ways = ["--no-header", "--columns text,label", "--text-column"];
    for (file, why) in [
        (
            "the dog,0\na cat,1\nan owl,0\n",
            "`0` is a number, as all values below it are",
        ),
        ("fine,pos\npoor,neg\ngood,pos\n", "`pos` occurs again below"),
        (
            "this film is one of the best,a\nx,b\ny,b\n",
            "is as long as a sentence",
        ),
        ("fine;0.5\npoor;1.5\n", "`0.5` is a number"),
    ] {
        bad("a.csv", file.as_bytes(), &["a.csv: the first row (`", why]);
        bad("a.csv", file.as_bytes(), &ways);
    }
    // Names in common use, numbers as pandas numbers columns, and names given by the user all count
    // as names.
    assert_eq!(
        good("a.csv", b"text,label\ntext,label\nb,c\n").train.len(),
        2
    );
    assert_eq!(good("a.csv", b"0,1\nx,1\ny,0\n").train.len(), 2);
    let named = Reading {
        text_column: Some("What do you think of it?".to_owned()),
        ..Reading::default()
    };
    let forms = b"What do you think of it?,grade\nx,1\ny,0\n";
    assert_eq!(read("a.csv", forms, named).unwrap().train.len(), 2);
}

#[test]
fn files_without_a_header_have_numbers_or_the_names_given() {
    let file = b"good,pos\nbad,neg\n";
    let expected = [example("good", None, 1), example("bad", None, 0)];
    let data = read("a.csv", file, without_header(&["text", "label"])).unwrap();
    assert_eq!(data.train, expected);
    let numbered = Reading {
        label_column: Some("2".to_owned()),
        ..without_header(&[])
    };
    assert_eq!(
        read("a.csv", file, numbered.clone()).unwrap().train,
        expected
    );
    assert_eq!(
        read("a.tsv", b"good\tpos\nbad\tneg\n", numbered)
            .unwrap()
            .train,
        expected
    );
    let message = read("a.csv", file, without_header(&["a", "b", "c"])).unwrap_err();
    assert_has(
        &message,
        &["--columns: expected 2 names, as many as the first row has cells"],
    );
    let message = read(
        "a.csv",
        b"text,label\na,b\n",
        without_header(&["text", "label"]),
    );
    assert_has(
        &message.unwrap_err(),
        &["the first row consists of the names given with --columns"],
    );
    // The names learned in a run without a header apply to files without one, and only to those.
    let learned = Reading {
        header: Header::Learned(vec!["text".to_owned(), "label".to_owned()]),
        ..Reading::default()
    };
    for file in [
        &file[..],
        b"text,label\ngood,pos\nbad,neg\n",
        b"label,text\npos,good\nneg,bad\n",
    ] {
        assert_eq!(
            read("a.csv", file, learned.clone()).unwrap().train,
            expected
        );
    }
    let named = Reading {
        text_column: Some("text".to_owned()),
        ..Reading::default()
    };
    let message = read("a.csv", b"good,pos\nbad,neg\n", named).unwrap_err();
    assert_has(
        &message,
        &[
            "--text-column: expected a column named `text`",
            "give --no-header",
        ],
    );
}

#[test]
fn separators_and_line_ends() {
    let expected = [example("a, b", None, 1), example("c", None, 0)];
    for file in [
        "text;label\na, b;x2\nc;x1\n",
        "text|label\na, b|x2\nc|x1\n",
        "text\tlabel\n\"a, b\"\tx2\nc\tx1\n",
        "text,label\r\"a, b\",x2\rc,x1\r",
        "sep=;\ntext;label\na, b;x2\nc;x1\n",
        "sep=,\r\ntext,label\r\n\"a, b\",x2\r\nc,x1\r\n",
    ] {
        assert_eq!(good("a.csv", file.as_bytes()).train, expected, "{file:?}");
    }
    assert_eq!(
        good("a.tsv", b"text\tlabel\ra, b\tx2\rc\tx1\r").train,
        expected
    );
    bad(
        "a.csv",
        b"text;label\na;b\nc;d;e\n",
        &[
            "line 3: expected 2 semicolon-separated cells",
            "a semicolon inside a text",
        ],
    );
}

#[test]
fn utf_16_is_recognised_and_utf_32_refused() {
    let text = "text,label\nnaïve 🙂,a\n日本,b\n";
    let wide = |big: bool| -> Vec<u8> {
        let units = text.encode_utf16();
        units
            .flat_map(|unit| {
                if big {
                    unit.to_be_bytes()
                } else {
                    unit.to_le_bytes()
                }
            })
            .collect()
    };
    let expected = good("a.csv", text.as_bytes()).train;
    let marked = |mark: &[u8], big| [mark, &wide(big)].concat();
    for file in [
        marked(b"\xFF\xFE", false),
        marked(b"\xFE\xFF", true),
        wide(false),
        wide(true),
    ] {
        assert_eq!(good("a.csv", &file).train, expected);
    }
    let asked = Reading {
        encoding: TextEncoding::by_name("utf-16").unwrap(),
        ..Reading::default()
    };
    assert_eq!(read("a.csv", &wide(false), asked).unwrap().train, expected);
    let json: Vec<u8> = "{\"text\": \"é\", \"label\": 1}\n{\"text\": \"b\", \"label\": 0}\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert_eq!(texts(&good("a.jsonl", &json).train), ["é", "b"]);
    let utf_32 = |text: &str| {
        text.chars()
            .flat_map(|c| (c as u32).to_le_bytes())
            .collect::<Vec<u8>>()
    };
    bad(
        "a.csv",
        &utf_32(text),
        &["expected UTF-8 or UTF-16, found UTF-32", "iconv -f UTF-32"],
    );
    bad("a.csv", &utf_32("\u{FEFF}text"), &["found UTF-32"]);
    // Half of a surrogate pair.
    let mut broken = wide(false);
    broken.extend_from_slice(&[0x3D, 0xD8, b'\n', 0]);
    bad(
        "a.csv",
        &broken,
        &["a.csv, line ", "expected UTF-16LE text"],
    );
}
