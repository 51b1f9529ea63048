//! Remarks on oddities in the user's own files, from the findings of the first pass over them.
//! Called by whatever shows the data: the start of a run, and `data inspect`.

use progtune_datasets::{OwnFiles, ProblemType, RowCounts};
use progtune_plain_text::shown_line;
use progtune_process::grouped;

/// Fewer rows than this may well have a label each.
const FEW_ROWS: usize = 8;

/// The names of the counts in [`OwnFiles`]' facts.
const SPLITS: [&str; 3] = ["training", "validation", "test"];

/// The remarks about files, one sentence each.
pub fn remarks(data: &OwnFiles) -> Vec<String> {
    let facts = &data.facts;
    let mut remarks = Vec::new();
    let is_classes = data.task.problem_type == ProblemType::SingleLabelClassification;
    for (name, counts) in SPLITS.iter().zip(&facts.counts) {
        if is_classes && !data.label_is_in_path() {
            remarks.extend(sorted_by_label(name, counts));
        }
        if counts.n_wordless > 0 {
            remarks.push(format!(
                "{} of {} {name} rows have a text without any letter or digit",
                grouped(counts.n_wordless as u64),
                grouped(counts.n_rows as u64)
            ));
        }
    }
    if !data.unread.is_empty() {
        let text = &data.task.columns.first.name;
        let all: Vec<&str> = data
            .unread
            .iter()
            .chain([text])
            .map(String::as_str)
            .collect();
        let (names, all) = (
            shown_line(&data.unread.join("`, `")),
            shown_line(&all.join(",")),
        );
        remarks.push(format!(
            "the text is `{}` only, without `{names}`; `--text-column {all}` joins them",
            shown_line(text)
        ));
    }
    if let Some(folder) = &data.without_class {
        remarks.push(format!(
            "{}: left out, because its texts have no class",
            shown_line(&folder.display().to_string())
        ));
    }
    let [train, ..] = &facts.counts;
    let column = shown_line(&data.task.columns.label.name);
    if is_classes && train.n_rows >= FEW_ROWS && train.by_class.iter().all(|&n| n <= 1) {
        remarks.push(format!(
            "no two training rows have the same label: column `{column}` probably holds ids; check --label-column"
        ));
    }
    if let Some(separator) = facts.separator {
        let example = data
            .task
            .labels
            .iter()
            .find(|label| label.contains(separator));
        let example = shown_line(example.map_or("", String::as_str));
        remarks.push(format!(
            "labels such as `{example}` look like several labels separated by `{separator}`: give --label-separator \
             '{separator}' to predict each of them"
        ));
    }
    remarks
}

fn sorted_by_label(name: &str, counts: &RowCounts) -> Option<String> {
    let n_classes = counts.by_class.iter().filter(|&&n| n > 0).count();
    let consequence = if name == SPLITS[0] {
        "training shuffles them, but --no-shuffle and `--sample first` would not"
    } else {
        "`--sample first` would not take each of them"
    };
    counts.are_grouped().then(|| {
        format!(
            "the {name} rows are sorted by label ({n_classes} labels in {} groups of rows); {consequence}",
            grouped(counts.n_groups as u64)
        )
    })
}
