//! The scores of entities: precision, recall and F1, in total and per type. They are computed like
//! seqeval in its default mode and, with the scheme of the expected tags, in its strict mode.
//! Called by the evaluator.

use super::{
    classes::ClassReport,
    entities::{Entity, entities},
};
use progtune_datasets::{Metric, SchemeEvidence, TagScheme, TagSpan};
use std::collections::BTreeMap;

/// The numbers of correct, predicted and expected entities.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    right: u64,
    predicted: u64,
    expected: u64,
}

impl Counts {
    fn report(self) -> ClassReport {
        ClassReport::new(self.right, self.predicted, self.expected)
    }

    /// Adds one sentence's entities.
    fn add(&mut self, predicted: &[TagSpan<'_>], expected: &[TagSpan<'_>]) {
        let is_right = |span: &&TagSpan<'_>| expected.contains(span);
        self.right += predicted.iter().filter(is_right).count() as u64;
        self.predicted += predicted.len() as u64;
        self.expected += expected.len() as u64;
    }

    fn sum(all: &BTreeMap<String, Self>) -> Self {
        all.values().fold(Self::default(), |sum, of| Self {
            right: sum.right + of.right,
            predicted: sum.predicted + of.predicted,
            expected: sum.expected + of.expected,
        })
    }
}

/// The totals over the tags of all sentences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntityScores {
    right_words: u64,
    words: u64,
    by_type: BTreeMap<String, Counts>,
    /// The evidence for the scheme of the expected tags.
    evidence: SchemeEvidence,
    /// The strict-mode counts for each scheme.
    strict: [Strict; TagScheme::ALL.len()],
}

/// The strict-mode counts for one scheme.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Strict {
    counts: Counts,
    /// Whether any tag violates the scheme.
    is_broken: bool,
}

impl EntityScores {
    /// Adds a sentence with as many predicted as expected tags.
    pub(crate) fn add(&mut self, predicted: &[&str], expected: &[&str]) {
        self.words += expected.len() as u64;
        self.right_words += predicted
            .iter()
            .zip(expected)
            .filter(|(p, e)| p == e)
            .count() as u64;
        count(&mut self.by_type, &entities(predicted), &entities(expected));
        self.evidence.add(expected.iter().copied());
        // The scheme is known only after the last sentence, and the sentences are not kept until
        // then.
        for (strict, scheme) in self.strict.iter_mut().zip(TagScheme::ALL) {
            match (scheme.entities(predicted), scheme.entities(expected)) {
                _ if strict.is_broken => (),
                (Some(predicted), Some(expected)) => strict.counts.add(&predicted, &expected),
                _ => strict.is_broken = true,
            }
        }
    }

    /// Precision, recall, F1 and the number of expected entities, over all types.
    pub(crate) fn overall(&self) -> ClassReport {
        Counts::sum(&self.by_type).report()
    }

    /// The scheme of the expected tags, as far as they tell. Tags without any entity count as IOB2.
    pub(crate) fn scheme(&self) -> TagScheme {
        self.evidence.scheme().unwrap_or(TagScheme::Iob2)
    }

    /// Like [`EntityScores::overall`], in strict mode with [`EntityScores::scheme`]; `None` if a
    /// tag violates it.
    pub(crate) fn strict(&self) -> Option<ClassReport> {
        let scheme = self.scheme();
        let at = TagScheme::ALL.iter().position(|other| *other == scheme)?;
        let strict = self.strict[at];
        (!strict.is_broken).then(|| strict.counts.report())
    }

    /// The scores of each type that is predicted or expected, by name.
    pub(crate) fn by_type(&self) -> impl Iterator<Item = (&str, ClassReport)> {
        let types = self.by_type.iter();
        types.map(|(kind, counts)| (kind.as_str(), counts.report()))
    }

    /// The fraction of words with the correct tag.
    pub(crate) fn accuracy(&self) -> f64 {
        self.right_words as f64 / self.words as f64
    }

    /// The value of a metric; NaN if it is undefined or does not apply.
    pub(crate) fn compute(&self, metric: Metric) -> f64 {
        let strict = |of: fn(ClassReport) -> f64| self.strict().map_or(f64::NAN, of);
        match metric {
            Metric::Accuracy => self.accuracy(),
            Metric::Precision => self.overall().precision,
            Metric::Recall => self.overall().recall,
            Metric::F1 => self.overall().f1,
            Metric::PrecisionStrict => strict(|report| report.precision),
            Metric::RecallStrict => strict(|report| report.recall),
            Metric::F1Strict => strict(|report| report.f1),
            _ => f64::NAN,
        }
    }
}

/// Adds one sentence's entities, which are in order.
fn count(counts: &mut BTreeMap<String, Counts>, predicted: &[Entity<'_>], expected: &[Entity<'_>]) {
    for entity in predicted {
        let counts = counts.entry(entity.kind.to_owned()).or_default();
        counts.predicted += 1;
        counts.right += u64::from(expected.contains(entity));
    }
    for entity in expected {
        counts.entry(entity.kind.to_owned()).or_default().expected += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const FIXTURE: &str = include_str!("../../../../tests/fixtures/seqeval.json");

    fn sentences(value: &Value) -> Vec<Vec<&str>> {
        let all = value.as_array().expect("sentences");
        all.iter()
            .map(|sentence| {
                let tags = sentence.as_array().expect("tags").iter();
                tags.map(|tag| tag.as_str().expect("a tag")).collect()
            })
            .collect()
    }

    fn check(name: &str, expected: &Value, found: ClassReport) {
        for (key, found) in [
            ("precision", found.precision),
            ("recall", found.recall),
            ("f1", found.f1),
            ("number", found.support as f64),
        ] {
            let expected = expected[key].as_f64().expect(key);
            assert!(
                (expected - found).abs() < 1e-12,
                "{name}: {key}: expected {expected}, found {found}"
            );
        }
    }

    /// Reference: seqeval 1.2.2, by `tests/fixtures/make_seqeval.py`; tolerance 1e-12.
    #[test]
    fn entities_are_scored_as_by_seqeval() {
        let fixture: Value = serde_json::from_str(FIXTURE).expect("JSON");
        let cases = fixture.as_array().expect("cases");
        assert!(cases.len() > 10);
        for case in cases {
            let name = case["name"].as_str().expect("a name");
            let mut scores = EntityScores::default();
            let (predicted, expected) = (&case["predicted"], &case["expected"]);
            for (predicted, expected) in sentences(predicted).iter().zip(sentences(expected)) {
                scores.add(predicted, &expected);
            }
            check(name, &case["overall"], scores.overall());
            let accuracy = case["accuracy"].as_f64().expect("a number");
            assert!((scores.accuracy() - accuracy).abs() < 1e-12, "{name}");
            let types = case["types"].as_object().expect("types");
            let found: Vec<(&str, ClassReport)> = scores.by_type().collect();
            assert_eq!(found.len(), types.len(), "{name}: {found:?}");
            for (kind, report) in found {
                check(&format!("{name}: {kind}"), &types[kind], report);
            }
            assert_eq!(case["scheme"], scores.scheme().as_str(), "{name}");
            match (&case["strict"], scores.strict()) {
                (Value::Null, strict) => assert_eq!(strict, None, "{name}"),
                (strict, Some(found)) => check(&format!("{name}: strict"), strict, found),
                (_, None) => panic!("{name}: no strict scores"),
            }
        }
    }
}
