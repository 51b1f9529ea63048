//! Which files of a data set hold which split, told by their names as `datasets` of Hugging Face tells them: of a data set on the hub, or of
//! a directory that is laid out like one. Called by `fetch`.
//!
//! A split is a word in a file's name or in that of a folder (`train-00000-of-00002.parquet`, `data/dev.csv`,
//! `default/test/0000.parquet`). The other folders are configurations (`plain_text/train-…`), of which one is read.

use progtune_datasets::{Format, may_hold_rows};
use progtune_hub::wanted::Wanted;
use std::{collections::BTreeMap, path::Path};

/// The words for each split.
const SPLITS: [(&str, &[&str]); 3] = [
    ("train", &["train", "training"]),
    ("validation", &["validation", "valid", "val", "dev"]),
    ("test", &["test", "testing", "eval", "evaluation"]),
];

/// Which format is read of a data set that has several.
const FORMATS: [Format; 5] = [
    Format::Parquet,
    Format::Arrow,
    Format::Jsonl,
    Format::Csv,
    Format::Tsv,
];

/// The configuration of files in no folder of their own, as the hub calls it.
const DEFAULT: &str = "default";

/// The files of each split of one configuration, sorted; a file whose name says nothing is for training.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SplitFiles {
    /// `train`
    pub train: Vec<String>,
    /// `validation`
    pub validation: Vec<String>,
    /// `test`
    pub test: Vec<String>,
}

impl SplitFiles {
    /// The splits out of the names of a data set's files.
    ///
    /// # Errors
    /// When there is no data, no such configuration, more than one and none chosen, or a file of several is missing.
    pub fn find(names: &[String], configuration: Option<&str>) -> Result<Self, String> {
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
                "no data here that is read: expected parquet, Arrow, JSONL, CSV or TSV files; the hub has most data sets as parquet \
                 too: append @refs/convert/parquet"
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

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &String> {
        let Self {
            train,
            validation,
            test,
        } = self;
        train.iter().chain(validation).chain(test)
    }
}

/// The words of a name: what is between signs and digits.
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

/// The split that a file's own name tells, else the innermost folder that tells one.
fn split_of(name: &str) -> Option<&'static str> {
    name.rsplit('/').find_map(split_of_part)
}

/// The folders that are no split's.
fn configuration_of(name: &str) -> String {
    let (folders, _) = name.rsplit_once('/').unwrap_or_default();
    let own: Vec<&str> = folders
        .split('/')
        .filter(|folder| !folder.is_empty() && *folder != "data" && split_of_part(folder).is_none())
        .collect();
    match own.is_empty() {
        true => DEFAULT.to_owned(),
        false => own.join("/"),
    }
}

/// Of files that are numbered, `-00000-of-00003`, all must be there.
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
            "{stem}-…: expected {total} files, found {found}; fetch the missing ones, or another revision"
        )),
        None => Ok(()),
    }
}

/// The files of a data set's configuration.
#[derive(Debug, Clone, Default)]
pub struct DataFiles {
    /// Which configuration; `None`: the first of `preferred` that is there, else the only one, or the default one.
    pub configuration: Option<String>,
    /// What a named task's configuration may be called.
    pub preferred: Vec<String>,
    /// What the files are called usually.
    pub usual: Vec<String>,
}

impl DataFiles {
    /// The splits out of the names of a data set's files.
    ///
    /// # Errors
    /// As [`SplitFiles::find`].
    pub fn find(&self, names: &[String]) -> Result<SplitFiles, String> {
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
            // One format, the first that has a training set.
            (
                "train.csv train.parquet test.csv",
                ["train.parquet", "", ""],
            ),
            ("dataset_infos.json train.tsv", ["train.tsv", "", ""]),
            // As `DatasetDict.save_to_disk` lays it out.
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
