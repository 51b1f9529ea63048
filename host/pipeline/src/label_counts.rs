//! The number of examples of each label. Called for class weights and for the prior of a new head.

use crate::token_store::Examples;
use progtune_engine::{Result, Target};

/// The number of examples (or tagged tokens) of each of `labels` labels, and of all that have a
/// class, a set of labels or a tag. An example of a set counts once for each of its labels.
///
/// # Errors
/// Fails if the examples cannot be read.
pub(crate) fn label_counts(labels: usize, examples: &Examples) -> Result<(Vec<usize>, usize)> {
    let (mut counts, mut total) = (vec![0; labels], 0);
    for example in examples.iter() {
        match example?.target {
            Some(Target::Class(class)) => {
                counts[class as usize] += 1;
                total += 1;
            }
            Some(Target::Classes(classes)) => {
                classes.iter().for_each(|&c| counts[c as usize] += 1);
                total += 1;
            }
            Some(Target::Tags(tags)) => {
                for tag in tags.into_iter().flatten() {
                    counts[tag as usize] += 1;
                    total += 1;
                }
            }
            Some(Target::Score(_) | Target::Span(_)) | None => {}
        }
    }
    Ok((counts, total))
}
