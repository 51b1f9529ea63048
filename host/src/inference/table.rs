//! Predictions as rows of cells: for programs with every probability in a column of its own, for
//! people with the text, the answer and its score. Called by `output`.

use super::predictions::{Predictions, RENAMED, Said};
use progtune_datasets::ProblemType;
use progtune_engine::{Error, Result};
use serde_json::Value;

/// The least width of the column of texts.
const LEAST_TEXT: usize = 20;

/// The widest cell of any other column.
const WIDEST: usize = 32;

/// A cell with the name of its column.
type Cell = (String, Value);

/// The table for programs. A text with the separator is quoted in CSV; in TSV, tabs and line breaks
/// become spaces, because it has no quotes.
///
/// # Errors
/// When several adapters give different numbers of rows for an example.
pub(super) fn separated(predictions: &Predictions, separator: char) -> Result<String> {
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for example in 0..predictions.count() {
        let kept = predictions.kept_of(example);
        for mut row in program_rows(predictions, example)? {
            let mut cells = kept.clone();
            for (name, _) in &mut cells {
                if row.iter().any(|(other, _)| other == name) {
                    *name = format!("{RENAMED}{name}");
                }
            }
            cells.append(&mut row);
            rows.push(cells);
        }
    }
    let mut text = String::new();
    let quoted = |cell: &str| {
        if separator == '\t' {
            cell.replace(['\t', '\n', '\r'], " ")
        } else if cell.contains([separator, '"', '\n', '\r']) {
            format!("\"{}\"", cell.replace('"', "\"\""))
        } else {
            cell.to_owned()
        }
    };
    let mut add = |cells: Vec<String>| {
        let cells: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
        text.push_str(&cells.join(&separator.to_string()));
        text.push('\n');
    };
    if let Some(first) = rows.first() {
        add(first.iter().map(|(name, _)| name.clone()).collect());
    }
    for row in &rows {
        add(row.iter().map(|(_, value)| shown(value)).collect());
    }
    Ok(text)
}

/// The rows of an example, those of all adapters beside each other.
fn program_rows(predictions: &Predictions, example: usize) -> Result<Vec<Vec<Cell>>> {
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    let several = predictions.adapters.len() > 1;
    for (at, said) in predictions.adapters.iter().enumerate() {
        let mut own = program_cells(said, example, &predictions.label_separator);
        if several {
            for (name, _) in own.iter_mut().flatten() {
                *name = format!("{}.{name}", said.name);
            }
        }
        if at == 0 {
            rows = own;
        } else if rows.len() == own.len() {
            for (row, mut more) in rows.iter_mut().zip(own) {
                row.append(&mut more);
            }
        } else {
            return Err(Error::Usage(
                "--output-format: adapters for words and adapters for whole texts do not fit into one table; use jsonl".into(),
            ));
        }
    }
    Ok(rows)
}

/// The cells of an example: one row, or one for each word of a sentence.
fn program_cells(said: &Said, example: usize, separator: &str) -> Vec<Vec<Cell>> {
    let row = &said.rows[example];
    let cell = |name: &str| (name.to_owned(), row[name].clone());
    match said.task.problem_type {
        ProblemType::TokenClassification => word_cells(row, example),
        ProblemType::QuestionAnswering => {
            let mut cells: Vec<Cell> = ["id", "answer", "start", "end", "probability"]
                .map(cell)
                .into();
            cells.extend(row.get("null_odds").map(|_| cell("null_odds")));
            vec![cells]
        }
        ProblemType::Regression => vec![vec![cell("label")]],
        kind => {
            let mut cells = vec![match &row["label"] {
                Value::Array(labels) => ("label".to_owned(), joined(labels, separator).into()),
                label => ("label".to_owned(), label.clone()),
            }];
            if kind == ProblemType::SingleLabelClassification {
                cells.push(cell("score"));
            }
            cells.extend(top_cells(row));
            let all = row["probabilities"].as_object();
            let all = all.into_iter().flatten();
            cells.extend(all.map(|(label, p)| (format!("probability_{label}"), p.clone())));
            vec![cells]
        }
    }
}

/// The cells of `--top-k`: each label with its score.
fn top_cells(row: &Value) -> Vec<Cell> {
    let top = row["top_k"].as_array().into_iter().flatten();
    top.enumerate()
        .flat_map(|(at, best)| {
            let cell = |key: &str| (format!("{key}_{}", at + 1), best[key].clone());
            [cell("label"), cell("score")]
        })
        .collect()
}

fn word_cells(row: &Value, example: usize) -> Vec<Vec<Cell>> {
    let list = |key: &str| row[key].as_array().cloned().unwrap_or_default();
    let (tags, scores, offsets) = (list("tags"), list("scores"), list("offsets"));
    let words = list("tokens").into_iter().enumerate();
    words
        .map(|(at, word)| {
            let of = |values: &[Value]| values.get(at).cloned().unwrap_or_default();
            let mut cells: Vec<Cell> = vec![
                ("sentence".into(), (example + 1).into()),
                ("word".into(), word),
                ("tag".into(), of(&tags)),
                ("score".into(), of(&scores)),
            ];
            if let Some(Value::Array(ends)) = offsets.get(at) {
                for (name, end) in ["start", "end"].into_iter().zip(ends) {
                    cells.push((name.into(), end.clone()));
                }
            }
            cells
        })
        .collect()
}

/// The labels of a set in one cell.
fn joined(labels: &[Value], separator: &str) -> String {
    let labels: Vec<&str> = labels.iter().filter_map(Value::as_str).collect();
    labels.join(separator)
}

/// A value as the text of a cell.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The table for people: the kept columns, the text, and the answer of each adapter, aligned in
/// lines of at most `width` columns if the answers allow it.
pub(super) fn aligned(predictions: &Predictions, width: usize) -> String {
    let several = predictions.adapters.len() > 1;
    let mut rows: Vec<Vec<(String, String)>> = Vec::new();
    for example in 0..predictions.count() {
        let mut cells: Vec<(String, String)> = Vec::new();
        let kept = predictions.kept_of(example);
        cells.extend(
            kept.iter()
                .map(|(name, value)| (name.clone(), shown(value))),
        );
        match predictions
            .texts
            .as_ref()
            .and_then(|texts| texts.get(example))
        {
            Some(text) => cells.push((TEXT.into(), text.clone())),
            None if cells.is_empty() => cells.push(("#".into(), (example + 1).to_string())),
            None => {}
        }
        for said in &predictions.adapters {
            let answer = people_cells(&said.rows[example], said.task.problem_type);
            cells.extend(answer.into_iter().map(|(name, text)| {
                if several {
                    (format!("{}.{name}", said.name), text)
                } else {
                    (name, text)
                }
            }));
        }
        rows.push(cells);
    }
    lay_out(&rows, width)
}

/// The heading of the column of texts.
const TEXT: &str = "text";

/// The answer in a few cells.
fn people_cells(row: &Value, problem: ProblemType) -> Vec<(String, String)> {
    let number = |value: &Value| match value.as_f64() {
        Some(number) => format!("{number:.4}"),
        None => String::new(),
    };
    let named = |name: &str, text: String| (name.to_owned(), text);
    match problem {
        ProblemType::TokenClassification => vec![named("entities", entities(row))],
        ProblemType::QuestionAnswering => vec![
            named("answer", shown(&row["answer"])),
            named("probability", number(&row["probability"])),
        ],
        ProblemType::Regression => vec![named("label", number(&row["label"]))],
        _ => {
            let top = top_cells(row);
            if !top.is_empty() {
                let text = |value: &Value| match value {
                    Value::Number(_) => number(value),
                    other => shown(other),
                };
                return top
                    .iter()
                    .map(|(name, value)| (name.clone(), text(value)))
                    .collect();
            }
            match &row["label"] {
                Value::Array(labels) => vec![named("labels", joined(labels, ", "))],
                label => vec![
                    named("label", shown(label)),
                    named("score", number(&row["score"])),
                ],
            }
        }
    }
}

/// The entities of a sentence with their types; without any, the words with their tags.
fn entities(row: &Value) -> String {
    let found = row["entities"].as_array().into_iter().flatten();
    let entities: Vec<String> = found
        .map(|entity| {
            let score = entity["score"].as_f64().unwrap_or_default();
            format!(
                "{} ({} {score:.2})",
                shown(&entity["text"]),
                shown(&entity["type"])
            )
        })
        .collect();
    let list = |key: &str| row[key].as_array().cloned().unwrap_or_default();
    let tags = list("tags");
    if !entities.is_empty() || tags.iter().all(|tag| tag.is_null() || tag == "O") {
        return if entities.is_empty() {
            "none".into()
        } else {
            entities.join(", ")
        };
    }
    let words = list("tokens").into_iter().zip(tags);
    let words: Vec<String> = words
        .map(|(word, tag)| format!("{}/{}", shown(&word), shown(&tag)))
        .collect();
    words.join(" ")
}

/// Aligns cells below their headings. The column of texts takes the room that the others leave.
fn lay_out(rows: &[Vec<(String, String)>], width: usize) -> String {
    let Some(first) = rows.first() else {
        return String::new();
    };
    let length = |text: &str| text.chars().count();
    let n_columns = first.len();
    let mut widths: Vec<usize> = first.iter().map(|(name, _)| length(name)).collect();
    for (at, (_, cell)) in rows.iter().flat_map(|row| row.iter().enumerate()) {
        if at < n_columns {
            widths[at] = widths[at].max(length(cell));
        }
    }
    let last = n_columns - 1;
    let is_text = |at: usize| first[at].0 == TEXT;
    for (at, column) in widths.iter_mut().enumerate() {
        if !is_text(at) && at != last {
            *column = (*column).min(WIDEST.max(length(&first[at].0)));
        }
    }
    if let Some(at) = (0..n_columns).find(|&at| is_text(at)) {
        let others: usize = (0..n_columns)
            .filter(|&other| other != at)
            .map(|other| widths[other] + 2)
            .sum();
        let room = width.saturating_sub(others).max(LEAST_TEXT);
        widths[at] = widths[at].min(room);
    }
    let line = |cells: Vec<&str>| {
        let mut line = String::new();
        for (at, cell) in cells.iter().enumerate() {
            let cell = in_one_line(cell);
            let cell = if at == last && !is_text(at) {
                cell
            } else {
                cut(&cell, widths[at])
            };
            line.push_str(&cell);
            line.push_str(&" ".repeat(widths[at].saturating_sub(length(&cell)) + 2));
        }
        line.trim_end().to_owned() + "\n"
    };
    let mut text = line(first.iter().map(|(name, _)| name.as_str()).collect());
    for row in rows {
        text.push_str(&line(row.iter().map(|(_, cell)| cell.as_str()).collect()));
    }
    text
}

fn in_one_line(cell: &str) -> String {
    cell.replace(['\n', '\r', '\t'], " ")
}

/// The beginning of a text that is longer than `width`.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::kept::Kept;
    use progtune_datasets::{Column, Columns, Labels, Task};
    use serde_json::json;

    fn said(name: &str, problem_type: ProblemType, rows: Vec<Value>) -> Said {
        let columns = Columns {
            first: Column::named("text"),
            second: None,
            label: Column::named("label"),
        };
        let names = vec!["a".to_owned(), "b".to_owned()];
        Said {
            name: name.into(),
            task: Task::own(
                columns,
                Labels {
                    problem_type,
                    names,
                },
            ),
            rows,
        }
    }

    fn predictions(adapters: Vec<Said>) -> Predictions {
        Predictions {
            kept: Kept {
                names: vec!["id".into(), "label".into()],
                rows: vec![vec![json!(7), json!("x, \"y\"")]],
            },
            texts: Some(vec![
                "a rather long text\nof two lines that fills its column".into(),
            ]),
            adapters,
            label_separator: ";".into(),
        }
    }

    fn class() -> Value {
        json!({ "logits": [0.0, 1.0], "label": "b", "score": 0.75, "probabilities": { "a": 0.25, "b": 0.75 } })
    }

    #[test]
    fn programs_get_every_probability() {
        let single = ProblemType::SingleLabelClassification;
        let one = predictions(vec![said("x", single, vec![class()])]);
        assert_eq!(
            separated(&one, ',').unwrap(),
            "id,input_label,label,score,probability_a,probability_b\n7,\"x, \"\"y\"\"\",b,0.75,0.25,0.75\n"
        );
        let two = predictions(vec![
            said("x", single, vec![class()]),
            said(
                "y",
                ProblemType::Regression,
                vec![json!({ "logits": [2.5], "label": 2.5 })],
            ),
        ]);
        assert_eq!(
            separated(&two, '\t').unwrap(),
            "id\tlabel\tx.label\tx.score\tx.probability_a\tx.probability_b\ty.label\n7\tx, \"y\"\tb\t0.75\t0.25\t0.75\t2.5\n"
        );
        let set = json!({ "logits": [1.0, 1.0], "label": ["a", "b"], "top_k": [{ "label": "a", "score": 0.7 }] });
        let multi = predictions(vec![said(
            "x",
            ProblemType::MultiLabelClassification,
            vec![set],
        )]);
        assert!(separated(&multi, ',').unwrap().ends_with(",a;b,a,0.7\n"));
    }

    #[test]
    fn words_have_a_row_each() {
        let row = json!({ "tokens": ["a", "b"], "tags": ["O", null], "scores": [0.5, null], "offsets": [[0, 1], [2, 3]] });
        let mut tags = predictions(vec![said("x", ProblemType::TokenClassification, vec![row])]);
        tags.kept = Kept::default();
        assert_eq!(
            separated(&tags, ',').unwrap(),
            "sentence,word,tag,score,start,end\n1,a,O,0.5,0,1\n1,b,,,2,3\n"
        );
        let single = ProblemType::SingleLabelClassification;
        tags.adapters.push(said("y", single, vec![class()]));
        assert!(separated(&tags, ',').is_err());
    }

    #[test]
    fn people_get_the_text_and_the_answer() {
        let single = ProblemType::SingleLabelClassification;
        let one = predictions(vec![said("x", single, vec![class()])]);
        assert_eq!(
            aligned(&one, 60),
            "id  input_label  text                          label  score\n7   x, \"y\"       a rather long text of two l…  b      0.7500\n"
        );
        let row = json!({ "tokens": ["Rome"], "tags": ["B-x"], "entities": [{ "text": "Rome", "type": "x", "score": 0.987 }] });
        let mut tags = predictions(vec![said("x", ProblemType::TokenClassification, vec![row])]);
        tags.kept = Kept::default();
        tags.texts = None;
        assert_eq!(aligned(&tags, 60), "#  entities\n1  Rome (x 0.99)\n");
    }
}
