//! A saved model distinguishes the labels as the run did, whatever they are. Label sets are drawn
//! at random. A tiny model takes a step on each, is saved, and is opened again from its saved
//! files. The loss, every metric and every class's report must then equal the run's to the last
//! bit.
//!
//! Each draw has a seed. All draws that fail are shown with their seeds and labels. Some go through
//! the binary as well (`label_runs.rs`).

use super::*;
use progtune::{
    TaskData,
    evaluate::{Evaluation, evaluate},
    open_tokenizer,
};
use progtune_datasets::{Labels, OwnRequest, ProblemType, Reading, SplitName, Task};
use progtune_engine::{
    LearnedTask,
    export::{WeightDtype, save_checkpoint},
};
use progtune_pipeline::{
    EvalSplit, ExampleSource, Origin,
    batch_order::BatchLimit,
    token_cache::{TokenCache, TokenCacheUse},
    token_store::Examples,
    tokenizer::Tokenizer,
};
use serde_json::json;

/// The number of drawn sets.
pub(super) const N_DRAWS: u64 = 240;
/// The tiny model's vocabulary.
const VOCABULARY: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\ndog\ncat\nruns\nsleeps\na\nof\n";

/// Labels that a loose comparison confuses, that have their own order, or that are hard to write.
const FAMILIES: [&[&str]; 14] = [
    &["us", "US", "Us", "uS", "u-s", "u_s", "u s", " us", "us "],
    &["-1", "0", "1", "-2", "10", "2"],
    &["A", "A-", "A+", "B", "B-", "B+", "a", "a-"],
    &[
        "not-equivalent",
        "not_equivalent",
        "Not Equivalent",
        "notequivalent",
        "equivalent",
    ],
    &["straße", "STRASSE", "strasse", "Straße"],
    &["é", "e\u{301}", "É", "e", "E"],
    &["İ", "i", "I", "ı", "i\u{307}"],
    &["日本", "日 本", "日-本", "中国", "🙂", "👩‍👩‍👧"],
    &[
        "LABEL_0", "LABEL_1", "LABEL_2", "label_1", "LABEL-1", "LABEL1",
    ],
    &["-", "_", "--", "__", "- -", "."],
    &[
        "\u{202e}abc",
        "abc",
        "\u{200b}abc",
        "a\tbc",
        "a\nbc",
        "\u{1b}[31mabc",
        "a\u{7}bc",
    ],
    &["true", "false", "True", "False", "null", "None", "NaN"],
    &["a,b", "a;b", "a\"b", "a'b", "a|b", "[\"a\"]", "{a}", "\\"],
    &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"],
];

/// SplitMix64.
struct Draws(u64);

impl Draws {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % n as u64) as usize
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }

    /// Two labels or more, from one family or from two.
    fn labels(&mut self) -> Vec<String> {
        let mut pool: Vec<String> = Vec::new();
        for _ in 0..1 + self.below(2) {
            let family = FAMILIES[self.below(FAMILIES.len())];
            pool.extend(family.iter().map(|&label| label.to_owned()));
        }
        if self.below(4) == 0 {
            let any = |draws: &mut Self| char::from_u32(0x20 + draws.below(0x2000) as u32);
            let made: String = (0..3).filter_map(|_| any(self)).collect();
            pool.extend([made.to_lowercase(), made.to_uppercase(), made]);
        }
        pool.sort();
        pool.dedup();
        self.shuffle(&mut pool);
        pool.truncate(2 + self.below(6));
        pool
    }
}

/// The items that a draw's labels belong to.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// Each row has one label.
    Classes,
    /// Each row has several labels, or none.
    Sets,
    /// Each word has one label.
    Tags,
}

/// A draw: labels, rows, and the label names in the base model's head.
pub(super) struct Draw {
    pub labels: Vec<String>,
    pub kind: Kind,
    pub is_csv: bool,
    pub rows: Vec<(String, Vec<usize>)>,
    /// `id2label` of a base model whose head has that size.
    pub base: Option<Vec<String>>,
}

impl Draw {
    pub(super) fn new(seed: u64) -> Self {
        let mut draws = Draws(seed);
        let labels = draws.labels();
        let kind = if draws.below(4) == 0 {
            Kind::Sets
        } else {
            Kind::Classes
        };
        let words = ["the", "dog", "cat", "runs", "sleeps", "a", "of"];
        let mut rows = Vec::new();
        for at in 0..labels.len() * 3 {
            let text: Vec<&str> = (0..2 + draws.below(4))
                .map(|_| words[draws.below(7)])
                .collect();
            let mut of = vec![at % labels.len()];
            if kind == Kind::Sets && draws.below(2) == 0 {
                of.push(draws.below(labels.len()));
            }
            rows.push((text.join(" "), of));
        }
        let mut base = labels.clone();
        draws.shuffle(&mut base);
        let base = match draws.below(3) {
            0 => None,
            1 => Some((0..labels.len()).map(|id| format!("LABEL_{id}")).collect()),
            _ => Some(base),
        };
        Self {
            labels,
            kind,
            is_csv: kind == Kind::Classes && draws.below(3) == 0,
            rows,
            base,
        }
    }

    /// Sentences with entities of the drawn kinds.
    pub(super) fn of_tags(seed: u64) -> Self {
        let mut draws = Draws(seed);
        let kinds = draws.labels();
        let begin = |kind: &String| [format!("B-{kind}"), format!("I-{kind}")];
        let mut labels: Vec<String> = kinds.iter().flat_map(begin).collect();
        labels.push("O".to_owned());
        let outside = labels.len() - 1;
        let row = |at: usize| {
            let entity = 2 * (at % kinds.len());
            let before = vec![outside; draws.below(2)];
            let tags = [before, vec![entity, entity + 1, outside]].concat();
            let words = ["the", "dog", "cat", "runs", "sleeps", "a", "of"];
            let text: Vec<&str> = tags.iter().map(|_| words[draws.below(7)]).collect();
            (text.join(" "), tags)
        };
        Self {
            rows: (0..kinds.len() * 3).map(row).collect(),
            labels,
            kind: Kind::Tags,
            is_csv: false,
            base: None,
        }
    }

    /// The name of the file with the rows.
    pub(super) fn file(&self) -> &'static str {
        if self.is_csv {
            "rows.csv"
        } else {
            "rows.jsonl"
        }
    }

    /// The rows as JSONL or CSV.
    pub(super) fn write(&self, path: &Path) {
        if self.is_csv {
            let label = |of: &[usize]| self.labels[of[0]].replace('"', "\"\"");
            let rows = self.rows.iter();
            let lines = rows.map(|(text, of)| format!("{text},\"{}\"\n", label(of)));
            let lines: String = lines.collect();
            return fs::write(path, format!("text,label\n{lines}")).unwrap();
        }
        let all = |of: &[usize]| of.iter().map(|&id| &self.labels[id]).collect::<Vec<_>>();
        let row = |(text, of): &(String, Vec<usize>)| match self.kind {
            Kind::Classes => json!({"text": text, "label": self.labels[of[0]]}),
            Kind::Sets => json!({"text": text, "label": all(of)}),
            Kind::Tags => json!({"tokens": text.split(' ').collect::<Vec<_>>(), "tags": all(of)}),
        };
        let lines = self.rows.iter().map(|line| row(line).to_string() + "\n");
        fs::write(path, lines.collect::<String>()).unwrap();
    }

    pub(super) fn problem_type(&self) -> ProblemType {
        match self.kind {
            Kind::Classes => ProblemType::SingleLabelClassification,
            Kind::Sets => ProblemType::MultiLabelClassification,
            Kind::Tags => ProblemType::TokenClassification,
        }
    }

    fn request(&self, path: &Path) -> OwnRequest {
        let file = vec![path.to_str().unwrap().to_owned()];
        OwnRequest {
            train: file.clone(),
            validation: file,
            // Numbers beside names are refused unless the user says that both are names.
            reading: Reading {
                problem_type: Some(self.problem_type()),
                ..Reading::default()
            },
            ..OwnRequest::default()
        }
    }
}

/// A tiny BERT with random weights, and with a head if its outputs have names.
pub(super) fn write_base(directory: &Path, head: Option<&[String]>) {
    fs::create_dir_all(directory).unwrap();
    let mut config = json!({
        "model_type": "bert", "vocab_size": 12, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 8, "max_position_embeddings": 16, "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0, "initializer_range": 0.5, "architectures": ["BertModel"],
    });
    if let Some(names) = head {
        let by_id = names
            .iter()
            .enumerate()
            .map(|(id, name)| (id.to_string(), json!(name)));
        config["id2label"] = Value::Object(by_id.collect());
        config["architectures"] = json!(["BertForSequenceClassification"]);
    }
    fs::write(directory.join("config.json"), config.to_string()).unwrap();
    fs::write(directory.join("vocab.txt"), VOCABULARY).unwrap();
    let config = ModelConfig::read(directory).unwrap();
    let kind = HeadKind::Sequence(head.map_or(2, <[String]>::len));
    let mut infos = parameters(&config, kind);
    infos.retain(|info| head.is_some() || !info.is_classifier());
    let draw = json!({"seed": 7, "dtype": "F32", "wrapper": "", "base_prefix": true});
    write_weights(directory, &draw, config.architecture, &infos);
}

fn open(directory: &Path, task: &Task, policy: HeadPolicy) -> Result<(Model, Tokenizer)> {
    let source = ModelSource::Directory(directory.to_owned().into());
    let config = source.config()?;
    let head = HeadKind::of(task);
    let model_plan = ModelPlan::new(&config, head, None, false)?;
    let tokenizer = open_tokenizer(&source, &config, 16)?;
    let mut model = Assembly {
        source: &source,
        config,
        head,
        labels: &task.labels,
        model_plan: &model_plan,
        adapter: None,
        policy,
        head_bias: None,
        seed: 3,
        device: Device::Cpu,
        kernels: Kernels::Auto,
        precision: progtune_engine::model::Precision::F32,
    }
    .build()?;
    model.parameters.set_trainable(&model_plan.candidates);
    Ok((model, tokenizer))
}

/// The examples in a draw's file, read with the labels that a model knows, if there are any.
fn read(
    request: &OwnRequest,
    known: Option<&Labels>,
    tokenizer: impl FnOnce(&Task) -> Result<(Model, Tokenizer)>,
) -> Result<(Task, Model, Tokenizer, Examples)> {
    let cache = TokenCache::new(TokenCacheUse::Off);
    let TaskData::Own(files) = TaskData::own(request, known, &[], &cache)? else {
        panic!("own files are read as such");
    };
    let task = files.files.task.clone();
    let (model, tokenizer) = tokenizer(&task)?;
    let source = ExampleSource {
        task: &task,
        tokenizer: &tokenizer,
        cache: &cache,
    };
    let name = SplitName::Validation;
    let examples = source.load(
        Origin::Own {
            files: &files,
            name,
        },
        None,
    )?;
    Ok((task, model, tokenizer, examples))
}

fn evaluated(model: &Model, task: &Task, examples: Examples) -> Result<Evaluation> {
    let split = EvalSplit {
        name: SplitName::Validation,
        examples,
        asked: None,
    };
    evaluate(model, task, &split, BatchLimit::Examples(8))
}

/// Takes one step of gradient descent over all rows.
fn take_step(model: &Model, examples: &Examples) -> Result<()> {
    let all: Vec<usize> = (0..examples.len()).collect();
    let batch = examples.batch(&all, model.config.first_position())?;
    let mut gradients = Gradients::new(&model.parameters);
    let step = Step { seed: 0, number: 0 };
    model.train(&batch, step, all.len() as f64, &mut gradients)?;
    let parameters = &model.parameters;
    for id in parameters.trainable().collect::<Vec<_>>() {
        if let Some(gradient) = gradients.tensor(id, parameters)? {
            let value = parameters.variable(id).as_detached_tensor();
            parameters.set(id, &(value - (gradient * 0.5)?)?)?;
        }
    }
    Ok(())
}

/// The figures that are compared to the last bit.
fn figures(evaluation: &Evaluation) -> String {
    let loss = evaluation.loss.map(f64::to_bits);
    format!(
        "{loss:?} {:?} {:?} {:?}",
        evaluation.metrics, evaluation.confusion, evaluation.parts
    )
}

/// Trains on a draw, saves, opens and evaluates. Returns the fault, or the run's loss.
fn fault_of_draw(draw: &Draw, directory: &Path) -> Result<Option<String>> {
    let (base, run) = (directory.join("base"), directory.join("run"));
    write_base(&base, draw.base.as_deref());
    fs::create_dir_all(&run).unwrap();
    let data = directory.join(draw.file());
    draw.write(&data);
    let request = draw.request(&data);
    let make = |task: &Task| open(&base, task, HeadPolicy::MakeNew);
    let (task, model, tokenizer, examples) = read(&request, None, make)?;
    let mut labels = draw.labels.clone();
    let mut learned = task.labels.clone();
    labels.sort();
    learned.sort();
    if labels != learned {
        return Ok(Some(format!("the labels were read as {:?}", task.labels)));
    }
    take_step(&model, &examples)?;
    let of_run = evaluated(&model, &task, examples)?;
    save_checkpoint(&run, &model, &task, WeightDtype::F32)?;
    tokenizer.save(&run)?;

    // Opened with all files that the run has left, and with only config.json.
    let config = ModelConfig::read(&run)?;
    let mut ways = vec![("config.json", LearnedTask::of_checkpoint(&config, "run")?)];
    LearnedTask::new(&task, &request.reading).save(&run)?;
    let found = LearnedTask::find([run.as_path()].into_iter())?;
    ways.push(("task.json", found.expect("it was saved")));
    for (way, learned) in ways {
        let request = learned.complete(&request);
        let make = |task: &Task| open(&run, task, HeadPolicy::Require);
        let (task, model, _, examples) = read(&request, Some(&learned.labels), make)?;
        let again = evaluated(&model, &task, examples)?;
        if figures(&again) != figures(&of_run) {
            return Ok(Some(format!(
                "by {way}: {} instead of {}",
                figures(&again),
                figures(&of_run)
            )));
        }
    }
    Ok(None)
}

#[test]
fn any_labels_are_told_apart_by_what_was_saved() {
    let scratch = Scratch::new();
    let mut faults = Vec::new();
    for seed in 0..N_DRAWS {
        let draw = Draw::new(seed);
        let directory = scratch.path("draw");
        let fault = match fault_of_draw(&draw, &directory) {
            Ok(fault) => fault,
            Err(error) => Some(error.to_string()),
        };
        faults.extend(fault.map(|fault| format!("seed {seed}, {:?}: {fault}", draw.labels)));
        fs::remove_dir_all(&directory).unwrap();
    }
    let shown = faults.join("\n");
    println!("{N_DRAWS} sets of labels");
    assert!(faults.is_empty(), "{} draws fail:\n{shown}", faults.len());
}
