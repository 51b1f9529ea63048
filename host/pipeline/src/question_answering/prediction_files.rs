//! The prediction files of Hugging Face's `run_qa.py`: `predictions.json` (read by the official
//! SQuAD scripts), `nbest_predictions.json` and, if questions may be unanswerable,
//! `null_odds.json`. Called by training, `evaluate` and `predict`.

use super::{answers::Asked, decode::Decoded};
use progtune_engine::{Error, Result};
use progtune_process::files::write_atomically;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::path::Path;

/// The answer's text by question id.
pub const PREDICTIONS: &str = "predictions.json";
/// The n best answers by question id.
pub const N_BEST: &str = "nbest_predictions.json";
/// The margin by which the score of no answer exceeds the best answer's, by question id.
pub const NULL_ODDS: &str = "null_odds.json";

/// Writes the files into an existing directory.
///
/// # Errors
/// Fails if a file cannot be written.
pub fn write(directory: &Path, asked: &Asked, answers: &[Decoded]) -> Result<()> {
    let by_id = |of: &dyn Fn(&str, &Decoded) -> Value| -> Map<String, Value> {
        let pairs = asked.questions.iter().zip(answers);
        pairs
            .map(|(question, answer)| (question.id.clone(), of(&question.context, answer)))
            .collect()
    };
    let predictions = by_id(&|context, answer| json!(answer.answer.text(context)));
    let n_best = by_id(&|context, answer| {
        let spans = answer.n_best.iter().map(|span| {
            json!({
                "start_logit": span.start_logit,
                "end_logit": span.end_logit,
                "text": span.said.text(context),
                "probability": span.probability,
            })
        });
        spans.collect()
    });
    write_json(&directory.join(PREDICTIONS), &predictions)?;
    write_json(&directory.join(N_BEST), &n_best)?;
    if asked.settings.version_2_with_negative {
        let odds = by_id(&|_, answer| json!(answer.null_odds));
        write_json(&directory.join(NULL_ODDS), &odds)?;
    }
    Ok(())
}

/// Indents by four spaces per level, like `json.dumps(..., indent=4)`.
fn write_json(path: &Path, value: &Map<String, Value>) -> Result<()> {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    value
        .serialize(&mut serializer)
        .map_err(|e| Error::Model(format!("{}: {e}", path.display())))?;
    bytes.push(b'\n');
    Ok(write_atomically(path, &bytes)?)
}
