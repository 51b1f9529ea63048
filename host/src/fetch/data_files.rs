//! The files of each split, recognised by their names as in Hugging Face's `datasets`. They belong
//! to a data set on the hub, or to a directory with the same layout. Called by `fetch`.
//!
//! A split is a word in the name of a file or a folder (`train-00000-of-00002.parquet`,
//! `data/dev.csv`, `default/test/0000.parquet`). The other folders are configurations
//! (`plain_text/train-…`), of which one is read.

use progtune_datasets::{Format, may_hold_rows};
use progtune_hub::Wanted;
use std::{collections::BTreeMap, path::Path};

/// The words for each split.
const SPLITS: [(&str, &[&str]); 3] = [
    ("train", &["train", "training"]),
    ("validation", &["validation", "valid", "val", "dev"]),
    ("test", &["test", "testing", "eval", "evaluation"]),
];

/// The formats by preference, for data sets that have several.
const FORMATS: [Format; 5] = [
    Format::Parquet,
    Format::Arrow,
    Format::Jsonl,
    Format::Csv,
    Format::Tsv,
];

/// The hub's name for the configuration of files outside of any folder.
const DEFAULT: &str = "default";

/// The files of each split of one configuration, sorted. A file without a split in its name counts
/// as training data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SplitFiles {
    /// `train`
    pub train: Vec<String>,
    /// `validation`
    pub validation: Vec<String>,
    /// `test`
    pub test: Vec<String>,
}

impl SplitFiles {
    /// Assigns the files of a data set to splits.
    ///
    /// # Errors
    /// Fails if there is no data, the configuration does not exist, none of several was chosen, or
    /// a shard is missing.
    pub(super) fn find(names: &[String], configuration: Option<&str>) -> Result<Self, String> {
        let mut configurations: BTreeMap<String, Vec<(&str, Format)>> = BTreeMap::new();
        for name in names {
            let path = Path::new(name);
            let format = Format::of_name(path).filter(|format| FORMATS.contains(format));
            if let Some(format) = format.filter(|_| may_hold_rows(path)) {
                let found = configurations.entry(configuration_of(name)).or_default();
                found.push((name, format));
            }
        }
        if configurations.is_empty() {
            return Err(
                "no data files in a known format: expected Parquet, Arrow, JSONL, CSV or TSV files; the hub offers most \
                 data sets as Parquet too: append @refs/convert/parquet"
                    .into(),
            );
        }
        let known: Vec<String> = configurations
            .keys()
            .map(|name| format!("`{name}`"))
            .collect();
        let known = known.join(", ");
        let files = match configuration {
            Some(wanted) => configurations.remove(wanted).ok_or_else(|| {
                format!(
                    "no configuration `{wanted}`: expected one of {known}; correct --data-config"
                )
            })?,
            None if configurations.len() == 1 => {
                configurations.into_values().next().unwrap_or_default()
            }
            None => configurations.remove(DEFAULT).ok_or_else(|| {
                format!("several configurations: {known}; choose one with --data-config NAME")
            })?,
        };
        Self::of_configuration(&files)
    }

    fn of_configuration(files: &[(&str, Format)]) -> Result<Self, String> {
        let with = |format: Format| files.iter().filter(move |(_, other)| *other == format);
        let trains = |format: &Format| {
            with(*format).any(|(name, _)| split_of(name).is_none_or(|split| split == "train"))
        };
        let mut formats = FORMATS.into_iter();
        let format = formats.find(trains).or_else(|| {
            FORMATS
                .into_iter()
                .find(|&format| with(format).next().is_some())
        });
        let mut found = Self::default();
        for (name, _) in format.into_iter().flat_map(with) {
            let split = match split_of(name) {
                Some("validation") => &mut found.validation,
                Some("test") => &mut found.test,
                _ => &mut found.train,
            };
            split.push((*name).to_owned());
        }
        for split in [&mut found.train, &mut found.validation, &mut found.test] {
            split.sort();
            check_shards(split)?;
        }
        Ok(found)
    }

    /// The files of all splits.
    pub(super) fn all(&self) -> impl Iterator<Item = &String> {
        let Self {
            train,
            validation,
            test,
        } = self;
        train.iter().chain(validation).chain(test)
    }
}

/// The words of a name, which is split at punctuation and digits.
fn words(name: &str) -> impl Iterator<Item = String> {
    name.split(|c: char| !c.is_ascii_alphabetic())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

fn split_of_part(part: &str) -> Option<&'static str> {
    words(part).find_map(|word| {
        let (split, _) = SPLITS
            .iter()
            .find(|(_, words)| words.contains(&word.as_str()))?;
        Some(*split)
    })
}

/// The split in the file's own name, otherwise in the innermost folder that names one.
fn split_of(name: &str) -> Option<&'static str> {
    name.rsplit('/').find_map(split_of_part)
}

/// The folders that do not name a split.
fn configuration_of(name: &str) -> String {
    let (folders, _) = name.rsplit_once('/').unwrap_or_default();
    let own: Vec<&str> = folders
        .split('/')
        .filter(|folder| !folder.is_empty() && *folder != "data" && split_of_part(folder).is_none())
        .collect();
    if own.is_empty() {
        DEFAULT.to_owned()
    } else {
        own.join("/")
    }
}

/// Checks that numbered files (`-00000-of-00003`) are complete.
fn check_shards(files: &[String]) -> Result<(), String> {
    let shard = |name: &str| -> Option<(String, usize)> {
        let (stem, rest) = name.rsplit_once("-of-")?;
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        let (stem, index) = stem.rsplit_once('-')?;
        index.parse::<usize>().ok()?;
        Some((stem.to_owned(), digits.parse().ok()?))
    };
    let mut stems: BTreeMap<(String, usize), usize> = BTreeMap::new();
    for found in files.iter().filter_map(|name| shard(name)) {
        *stems.entry(found).or_default() += 1;
    }
    match stems.iter().find(|((_, total), found)| **found != *total) {
        Some(((stem, total), found)) => Err(format!(
            "{stem}-…: expected {total} files, found {found}; fetch the missing files, or another revision"
        )),
        None => Ok(()),
    }
}

/// A data set's files, restricted to one configuration.
#[derive(Debug, Clone, Default)]
pub(super) struct DataFiles {
    /// The configuration. `None` chooses the first of `preferred` that exists, otherwise the only
    /// one or the default one.
    pub configuration: Option<String>,
    /// Names that the configuration of a named task may have.
    pub preferred: Vec<String>,
    /// The usual names of the files.
    pub usual: Vec<String>,
}

impl DataFiles {
    /// Assigns the files of a data set to splits.
    ///
    /// # Errors
    /// Fails like [`SplitFiles::find`].
    pub(super) fn find(&self, names: &[String]) -> Result<SplitFiles, String> {
        if self.configuration.is_none() {
            let preferred = self.preferred.iter();
            let found = preferred.map(|name| SplitFiles::find(names, Some(name)));
            if let Some(files) = found.flatten().next() {
                return Ok(files);
            }
        }
        SplitFiles::find(names, self.configuration.as_deref())
    }
}

impl Wanted for DataFiles {
    fn choose(&self, names: &[String]) -> Result<Vec<String>, String> {
        Ok(self.find(names)?.all().cloned().collect())
    }

    fn usual(&self) -> Vec<String> {
        self.usual.clone()
    }

    fn flag(&self) -> &'static str {
        "--data"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(text: &str, configuration: Option<&str>) -> Result<[String; 3], String> {
        let names: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        let files = SplitFiles::find(&names, configuration)?;
        Ok([files.train, files.validation, files.test].map(|files| files.join(" ")))
    }

    #[test]
    fn splits_by_name() {
        for (names, expected) in [
            (
                "README.md data/train-00000-of-00002.parquet data/train-00001-of-00002.parquet data/test-00000-of-00001.parquet",
                [
                    "data/train-00000-of-00002.parquet data/train-00001-of-00002.parquet",
                    "",
                    "data/test-00000-of-00001.parquet",
                ],
            ),
            (
                "train.csv dev.csv test.csv",
                ["train.csv", "dev.csv", "test.csv"],
            ),
            (
                "my_training_set.jsonl my-val.jsonl.gz",
                ["my_training_set.jsonl", "my-val.jsonl.gz", ""],
            ),
            (
                "default/train/0000.parquet default/validation/0000.parquet",
                [
                    "default/train/0000.parquet",
                    "default/validation/0000.parquet",
                    "",
                ],
            ),
            ("constrained.csv", ["constrained.csv", "", ""]),
            // Only one format is read: the first that has a training set.
            (
                "train.csv train.parquet test.csv",
                ["train.parquet", "", ""],
            ),
            ("dataset_infos.json train.tsv", ["train.tsv", "", ""]),
            // The layout of `DatasetDict.save_to_disk`.
            (
                "dataset_dict.json train/data-00000-of-00001.arrow train/dataset_info.json train/state.json \
                 train/cache-2f.arrow validation/data-00000-of-00001.arrow validation/state.json",
                [
                    "train/data-00000-of-00001.arrow",
                    "validation/data-00000-of-00001.arrow",
                    "",
                ],
            ),
        ] {
            assert_eq!(
                find(names, None).unwrap(),
                expected.map(str::to_owned),
                "{names}"
            );
        }
    }

    #[test]
    fn one_configuration_is_read() {
        let names = "cola/train-00000-of-00001.parquet mrpc/train-00000-of-00001.parquet \
                     mrpc/validation-00000-of-00001.parquet";
        let [train, validation, _] = find(names, Some("mrpc")).unwrap();
        assert_eq!(train, "mrpc/train-00000-of-00001.parquet");
        assert_eq!(validation, "mrpc/validation-00000-of-00001.parquet");
        let error = find(names, None).unwrap_err();
        assert!(
            error.contains("`cola`, `mrpc`") && error.contains("--data-config"),
            "{error}"
        );
        let error = find(names, Some("rte")).unwrap_err();
        assert!(error.contains("no configuration `rte`"), "{error}");
        let plain = find("plain_text/train-00000-of-00001.parquet", None).unwrap();
        assert_eq!(plain[0], "plain_text/train-00000-of-00001.parquet");
        assert_eq!(
            find("train.csv extra/train.csv", None).unwrap()[0],
            "train.csv"
        );
    }

    #[test]
    fn what_is_missing_is_said() {
        let error = find("README.md loader.py images/a.png", None).unwrap_err();
        assert!(error.contains("refs/convert/parquet"), "{error}");
        let error = find("data/train-00001-of-00002.parquet", None).unwrap_err();
        assert!(
            error.contains("data/train-…: expected 2 files, found 1"),
            "{error}"
        );
    }
}
