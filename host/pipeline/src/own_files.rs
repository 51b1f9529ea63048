//! The user's own files in a run: their rows, and the key of everything that determines these. The
//! files are opened through the token cache, which remembers facts from the first reading. Called
//! by the host's `task_data` and [`crate::examples`].

use crate::{
    token_cache::TokenCache,
    token_store::key::{Key, KeyBuilder},
};
use progtune_datasets::{
    DataFile, LabelForm, Labels, OwnFacts, OwnFiles, OwnRequest, ProblemType, RowCounts,
    SkippedRows, SplitName,
};
use progtune_engine::Result;
use progtune_process::interrupt;
use serde_json::{Value, json};
use std::{fs, path::PathBuf, time::SystemTime};

/// Own files and their key.
#[derive(Debug, Clone)]
pub struct KeyedFiles {
    /// The files.
    pub files: OwnFiles,
    /// `None` if the cache is off, or a file cannot be read twice.
    key: Option<Key>,
    /// The files' sizes and modification times when they were hashed.
    stamps: Vec<Stamp>,
}

type Stamp = (PathBuf, Option<(u64, SystemTime)>);

impl KeyedFiles {
    /// Opens the files of a request; `known` are the labels of a model.
    ///
    /// # Errors
    /// Fails if the files are invalid.
    pub fn open(request: &OwnRequest, known: Option<&Labels>, cache: &TokenCache) -> Result<Self> {
        let found = OwnFiles::find(request)?;
        let stamps: Vec<Stamp> = found.iter().map(|file| stamp(file.path.clone())).collect();
        let key = if cache.is_on() {
            key(request, known, &found)
        } else {
            None
        };
        interrupt::check()?;
        let facts = key.and_then(|key| parse_facts(&cache.note(&key)?));
        let is_known = facts.is_some();
        let opened = Self {
            files: OwnFiles::open(request, known, facts)?,
            key,
            stamps,
        };
        if let (false, Some(key)) = (is_known, opened.key()) {
            cache.keep_note(&key, &facts_json(&opened.files.facts));
        }
        Ok(opened)
    }

    /// The key of the rows. `None` if there is none, or if a file has changed since it was hashed.
    pub fn key(&self) -> Option<Key> {
        let unchanged = |(path, then): &Stamp| stamp(path.clone()).1 == *then;
        self.key.filter(|_| self.stamps.iter().all(unchanged))
    }

    /// The split with rows, if the files were opened for a single one.
    pub fn only_split(&self) -> SplitName {
        let splits = [SplitName::Train, SplitName::Validation];
        let has_rows = |split: &SplitName| self.files.n_rows(*split) > 0;
        splits.into_iter().find(has_rows).unwrap_or(SplitName::Test)
    }

    /// Whether any test row has a label.
    pub fn has_test_labels(&self) -> bool {
        self.files.facts.counts[2].n_labelled > 0
    }
}

fn stamp(path: PathBuf) -> Stamp {
    let about = fs::metadata(&path).ok();
    let stamp = about.and_then(|about| Some((about.len(), about.modified().ok()?)));
    (path, stamp)
}

/// The key of everything that determines the rows: the request, the paths (which a format may turn
/// into columns), the parts of the files that are read, and every byte.
fn key(request: &OwnRequest, known: Option<&Labels>, files: &[DataFile]) -> Option<Key> {
    let mut key = KeyBuilder::new();
    let counts = [&request.train, &request.validation, &request.test].map(Vec::len);
    let asked = (
        &request.reading,
        counts,
        request.validation_split.map(f64::to_bits),
        request.seed,
        request.ignore_labels,
        known,
    );
    key.add("own files", format!("{asked:?}").as_bytes());
    for DataFile {
        path, format, part, ..
    } in files
    {
        key.add("path", path.as_os_str().as_encoded_bytes());
        key.add("part", format!("{format:?} {part:?}").as_bytes());
        key.add_file(path).ok()?;
    }
    Some(key.finish())
}

fn facts_json(facts: &OwnFacts) -> Value {
    let counts = facts.counts.each_ref().map(|counts| {
        json!({
            "n_rows": counts.n_rows,
            "n_labelled": counts.n_labelled,
            "by_class": counts.by_class,
            "n_groups": counts.n_groups,
            "n_wordless": counts.n_wordless,
        })
    });
    json!({
        "problem_type": facts.labels.problem_type.as_str(),
        "labels": facts.labels.names,
        "form": facts.form.as_str(),
        "counts": counts,
        "n_skipped": facts.skipped.n_rows,
        "skipped": facts.skipped.reasons,
        "separator": facts.separator,
    })
}

fn parse_facts(note: &Value) -> Option<OwnFacts> {
    let texts = |key: &str| -> Option<Vec<String>> {
        let list = note.get(key)?.as_array()?;
        list.iter()
            .map(|text| text.as_str().map(str::to_owned))
            .collect()
    };
    let number = |value: Option<&Value>| usize::try_from(value?.as_u64()?).ok();
    let counts = |counts: &Value| {
        let by_class = counts.get("by_class")?.as_array()?;
        Some(RowCounts {
            n_rows: number(counts.get("n_rows"))?,
            n_labelled: number(counts.get("n_labelled"))?,
            by_class: by_class
                .iter()
                .map(|n| number(Some(n)))
                .collect::<Option<_>>()?,
            n_groups: number(counts.get("n_groups"))?,
            n_wordless: number(counts.get("n_wordless"))?,
        })
    };
    let all = note.get("counts")?.as_array()?;
    let all: Vec<RowCounts> = all.iter().map(counts).collect::<Option<_>>()?;
    Some(OwnFacts {
        labels: Labels {
            problem_type: ProblemType::by_name(note.get("problem_type")?.as_str()?)?,
            names: texts("labels")?,
        },
        form: LabelForm::by_name(note.get("form")?.as_str()?)?,
        counts: all.try_into().ok()?,
        skipped: SkippedRows {
            n_rows: number(note.get("n_skipped"))?,
            reasons: texts("skipped")?,
        },
        separator: match note.get("separator")? {
            Value::Null => None,
            separator => Some(separator.as_str()?.parse().ok()?),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_survive_being_kept() {
        let counts = |n: usize| RowCounts {
            n_rows: 2 * n,
            n_labelled: n,
            by_class: vec![n, 0, n],
            n_groups: n + 1,
            n_wordless: n / 2,
        };
        let facts = OwnFacts {
            labels: Labels {
                problem_type: ProblemType::SingleLabelClassification,
                names: vec!["a \"b\"".into(), "c".into()],
            },
            form: LabelForm::Named,
            counts: [counts(1), counts(0), counts(7)],
            skipped: SkippedRows {
                n_rows: 12,
                reasons: vec!["x.csv, line 3: no".into()],
            },
            separator: Some('|'),
        };
        assert_eq!(parse_facts(&facts_json(&facts)), Some(facts));
        assert_eq!(parse_facts(&json!({"labels": []})), None);
    }
}
