//! A training step whose loss or gradient is not finite: the reaction of the run
//! (`--on-nonfinite`), and the file that describes the step. Read by `config`, the run directory
//! and the recipe.

use progtune_engine::{Batch, Labels, optim::Norms};
use progtune_process::{name_of, short_list};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, fmt};

/// The reaction of a run to a loss or gradient that is not finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnNonfinite {
    /// It ends.
    Stop,
    /// It leaves the parameters as they are, and continues with the next step.
    Skip,
    /// It takes the trained parameters back to the last checkpoint, and continues with the next
    /// step.
    Rollback,
}

impl OnNonfinite {
    /// The names of the flag's values.
    pub(crate) const NAMES: &'static [(&'static str, Self)] = &[
        ("stop", Self::Stop),
        ("skip", Self::Skip),
        ("rollback", Self::Rollback),
    ];
}

impl fmt::Display for OnNonfinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(Self::NAMES, self))
    }
}

/// The text of a training example, with the second one of a pair.
pub(crate) type Text = (String, Option<String>);

/// The number of steps skipped in a row that ends the run.
pub(crate) const MOST_IN_A_ROW: u32 = 10;

/// The number of skipped steps that are described in files; later ones are only logged.
pub(crate) const MOST_FILES: u64 = 100;

const PREFIX: &str = "nonfinite-step-";
const SUFFIX: &str = ".json";

/// The name of the file about a step, counted from 1.
pub(crate) fn file_name(step: u64) -> String {
    format!("{PREFIX}{step}{SUFFIX}")
}

/// Whether a file about a step has this name.
pub(crate) fn is_file_name(name: &str) -> bool {
    let number = name.strip_prefix(PREFIX);
    let number = number.and_then(|rest| rest.strip_suffix(SUFFIX));
    number.is_some_and(|number| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// A number in a message, with an exponent if it would have many digits.
fn short(number: f64) -> String {
    if number.is_finite() && number.abs() >= 1e6 {
        format!("{number:.2e}")
    } else {
        number.to_string()
    }
}

/// A step with a number that is not finite.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NonfiniteStep<'a> {
    /// The step, counted from 1.
    pub step: u64,
    /// Its epoch, counted from 1.
    pub epoch: u32,
    /// Its learning rate.
    pub lr: f64,
    /// Its loss.
    pub loss: f64,
    /// The norms of its gradient.
    pub norms: &'a Norms,
    /// The blocks with trained parameters.
    pub blocks: &'a [usize],
    /// The names of trained parameters with values that are not finite, left so by earlier steps.
    pub parameters: &'a [String],
    /// The batches of the step.
    pub batches: &'a [Batch],
    /// The texts of its examples by their indices, as far as they can be read again.
    pub texts: &'a BTreeMap<usize, Text>,
}

impl NonfiniteStep<'_> {
    /// The contents of its file. JSON has no NaN and no infinity, so these numbers are texts.
    pub(crate) fn to_json(self) -> Value {
        let mut not_finite = Vec::new();
        for (name, is_finite) in [
            ("loss", self.loss.is_finite()),
            ("grad_norm", self.norms.global.is_finite()),
            ("parameters", self.parameters.is_empty()),
        ] {
            if !is_finite {
                not_finite.push(name);
            }
        }
        let batches = self.batches.iter();
        let examples: Vec<Value> = batches
            .flat_map(|batch| examples(batch, self.texts))
            .collect();
        json!({
            "step": self.step,
            "epoch": self.epoch,
            "not_finite": not_finite,
            "loss": number(self.loss),
            "lr": self.lr,
            "grad_norm": number(self.norms.global),
            "block_grad_norms": self.block_norms(),
            "parameters": self.parameters,
            "examples": examples,
        })
    }

    /// The norms of the trained blocks.
    fn block_norms(&self) -> Value {
        let norm =
            |&block: &usize| Some((block.to_string(), number(*self.norms.blocks.get(block)?)));
        Value::Object(self.blocks.iter().filter_map(norm).collect())
    }

    /// The fault in words: what was expected, and what was found.
    pub(crate) fn fault(&self) -> String {
        match self.parameters {
            [] => format!(
                "expected a finite loss and gradient norm, found {} and {}",
                short(self.loss),
                short(self.norms.global)
            ),
            [name] => format!("expected finite parameters, found NaN or infinity in {name}"),
            [first, others @ ..] => format!(
                "expected finite parameters, found NaN or infinity in {first} and {} more",
                others.len()
            ),
        }
    }

    /// The batch in words, with the first examples by their indices in the training set.
    pub(crate) fn batch(&self) -> String {
        let examples = self.batches.iter().flat_map(|batch| &batch.examples);
        let indices: Vec<String> = examples.map(usize::to_string).collect();
        let (noun, verb) = match indices.len() {
            1 => ("example", "is"),
            _ => ("examples", "are"),
        };
        format!("training {noun} {} {verb}", short_list(&indices, ", "))
    }
}

/// A number, or the text of one that is not finite.
fn number(value: f64) -> Value {
    if value.is_finite() {
        json!(value)
    } else {
        json!(value.to_string())
    }
}

/// The examples of a batch: their indices in the training set, texts, tokens and labels.
fn examples<'a>(
    batch: &'a Batch,
    texts: &'a BTreeMap<usize, Text>,
) -> impl Iterator<Item = Value> + 'a {
    (0..batch.sequences()).map(|position| {
        let tokens = batch.offsets[position] as usize..batch.offsets[position + 1] as usize;
        let index = batch.examples[position];
        let mut example = Map::new();
        example.insert("index".into(), json!(index));
        if let Some((text, pair)) = texts.get(&index) {
            example.insert("text".into(), json!(text));
            if let Some(pair) = pair {
                example.insert("text_pair".into(), json!(pair));
            }
        }
        example.insert("input_ids".into(), json!(batch.input_ids[tokens.clone()]));
        let labels = match &batch.labels {
            Labels::None => Value::Null,
            Labels::Classes(classes) => json!(classes[position]),
            Labels::Sets(sets) => json!(sets[position]),
            Labels::Scores(scores) => number(f64::from(scores[position])),
            // Hugging Face's number for a token that does not count.
            Labels::Tags(tags) => {
                let tag = |tag: &Option<u32>| tag.map_or(-100, i64::from);
                json!(tags[tokens].iter().map(tag).collect::<Vec<i64>>())
            }
            Labels::Spans(spans) => json!(spans[position]),
        };
        example.insert("labels".into(), labels);
        Value::Object(example)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use progtune_engine::{EncodedExample, Target};

    fn batch(targets: &[Target]) -> Batch {
        let example = |target: &Target| EncodedExample {
            input_ids: vec![5, 6],
            token_type_ids: vec![0; 2],
            target: Some(target.clone()),
        };
        let examples: Vec<EncodedExample> = targets.iter().map(example).collect();
        let indices: Vec<usize> = (0..targets.len()).collect();
        Batch::new(&examples, &indices, 0)
    }

    #[test]
    fn a_step_is_described_for_programs_and_people() {
        let norms = Norms {
            global: f64::INFINITY,
            blocks: vec![f64::NAN, 2.0, f64::INFINITY],
        };
        let texts = BTreeMap::from([(1, ("b".to_owned(), Some("c".to_owned())))]);
        let batches = [batch(&[Target::Class(1), Target::Class(0)])];
        let step = NonfiniteStep {
            step: 7,
            epoch: 2,
            lr: 1e-4,
            loss: 0.5,
            norms: &norms,
            blocks: &[1, 2],
            parameters: &[],
            batches: &batches,
            texts: &texts,
        };
        let expected = json!({
            "step": 7,
            "epoch": 2,
            "not_finite": ["grad_norm"],
            "loss": 0.5,
            "lr": 1e-4,
            "grad_norm": "inf",
            "block_grad_norms": {"1": 2.0, "2": "inf"},
            "parameters": [],
            "examples": [
                {"index": 0, "input_ids": [5, 6], "labels": 1},
                {"index": 1, "text": "b", "text_pair": "c", "input_ids": [5, 6], "labels": 0},
            ],
        });
        assert_eq!(step.to_json(), expected);
        assert_eq!(
            step.fault(),
            "expected a finite loss and gradient norm, found 0.5 and inf"
        );
        assert_eq!(step.batch(), "training examples 0, 1 are");
        let parameters = ["a.weight".to_owned(), "b.bias".to_owned()];
        let broken = NonfiniteStep {
            parameters: &parameters,
            ..step
        };
        assert_eq!(
            broken.to_json()["not_finite"],
            json!(["grad_norm", "parameters"])
        );
        assert_eq!(
            broken.fault(),
            "expected finite parameters, found NaN or infinity in a.weight and 1 more"
        );
    }

    #[test]
    fn every_kind_of_label_is_written() {
        for (target, expected) in [
            (Target::Classes(vec![0, 2]), json!([0, 2])),
            (Target::Score(f32::INFINITY), json!("inf")),
            (Target::Tags(vec![None, Some(3)]), json!([-100, 3])),
            (Target::Span([0, 1]), json!([0, 1])),
        ] {
            let batch = batch(&[target]);
            let found: Vec<Value> = examples(&batch, &BTreeMap::new()).collect();
            assert_eq!(found[0]["labels"], expected);
        }
    }

    #[test]
    fn files_are_known_by_their_names() {
        assert!(is_file_name(&file_name(12)));
        for other in [
            "nonfinite-step-.json",
            "nonfinite-step-x.json",
            "nonfinite-step-1",
        ] {
            assert!(!is_file_name(other), "{other}");
        }
    }
}
