//! Turns logits of windows into answers to questions, and measures them. Called by evaluation and
//! prediction.

use super::{
    decode::{DecodeSettings, Decoded, Window, decode},
    squad_metrics::{Answered, Metrics, squad_v1, squad_v2},
    windows::WindowMap,
};
use progtune_datasets::Question;
use rayon::prelude::*;
use serde_json::{Value, json};

/// The questions behind a set of windows, and the settings for choosing answers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Asked {
    /// The questions.
    pub questions: Vec<Question>,
    /// The map from each window's tokens to its context. The windows of a question are consecutive,
    /// and the questions are in order.
    pub maps: Vec<WindowMap>,
    /// The settings for choosing answers.
    pub settings: DecodeSettings,
}

impl Asked {
    /// The answer to every question, in order. `logits` has `2 · tokens` numbers for each window:
    /// each token has one for being the answer's first and one for being its last.
    pub fn answers(&self, logits: &[Vec<f32>]) -> Vec<Decoded> {
        let mut answers = vec![Decoded::default(); self.questions.len()];
        let mut windows = self.maps.iter().zip(logits).peekable();
        let mut of_questions: Vec<Vec<(&WindowMap, &Vec<f32>)>> = Vec::new();
        for number in 0..self.questions.len() as u32 {
            let mut own = Vec::new();
            while let Some(window) = windows.next_if(|(map, _)| map.question == number) {
                own.push(window);
            }
            of_questions.push(own);
        }
        answers
            .par_iter_mut()
            .zip(of_questions)
            .for_each(|(answer, windows)| *answer = decode_question(&windows, self.settings));
        answers
    }

    /// The metrics of Hugging Face's `squad`, or of `squad_v2` if questions may be unanswerable,
    /// with F1 first. `None` if no question has a reference answer.
    pub fn measure(&self, answers: &[Decoded]) -> Option<Metrics> {
        let known: Vec<(&Question, &Decoded)> = self
            .questions
            .iter()
            .zip(answers)
            .filter(|(question, _)| question.answers.is_some())
            .collect();
        if known.is_empty() {
            return None;
        }
        let gold: Vec<Vec<&str>> = known
            .iter()
            .map(|(question, _)| {
                let answers = question.answers.iter().flatten();
                answers.map(|answer| answer.text.as_str()).collect()
            })
            .collect();
        let answered: Vec<Answered<'_>> = known
            .iter()
            .zip(&gold)
            .map(|((question, answer), gold)| Answered {
                prediction: answer.answer.text(&question.context),
                gold,
                null_odds: answer.null_odds.map(f64::from),
            })
            .collect();
        let mut metrics = if self.settings.version_2_with_negative {
            squad_v2(&answered)
        } else {
            squad_v1(&answered)
        };
        // Schedules receive the first metric.
        metrics.sort_by_key(|(name, _)| *name != "f1");
        Some(metrics)
    }
}

fn decode_question(windows: &[(&WindowMap, &Vec<f32>)], settings: DecodeSettings) -> Decoded {
    let split: Vec<(Vec<f32>, Vec<f32>)> = windows
        .iter()
        .map(|(_, logits)| {
            logits
                .chunks_exact(2)
                .map(|pair| (pair[0], pair[1]))
                .unzip()
        })
        .collect();
    let windows: Vec<Window<'_>> = windows
        .iter()
        .zip(&split)
        .map(|((map, _), (start, end))| Window {
            start_logits: start,
            end_logits: end,
            offsets: &map.offsets,
        })
        .collect();
    decode(&windows, settings)
}

/// The output of `predict` for a question: the answer's text, its position in the context (in code
/// points), and its probability among the n best. If questions may be unanswerable, it includes the
/// odds of no answer.
pub fn prediction(question: &Question, answer: &Decoded) -> Value {
    let chosen = answer.n_best.iter().find(|span| span.said == answer.answer);
    let part = answer.answer.part();
    let mut value = json!({
        "id": question.id,
        "answer": part.map_or("", |_| answer.answer.text(&question.context)),
        "start": part.map(|(start, _)| start),
        "end": part.map(|(_, end)| end),
        "probability": chosen.map(|span| span.probability),
    });
    if let Some(odds) = answer.null_odds {
        value["null_odds"] = json!(odds);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use progtune_datasets::Answer;
    use std::sync::Arc;

    fn asked(version_2_with_negative: bool) -> Asked {
        let question = |id: &str, answers: Option<Vec<Answer>>| Question {
            id: id.to_owned(),
            context: Arc::from("né à Rome"),
            question: "Où?".to_owned(),
            answers,
        };
        let rome = Answer {
            text: "Rome".to_owned(),
            start: 5,
        };
        let map = |question| WindowMap {
            question,
            offsets: vec![None, Some((0, 2)), Some((3, 4)), Some((5, 9)), None],
        };
        Asked {
            questions: vec![
                question("a", Some(vec![rome])),
                question("b", None),
                question("c", Some(Vec::new())),
            ],
            maps: vec![map(0), map(0), map(1), map(2)],
            settings: DecodeSettings {
                version_2_with_negative,
                ..DecodeSettings::default()
            },
        }
    }

    #[test]
    fn windows_of_a_question_answer_it_together() {
        let asked = asked(true);
        let low = vec![0.0; 10];
        let high = vec![-1.0, -1.0, 0.0, 0.0, 0.0, 0.0, 5.0, 5.0, 0.0, 0.0];
        let sure_of_none = vec![9.0, 9.0, 0.0, 0.0, 0.0, 0.0, 5.0, 5.0, 0.0, 0.0];
        let logits = [low.clone(), high.clone(), high, sure_of_none];
        let answers = asked.answers(&logits);
        let texts: Vec<&str> = answers
            .iter()
            .map(|answer| answer.answer.text("né à Rome"))
            .collect();
        assert_eq!(texts, ["Rome", "Rome", ""]);
        let metrics = asked.measure(&answers).unwrap();
        assert_eq!(metrics[0], ("f1", 100.0), "and `b` is not measured");
        assert!(metrics.contains(&("NoAns_exact", 100.0)));
        let said = prediction(&asked.questions[0], &answers[0]);
        assert_eq!(
            (&said["start"], &said["answer"]),
            (&json!(5), &json!("Rome"))
        );
        // The null score is the lowest of the windows: −2 in the second one.
        assert_eq!(said["null_odds"], json!(-12.0));
        let said = prediction(&asked.questions[2], &answers[2]);
        assert_eq!(
            (&said["start"], &said["answer"]),
            (&Value::Null, &json!(""))
        );
    }

    #[test]
    fn without_answers_nothing_is_measured() {
        let mut asked = asked(false);
        asked
            .questions
            .iter_mut()
            .for_each(|question| question.answers = None);
        let answers = asked.answers(&vec![vec![0.0; 10]; 4]);
        assert_eq!(asked.measure(&answers), None);
    }
}
