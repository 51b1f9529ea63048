//! Descriptions of the user's own data: columns, labels, skipped rows. Called by whatever reads the
//! data, and by `data inspect`.

use progtune_datasets::{Header, OwnFiles, ProblemType, SkippedRows};
use progtune_plain_text::shown_line;

/// The number of skipped rows shown on the terminal.
const N_SHOWN: usize = 5;

/// Describes columns, labels and skipped rows, one per line.
pub fn describe(data: &OwnFiles) -> String {
    let columns = &data.task.columns;
    let column = |what: &str, name: &str| {
        let guessed = if data.guessed.contains(&what) {
            " (guessed)"
        } else {
            ""
        };
        format!("{what} `{}`{guessed}", shown_line(name))
    };
    let mut parts = vec![column("text", &columns.first.name)];
    parts.extend(columns.second.as_ref().map(|c| column("pair", &c.name)));
    parts.push(column("label", &columns.label.name));
    let numbered = if data.header == Header::Absent(Vec::new()) {
        " (no header: numbered from 1)"
    } else {
        ""
    };
    let mut text = format!("columns{numbered}: {}\n", parts.join(", "));
    text.push_str(&match data.task.problem_type {
        ProblemType::Regression => "labels: numbers (regression)\n".to_owned(),
        ProblemType::SingleLabelClassification
        | ProblemType::MultiLabelClassification
        | ProblemType::TokenClassification => {
            let form = match data.facts.form.describe() {
                "" => String::new(),
                form => format!(" ({form})"),
            };
            format!("labels: {}{form}\n", in_line(&data.task.labels))
        }
        ProblemType::QuestionAnswering => String::new(),
    });
    text + &describe_skipped(&data.facts.skipped)
}

/// Joins names with commas.
pub fn in_line(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| shown_line(name)).collect();
    names.join(", ")
}

/// The number of skipped rows and the first few of them, one per line; empty if there are none.
pub fn describe_skipped(skipped: &SkippedRows) -> String {
    if skipped.n_rows == 0 {
        return String::new();
    }
    let mut text = format!("rows left out: {}\n", skipped.n_rows);
    for reason in skipped.reasons.iter().take(N_SHOWN) {
        text.push_str(&format!("  {}\n", shown_line(reason)));
    }
    if skipped.n_rows > N_SHOWN {
        text.push_str(&format!("  and {} more\n", skipped.n_rows - N_SHOWN));
    }
    text
}
