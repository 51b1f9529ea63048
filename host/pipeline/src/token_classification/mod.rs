//! Token classification (named entities, parts of speech): [`data`] with [`align`] makes examples of sentences with tags,
//! [`score`] measures what a model says of them, [`predictions`] writes it down. The sentences come from
//! `progtune_datasets::TaggedData`; the model is the same as ever, with a head that reads every token.

pub mod align;
pub mod data;
pub mod predictions;

use crate::metrics::{classes::arg_max, entity_scores::EntityScores};
use progtune_datasets::Task;
use progtune_engine::batch::Target;

/// The scores of logits, `tokens × labels` numbers a sentence, against the tags that count.
pub fn score(task: &Task, labelled: &[(&[f32], &Target)]) -> EntityScores {
    let name = |tag: u32| task.labels.get(tag as usize).map_or("O", String::as_str);
    let mut scores = EntityScores::default();
    for (logits, target) in labelled {
        let Target::Tags(tags) = target else {
            continue;
        };
        let rows = logits.chunks(task.num_labels()).zip(tags);
        let (predicted, expected): (Vec<&str>, Vec<&str>) = rows
            .filter_map(|(row, tag)| Some((name(arg_max(row)), name((*tag)?))))
            .unzip();
        scores.add(&predicted, &expected);
    }
    scores
}
