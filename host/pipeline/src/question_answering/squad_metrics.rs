//! Exact match and F1 of answers, computed like the official SQuAD scripts. Called by the
//! evaluation of question answering.
//!
//! Sources: `evaluate-v1.1.py` and `evaluate-v2.0.py` by the SQuAD authors, which Hugging Face's
//! `squad` and `squad_v2` metrics contain.

use std::collections::BTreeMap;

/// The scores of one question against its best reference answer, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Score {
    /// 1 if the normalised texts are equal.
    pub(crate) exact_match: f64,
    /// The harmonic mean of precision and recall of words.
    pub f1: f64,
}

/// One question with its predicted and reference answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answered<'a> {
    /// The predicted text; empty for no answer.
    pub prediction: &'a str,
    /// The reference answers; empty if the question has no answer (v2).
    pub gold: &'a [&'a str],
    /// The null score minus the best span's score. The higher it is, the more likely there is no
    /// answer.
    pub null_odds: Option<f64>,
}

/// Metrics by Hugging Face's names, as percentages from 0 to 100, in the order of the official
/// scripts.
pub(crate) type Metrics = Vec<(&'static str, f64)>;

/// The reported metrics of v1.1, or of v2.0 if `has_unanswerable`. For v2.0 these are the ones
/// where higher is better.
pub(crate) fn names(has_unanswerable: bool) -> &'static [&'static str] {
    if has_unanswerable {
        &[
            "exact",
            "f1",
            "HasAns_exact",
            "HasAns_f1",
            "NoAns_exact",
            "NoAns_f1",
            "best_exact",
            "best_f1",
        ]
    } else {
        &["exact_match", "f1"]
    }
}

/// The metrics of SQuAD v1.1: `exact_match` and `f1`.
pub(crate) fn squad_v1(questions: &[Answered<'_>]) -> Metrics {
    let scores: Vec<Score> = questions
        .iter()
        .map(|question| best(question.prediction, question.gold, score_v1))
        .collect();
    vec![
        ("exact_match", percent(&scores, |score| score.exact_match)),
        ("f1", percent(&scores, |score| score.f1)),
    ]
}

/// The metrics of SQuAD v2.0: over all questions, and over those with and without an answer, if
/// there are any. If every question has its odds, the best scores for a threshold on them are
/// included.
pub(crate) fn squad_v2(questions: &[Answered<'_>]) -> Metrics {
    let scores: Vec<Score> = questions.iter().map(score_of_v2).collect();
    let has_answer: Vec<bool> = questions.iter().map(has_answer).collect();
    let mut metrics = vec![
        ("exact", percent(&scores, |score| score.exact_match)),
        ("f1", percent(&scores, |score| score.f1)),
        ("total", scores.len() as f64),
    ];
    let parts = [
        (true, ["HasAns_exact", "HasAns_f1", "HasAns_total"]),
        (false, ["NoAns_exact", "NoAns_f1", "NoAns_total"]),
    ];
    for (wanted, [exact, f1, total]) in parts {
        let part: Vec<Score> = scores
            .iter()
            .zip(&has_answer)
            .filter(|(_, has)| **has == wanted)
            .map(|(score, _)| *score)
            .collect();
        if !part.is_empty() {
            metrics.push((exact, percent(&part, |score| score.exact_match)));
            metrics.push((f1, percent(&part, |score| score.f1)));
            metrics.push((total, part.len() as f64));
        }
    }
    let odds: Option<Vec<f64>> = questions
        .iter()
        .map(|question| question.null_odds)
        .collect();
    if let Some(odds) = odds.filter(|odds| !odds.is_empty()) {
        let of = |pick: fn(&Score) -> f64| -> (f64, f64) {
            let scores: Vec<f64> = scores.iter().map(pick).collect();
            best_threshold(questions, &scores, &odds)
        };
        let (exact, f1) = (of(|score| score.exact_match), of(|score| score.f1));
        metrics.extend([
            ("best_exact", exact.0),
            ("best_exact_thresh", exact.1),
            ("best_f1", f1.0),
            ("best_f1_thresh", f1.1),
        ]);
    }
    metrics
}

/// Whether the question has a reference answer.
fn has_answer(question: &Answered<'_>) -> bool {
    !question.gold.is_empty()
}

/// The score of v2.0. Reference answers that are empty after normalisation do not count.
fn score_of_v2(question: &Answered<'_>) -> Score {
    let gold: Vec<&str> = question
        .gold
        .iter()
        .copied()
        .filter(|answer| !normalise(answer).is_empty())
        .collect();
    if gold.is_empty() {
        // Without a reference answer, only the empty text is correct.
        score_v2(question.prediction, "")
    } else {
        best(question.prediction, &gold, score_v2)
    }
}

/// The best exact match and the best F1 over the reference answers.
fn best(prediction: &str, gold: &[&str], score: fn(&str, &str) -> Score) -> Score {
    let nothing = Score {
        exact_match: 0.0,
        f1: 0.0,
    };
    gold.iter()
        .map(|gold| score(prediction, gold))
        .fold(nothing, |best, score| Score {
            exact_match: best.exact_match.max(score.exact_match),
            f1: best.f1.max(score.f1),
        })
}

fn score_v1(prediction: &str, gold: &str) -> Score {
    let (prediction, gold) = (normalise(prediction), normalise(gold));
    Score {
        exact_match: f64::from(u8::from(prediction == gold)),
        f1: f1(&prediction, &gold),
    }
}

/// Like v1.1, but two texts that are empty after normalisation match.
fn score_v2(prediction: &str, gold: &str) -> Score {
    let (prediction, gold) = (normalise(prediction), normalise(gold));
    let same = f64::from(u8::from(prediction == gold));
    Score {
        exact_match: same,
        f1: if prediction.is_empty() || gold.is_empty() {
            same
        } else {
            f1(&prediction, &gold)
        },
    }
}

/// F1 of the words of two normalised texts, counted with repetitions.
fn f1(prediction: &str, gold: &str) -> f64 {
    let count = |text: &str| text.split(' ').filter(|word| !word.is_empty()).count();
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    for word in gold.split(' ').filter(|word| !word.is_empty()) {
        *left.entry(word).or_default() += 1;
    }
    let mut same = 0usize;
    for word in prediction.split(' ') {
        if let Some(n) = left.get_mut(word).filter(|n| **n > 0) {
            *n -= 1;
            same += 1;
        }
    }
    if same == 0 {
        return 0.0;
    }
    let precision = same as f64 / count(prediction) as f64;
    let recall = same as f64 / count(gold) as f64;
    2.0 * precision * recall / (precision + recall)
}

/// Lower-cases a text, removes ASCII punctuation and the words a, an and the, and separates words
/// by one space.
pub(crate) fn normalise(text: &str) -> String {
    let bare: String = text
        .to_lowercase()
        .chars()
        .filter(|c| !c.is_ascii_punctuation())
        .collect();
    // An article is delimited by any word boundary, not only by spaces: "a–b" contains one.
    let mut kept = String::with_capacity(bare.len());
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = bare.as_str();
    while let Some(first) = rest.chars().next() {
        let end = if is_word(first) {
            rest.find(|c| !is_word(c)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (piece, after) = rest.split_at(end);
        kept.push_str(match piece {
            "a" | "an" | "the" => " ",
            other => other,
        });
        rest = after;
    }
    // Python's `split` also treats the four separators U+001C to U+001F as space.
    let words = kept.split(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c));
    words
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

fn percent(scores: &[Score], pick: impl Fn(&Score) -> f64) -> f64 {
    100.0 * scores.iter().map(pick).sum::<f64>() / scores.len().max(1) as f64
}

/// The best percentage, and the odds above which no answer is predicted. It starts with no answers
/// at all. Then it adds the answers one by one, the question most likely to have an answer first.
fn best_threshold(questions: &[Answered<'_>], scores: &[f64], odds: &[f64]) -> (f64, f64) {
    let mut order: Vec<usize> = (0..questions.len()).collect();
    order.sort_by(|&a, &b| odds[a].total_cmp(&odds[b]));
    let unanswerable = questions.iter().filter(|q| !has_answer(q)).count();
    let mut current = unanswerable as f64;
    let (mut best, mut threshold) = (current, 0.0);
    for question in order {
        current += if has_answer(&questions[question]) {
            scores[question]
        } else if questions[question].prediction.is_empty() {
            0.0
        } else {
            -1.0
        };
        if current > best {
            (best, threshold) = (current, odds[question]);
        }
    }
    (100.0 * best / questions.len() as f64, threshold)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_normalised_as_by_the_official_script() {
        for (text, normal) in [
            ("The  Apollo-11 mission!", "apollo11 mission"),
            ("an", ""),
            ("Athens, a theatre", "athens theatre"),
            ("  the\u{a0}end\n", "end"),
            ("a–b", "–b"),
            ("ÉCOLE", "école"),
            ("U.S.", "us"),
            ("$5.3", "53"),
        ] {
            assert_eq!(normalise(text), normal, "{text}");
        }
    }

    #[test]
    fn the_best_gold_answer_counts() {
        let question = |prediction, gold| Answered {
            prediction,
            gold,
            null_odds: None,
        };
        let questions = [
            question("Denver Broncos", &["the Denver Broncos", "Broncos"][..]),
            question("Broncos of Denver", &["Denver Broncos"]),
            question("Panthers", &["Denver Broncos"]),
        ];
        let metrics = squad_v1(&questions);
        // Two of three words are right and both reference words occur: 2·(2/3·1)/(2/3 + 1) = 0.8.
        assert_eq!(metrics[0], ("exact_match", 100.0 / 3.0));
        assert!((metrics[1].1 - 100.0 * 1.8 / 3.0).abs() < 1e-9);
        assert_eq!(
            f1("a a b", "a b b"),
            2.0 / 3.0,
            "each word as often as it is there"
        );
    }

    #[test]
    fn no_answer_is_right_where_there_is_none() {
        let question = |prediction, gold, odds| Answered {
            prediction,
            gold,
            null_odds: Some(odds),
        };
        let questions = [
            question("", &[][..], 3.0),
            question("x", &[], -1.0),
            question("y", &["y"], -2.0),
            question("", &["z"], 1.0),
        ];
        let metrics: BTreeMap<&str, f64> = squad_v2(&questions).into_iter().collect();
        assert_eq!(metrics["exact"], 50.0);
        assert_eq!((metrics["HasAns_exact"], metrics["NoAns_f1"]), (50.0, 50.0));
        assert_eq!(
            (metrics["HasAns_total"], metrics["NoAns_total"]),
            (2.0, 2.0)
        );
        // Answering only y makes three of four right.
        assert_eq!(
            (metrics["best_exact"], metrics["best_exact_thresh"]),
            (75.0, -2.0)
        );
    }
}
