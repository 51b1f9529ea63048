//! Tokenised examples, and batches of them without padding: tokens one after the other, with the
//! offsets of the sequences. The recipe and the evaluator make them, and the model reads them.

use progtune_datasets::Label;
use progtune_kernels::dropout::row_key;

/// A tokenised example.
#[derive(Debug, Clone, PartialEq)]
pub struct EncodedExample {
    /// Hugging Face's `input_ids`, without padding.
    pub input_ids: Vec<u32>,
    /// Hugging Face's `token_type_ids`, of the same length.
    pub token_type_ids: Vec<u32>,
    /// The expected output, if it is known.
    pub target: Option<Target>,
}

/// The expected output for an example.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// A class.
    Class(u32),
    /// The labels that hold, in ascending order; there may be none.
    Classes(Vec<u32>),
    /// A number.
    Score(f32),
    /// A tag for every token; `None` for a token that does not count (Hugging Face's −100).
    Tags(Vec<Option<u32>>),
    /// The first and the last token of the answer.
    Span([u32; 2]),
}

impl From<Label> for Target {
    fn from(label: Label) -> Self {
        match label {
            Label::Class(class) => Self::Class(class),
            Label::Classes(classes) => Self::Classes(classes),
            Label::Score(score) => Self::Score(score),
        }
    }
}

/// The expected outputs for the sequences of a batch.
#[derive(Debug, Clone, PartialEq)]
pub enum Labels {
    /// They are not known.
    None,
    /// One class for each.
    Classes(Vec<u32>),
    /// The labels that hold for each, in ascending order.
    Sets(Vec<Vec<u32>>),
    /// One number for each.
    Scores(Vec<f32>),
    /// A tag for every token, `[T]`; `None` for a token that does not count (Hugging Face's −100).
    Tags(Vec<Option<u32>>),
    /// The first and the last token of each sequence's answer, counted in the sequence.
    Spans(Vec<[u32; 2]>),
}

/// Sequences laid out one after the other: T tokens in total, S sequences.
///
/// ```
/// use progtune_engine::{Batch, EncodedExample, Labels, Target};
///
/// let example = |ids: &[u32], class| EncodedExample {
///     input_ids: ids.to_vec(),
///     token_type_ids: vec![0; ids.len()],
///     target: Some(Target::Class(class)),
/// };
/// let examples = [example(&[101, 7, 102], 0), example(&[101, 8, 9, 102], 1)];
/// let batch = Batch::new(&examples, &[1, 0], 0);
/// assert_eq!(batch.input_ids, [101, 8, 9, 102, 101, 7, 102]);
/// assert_eq!(batch.offsets, [0, 4, 7]);
/// assert_eq!(batch.labels, Labels::Classes(vec![1, 0]));
/// ```
#[derive(Debug, Clone)]
pub struct Batch {
    /// `[T]`.
    pub input_ids: Vec<u32>,
    /// `[T]`.
    pub token_type_ids: Vec<u32>,
    /// `[T]`, counted from the model's first position in each sequence.
    pub(crate) position_ids: Vec<u32>,
    /// `[S + 1]`: the first row of each sequence, and T.
    pub offsets: Vec<u32>,
    /// `[T]`: keys of (example, position), on which dropout masks depend.
    pub row_keys: Vec<u64>,
    /// `[S]`: the examples' indices in their data set.
    pub examples: Vec<usize>,
    /// `[S]`.
    pub labels: Labels,
}

impl Batch {
    /// The batch of `indices` into `examples`; positions count from `first_position`.
    pub fn new(examples: &[EncodedExample], indices: &[usize], first_position: u32) -> Self {
        let rows: Vec<&EncodedExample> = indices.iter().map(|&i| &examples[i]).collect();
        Self::of(&rows, indices, first_position)
    }

    /// The batch of these examples, whose indices in their data set are `indices`.
    pub fn of(rows: &[&EncodedExample], indices: &[usize], first_position: u32) -> Self {
        let tokens = rows.iter().map(|example| example.input_ids.len()).sum();
        let mut batch = Self {
            input_ids: Vec::with_capacity(tokens),
            token_type_ids: Vec::with_capacity(tokens),
            position_ids: Vec::with_capacity(tokens),
            offsets: vec![0],
            row_keys: Vec::with_capacity(tokens),
            examples: indices.to_vec(),
            labels: labels(rows),
        };
        for (example, &index) in rows.iter().zip(indices) {
            batch.input_ids.extend(&example.input_ids);
            batch.token_type_ids.extend(&example.token_type_ids);
            for position in 0..example.input_ids.len() as u32 {
                batch.position_ids.push(first_position + position);
                batch
                    .row_keys
                    .push(row_key(index as u64, u64::from(position)));
            }
            batch.offsets.push(batch.input_ids.len() as u32);
        }
        batch
    }

    /// T, the number of tokens.
    pub fn tokens(&self) -> usize {
        self.input_ids.len()
    }

    /// S, the number of sequences.
    pub fn sequences(&self) -> usize {
        self.examples.len()
    }

    /// The row of each sequence's first token.
    pub fn first_tokens(&self) -> &[u32] {
        &self.offsets[..self.sequences()]
    }
}

/// The labels of the kind that the first one has; [`Labels::None`] if any is missing or of another
/// kind.
fn labels(rows: &[&EncodedExample]) -> Labels {
    let targets = || rows.iter().map(|example| example.target.as_ref());
    let all = match targets().next().flatten() {
        Some(Target::Class(_)) => all(targets(), |target| match target {
            Target::Class(class) => Some(*class),
            _ => None,
        })
        .map(Labels::Classes),
        Some(Target::Classes(_)) => all(targets(), |target| match target {
            Target::Classes(classes) => Some(classes.clone()),
            _ => None,
        })
        .map(Labels::Sets),
        Some(Target::Score(_)) => all(targets(), |target| match target {
            Target::Score(score) => Some(*score),
            _ => None,
        })
        .map(Labels::Scores),
        Some(Target::Tags(_)) => all(targets(), |target| match target {
            Target::Tags(tags) => Some(tags.as_slice()),
            _ => None,
        })
        .map(|tags| Labels::Tags(tags.concat())),
        Some(Target::Span(_)) => all(targets(), |target| match target {
            Target::Span(span) => Some(*span),
            _ => None,
        })
        .map(Labels::Spans),
        None => None,
    };
    all.unwrap_or(Labels::None)
}

fn all<'a, T>(
    targets: impl Iterator<Item = Option<&'a Target>>,
    of: impl Fn(&'a Target) -> Option<T>,
) -> Option<Vec<T>> {
    targets.map(|target| target.and_then(&of)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_and_offsets() {
        let example = |n: u32| EncodedExample {
            input_ids: (0..n).collect(),
            token_type_ids: vec![0; n as usize],
            target: Some(Target::Class(1)),
        };
        let examples = [example(3), example(0), example(2)];
        let batch = Batch::new(&examples, &[2, 1, 0], 2);
        assert_eq!(batch.offsets, [0, 2, 2, 5]);
        assert_eq!(batch.position_ids, [2, 3, 2, 3, 4]);
        assert_eq!(batch.first_tokens(), [0, 2, 2]);
        assert_eq!(batch.labels, Labels::Classes(vec![1, 1, 1]));
        assert_eq!(
            batch.row_keys[2..],
            Batch::new(&examples, &[0], 2).row_keys[..]
        );
    }
}
