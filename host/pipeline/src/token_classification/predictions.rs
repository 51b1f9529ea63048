//! The prediction for a sentence as a line of JSON: words, their tags, and the resulting entities.
//! Called by `predict`.

use super::{align::AlignedSentence, raw_text::RawSentence};
use crate::metrics::{arg_max, entities, softmax};
use progtune_datasets::{TaggedSentence, Task};
use serde_json::{Value, json};

/// The object with `tokens`, `tags`, `scores` and `entities`. A score is the probability of its
/// tag; tag and score are null for a word that was left out. An entity has its type, first word,
/// exclusive end, text and mean score. `logits` are those of every token.
pub fn prediction(
    task: &Task,
    sentence: &TaggedSentence,
    aligned: &AlignedSentence,
    logits: &[f32],
) -> Value {
    let rows: Vec<&[f32]> = logits.chunks(task.num_labels()).collect();
    let said: Vec<Option<(&str, f64)>> = aligned
        .first_tokens
        .iter()
        .map(|first| {
            let row = rows.get((*first)?)?;
            let tag = arg_max(row) as usize;
            Some((task.labels.get(tag)?.as_str(), probability(row, tag)))
        })
        .collect();
    // For entities, a word that was left out counts as outside.
    let tags: Vec<&str> = said
        .iter()
        .map(|said| said.map_or("O", |(tag, _)| tag))
        .collect();
    let entities: Vec<Value> = entities(&tags)
        .iter()
        .map(|entity| {
            let scores: Vec<f64> = said[entity.start..entity.end]
                .iter()
                .flatten()
                .map(|(_, score)| *score)
                .collect();
            json!({
                "type": entity.kind,
                "start": entity.start,
                "end": entity.end,
                "text": sentence.words[entity.start..entity.end].join(" "),
                "score": scores.iter().sum::<f64>() / scores.len().max(1) as f64,
            })
        })
        .collect();
    json!({
        "tokens": sentence.words,
        "tags": said.iter().map(|said| said.map(|(tag, _)| tag)).collect::<Vec<_>>(),
        "scores": said.iter().map(|said| said.map(|(_, score)| score)).collect::<Vec<_>>(),
        "entities": entities,
    })
}

/// Adds what is known of a sentence that was typed as text: the text, the place of each word in it
/// in code points, and the place and the text of each entity.
pub fn with_places(mut prediction: Value, raw: &RawSentence) -> Value {
    let index = |value: &Value| value.as_u64().and_then(|at| usize::try_from(at).ok());
    let entities = prediction.get_mut("entities").and_then(Value::as_array_mut);
    for entity in entities.into_iter().flatten() {
        let Some((start, end)) = index(&entity["start"]).zip(index(&entity["end"])) else {
            continue;
        };
        let last = end.checked_sub(1).and_then(|last| raw.offsets.get(last));
        if let Some((first, last)) = raw.offsets.get(start).zip(last) {
            entity["text"] = json!(raw.part(start..end));
            entity["start_char"] = json!(first.0);
            entity["end_char"] = json!(last.1);
        }
    }
    prediction["offsets"] = json!(raw.offsets);
    prediction["text"] = json!(raw.text);
    prediction
}

/// The softmax of a row at one index.
fn probability(row: &[f32], at: usize) -> f64 {
    softmax(row).get(at).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use progtune_datasets::{Column, Columns, Labels, ProblemType};
    use progtune_engine::EncodedExample;

    #[test]
    fn words_without_a_token_have_no_tag() {
        let names = ["B-x", "I-x", "O"];
        let columns = Columns {
            first: Column::named("1"),
            second: None,
            label: Column::named("2"),
        };
        let labels = Labels {
            problem_type: ProblemType::TokenClassification,
            names: names.map(str::to_owned).into(),
        };
        let sentence = TaggedSentence {
            words: ["New", "York", "\u{FEFF}", "now"].map(str::to_owned).into(),
            tags: None,
        };
        let aligned = AlignedSentence {
            example: EncodedExample {
                input_ids: vec![0; 6],
                token_type_ids: vec![0; 6],
                target: None,
            },
            // The second word has two tokens.
            first_tokens: vec![Some(1), Some(2), None, Some(4)],
        };
        let low = [0.0, 0.0, 0.0];
        let rows = [
            low,
            [9.0, 0.0, 0.0],
            [0.0, 9.0, 0.0],
            [9.0, 0.0, 0.0],
            [0.0, 0.0, 9.0],
            low,
        ];
        let said = prediction(
            &Task::own(columns, labels),
            &sentence,
            &aligned,
            &rows.concat(),
        );
        assert_eq!(said["tags"], json!(["B-x", "I-x", null, "O"]));
        assert_eq!(said["scores"][2], Value::Null);
        let entities = said["entities"].as_array().unwrap();
        assert_eq!(entities.len(), 1);
        assert_eq!(entities[0]["text"], "New York");
        assert_eq!(entities[0]["end"], 2);
        assert!(entities[0]["score"].as_f64().unwrap() > 0.99);

        let raw = RawSentence {
            text: "New  York now".into(),
            words: sentence.words.clone(),
            offsets: vec![(0, 3), (5, 9), (9, 9), (10, 13)],
        };
        let said = with_places(said, &raw);
        let entity = &said["entities"][0];
        assert_eq!(entity["text"], "New  York");
        assert_eq!(
            (&entity["start_char"], &entity["end_char"]),
            (&json!(0), &json!(9))
        );
        assert_eq!(said["offsets"][3], json!([10, 13]));
    }
}
