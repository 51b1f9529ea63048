//! The tables of classes at the end of a run: precision, recall and F1 of each class, and the
//! classes that are confused. Of many classes they show the worst. Called by the report.

use super::KEYS;
use progtune_plain_text::shown_line;
use progtune_process::short_name;
use serde_json::{Map, Value};

/// The largest number of classes that are all listed.
const ALL: usize = 20;
/// The largest number of classes with a whole matrix, if it fits the width.
const WHOLE: usize = 8;
/// The number of classes, and of confusions, that are shown of more.
const WORST: usize = 10;
/// The longest name of a class.
const LONGEST: usize = 40;

/// A class with its scores.
struct Class {
    name: String,
    scores: [f64; 3],
    support: u64,
}

/// Formats the classes of a result in lines of at most `width` characters; empty if it has none.
pub(crate) fn tables(results: &Map<String, Value>, width: usize) -> String {
    let classes = read_classes(results);
    if classes.is_empty() {
        return String::new();
    }
    let mut text = scores_table(&classes, width);
    let counts = read_matrix(results, classes.len());
    if let Some(counts) = counts {
        let matrix = (classes.len() <= WHOLE)
            .then(|| whole_matrix(&classes, &counts))
            .filter(|matrix| matrix.lines().all(|line| line.chars().count() <= width));
        text += &match matrix {
            Some(matrix) => format!("\n{matrix}"),
            None => worst_pairs(&classes, &counts, width),
        };
    }
    text
}

fn read_classes(results: &Map<String, Value>) -> Vec<Class> {
    let classes = results.get(&format!("eval_{}", KEYS[0]));
    let classes = classes.and_then(Value::as_object).into_iter().flatten();
    let number = |report: &Value, key: &str| report[key].as_f64().unwrap_or_default();
    classes
        .map(|(name, report)| Class {
            name: shown_line(name),
            scores: ["precision", "recall", "f1"].map(|key| number(report, key)),
            support: report["support"].as_u64().unwrap_or_default(),
        })
        .collect()
}

/// The counts by expected and predicted class; `None` if the result has no square matrix of this
/// size.
fn read_matrix(results: &Map<String, Value>, size: usize) -> Option<Vec<Vec<u64>>> {
    let rows = results.get(&format!("eval_{}", KEYS[1]))?.as_array()?;
    let row = |row: &Value| -> Option<Vec<u64>> {
        let counts: Option<Vec<u64>> = row.as_array()?.iter().map(Value::as_u64).collect();
        counts.filter(|counts| counts.len() == size)
    };
    let rows: Option<Vec<Vec<u64>>> = rows.iter().map(row).collect();
    rows.filter(|rows| rows.len() == size)
}

/// Precision, recall and F1 of all classes, or of those with the lowest F1 among many.
fn scores_table(classes: &[Class], width: usize) -> String {
    let mut shown: Vec<&Class> = classes.iter().collect();
    let mut text = String::new();
    if classes.len() > ALL {
        // Without examples there is nothing to find, and F1 is 0 in any case.
        shown.retain(|class| class.support > 0);
        shown.sort_by(|a, b| a.scores[2].total_cmp(&b.scores[2]));
        shown.truncate(WORST);
        text += &format!(
            "{} of {} classes with the lowest f1 (all: all_results.json)\n",
            shown.len(),
            classes.len()
        );
    }
    let numbers = 40;
    let longest = shown.iter().map(|class| class.name.chars().count()).max();
    let first = longest
        .unwrap_or(0)
        .min(LONGEST.min(width.saturating_sub(numbers)))
        .max("class".len());
    text += &format!(
        "{:<first$} {:>9} {:>9} {:>9} {:>9}\n",
        "class", "precision", "recall", "f1", "examples"
    );
    for class in shown {
        let [precision, recall, f1] = class.scores;
        let name = short_name(&class.name, first);
        text += &format!(
            "{name:<first$} {precision:>9.4} {recall:>9.4} {f1:>9.4} {:>9}\n",
            class.support
        );
    }
    text
}

/// The whole matrix: a row for each expected class, a column for each predicted one.
fn whole_matrix(classes: &[Class], counts: &[Vec<u64>]) -> String {
    let names = |width: usize| -> Vec<String> {
        let names = classes.iter().map(|class| short_name(&class.name, width));
        names.collect()
    };
    let (rows, columns) = (names(LONGEST / 2), names(LONGEST / 4));
    let corner = "expected \\ predicted";
    let first = rows.iter().map(|name| name.chars().count());
    let first = first.fold(corner.chars().count(), usize::max);
    let widths: Vec<usize> = (0..classes.len())
        .map(|at| {
            let digits = counts.iter().map(|row| row[at].to_string().len());
            digits.fold(columns[at].chars().count(), usize::max)
        })
        .collect();
    let line = |name: &str, cells: &[String]| {
        let cells = cells.iter().zip(&widths);
        let cells: String = cells
            .map(|(cell, &width)| format!("  {cell:>width$}"))
            .collect();
        format!("{name:<first$}{cells}\n")
    };
    let mut text = line(corner, &columns);
    for (name, row) in rows.iter().zip(counts) {
        let cells: Vec<String> = row.iter().map(u64::to_string).collect();
        text += &line(name, &cells);
    }
    text
}

/// The most frequent confusions; empty if every prediction is right.
fn worst_pairs(classes: &[Class], counts: &[Vec<u64>], width: usize) -> String {
    let mut pairs: Vec<(u64, usize, usize)> = Vec::new();
    for (expected, row) in counts.iter().enumerate() {
        for (predicted, &count) in row.iter().enumerate() {
            if count > 0 && expected != predicted {
                pairs.push((count, expected, predicted));
            }
        }
    }
    if pairs.is_empty() {
        return String::new();
    }
    let n_pairs = pairs.len();
    pairs.sort_by(|a, b| b.0.cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    pairs.truncate(WORST);
    // The arrow, two spaces, and the numbers.
    let room = width.saturating_sub(" -> ".len() + 2 + 14) / 2;
    let widest = |of: fn(&(u64, usize, usize)) -> usize, title: &str| {
        let names = pairs.iter().map(|pair| classes[of(pair)].name.chars());
        let longest = names.map(Iterator::count).max().unwrap_or(0);
        longest.min(LONGEST.min(room)).max(title.len())
    };
    let (left, right) = (
        widest(|pair| pair.1, "expected"),
        widest(|pair| pair.2, "predicted"),
    );
    let mut text = if n_pairs > pairs.len() {
        format!("\nthe {WORST} most frequent of {n_pairs} confusions\n")
    } else {
        "\nconfusions\n".to_owned()
    };
    text += &format!(
        "{:<left$} -> {:<right$}  examples\n",
        "expected", "predicted"
    );
    for (count, expected, predicted) in pairs {
        let all: u64 = counts[expected].iter().sum();
        text += &format!(
            "{:<left$} -> {:<right$}  {count} of {all}\n",
            short_name(&classes[expected].name, left),
            short_name(&classes[predicted].name, right),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn results(names: &[&str], counts: &[Vec<u64>]) -> Map<String, Value> {
        let mut per_class = Map::new();
        for (at, name) in names.iter().enumerate() {
            let support: u64 = counts[at].iter().sum();
            let recall = counts[at][at] as f64 / support.max(1) as f64;
            per_class.insert(
                (*name).to_owned(),
                json!({"precision": 0.5, "recall": recall, "f1": recall, "support": support}),
            );
        }
        let mut map = Map::new();
        map.insert("eval_per_class".into(), per_class.into());
        map.insert("eval_confusion_matrix".into(), json!(counts));
        map
    }

    #[test]
    fn a_few_classes_have_a_matrix() {
        let text = tables(&results(&["no", "yes"], &[vec![5, 1], vec![2, 12]]), 80);
        let expected = "\
class precision    recall        f1  examples
no       0.5000    0.8333    0.8333         6
yes      0.5000    0.8571    0.8571        14

expected \\ predicted  no  yes
no                     5    1
yes                    2   12
";
        assert_eq!(text, expected);
        assert_eq!(tables(&Map::new(), 80), "");
        let mut tags = results(&["PER"], &[vec![3]]);
        tags.remove("eval_confusion_matrix");
        assert_eq!(tables(&tags, 80).lines().count(), 2);
    }

    #[test]
    fn of_many_classes_the_worst_are_shown_within_the_width() {
        let names: Vec<String> = (0..77)
            .map(|i| format!("{i:02}_a_long_name_of_a_class_which_differs_at_its_end_{i:02}"))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut counts = vec![vec![0; 77]; 77];
        for class in 0..77 {
            counts[class][class] = 40;
            counts[class][(class + 1) % 77] = class as u64 % 13;
        }
        counts[5][6] = 30;
        for width in [60, 80, 200] {
            let text = tables(&results(&names, &counts), width);
            let lines: Vec<&str> = text.lines().collect();
            assert!(
                lines.iter().all(|line| line.chars().count() <= width),
                "{text}"
            );
            assert_eq!(lines.len(), 2 + WORST + 1 + 2 + WORST, "{text}");
            assert!(lines[2].contains("_05 ") && lines[2].contains("0.5714"));
            let worst = lines.iter().find(|line| line.contains("30 of 70"));
            assert!(
                worst.is_some_and(|line| line.contains("_05 -> 06_")),
                "{text}"
            );
        }
    }

    #[test]
    fn perfect_predictions_are_not_confused() {
        let names: Vec<String> = (0..30).map(|i| format!("c{i}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut counts = vec![vec![0; 30]; 30];
        (0..29).for_each(|class| counts[class][class] = 2);
        let text = tables(&results(&names, &counts), 80);
        assert!(!text.contains("confusions"), "{text}");
        assert!(!text.contains("c29"), "no examples: {text}");
    }
}
