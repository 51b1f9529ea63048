//! Adapters that cannot be read are refused, and the message names the key. Adapters from older
//! versions are read. Any adapter merges without a given task. The adapters are rows of the matrix.

use super::*;
use progtune_tests::{cases, command_line::CommandLine, messages};
use serde_json::json;

/// A matrix row that a test changes.
struct Row {
    scratch: Scratch,
    matrix: Matrix,
    base: usize,
    number: usize,
}

impl Row {
    /// The first matrix row that `wanted` accepts, given its configuration and its task.
    fn find(wanted: impl Fn(&Value, &str) -> bool) -> Self {
        let matrix = Matrix {
            json: read_json(&fixture("peft_matrix.json")),
        };
        let task = |row: &Value| {
            let base = row["base"].as_u64().unwrap() as usize;
            matrix.json["bases"][base]["task"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        let mut rows = matrix.rows().iter();
        let number = rows.position(|row| wanted(&row["config"], &task(row)));
        let number = number.expect("the matrix has such a row");
        let base = matrix.rows()[number]["base"].as_u64().unwrap() as usize;
        let row = Self {
            scratch: Scratch::new(),
            base,
            number,
            matrix,
        };
        row.matrix.write_base(base, &row.base());
        row.matrix.write_adapter(row.json(), &row.adapter());
        row
    }

    fn plain_lora() -> Self {
        Self::find(|config, task| {
            config["peft_type"] == "LORA" && task == "SEQ_CLS" && config.get("use_dora").is_none()
        })
    }

    fn json(&self) -> &Value {
        &self.matrix.rows()[self.number]
    }

    fn base(&self) -> PathBuf {
        self.scratch.path("base")
    }

    fn adapter(&self) -> PathBuf {
        self.scratch.path("adapter")
    }

    fn config(&self) -> PathBuf {
        self.adapter().join("adapter_config.json")
    }

    fn load(&self, kernels: Kernels) -> Result<Loaded, String> {
        let plugins = plugin::discover(&[profile_dir()]).unwrap();
        let head = head_of(&self.matrix.json["bases"][self.base]);
        load(&plugins, &self.base(), head, &self.adapter(), kernels, &[])
    }

    fn assert_right(&self, kernels: Kernels) {
        let loaded = self.load(kernels).unwrap();
        compare(self.json(), &loaded, &self.matrix.examples()).unwrap();
    }

    /// The message about the adapter with one key changed.
    fn refusal(&self, key: &str, value: Value) -> String {
        let before = fs::read_to_string(self.config()).unwrap();
        let mut config: Value = serde_json::from_str(&before).unwrap();
        config[key] = value;
        fs::write(self.config(), config.to_string()).unwrap();
        let Err(text) = self.load(Kernels::Fused) else {
            panic!("{key} {} is accepted", config[key]);
        };
        fs::write(self.config(), before).unwrap();
        messages::check(&text);
        text
    }
}

/// Asserts that this value for a key in `adapter_config.json` is refused by the key's name.
fn is_refused(key: &str, value: Value) {
    let text = Row::plain_lora().refusal(key, value);
    assert!(
        text.contains(&format!("`{key}`")) && text.contains("adapter_config.json"),
        "{text}"
    );
    assert!(text.len() < 900, "{text}");
}

cases! { is_refused:
    dora_that_is_a_text("use_dora", json!("yes"));
    rslora_that_is_a_number("use_rslora", json!(1));
    a_bias_that_is_a_text("lora_bias", json!("no"));
    fan_in_fan_out_that_is_a_text("fan_in_fan_out", json!("true"));
    an_unknown_bias("bias", json!("some"));
    a_rank_that_is_a_text("r", json!("8"));
    an_alpha_that_is_a_text("lora_alpha", json!("8"));
    an_initialisation_by_pissa("init_lora_weights", json!("pissa_niter_16"));
    an_initialisation_by_corda("init_lora_weights", json!("corda"));
    an_initialisation_by_loftq("init_lora_weights", json!("loftq"));
    an_unknown_initialisation("init_lora_weights", json!("tuesday"));
    target_parameters("target_parameters", json!(["x.weight"]));
    replicated_layers("layer_replication", json!([[0, 1]]));
    megatron("megatron_config", json!({"a": 1}));
    tokens_that_invoke("alora_invocation_tokens", json!([3]));
    kasa("kasa_config", json!({"beta": 1}));
    a_later_setting("a_later_setting", json!(true));
    a_pattern_that_is_none("target_modules", json!("(query"));
    a_target_that_is_a_number("target_modules", json!(7));
    a_target_that_names_nothing("target_modules", json!(["nothing"]));
    a_rank_pattern_of_texts("rank_pattern", json!({"query": "3"}));
    a_pattern_of_layers_without_layers("layers_pattern", json!("layer"));
    another_method("peft_type", json!("LOHA"));
}

#[test]
fn empty_settings_say_nothing_whatever_they_are_called() {
    let row = Row::plain_lora();
    for value in [json!(null), json!(false), json!([]), json!({}), json!("")] {
        let mut config = read_json(&row.config());
        config["a_later_setting"] = value;
        fs::write(row.config(), config.to_string()).unwrap();
        row.assert_right(Kernels::Fused);
    }
}

#[test]
fn a_configuration_and_a_file_that_differ_are_refused() {
    let row = Row::find(|config, task| {
        config["target_modules"]
            .as_array()
            .is_some_and(|list| list.contains(&json!("value")))
            && config["peft_type"] == "LORA"
            && task == "SEQ_CLS"
            && config.get("exclude_modules").is_none()
            && config.get("layers_to_transform").is_none()
    });
    let mut targets = row.json()["config"]["target_modules"].clone();
    let list = targets.as_array_mut().unwrap();
    list.retain(|name| name != "value");
    list.push(json!("intermediate.dense"));
    list.push(json!("query"));
    row.refusal("target_modules", targets);
    row.refusal("modules_to_save", json!(["output.LayerNorm"]));
}

#[test]
fn weights_under_the_name_of_a_pickle_are_refused() {
    let row = Row::plain_lora();
    let weights = row.adapter().join("adapter_model.safetensors");
    fs::rename(&weights, row.adapter().join("adapter_model.bin")).unwrap();
    messages::check(&row.load(Kernels::Fused).err().unwrap());
}

#[test]
fn keys_of_older_versions_are_read() {
    let row = Row::plain_lora();
    let path = row.adapter().join("adapter_model.safetensors");
    let mut file = TensorFile::read(&path);
    let older = |key: &str| {
        let key = key.replace(".lora_A.", ".lora_A.default.");
        format!("module.{}", key.replace(".lora_B.", ".lora_B.default."))
    };
    let renamed = file
        .tensors
        .into_iter()
        .map(|(key, value)| (older(&key), value));
    file = TensorFile {
        tensors: renamed.collect(),
    };
    file.write(&path);
    row.assert_right(Kernels::Fused);
}

#[test]
fn both_compute_paths_agree_with_peft() {
    for kind in ["LORA", "IA3", "VERA"] {
        let row = Row::find(|config, task| config["peft_type"] == kind && task == "TOKEN_CLS");
        row.assert_right(Kernels::Composed);
    }
    // With layers in the head, biases and a conversion of the base.
    for (key, value) in [
        ("lora_bias", json!(true)),
        ("bias", json!("all")),
        ("init_lora_weights", json!("pissa")),
    ] {
        let row = Row::find(|config, _| config[key] == value);
        row.assert_right(Kernels::Composed);
    }
}

/// LoRA, DoRA and (IA)³ on the classifier have rows for its outputs, which follow the task's order
/// of labels.
#[test]
fn what_is_added_to_the_head_follows_the_labels() {
    let matrix = Matrix {
        json: read_json(&fixture("peft_matrix.json")),
    };
    let adapts_head = |row: &&Value| {
        let mut keys = row["tensors"].as_object().unwrap().keys();
        keys.any(|key| key.contains(".classifier.lora_B") || key.contains(".classifier.ia3_l"))
    };
    let rows: Vec<&Value> = matrix.rows().iter().filter(adapts_head).collect();
    assert!(rows.len() >= 3, "{} rows adapt the head", rows.len());
    let plugins = plugin::discover(&[profile_dir()]).unwrap();
    let labels = ["z", "x", "y"].map(String::from);
    for row in rows {
        let scratch = Scratch::new();
        let (base, adapter) = (scratch.path("base"), scratch.path("adapter"));
        let at = row["base"].as_u64().unwrap() as usize;
        matrix.write_base(at, &base);
        matrix.write_adapter(row, &adapter);
        let config = base.join("config.json");
        progtune_tests::scratch::set_key(
            &config,
            "id2label",
            json!({"0": "x", "1": "y", "2": "z"}),
        );
        progtune_tests::scratch::set_key(&config, "label2id", json!({"x": 0, "y": 1, "z": 2}));
        let head = head_of(&matrix.json["bases"][at]);
        let loaded = load(&plugins, &base, head, &adapter, Kernels::Fused, &labels).unwrap();
        let found = logits(&loaded.model, &matrix.examples());
        let expected = row["logits"].as_array().unwrap();
        for (place, value) in found.iter().enumerate() {
            let theirs = expected[place / 3 * 3 + [2, 0, 1][place % 3]]
                .as_f64()
                .unwrap();
            assert!(
                (f64::from(*value) - theirs).abs() < 1e-4,
                "seed {}: {place}",
                row["seed"]
            );
        }
    }
}

/// Writes the base's tokenizer, for commands that need one.
fn write_vocabulary(base: &Path) {
    let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
    let letters = "abcdefghijklmno".chars().map(String::from);
    let lines: Vec<String> = words
        .iter()
        .map(ToString::to_string)
        .chain(letters)
        .collect();
    fs::write(base.join("vocab.txt"), lines.join("\n") + "\n").unwrap();
}

#[test]
fn adapters_merge_without_a_task_or_data() {
    for (task, class) in [
        ("SEQ_CLS", "BertForSequenceClassification"),
        ("TOKEN_CLS", "BertForTokenClassification"),
        ("QUESTION_ANS", "BertForQuestionAnswering"),
    ] {
        let row = Row::find(|config, of| config["peft_type"] == "LORA" && of == task);
        write_vocabulary(&row.base());
        let merged = row.scratch.path("merged");
        CommandLine::new("merge --quiet")
            .path("--model", row.base())
            .path("--adapter", row.adapter())
            .path("--output", &merged)
            .run();
        let config = read_json(&merged.join("config.json"));
        assert_eq!(config["architectures"][0], class);
        if task != "QUESTION_ANS" {
            assert_eq!(config["id2label"]["2"], "LABEL_2");
        }
        let source = ModelSource::Directory(merged.into());
        let config = source.config().unwrap();
        let head = head_of(&row.matrix.json["bases"][row.base]);
        let model_plan = progtune_engine::plan::ModelPlan::new(&config, head, None, false).unwrap();
        let model = Assembly {
            source: &source,
            config,
            head,
            labels: &[],
            model_plan: &model_plan,
            adapter: None,
            policy: HeadPolicy::Require,
            head_bias: None,
            seed: 0,
            device: Device::Cpu,
            kernels: Kernels::Fused,
            precision: progtune_engine::model::Precision::F32,
        }
        .build()
        .unwrap();
        let expected: Vec<f32> = row.json()["logits"]
            .as_array()
            .unwrap()
            .iter()
            .map(|value| value.as_f64().unwrap() as f32)
            .collect();
        let off = difference(&logits(&model, &row.matrix.examples()), &expected);
        assert!(off <= TOLERANCE, "{task}: {off:e}");
    }
}

#[test]
fn training_goes_on_where_options_say_it_and_is_refused_elsewhere() {
    let refused = Row::find(|config, task| {
        config.get("rank_pattern").is_some()
            && task == "SEQ_CLS"
            && config.get("use_dora").is_none()
    });
    write_vocabulary(&refused.base());
    let train = |row: &Row| {
        let data = row.scratch.write("train.jsonl", "{\"text\": \"a b\", \"label\": \"LABEL_0\"}\n{\"text\": \"c\", \"label\": \"LABEL_1\"}\n{\"text\": \"d\", \"label\": \"LABEL_2\"}\n");
        CommandLine::new("train --quiet --peft lora --max-steps 1 --epochs 1 --schedule full")
            .path("--model", row.base())
            .path("--train-file", &data)
            .path("--validation-file", &data)
            .path("--init-adapter", row.adapter())
            .path("--output", row.scratch.path("run"))
    };
    train(&refused).fail(2);
    // Names that a pattern matches inside the blocks become an option of the plugin, one by one.
    let said = Row::find(|config, task| {
        config["target_modules"] == r".*layer\.[01]\..*dense"
            && config["init_lora_weights"] == "eva"
            && config["modules_to_save"] == json!(["classifier", "score"])
            && task == "SEQ_CLS"
    });
    write_vocabulary(&said.base());
    train(&said).run();
    let written = read_json(&said.scratch.path("run/adapter_config.json"));
    let names = written["target_modules"].as_array().unwrap();
    let of_blocks = |name: &Value| name.as_str().unwrap().starts_with("encoder.layer.");
    assert!(names.len() == 6 && names.iter().all(of_blocks), "{names:?}");
}
