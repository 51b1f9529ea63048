//! Sentences of tagged words from the user's own files: column files, JSONL and parquet. The
//! counterpart of `own` for token classification. The host calls it for training, evaluation,
//! prediction and `data inspect`.
//!
//! The training sentences are read first, and their tags become the labels: sorted, as in Hugging
//! Face's `run_ner`, unless the file names them itself. Every other file is read with these labels.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use crate::columns::Columns;
use crate::drawn_rows::Seen;
use crate::error::{DataError, OwnDataError, TagError};
use crate::format::{DataFile, Format};
use crate::own::find::{find_files, find_tagged_files};
use crate::own::hold_out::hold_out;
use crate::own::learn_labels::{Labels, MANY_CLASSES};
use crate::own::survey::Survey;
use crate::problem_type::ProblemType;
use crate::readers::cell::Cell;
use crate::readers::conll::{ColumnFile, RawSentence, Sentences};
use crate::readers::word_lists::WordLists;
use crate::request::{OnBadRow, OwnRequest};
use crate::sampling::{Sample, sampled};
use crate::skipped_rows::SkippedRows;
use crate::tag_scheme::SchemeEvidence;
use crate::tag_scheme::repair::{TagFindings, repair};
use crate::tags::columns::{choose, has_tagged_words};
use crate::tasks::label;
use crate::tasks::task::Task;

/// A sentence and the tags of its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaggedSentence {
    /// Its words, exactly as in the file; at least one.
    pub words: Vec<String>,
    /// One id per word, an index into [`Task::labels`](crate::Task::labels); `None` if the file
    /// gives no tags.
    pub tags: Option<Vec<u32>>,
}

/// The sentences read, by split.
#[derive(Debug, Clone, PartialEq)]
pub struct TaggedData {
    /// The task that the columns and tags form.
    pub task: Task,
    /// Training sentences; empty without training files.
    pub train: Vec<TaggedSentence>,
    /// Validation sentences, from their own files or held out; empty without either.
    pub validation: Vec<TaggedSentence>,
    /// Test sentences; empty without test files.
    pub test: Vec<TaggedSentence>,
    /// The columns that were not named but guessed: `text` (the words), `label` (the tags).
    pub guessed: Vec<&'static str>,
    /// The columns of the first file.
    pub survey: Survey,
    /// The sentences left out.
    pub skipped: SkippedRows,
    /// The tags that continue nothing, and the tags that were changed.
    pub findings: TagFindings,
}

impl TaggedData {
    /// The sentences of a sample, stratified by rare tag; all of them without a sample.
    pub fn sampled<'a>(
        &self,
        sentences: &'a [TaggedSentence],
        sample: Option<Sample>,
    ) -> Cow<'a, [TaggedSentence]> {
        let rarest = RarestTags::new(sentences, &self.task.labels);
        sampled(sentences, sample, |sentence| rarest.class_of(sentence))
    }

    /// Whether a request is about token classification. It says so, its first file is a column
    /// file, or that file has columns of words and tags under usual names.
    pub fn is_asked_for(request: &OwnRequest) -> bool {
        let reading = &request.reading;
        if let Some(problem_type) = reading.problem_type {
            return problem_type == ProblemType::TokenClassification;
        }
        let all = [&request.train, &request.validation, &request.test];
        let Some(given) = all.into_iter().flatten().next() else {
            return false;
        };
        // The reader of the files reports what is wrong with them.
        let given = std::slice::from_ref(given);
        let files = find_files("", given, reading);
        match files.ok().as_deref() {
            Some([file, ..]) => match file.format {
                Format::Conll => true,
                Format::Jsonl | Format::Parquet | Format::Arrow => {
                    Survey::of(file).is_ok_and(|survey| has_tagged_words(&survey))
                }
                _ => false,
            },
            _ => false,
        }
    }

    /// Reads all files of `request`. `known` are the labels of a model. Without them, the labels
    /// are learned from the training sentences, or from the first existing split.
    ///
    /// # Errors
    /// See [`DataError`] and [`OwnDataError`].
    pub fn load(request: &OwnRequest, known: Option<&Labels>) -> Result<Self, DataError> {
        let reading = &request.reading;
        let [train, validation, test] = request.files().map(|(flag, given)| {
            Ok::<_, DataError>((flag, find_tagged_files(flag, given, reading)?))
        });
        let splits = [train?, validation?, test?];
        for file in splits.iter().flat_map(|(_, files)| files) {
            check_format(file)?;
        }
        let Some(first) = splits.iter().find_map(|(_, files)| files.first()) else {
            return Err(OwnDataError::none_given().into());
        };
        let survey = Survey::of(first)?;
        let has_tags = !request.train.is_empty() || !request.validation.is_empty();
        let chosen = choose(first, &survey, reading, has_tags && !request.ignore_labels)?;
        let mut reader = Reader {
            request,
            columns: &chosen.columns,
            names: TagNames::of(known),
            skipped: SkippedRows::default(),
            findings: TagFindings::default(),
            evidence: SchemeEvidence::default(),
        };
        let mut read = Vec::new();
        for (number, (flag, files)) in splits.iter().enumerate() {
            let sentences = reader.read(flag, files, number < 2)?;
            if reader.findings.scheme.is_none() {
                reader.findings.scheme = reader.evidence.scheme();
            }
            read.push(reader.learn(files, sentences)?);
        }
        let [mut train, mut validation, test] =
            <[Vec<TaggedSentence>; 3]>::try_from(read).unwrap_or_default();
        let labels = Labels {
            problem_type: ProblemType::TokenClassification,
            names: reader.names.names,
        };
        if let Some(share) = request.validation_split {
            (train, validation) = take_share(train, &labels, share, request.seed)?;
        }
        Ok(Self {
            task: Task::own(chosen.columns.clone(), labels),
            train,
            validation,
            test,
            guessed: chosen.guessed,
            survey,
            skipped: reader.skipped,
            findings: reader.findings,
        })
    }
}

/// The class of each sentence for drawing: its rarest tag other than `O`. Rare tags therefore occur
/// on both sides of a split, and in a sample. Sentences without any tag form an additional class.
struct RarestTags {
    outside: usize,
    n_labels: usize,
    /// The number of sentences with each tag.
    n_sentences: Vec<usize>,
}

impl RarestTags {
    fn new(sentences: &[TaggedSentence], labels: &[String]) -> Self {
        let n_labels = labels.len();
        let outside = labels.iter().position(|name| name == "O");
        let mut rarest = Self {
            outside: outside.unwrap_or(n_labels),
            n_labels,
            n_sentences: vec![0; n_labels],
        };
        for sentence in sentences {
            for tag in rarest.tags_of(sentence) {
                rarest.n_sentences[tag] += 1;
            }
        }
        rarest
    }

    fn tags_of(&self, sentence: &TaggedSentence) -> BTreeSet<usize> {
        let tags = sentence.tags.iter().flatten().map(|&tag| tag as usize);
        tags.filter(|&tag| tag != self.outside).collect()
    }

    fn class_of(&self, sentence: &TaggedSentence) -> usize {
        let tags = self.tags_of(sentence).into_iter();
        let rarest = tags.min_by_key(|&tag| self.n_sentences[tag]);
        rarest.unwrap_or(self.outside)
    }
}

/// The sentences split into those that remain and a held-out share, stratified by rare tag.
fn take_share(
    sentences: Vec<TaggedSentence>,
    labels: &Labels,
    share: f64,
    seed: u64,
) -> Result<(Vec<TaggedSentence>, Vec<TaggedSentence>), OwnDataError> {
    let rarest = RarestTags::new(&sentences, &labels.names);
    let mut by_class = vec![0_usize; rarest.n_labels + 1];
    for sentence in &sentences {
        by_class[rarest.class_of(sentence)] += 1;
    }
    let held = hold_out(&by_class, share, seed)?;
    let mut seen = Seen::default();
    let (taken, kept) = sentences.into_iter().partition(|sentence| {
        let class = rarest.class_of(sentence);
        held.takes(class, seen.next(class))
    });
    Ok((kept, taken))
}

/// The names of tags by id.
struct TagNames {
    names: Vec<String>,
    ids: HashMap<String, u32>,
    /// Whether new names may be added.
    is_open: bool,
}

impl TagNames {
    fn of(known: Option<&Labels>) -> Self {
        let names = known.map_or_else(Vec::new, |known| known.names.clone());
        Self::new(names, known.is_none())
    }

    fn new(names: Vec<String>, is_open: bool) -> Self {
        let ids = names.iter().cloned().zip(0..).collect();
        Self {
            names,
            ids,
            is_open,
        }
    }

    fn id(&mut self, name: &str) -> Option<u32> {
        if let Some(&id) = self.ids.get(name) {
            return Some(id);
        }
        if !self.is_open {
            // Data for a model whose tags are words may also use ids.
            let id = name.parse::<u32>().ok()?;
            let are_words = self.names.iter().all(|name| name.parse::<f64>().is_err());
            return Some(id).filter(|&id| are_words && (id as usize) < self.names.len());
        }
        let id = self.names.len() as u32;
        self.names.push(name.to_owned());
        self.ids.insert(name.to_owned(), id);
        Some(id)
    }
}

/// Reads sentences, skipping invalid ones if the request allows it.
struct Reader<'a> {
    request: &'a OwnRequest,
    columns: &'a Columns,
    names: TagNames,
    skipped: SkippedRows,
    findings: TagFindings,
    /// The evidence from the splits read so far.
    evidence: SchemeEvidence,
}

impl Reader<'_> {
    /// The value, or `None` for a sentence that is left out.
    fn pass<T>(&mut self, result: Result<T, DataError>) -> Result<Option<T>, DataError> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error)
                if self.request.reading.on_bad_row == OnBadRow::Skip && error.is_about_a_row() =>
            {
                self.skipped.add(&error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The sentences of all files of a split.
    fn read(
        &mut self,
        flag: &'static str,
        files: &[DataFile],
        needs_tags: bool,
    ) -> Result<Vec<TaggedSentence>, DataError> {
        let needs_tags = needs_tags && !self.request.ignore_labels;
        let mut sentences = Vec::new();
        for file in files {
            let mut reader = self.open(file, needs_tags)?;
            loop {
                match self.pass(reader.next_sentence())? {
                    None => {}
                    Some(None) => break,
                    Some(Some(raw)) => {
                        let sentence = self.understand(file, raw, reader.tag_names());
                        sentences.extend(self.pass(sentence)?);
                    }
                }
            }
            self.findings.n_left_out += reader.n_left_out();
        }
        match files.first().filter(|_| sentences.is_empty()) {
            None => Ok(sentences),
            Some(file) => Err(OwnDataError::NoRows {
                flag,
                path: file.path.clone(),
                found: match self.skipped.reasons.last() {
                    None => "none".to_owned(),
                    Some(reason) => {
                        format!("no valid sentence; the last one left out: {reason}")
                    }
                },
            }
            .into()),
        }
    }

    fn open(&self, file: &DataFile, needs_tags: bool) -> Result<Box<dyn Sentences>, DataError> {
        let (words, tags) = (&self.columns.first, &self.columns.label);
        Ok(match file.format {
            Format::Conll => Box::new(ColumnFile::open(file, words, tags, needs_tags)?),
            _ => Box::new(WordLists::open(file, words, tags, needs_tags)?),
        })
    }

    /// A sentence with its tags converted to ids. The tags of a training file get new ids, in the
    /// order of the file.
    fn understand(
        &mut self,
        file: &DataFile,
        mut raw: RawSentence,
        names: Option<&[String]>,
    ) -> Result<TaggedSentence, DataError> {
        let tags = raw.tags.take().filter(|_| !self.request.ignore_labels);
        let Some(tags) = tags else {
            return Ok(TaggedSentence {
                words: raw.words,
                tags: None,
            });
        };
        let column = &self.columns.label.name;
        let mut texts = Vec::with_capacity(tags.len());
        for (word, tag) in tags.iter().enumerate() {
            texts.push(name_of(tag, names).ok_or_else(|| TagError::BadTag {
                place: raw.place(file, word),
                column: column.clone(),
                word: word + 1,
                found: tag.show(),
            })?);
        }
        self.evidence.add(texts.iter().map(String::as_str));
        let found = repair(
            &mut texts,
            self.request.reading.repair_tags.unwrap_or_default(),
        );
        let mut ids = Vec::with_capacity(texts.len());
        for (word, text) in texts.iter().enumerate() {
            let id = self.names.id(text).ok_or_else(|| DataError::UnknownLabel {
                place: raw.place(file, word),
                column: column.clone(),
                found: crate::error::quote(text),
                allowed: label::listed(&self.names.names),
            })?;
            ids.push(id);
        }
        self.findings.n_changed += found.n_changed;
        self.findings.n_strays += found.n_strays;
        if found.n_strays > 0 && self.findings.first_stray.is_none() {
            let place = raw.place(file, found.first_stray);
            let tag = &tags[found.first_stray];
            self.findings.first_stray = Some(format!("{} ({place})", tag.show()));
        }
        Ok(TaggedSentence {
            words: raw.words,
            tags: Some(ids),
        })
    }

    /// Fixes the labels, in their final order, after a split has been read.
    fn learn(
        &mut self,
        files: &[DataFile],
        mut sentences: Vec<TaggedSentence>,
    ) -> Result<Vec<TaggedSentence>, DataError> {
        if !self.names.is_open || sentences.is_empty() {
            return Ok(sentences);
        }
        let path = files
            .first()
            .map(|file| file.path.clone())
            .unwrap_or_default();
        let column = self.columns.label.name.clone();
        let n_words: usize = sentences.iter().map(|sentence| sentence.words.len()).sum();
        let found = &self.names.names;
        if found.len() > MANY_CLASSES && found.len() * 2 > n_words {
            return Err(OwnDataError::TooManyClasses {
                path,
                column,
                n_labels: found.len(),
                n_rows: n_words,
                found: found.iter().take(3).cloned().collect(),
                separator: None,
            }
            .into());
        }
        if let [label] = found.as_slice() {
            return Err(OwnDataError::OneClass {
                path,
                column,
                label: label.clone(),
                n_rows: n_words,
            }
            .into());
        }
        let names = match self.named_by(files)? {
            Some(names) => names,
            None => sorted(found.clone()),
        };
        let mut settled = TagNames::new(names, false);
        let moved: Vec<u32> = found
            .iter()
            .map(|name| settled.id(name).unwrap_or_default())
            .collect();
        for tag in sentences
            .iter_mut()
            .flat_map(|s| s.tags.iter_mut())
            .flatten()
        {
            *tag = moved[*tag as usize];
        }
        self.names = settled;
        Ok(sentences)
    }

    /// The names that the first file itself gives to its tags, if the tags still have these names.
    fn named_by(&self, files: &[DataFile]) -> Result<Option<Vec<String>>, DataError> {
        let Some(file) = files.first() else {
            return Ok(None);
        };
        let reader = self.open(file, true)?;
        let has_all = |names: &&[String]| self.names.names.iter().all(|name| names.contains(name));
        Ok(reader.tag_names().filter(has_all).map(<[String]>::to_vec))
    }
}

fn check_format(file: &DataFile) -> Result<(), OwnDataError> {
    match file.format {
        Format::Conll | Format::Jsonl | Format::Parquet | Format::Arrow => Ok(()),
        Format::Csv | Format::Tsv | Format::LabelText | Format::Lines | Format::TextFile => {
            Err(OwnDataError::NoSentences {
                path: file.path.clone(),
                format: file.format.as_str(),
            })
        }
    }
}

/// Sorts names as text, or numbers by value.
fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    if names.iter().all(|name| name.parse::<i64>().is_ok()) {
        names.sort_by_key(|name| name.parse::<i64>().unwrap_or_default());
    }
    names
}

/// The name of a tag. A number is an index into `names` if the file has them.
fn name_of(tag: &Cell, names: Option<&[String]>) -> Option<String> {
    match (tag, names) {
        (Cell::Int(id), Some(names)) => names.get(usize::try_from(*id).ok()?).cloned(),
        (Cell::Text(text), _) => (!text.is_empty()).then(|| text.clone()),
        (Cell::Int(id), None) => Some(id.to_string()),
        _ => None,
    }
}
