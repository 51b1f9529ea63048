//! The examples to which a model is applied: from the data of a task, the user's own files, an
//! input file, or the command line. Called by `evaluate` and `predict`.

use super::{
    input_file::InputFile,
    opened::{Layer, Opened},
};
use crate::{
    config::TypedPair,
    task_data::{OwnRead, read_own},
};
use progtune_datasets::{
    AnswerRule, Column, ColumnKind, ColumnRows, DataFile, Example, Format, Labels, OwnFiles,
    OwnRequest, ProblemType, Question, SplitName, Survey, TaggedSentence, Task, load_questions,
    read_questions,
};
use progtune_engine::{Error, Result};
use progtune_pipeline::{
    EvalSplit, ExampleSource, KeyedFiles, Origin,
    question_answering::QuestionSource,
    token_classification::{AlignedSentence, align, raw_text::RawSentence, warn_of_gaps},
};
use serde_json::Value;
use std::path::Path;

/// The examples for the layers with one task.
pub(crate) struct Loaded {
    /// The task, which the user's own files may have completed.
    pub task: Task,
    /// The tokenised examples.
    pub splits: Vec<EvalSplit>,
    /// The sentences behind the examples, for tags.
    pub sentences: Vec<LoadedSentence>,
    /// The user's own files, if their rows are the examples.
    pub files: Option<Box<KeyedFiles>>,
}

/// A sentence for a tagger.
pub(crate) struct LoadedSentence {
    /// Its words.
    pub words: TaggedSentence,
    /// Its tokens.
    pub aligned: AlignedSentence,
    /// The sentence as it was typed, if it was given as text.
    pub raw: Option<RawSentence>,
}

impl Loaded {
    fn of_splits(task: &Task, splits: Vec<EvalSplit>) -> Self {
        Self {
            task: task.clone(),
            splits,
            sentences: Vec::new(),
            files: None,
        }
    }

    /// Number of rows: questions, sentences or examples.
    pub(crate) fn rows(&self) -> usize {
        self.splits.iter().map(EvalSplit::rows).sum()
    }
}

impl Opened<'_> {
    /// The number of rows to use, from the first; `None` for all.
    fn n_rows(&self) -> Option<usize> {
        self.config.sample.map(|sample| sample.n_rows)
    }

    /// Loads splits of the task's data in a directory.
    ///
    /// # Errors
    /// Fails if the data is absent or invalid.
    pub(crate) fn load_splits(
        &self,
        task: &Task,
        directory: &Path,
        names: &[SplitName],
    ) -> Result<Loaded> {
        let load = |&name: &SplitName| match task.problem_type {
            ProblemType::QuestionAnswering => {
                let read = load_questions(task, directory, name, self.config.sample)?;
                self.questions(task, name, &read.questions)
            }
            _ => self.examples(task, name, Origin::Split { directory, name }),
        };
        let splits = names.iter().map(load).collect::<Result<_>>()?;
        Ok(Loaded::of_splits(task, splits))
    }

    /// Loads the user's own files, which are those of a single split unless `at` chooses one of
    /// them. `name` is the split's name in messages.
    ///
    /// # Errors
    /// Fails if the files are invalid.
    pub(crate) fn load_own(
        &self,
        layer: &Layer<'_>,
        request: &OwnRequest,
        (name, at): (SplitName, Option<SplitName>),
    ) -> Result<Loaded> {
        match read_own(self.config, &layer.learned, request)? {
            OwnRead::Examples(files) => {
                let only = at.unwrap_or_else(|| files.only_split());
                let files_of = Origin::Own {
                    files: &files,
                    name: only,
                };
                let split = self.examples(&files.files.task, name, files_of)?;
                Ok(Loaded {
                    files: Some(files.clone()),
                    ..Loaded::of_splits(&files.files.task, vec![split])
                })
            }
            OwnRead::Sentences(data) => {
                let splits = [&data.train, &data.validation, &data.test];
                let sentences = data.sampled(chosen(splits, at), self.config.sample);
                let raw = vec![None; sentences.len()];
                self.sentences(&data.task, name, sentences.into_owned(), raw)
            }
            OwnRead::Questions(data) => {
                let questions = chosen([&data.train, &data.validation, &data.test], at);
                let split = self.questions(&data.task, name, questions)?;
                Ok(Loaded::of_splits(&data.task, vec![split]))
            }
        }
    }

    /// Loads an input file in the way of a layer's training data.
    ///
    /// # Errors
    /// Fails if the file cannot be read or lacks a column.
    pub(crate) fn load_file(&self, layer: &Layer<'_>, file: &InputFile) -> Result<Loaded> {
        let loaded = match layer.task.problem_type {
            ProblemType::QuestionAnswering => self.load_question_file(&layer.task, file),
            ProblemType::TokenClassification => self.load_tagger_file(layer, file),
            _ => self.load_text_file(layer, file),
        };
        loaded.map_err(|error| file.explain(error))
    }

    /// Loads texts from the command line.
    ///
    /// # Errors
    /// Fails if the task needs pairs or questions, and these are none.
    pub(crate) fn load_texts(&self, layer: &Layer<'_>, texts: &[TypedPair]) -> Result<Loaded> {
        let task = &layer.task;
        let has_pairs = texts.iter().any(|text| text.second.is_some());
        let usage = |what: &str| Error::Usage(format!("--text: {what}"));
        match (task.problem_type, layer.takes_pairs(), has_pairs) {
            (ProblemType::QuestionAnswering, ..) => Err(usage(
                "the model answers questions about texts; give --question TEXT with --context TEXT",
            )),
            (ProblemType::TokenClassification, ..) => {
                let texts = texts.iter().map(|text| text.first.as_str());
                self.load_sentences(layer, texts)
            }
            (_, Some(true), false) => Err(usage(
                "the task has pairs of texts; give the second one with --text-pair TEXT",
            )),
            (_, Some(false), true) => Err(usage(
                "the task has single texts, but --text-pair was given; remove it",
            )),
            _ => self.typed(task, texts),
        }
    }

    /// Loads questions from the command line.
    ///
    /// # Errors
    /// Fails if the task has no questions, or one is empty.
    pub(crate) fn load_typed_questions(
        &self,
        layer: &Layer<'_>,
        typed: &[TypedPair],
    ) -> Result<Loaded> {
        let task = &layer.task;
        if task.problem_type != ProblemType::QuestionAnswering {
            return Err(Error::Usage(
                "--question: the model does not answer questions about texts; give --text TEXT"
                    .into(),
            ));
        }
        let mut questions = Vec::with_capacity(typed.len());
        for (at, pair) in typed.iter().enumerate() {
            let context = pair.second.as_deref().unwrap_or_default();
            if pair.first.trim().is_empty() || context.is_empty() {
                return Err(Error::Usage(format!(
                    "--question {}: expected a question and a text that are not empty; give both",
                    at + 1
                )));
            }
            questions.push(Question {
                id: (at + 1).to_string(),
                context: context.into(),
                question: pair.first.clone(),
                answers: None,
            });
        }
        let split = self.questions(task, SplitName::Test, &questions)?;
        Ok(Loaded::of_splits(task, vec![split]))
    }

    fn load_question_file(&self, task: &Task, file: &InputFile) -> Result<Loaded> {
        let data = file.in_format(file.format.unwrap_or(Format::Jsonl));
        let limit = self.n_rows();
        let on_bad_row = file.reading.on_bad_row;
        let read = read_questions(&[data], AnswerRule::Optional, on_bad_row, limit)?;
        let split = self.questions(task, SplitName::Test, &read.questions)?;
        Ok(Loaded::of_splits(task, vec![split]))
    }

    fn load_text_file(&self, layer: &Layer<'_>, file: &InputFile) -> Result<Loaded> {
        let (task, learned) = (&layer.task, &layer.learned);
        let is_lines = match (file.reading.format, file.format.or(learned.format())) {
            (Some(given), _) => given == Format::Lines,
            (None, Some(Format::Lines)) if learned.format() != Some(Format::LabelText) => true,
            (None, Some(Format::Lines | Format::LabelText)) => !file.has_label_lines(learned)?,
            (None, _) => false,
        };
        if is_lines {
            let pairs = layer.takes_pairs() == Some(true);
            return self.typed(task, &typed_lines(file, pairs)?);
        }
        if layer.is_named() {
            let data = file.in_format(file.format.unwrap_or(Format::Jsonl));
            let mut task = task.clone();
            let reading = &file.reading;
            if let Some(name) = &reading.text_column {
                task.columns.first = Column::named(name);
            }
            if let (Some(name), Some(_)) = (&reading.pair_column, &task.columns.second) {
                task.columns.second = Some(Column::named(name));
            }
            let split = self.examples(&task, SplitName::Test, Origin::File(&data))?;
            return Ok(Loaded::of_splits(&task, vec![split]));
        }
        let mut request = request_of(file);
        if file.reading.format.is_none() && file.format == Some(Format::Lines) {
            request.reading.format = Some(Format::LabelText);
        }
        self.load_own(layer, &request, (SplitName::Test, None))
    }

    /// Loads the input of a tagger: words if the file has them, otherwise texts, which are cut into
    /// words.
    fn load_tagger_file(&self, layer: &Layer<'_>, file: &InputFile) -> Result<Loaded> {
        let given = file.reading.format;
        let has_words = match file.format {
            Some(Format::Conll | Format::Tsv) => true,
            Some(Format::Jsonl | Format::Parquet | Format::Arrow) => {
                has_lists(&file.in_format(file.format.unwrap_or(Format::Jsonl)))?
            }
            None | Some(Format::Lines) if given.is_none() => file.has_word_lines(&layer.learned)?,
            _ => false,
        };
        if has_words {
            let mut request = request_of(file);
            if given.is_none() && matches!(file.format, None | Some(Format::Lines | Format::Tsv)) {
                request.reading.format = Some(Format::Conll);
            }
            return self.load_own(layer, &request, (SplitName::Test, None));
        }
        let texts = match file.format {
            None | Some(Format::Lines) => typed_lines(file, false)?
                .into_iter()
                .map(|text| text.first)
                .collect(),
            Some(_) => texts_of(file)?,
        };
        self.load_sentences(layer, texts.iter().map(String::as_str))
    }

    fn load_sentences<'t>(
        &self,
        layer: &Layer<'_>,
        texts: impl Iterator<Item = &'t str>,
    ) -> Result<Loaded> {
        let is_apart = layer.learned.punctuation_is_apart.unwrap_or(true);
        let limit = self.n_rows().unwrap_or(usize::MAX);
        let raw: Vec<RawSentence> = texts
            .take(limit)
            .map(|text| RawSentence::cut(text, is_apart))
            .collect();
        let sentences = raw.iter().map(RawSentence::untagged).collect();
        let raw = raw.into_iter().map(Some).collect();
        self.sentences(&layer.task, SplitName::Test, sentences, raw)
    }

    fn sentences(
        &self,
        task: &Task,
        name: SplitName,
        sentences: Vec<TaggedSentence>,
        raw: Vec<Option<RawSentence>>,
    ) -> Result<Loaded> {
        let aligned = align(&self.tokenizer, &sentences)?;
        warn_of_gaps(&aligned, name, self.tokenizer.max_length());
        let examples = aligned.iter().map(|one| one.example.clone()).collect();
        let all = sentences.into_iter().zip(aligned).zip(raw);
        Ok(Loaded {
            sentences: all
                .map(|((words, aligned), raw)| LoadedSentence {
                    words,
                    aligned,
                    raw,
                })
                .collect(),
            ..Loaded::of_splits(task, vec![EvalSplit::of_examples(name, examples)])
        })
    }

    fn examples(&self, task: &Task, name: SplitName, origin: Origin<'_>) -> Result<EvalSplit> {
        let source = ExampleSource {
            task,
            tokenizer: &self.tokenizer,
            cache: &self.cache,
        };
        let examples = source.load(origin, self.config.sample)?;
        Ok(EvalSplit::of_examples(name, examples))
    }

    fn typed(&self, task: &Task, texts: &[TypedPair]) -> Result<Loaded> {
        let limit = self.n_rows().unwrap_or(usize::MAX);
        let rows: Vec<Example> = texts
            .iter()
            .take(limit)
            .map(|text| Example {
                text: text.first.clone(),
                pair: text.second.clone(),
                label: None,
            })
            .collect();
        let examples = self.tokenizer.encode(&rows)?.into_iter().collect();
        let split = EvalSplit::of_examples(SplitName::Test, examples);
        Ok(Loaded::of_splits(task, vec![split]))
    }

    fn questions(&self, task: &Task, name: SplitName, questions: &[Question]) -> Result<EvalSplit> {
        let source = QuestionSource {
            task,
            tokenizer: &self.tokenizer,
            cache: &self.cache,
            answering: self.answering,
        };
        let split = source.split(questions, self.config.sample)?;
        Ok(EvalSplit::of_questions(name, split))
    }
}

/// The rows of the chosen split, otherwise of the only one that has any.
fn chosen<T>([train, validation, test]: [&Vec<T>; 3], at: Option<SplitName>) -> &[T] {
    match at {
        Some(SplitName::Train) => train,
        Some(SplitName::Validation) => validation,
        Some(_) => test,
        None => {
            let mut all = [train, validation, test].into_iter();
            all.find(|rows| !rows.is_empty()).map_or(&[], Vec::as_slice)
        }
    }
}

/// The request for a file to predict.
fn request_of(file: &InputFile) -> OwnRequest {
    OwnRequest {
        test: vec![file.path.to_string_lossy().into_owned()],
        ignore_labels: true,
        reading: file.reading.clone(),
        ..OwnRequest::default()
    }
}

/// The texts of a file with one text per line, or a pair of texts with a tab between them.
fn typed_lines(file: &InputFile, pairs: bool) -> Result<Vec<TypedPair>> {
    let data = file.in_format(Format::Lines);
    let mut rows = ColumnRows::open(&data, &["text".to_owned()], "--text-column")?;
    let mut texts = Vec::new();
    while let Some((_, row)) = rows.next_row()? {
        let line = row.first().and_then(Value::as_str).unwrap_or_default();
        let (first, second) = match line.split_once('\t').filter(|_| pairs) {
            Some((first, second)) => (first, Some(second.to_owned())),
            None if pairs => {
                return Err(Error::Model(format!(
                    "{}: text {}: expected two texts with a tab between them, because the task has pairs; correct it, or use \
                     JSONL, CSV or TSV with the columns of the training data",
                    file.name(),
                    texts.len() + 1
                )));
            }
            None => (line, None),
        };
        texts.push(TypedPair {
            first: first.to_owned(),
            second,
        });
    }
    Ok(texts)
}

/// Whether a file has a column of lists.
fn has_lists(file: &DataFile) -> Result<bool> {
    let survey = Survey::of(file)?;
    let mut columns = survey.columns.iter();
    Ok(columns.any(|(_, kind)| *kind == ColumnKind::List))
}

/// The texts of a file with columns, for a tagger.
fn texts_of(file: &InputFile) -> Result<Vec<String>> {
    let request = request_of(file);
    let known = Labels {
        problem_type: ProblemType::Regression,
        names: Vec::new(),
    };
    let files = OwnFiles::open(&request, Some(&known), None)?;
    let mut texts = Vec::new();
    for row in files.rows(SplitName::Test, None) {
        texts.push(row?.text);
    }
    Ok(texts)
}
