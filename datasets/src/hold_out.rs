//! Takes a share of the training rows for validation; called by `own`.

use crate::error::OwnDataError;
use crate::example::{Example, Label};
use crate::splitmix::SplitMix64;

/// `examples` without and with a `share` (above 0 and below 1) of them, both in their order. The same seed takes the
/// same rows. Of each class about that share is taken, and at least one row stays; numbers are one class.
///
/// # Errors
/// One side would be empty.
pub(crate) fn hold_out(
    examples: Vec<Example>,
    share: f64,
    seed: u64,
) -> Result<(Vec<Example>, Vec<Example>), OwnDataError> {
    let mut classes: Vec<Vec<usize>> = Vec::new();
    for (at, example) in examples.iter().enumerate() {
        let class = match &example.label {
            Some(Label::Class(id)) => *id as usize,
            Some(Label::Classes(_) | Label::Score(_)) | None => 0,
        };
        if classes.len() <= class {
            classes.resize(class + 1, Vec::new());
        }
        classes[class].push(at);
    }
    let mut random = SplitMix64::new(seed);
    let mut is_taken = vec![false; examples.len()];
    let (mut wanted, mut n_taken) = (0.0, 0_usize);
    for rows in &mut classes {
        // What rounding leaves over in one class is made up for in the next.
        wanted += rows.len() as f64 * share;
        let n = (wanted.round() as usize).saturating_sub(n_taken);
        let n = n.min(rows.len().saturating_sub(1));
        random.shuffle(rows);
        for &row in rows.iter().take(n) {
            is_taken[row] = true;
        }
        n_taken += n;
    }
    if n_taken == 0 || n_taken == examples.len() {
        return Err(OwnDataError::CannotSplit {
            share,
            n_rows: examples.len(),
            n_taken,
        });
    }
    let (mut kept, mut taken) = (Vec::new(), Vec::new());
    for (example, is_taken) in examples.into_iter().zip(is_taken) {
        if is_taken { &mut taken } else { &mut kept }.push(example);
    }
    Ok((kept, taken))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examples(classes: &[usize]) -> Vec<Example> {
        let of_class = |(class, &n): (usize, &usize)| {
            (0..n).map(move |at| Example {
                text: format!("{class}-{at}"),
                pair: None,
                label: Some(Label::Class(class as u32)),
            })
        };
        classes.iter().enumerate().flat_map(of_class).collect()
    }

    fn of_class(examples: &[Example], class: u32) -> usize {
        let label = Some(Label::Class(class));
        examples
            .iter()
            .filter(|example| example.label == label)
            .count()
    }

    #[test]
    fn each_class_gives_its_share_and_the_seed_decides_which() {
        let all = examples(&[100, 30, 1]);
        let (train, validation) = hold_out(all.clone(), 0.1, 7).unwrap();
        assert_eq!((train.len(), validation.len()), (118, 13));
        assert_eq!(
            [0, 1, 2].map(|class| of_class(&validation, class)),
            [10, 3, 0]
        );
        assert_eq!(hold_out(all.clone(), 0.1, 7).unwrap().1, validation);
        assert_ne!(hold_out(all, 0.1, 8).unwrap().1, validation);
    }

    #[test]
    fn small_classes_share_what_rounding_leaves() {
        let (_, validation) = hold_out(examples(&[4; 10]), 0.1, 1).unwrap();
        assert_eq!(validation.len(), 4);
    }

    #[test]
    fn neither_side_may_be_empty() {
        let message = hold_out(examples(&[3, 1]), 0.01, 1)
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("found 4 training rows of which 0"),
            "{message}"
        );
    }
}
