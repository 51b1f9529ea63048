//! Token classification: named entities, parts of speech. [`align`] and [`examples`] turn tagged
//! sentences into examples, `score` measures a model's predictions, and [`prediction`] formats
//! them. The sentences come from `progtune_datasets::TaggedData`. The model is an ordinary one,
//! with a head that reads every token.

pub mod raw_text;

mod align;
mod data;
mod predictions;

pub use align::{AlignedSentence, Coverage, align};
pub use data::{describe, examples, warn_of_gaps};
pub use predictions::{prediction, with_places};

use crate::metrics::{arg_max, entity_scores::EntityScores};
use progtune_datasets::Task;
use progtune_engine::Target;

/// Scores logits, `tokens × labels` numbers per sentence, against the expected tags.
pub(crate) fn score(task: &Task, labelled: &[(&[f32], &Target)]) -> EntityScores {
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
