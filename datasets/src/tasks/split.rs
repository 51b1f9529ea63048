//! Loads one split of a task from the files that contain it. The host calls it for training and
//! evaluation data.

use std::path::{Path, PathBuf};

use crate::drawn_rows::{Seen, Strata};
use crate::error::DataError;
use crate::example::Example;
use crate::format::{DataFile, Header, TextEncoding};
use crate::generated::sample;
use crate::generated::sample_pairs;
use crate::problem_type::ProblemType;
use crate::readers::raw_row::LabelRule;
use crate::sampling::{Classes, Picker, Sample};
use crate::split_name::SplitName;
use crate::tasks::locate;
use crate::tasks::rows::ExampleRows;
use crate::tasks::task::{Generator, Task, TaskSource};

/// The label rule of a split: test files may lack labels; the others must have one in each row.
fn label_rule(split: SplitName) -> LabelRule {
    match split {
        SplitName::Test | SplitName::TestMatched | SplitName::TestMismatched => LabelRule::Optional,
        _ => LabelRule::Required,
    }
}

/// A loaded split.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    /// Its name.
    pub name: SplitName,
    /// Its rows in the file's order; never empty unless zero rows were requested.
    pub examples: Vec<Example>,
}

/// The first `limit` rows (all if `None`) of a split of `task` in the directory `dir`.
///
/// `dir` contains one of the following, either itself or in a folder named after the task (`mrpc`
/// or `MRPC`):
///
/// - the official GLUE files (`train.tsv`, `dev.tsv`, `test.tsv`; MNLI `dev_matched.tsv`, …)
/// - Hugging Face's parquet (`validation.parquet` or all of `validation-00000-of-00001.parquet`, …;
///   snappy, gzip or uncompressed)
/// - JSONL with the same columns
///
/// The directory itself comes before those folders, TSV before parquet before JSONL, and GLUE's
/// file names before Hugging Face's. Each split is looked up separately. For MNLI, a plain `dev` or
/// `test` file is the matched half.
///
/// In train and validation splits every row must have a label; in test splits labels are read if
/// they exist. A row that does not fit the header is an error, unlike in Hugging Face's `glue`,
/// which leaves such rows of QQP out.
///
/// For a generated task `dir` is ignored: the rows are made with the task's own seed
/// (`sample::DEFAULT_SEED`, `sample_pairs::DEFAULT_SEED`).
///
/// # Errors
/// See [`DataError`]: the task lacks the split, the directory or file does not exist, or the file's
/// contents are not as expected. With a `limit`, rows beyond it are not checked.
pub fn load_split(
    task: &Task,
    dir: &Path,
    split: SplitName,
    limit: Option<usize>,
) -> Result<Split, DataError> {
    Ok(Split {
        name: split,
        examples: split_rows(task, dir, split, limit)?.collect::<Result<_, _>>()?,
    })
}

/// Like [`load_split`], but row by row.
///
/// # Errors
/// As for [`load_split`]; errors about rows appear when the rows are reached.
pub fn split_rows(
    task: &Task,
    dir: &Path,
    split: SplitName,
    limit: Option<usize>,
) -> Result<ExampleRows, DataError> {
    check_has(task, split)?;
    if let TaskSource::Generated(generator) = task.source {
        let (train, validation) = match generator {
            Generator::Sample => sample::generate(sample::DEFAULT_SEED),
            Generator::SamplePairs => sample_pairs::generate(sample_pairs::DEFAULT_SEED),
        };
        let examples = match split {
            SplitName::Train => train,
            _ => validation,
        };
        return Ok(ExampleRows::made(examples, limit));
    }
    let located = locate::locate(task, dir, split)?;
    let format = located.format;
    let file = |path| DataFile {
        path,
        format,
        encoding: TextEncoding::default(),
        header: Header::default(),
        part: None,
    };
    let files = located.files.into_iter().map(file).collect();
    ExampleRows::open(task, files, label_rule(split), limit)
}

/// The rows of a sample of a split, or all of them if it is `None`. Files are read twice unless the
/// first rows are wanted: first to count the rows of each class, then to take some of each.
///
/// # Errors
/// As for [`split_rows`]. Unless the first rows are wanted, all rows are checked.
pub fn sampled_rows(
    task: &Task,
    dir: &Path,
    split: SplitName,
    sample: Option<Sample>,
) -> Result<SampledRows, DataError> {
    let limit = Sample::limit(sample);
    let is_drawn = sample.is_some() && limit.is_none();
    let (mut strata, mut counts) = (Strata::default(), Seen::default());
    if is_drawn {
        for example in split_rows(task, dir, split, None)? {
            counts.next(strata.class_of(example?.label.as_ref()));
        }
    }
    let classes = Classes {
        by_class: counts.by_class(),
        covers_all: task.problem_type != ProblemType::MultiLabelClassification,
    };
    Ok(SampledRows {
        rows: split_rows(task, dir, split, limit)?,
        strata: Strata::default(),
        picker: Picker::new(sample.filter(|_| is_drawn), &classes),
    })
}

/// The rows of a sample, one at a time.
pub struct SampledRows {
    rows: ExampleRows,
    strata: Strata,
    picker: Picker,
}

impl Iterator for SampledRows {
    type Item = Result<Example, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.picker.is_over() {
            match self.rows.next()? {
                Ok(example) => {
                    let class = self.strata.class_of(example.label.as_ref());
                    if self.picker.takes(class) {
                        return Some(Ok(example));
                    }
                }
                error => return Some(error),
            }
        }
        None
    }
}

/// Whether `dir` has files for a split, by the rules of [`load_split`]. A download may lack MNLI's
/// mismatched half.
///
/// # Errors
/// The task lacks the split, the directory does not exist or cannot be listed, or parquet shards
/// are incomplete.
pub fn has_split(task: &Task, dir: &Path, split: SplitName) -> Result<bool, DataError> {
    check_has(task, split)?;
    Ok(task.is_generated() || locate::find(task, dir, split)?.is_some())
}

/// The files that [`load_split`] would read, in order; none for a generated task.
///
/// # Errors
/// The errors that [`load_split`] reports before it opens a file.
pub fn split_files(task: &Task, dir: &Path, split: SplitName) -> Result<Vec<PathBuf>, DataError> {
    check_has(task, split)?;
    if task.is_generated() {
        return Ok(Vec::new());
    }
    Ok(locate::locate(task, dir, split)?.files)
}

fn check_has(task: &Task, split: SplitName) -> Result<(), DataError> {
    if task.splits().any(|name| name == split) {
        return Ok(());
    }
    Err(DataError::NoSuchSplit {
        task: task.name.clone(),
        split,
        available: task.splits().map(|name| name.to_string()).collect(),
    })
}
