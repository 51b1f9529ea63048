//! The labels of a split in `progtune data inspect`: rows for each label, or the distribution of
//! scores. Called by `inspect_command`.

use super::{of_every, share};
use progtune_datasets::{Label, ProblemType, Task};
use progtune_plain_text::shown_line;

/// The number of labels up to which all are listed, in the order of their ids.
const N_LABELS: usize = 20;

/// Of more labels, the number of those listed with the most rows, and of those with the fewest.
const N_AT_EACH_END: usize = 5;

/// The label counts of a split, and for regression its labels' distribution.
pub(super) struct LabelCount<'a> {
    task: &'a Task,
    /// The distance between sampled rows.
    every: usize,
    unlabelled: usize,
    classes: Vec<u64>,
    /// The scores of the sampled rows.
    scores: Vec<f32>,
    least: f32,
    most: f32,
    sum: f64,
    n_scores: usize,
}

impl<'a> LabelCount<'a> {
    pub(super) fn new(task: &'a Task, every: usize) -> Self {
        Self {
            task,
            every,
            unlabelled: 0,
            classes: vec![0; task.labels.len()],
            scores: Vec::new(),
            least: f32::INFINITY,
            most: f32::NEG_INFINITY,
            sum: 0.0,
            n_scores: 0,
        }
    }

    pub(super) fn add(&mut self, label: Option<&Label>, at: usize) {
        match label {
            None => self.unlabelled += 1,
            Some(Label::Class(id)) => self.classes[*id as usize] += 1,
            Some(Label::Classes(ids)) => ids.iter().for_each(|&id| self.classes[id as usize] += 1),
            Some(Label::Score(score)) => {
                self.least = self.least.min(*score);
                self.most = self.most.max(*score);
                self.sum += f64::from(*score);
                self.n_scores += 1;
                if at.is_multiple_of(self.every) {
                    self.scores.push(*score);
                }
            }
        }
    }

    /// The only label of several rows.
    pub(super) fn only(&self) -> Option<String> {
        let classes = self.classes.iter().zip(&self.task.labels);
        let mut held = classes.filter(|(count, _)| **count > 0);
        match (self.task.problem_type, held.next(), held.next()) {
            (ProblemType::SingleLabelClassification, Some((&count, label)), None) => {
                (count > 1).then(|| format!("`{label}`"))
            }
            (ProblemType::Regression, ..) => {
                (self.n_scores > 1 && self.least == self.most).then(|| self.least.to_string())
            }
            _ => None,
        }
    }

    pub(super) fn report(mut self, n_rows: usize) -> String {
        let mut text = String::new();
        match self.task.problem_type {
            ProblemType::Regression if self.n_scores > 0 => {
                self.scores.sort_by(f32::total_cmp);
                let middle = self.scores.get(self.scores.len() / 2);
                text.push_str(&format!(
                    "  labels: from {} to {}, mean {:.3}, median{} {}\n",
                    self.least,
                    self.most,
                    self.sum / self.n_scores as f64,
                    of_every(self.every),
                    middle.copied().unwrap_or(f32::NAN)
                ));
            }
            ProblemType::SingleLabelClassification | ProblemType::MultiLabelClassification => {
                text.push_str(&self.table(n_rows as u64));
            }
            ProblemType::Regression
            | ProblemType::TokenClassification
            | ProblemType::QuestionAnswering => {}
        }
        if self.unlabelled > 0 {
            text.push_str(&format!("  without a label: {}\n", self.unlabelled));
        }
        text
    }

    /// The labels with their numbers of rows. Of many labels, only those with the most and the
    /// fewest.
    fn table(&self, n_rows: u64) -> String {
        let line = |(label, count): (&String, u64)| {
            let share = share(count, n_rows);
            format!("  {:<24} {count:>8} {share:5.1} %\n", shown_line(label))
        };
        let mut labels: Vec<_> = self.task.labels.iter().zip(self.classes.clone()).collect();
        let n_labels = labels.len();
        if n_labels <= N_LABELS {
            return labels.into_iter().map(line).collect();
        }
        labels.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let (most, fewest) = (labels[0].1, labels[n_labels - 1].1);
        if most == fewest {
            let share = share(most, n_rows);
            return format!("  {n_labels} labels with {most} rows each ({share:.1} %)\n");
        }
        let between = format!("  … {} more labels …\n", n_labels - 2 * N_AT_EACH_END);
        let last = labels.split_off(n_labels - N_AT_EACH_END);
        labels.truncate(N_AT_EACH_END);
        let first = labels.into_iter().map(line);
        first
            .chain([between])
            .chain(last.into_iter().map(line))
            .collect()
    }
}
