//! The task of a run, and the amount of its data that is used. Read by `train` and `plan`.

use std::path::PathBuf;

use progtune_datasets::{DataError, Metric, OWN_TASK, Sample, SampleRule, Task};

use super::export::Written;
use super::settings::Settings;
use super::training::SEED;
use super::{ConfigError, answering, limit};
use crate::flags::{Flag, Form, Offers, Scope};
use progtune_pipeline::question_answering::Answering;
use progtune_process::name_of;

pub(crate) static TASK: Flag<String> = Flag::key(
    "task",
    "NAME",
    "Task: sample or sample_pairs (generated: reviews; entailment), a GLUE task such as mrpc, squad, squad_v2, or own \
     (implied by --train-file, and by --data without --task)",
)
.default("sample")
.scope(Scope::All)
.usual()
.offers(Offers::Some(|| {
    let names = Task::all().iter().map(|task| task.name.as_str());
    names.chain([OWN_TASK]).collect()
}))
.elsewhere(&[(&["evaluate", "predict"], "NAME", "Task: sample or sample_pairs (generated), a GLUE task such as mrpc, squad, squad_v2, or own (implied by files); \
           results record their task, and need none")]);

pub(crate) static DATA: Flag<PathBuf> = Flag::key(
    "data",
    "DIR or ID",
    "Directory with the task's files (GLUE's TSV, SQuAD's JSON, or Hugging Face's parquet), or id of a data set on the hub \
     (org/name@REV)",
)
.computed("none: the task's data set on the hub")
.example("glue/mrpc")
.scope(Scope::All)
.usual()
.elsewhere(&[(&["evaluate", "predict"], "DIR or ID", "Directory with the task's files, or id of a data set on the hub; for evaluate by default the data of the result's training")]);

pub(crate) static METRICS: Flag<String> = Flag::key(
    "metrics",
    "A,B",
    "Metrics to report, such as accuracy,f1_macro; schedules receive the first one",
)
.computed("the task's")
.example("accuracy,f1_macro")
.scope(Scope::All)
.offers(Offers::Some(|| {
    Metric::ALL.into_iter().map(Metric::as_str).collect()
}))
.elsewhere(&[(
    &["evaluate", "predict"],
    "A,B",
    "Metrics to report, such as accuracy,f1_macro",
)]);

pub(crate) static MAX_TRAIN_SAMPLES: Flag<usize> = Flag::key(
    "max_train_samples",
    "N",
    "Train on a sample of N rows, which --sample describes",
)
.computed("none: all rows")
.example("1000")
.form(limit());

pub(crate) static MAX_EVAL_SAMPLES: Flag<usize> = Flag::key(
    "max_eval_samples",
    "N",
    "Evaluate on a sample of N rows, which --sample describes",
)
.computed("none: all rows")
.example("200")
.scope(Scope::All)
.form(limit())
.elsewhere(&[(&["predict"], "N", "Predict only the first N rows")]);

pub(crate) static MAX_TEST_SAMPLES: Flag<usize> = Flag::key(
    "max_test_samples",
    "N",
    "Measure the result on a sample of N rows of the test files, which --sample describes",
)
.computed("that of --max-eval-samples")
.example("500")
.form(limit());

pub(crate) static SAMPLE: Flag<SampleRule> = Flag::key(
    "sample",
    "NAME",
    "Rows that --max-train-samples and its siblings choose: stratified (at random, with each class, label set or rare tag in \
     its share), random, or first",
)
.default("stratified")
.scope(Scope::Measuring)
.form(Form::OneOf(SampleRule::NAMES))
.elsewhere(&[(
    &["evaluate"],
    "NAME",
    "Rows that --max-eval-samples chooses: stratified (at random, with each class, label set or rare tag in its share), random, or \
     first",
)]);

/// The task of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct DataConfig {
    /// Name of the task, which may not exist.
    pub task: String,
    /// Metrics to report, the most important first; if empty, the task's own.
    pub metrics: Vec<Metric>,
    /// Number of training rows to use, at least 1. `None` uses all.
    pub max_train_samples: Option<usize>,
    /// Number of evaluation rows to use, at least 1. `None` uses all.
    pub max_eval_samples: Option<usize>,
    /// Number of rows of the test files to use, at least 1. `None` uses all.
    pub(crate) max_test_samples: Option<usize>,
    /// The rule that chooses these rows.
    pub sample: SampleRule,
    /// The run's random seed.
    pub seed: u64,
    /// The reading and answering of questions about texts; without effect on other tasks.
    pub answering: Answering,
}

impl DataConfig {
    pub(super) fn read(settings: &Settings, task: String) -> Result<Self, ConfigError> {
        Ok(Self {
            task,
            metrics: read_metrics(settings)?,
            max_train_samples: settings.find(&MAX_TRAIN_SAMPLES)?,
            max_eval_samples: settings.find(&MAX_EVAL_SAMPLES)?,
            max_test_samples: settings.find(&MAX_TEST_SAMPLES)?,
            sample: settings.get(&SAMPLE)?,
            seed: settings.get(&SEED)?,
            answering: answering::read(settings)?,
        })
    }

    /// The training rows to use.
    pub(crate) fn train_sample(&self) -> Option<Sample> {
        self.sample_of(self.max_train_samples)
    }

    /// The evaluation rows to use.
    pub(crate) fn eval_sample(&self) -> Option<Sample> {
        self.sample_of(self.max_eval_samples)
    }

    /// The rows of the test files to use.
    pub(crate) fn test_sample(&self) -> Option<Sample> {
        self.sample_of(self.max_test_samples.or(self.max_eval_samples))
    }

    fn sample_of(&self, n_rows: Option<usize>) -> Option<Sample> {
        n_rows.map(|n_rows| Sample {
            n_rows,
            rule: self.sample,
            seed: self.seed,
        })
    }

    pub(super) fn write(&self, written: &mut Written) {
        written.set(&TASK, &self.task);
        let names: Vec<&str> = self.metrics.iter().map(|metric| metric.as_str()).collect();
        written.set_if(&METRICS, (!names.is_empty()).then(|| names.join(",")));
        written.set_if(&MAX_TRAIN_SAMPLES, self.max_train_samples);
        written.set_if(&MAX_EVAL_SAMPLES, self.max_eval_samples);
        written.set_if(&MAX_TEST_SAMPLES, self.max_test_samples);
        written.set(&SAMPLE, name_of(SampleRule::NAMES, &self.sample));
        answering::write(&self.answering, written);
    }
}

/// The requested metrics, the most important first; if empty, the task's own.
pub(super) fn read_metrics(settings: &Settings) -> Result<Vec<Metric>, ConfigError> {
    let Some(text) = settings.optional_text(&METRICS)? else {
        return Ok(Vec::new());
    };
    let mut metrics = Vec::new();
    for name in text.split(',') {
        let metric = Metric::by_name(name).map_err(|error| {
            let DataError::UnknownMetric { known, .. } = &error else {
                return settings.bad(&METRICS, "names of metrics", &text);
            };
            settings.bad(
                &METRICS,
                &format!("one or more of {}", known.join(", ")),
                name,
            )
        })?;
        if !metrics.contains(&metric) {
            metrics.push(metric);
        }
    }
    Ok(metrics)
}
