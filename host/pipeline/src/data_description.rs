//! Descriptions of the user's own data: columns, labels, skipped rows. Called by whatever reads the
//! data, and by `data inspect`.

use progtune_datasets::{Header, OwnFiles, ProblemType, SkippedRows};
use progtune_plain_text::shown_line;
use progtune_process::short_name;

/// The number of skipped rows shown on the terminal.
const N_SHOWN: usize = 5;

/// The width of a line of names, and of a name in it.
const WIDTH: usize = 80;
const LONGEST: usize = 40;

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
            in_line("labels", &data.task.labels, data.facts.form.describe()) + "\n"
        }
        ProblemType::QuestionAnswering => String::new(),
    });
    text + &describe_skipped(&data.facts.skipped)
}

/// Lists names in one line after `what` they are, with a note about them if it is not empty:
/// `labels: no, yes`. Of many, the first are named and all are counted:
/// `77 labels: activate_my_card, age_limit, …`.
pub(crate) fn in_line(what: &str, names: &[String], note: &str) -> String {
    let names: Vec<String> = names.iter().map(|name| shown_line(name)).collect();
    let note = match note {
        "" => String::new(),
        note => format!(" ({note})"),
    };
    let all = format!("{what}: {}{note}", names.join(", "));
    if all.chars().count() <= WIDTH {
        return all;
    }
    let mut line = format!("{} {what}{note}:", names.len());
    let mut separator = " ";
    for (n_named, name) in names.iter().enumerate() {
        let name = short_name(name, LONGEST);
        let width = line.chars().count() + separator.len() + name.chars().count();
        // The last name needs no room for `, …`.
        let is_last = n_named + 1 == names.len();
        if n_named > 0 && width + if is_last { 0 } else { 3 } > WIDTH {
            line += ", …";
            break;
        }
        line += separator;
        line += &name;
        separator = ", ";
    }
    line
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_take_one_line() {
        let names = |n: usize, length: usize| -> Vec<String> {
            (0..n).map(|i| format!("{i:0>length$}")).collect()
        };
        assert_eq!(in_line("labels", &names(3, 1), ""), "labels: 0, 1, 2");
        assert_eq!(in_line("labels", &names(2, 1), "ids"), "labels: 0, 1 (ids)");
        let many = in_line("labels", &names(77, 8), "");
        let expected = "77 labels: 00000000, 00000001, 00000002, 00000003, 00000004, 00000005, …";
        assert_eq!(many, expected);
        let noted = in_line("labels", &names(77, 30), "ids");
        assert_eq!(noted, format!("77 labels (ids): {:030}, …", 0));
        // Whatever their number and length, the line fits.
        for n in 1..30 {
            for length in [1, 2, 5, 9, 30, 39, 90] {
                let line = in_line("labels", &names(n, length), "");
                assert!(line.chars().count() <= WIDTH, "{line}");
                let named = line.matches(", ").count() + 1;
                assert!(line.ends_with(", …") || named == n, "{line}");
            }
        }
    }
}
