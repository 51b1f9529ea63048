//! Compares the metrics with scikit-learn and scipy; `make_metrics.py` generates
//! `fixtures/metrics.json`.

use super::*;
use progtune_datasets::Metric;
use serde_json::Value;

const FIXTURE: &str = include_str!("fixtures/metrics.json");

fn numbers(value: &Value) -> Vec<f64> {
    let list = value.as_array().expect("a list");
    list.iter().map(|x| x.as_f64().expect("a number")).collect()
}

/// Asserts all values of `expected`, where null stands for NaN.
fn check(case: &Value, outcome: &Outcome<'_>) {
    for (name, value) in case["metrics"].as_object().expect("metrics") {
        let metric = Metric::by_name(name).expect("a metric");
        let found = compute(metric, outcome);
        match value.as_f64() {
            Some(expected) => assert!(
                (found - expected).abs() < 1e-12,
                "{}: {name}: expected {expected}, found {found}",
                case["name"]
            ),
            None => assert!(found.is_nan(), "{}: {name}: found {found}", case["name"]),
        }
    }
}

/// Reference: scikit-learn 1.9.1 and scipy 1.17.1; tolerance 1e-12.
#[test]
fn classes_are_measured_as_by_scikit_learn() {
    let fixture: Value = serde_json::from_str(FIXTURE).expect("JSON");
    for case in fixture["classes"].as_array().expect("cases") {
        let logits: Vec<Vec<f32>> = case["logits"]
            .as_array()
            .expect("rows")
            .iter()
            .map(|row| numbers(row).into_iter().map(|x| x as f32).collect())
            .collect();
        let rows: Vec<&[f32]> = logits.iter().map(Vec::as_slice).collect();
        let expected: Vec<u32> = numbers(&case["expected"])
            .iter()
            .map(|&x| x as u32)
            .collect();
        let predicted: Vec<u32> = rows
            .iter()
            .map(|row| crate::metrics::arg_max(row))
            .collect();
        let confusion = Confusion::new(&predicted, &expected, rows[0].len());
        let counts: Vec<Vec<f64>> = case["confusion"]
            .as_array()
            .expect("rows")
            .iter()
            .map(numbers)
            .collect();
        let found: Vec<Vec<f64>> = confusion
            .counts
            .iter()
            .map(|row| row.iter().map(|&n| n as f64).collect())
            .collect();
        assert_eq!(found, counts, "{}", case["name"]);
        for (class, report) in case["per_class"]
            .as_array()
            .expect("classes")
            .iter()
            .enumerate()
        {
            let found = confusion.report(class);
            let found = [
                found.precision,
                found.recall,
                found.f1,
                found.support as f64,
            ];
            for (found, expected) in found.iter().zip(numbers(report)) {
                assert!(
                    (found - expected).abs() < 1e-12,
                    "{}: {class}",
                    case["name"]
                );
            }
        }
        check(
            case,
            &Outcome::Classes {
                logits: &rows,
                expected: &expected,
                confusion: &confusion,
            },
        );
    }
}

/// Reference: scikit-learn 1.9.1 and scipy 1.17.1; tolerance 1e-12.
#[test]
fn scores_are_measured_as_by_scikit_learn_and_scipy() {
    let fixture: Value = serde_json::from_str(FIXTURE).expect("JSON");
    for case in fixture["scores"].as_array().expect("cases") {
        let (predicted, expected) = (numbers(&case["predicted"]), numbers(&case["expected"]));
        check(
            case,
            &Outcome::Scores {
                predicted: &predicted,
                expected: &expected,
            },
        );
    }
}

/// Reference: scikit-learn 1.9.1; tolerance 1e-12.
#[test]
fn sets_are_measured_as_by_scikit_learn() {
    let fixture: Value = serde_json::from_str(FIXTURE).expect("JSON");
    let cases = fixture["sets"].as_array().expect("cases");
    assert!(cases.len() > 5);
    for case in cases {
        let rows = |key: &str| -> Vec<Vec<f64>> {
            let rows = case[key].as_array().expect("rows");
            rows.iter().map(numbers).collect()
        };
        let logits: Vec<Vec<f32>> = rows("logits")
            .iter()
            .map(|row| row.iter().map(|&x| x as f32).collect())
            .collect();
        let expected: Vec<Vec<u32>> = rows("expected")
            .iter()
            .map(|row| row.iter().map(|&x| x as u32).collect())
            .collect();
        let sets = LabelSets::new(
            logits.iter().map(Vec::as_slice).collect(),
            expected.iter().map(Vec::as_slice).collect(),
            logits[0].len(),
        );
        for (found, expected) in sets.reports().zip(rows("per_label")) {
            let found = [
                found.precision,
                found.recall,
                found.f1,
                found.support as f64,
            ];
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-12, "{}", case["name"]);
            }
        }
        check(case, &Outcome::Sets(&sets));
    }
}
