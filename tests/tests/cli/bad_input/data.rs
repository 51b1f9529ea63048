//! Data that does not fit the task.

use super::*;
use progtune_tests::scratch::replace_in;

const TRAIN: &str = "train.tsv";

/// Trains on a copy of the MRPC fixture that `damage` has changed.
fn damaged(damage: impl FnOnce(&Path)) -> impl FnOnce(&Scratch) -> CommandLine {
    move |scratch| {
        let data = scratch.copy("data", "data");
        damage(&data);
        CommandLine::train_on(&bert(), &data, &scratch.path("run"))
    }
}

/// Trains with another word in the header.
fn renamed(from: &str, to: &str) -> impl FnOnce(&Scratch) -> CommandLine {
    damaged(move |data| replace_in(&data.join(TRAIN), from, to))
}

/// Trains with an additional row.
fn with_row(row: &[u8]) -> impl FnOnce(&Scratch) -> CommandLine {
    damaged(move |data| {
        let path = data.join(TRAIN);
        fs::write(&path, [fs::read(&path).unwrap().as_slice(), row].concat()).unwrap();
    })
}

/// Trains with one data file replaced.
fn with_file(name: &str, text: &str) -> impl FnOnce(&Scratch) -> CommandLine {
    damaged(move |data| fs::write(data.join(name), text).unwrap())
}

/// Trains a regression task with this score in the second line.
fn with_score(score: &str) -> impl FnOnce(&Scratch) -> CommandLine {
    move |scratch| {
        let data = scratch.copy("data_stsb", "data");
        replace_in(&data.join(TRAIN), "2.905", score);
        CommandLine::new("train --task stsb --quiet")
            .path("--model", fixture("parity/bert_regression"))
            .path("--data", &data)
            .path("--output", scratch.path("run"))
    }
}

/// Predicts for a file with these lines.
fn predict(text: impl Into<String>) -> impl FnOnce(&Scratch) -> CommandLine {
    move |scratch| {
        let input = scratch.write("lines.jsonl", text.into());
        CommandLine::new("predict --task mrpc --quiet --max-length 64")
            .path("--model", bert())
            .path("--input", input)
    }
}

/// Predicts for a good line and one more.
fn predict_second(line: &str) -> impl FnOnce(&Scratch) -> CommandLine {
    predict(format!(
        "{{\"sentence1\": \"a\", \"sentence2\": \"b\"}}\n{line}\n"
    ))
}

cases! { is_refused_at_once:
    a_missing_column(3, renamed("#2 String", "second"));
    a_missing_label_column(3, renamed("Quality", "Kwality"));
    a_label_outside_the_set(3, with_row(b"2\t1\t2\ta\tb\n"));
    no_label_in_a_training_row(3, with_row(b"\t1\t2\ta\tb\n"));
    a_row_with_a_cell_too_few(3, with_row(b"1\t1\t2\ta b\n"));
    an_empty_training_file(3, with_file(TRAIN, ""));
    only_a_header(3, with_file(TRAIN, "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"));
    an_empty_evaluation_file(3, with_file("dev.tsv", ""));
    a_byte_that_is_not_utf_8(3, with_row(b"1\t1\t2\tcaf\xe9\tb\n"));
    a_parquet_file_that_is_none(3, damaged(|data| {
        fs::remove_file(data.join(TRAIN)).unwrap();
        fs::write(data.join("train.parquet"), "PAR1").unwrap();
    }));
    no_evaluation_file(3, damaged(|data| fs::remove_file(data.join("dev.tsv")).unwrap()));
    a_data_directory_that_is_not_there(3, |s| {
        CommandLine::train_on(&bert(), &s.path("absent"), &s.path("run"))
    });
    a_data_directory_that_is_a_file(3, |s| {
        let file = s.write("train.tsv", "");
        CommandLine::train_on(&bert(), &file, &s.path("run"))
    });
    files_of_another_task(3, |s| {
        CommandLine::new("train --task sst2 --quiet")
            .path("--model", bert())
            .path("--data", fixture("parity/data"))
            .path("--output", s.path("run"))
    });
    a_score_that_is_a_word(3, with_score("high"));
    a_score_that_is_not_a_number(3, with_score("NaN"));
    a_score_that_is_missing(3, with_score(""));
    a_line_that_is_no_json(3, predict_second("{\"sentence1\": "));
    a_line_that_is_no_object(3, predict_second("[1]"));
    a_line_without_a_column(3, predict_second("{\"sentence1\": \"a\"}"));
    a_text_that_is_a_number(3, predict_second("{\"sentence1\": 3, \"sentence2\": \"b\"}"));
    a_line_with_a_label_outside_the_set(3, predict_second(
        "{\"sentence1\": \"a\", \"sentence2\": \"b\", \"label\": \"maybe\"}"
    ));
    no_line_to_predict(3, predict("\n"));
    no_file_to_predict(3, |s| {
        CommandLine::new("predict --task mrpc --quiet")
            .path("--model", bert())
            .path("--input", s.path("none"))
    });
}
