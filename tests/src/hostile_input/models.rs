//! The files of models and adapters: weights, configurations, tokenizers.

use super::{checked, file, scratch};
use progtune_datasets::Example;
use progtune_engine::{
    HeadKind, LearnedTask, Result,
    adapter::Adapter,
    model::{ModelConfig, PytorchFile, SafetensorsFile, description::parameters, weights},
};
use progtune_pipeline::tokenizer::Tokenizer;
use std::sync::OnceLock;

/// A small BERT, for which adapters and tokenizers are read.
const BERT: &str = r#"{"model_type": "bert", "vocab_size": 200, "hidden_size": 8, "num_hidden_layers": 1,
    "num_attention_heads": 2, "intermediate_size": 12, "max_position_embeddings": 24}"#;

fn bert() -> ModelConfig {
    ModelConfig::parse(BERT, "config.json").expect("a configuration")
}

pub(super) fn read_safetensors(bytes: &[u8]) {
    let Some(mut file) = checked(SafetensorsFile::of_bytes(bytes.to_vec(), "x")) else {
        return;
    };
    let names: Vec<String> = file.shapes().map(|(name, _)| name.to_owned()).collect();
    for name in names {
        checked(file.read(&name));
    }
}

pub(super) fn read_pickle(bytes: &[u8]) {
    let Some(mut file) = checked(PytorchFile::of_bytes(bytes.to_vec(), "x")) else {
        return;
    };
    let shapes = file.shapes();
    let shapes: Vec<(String, Vec<usize>)> = shapes
        .map(|(name, shape)| (name.to_owned(), shape.to_vec()))
        .collect();
    for (name, shape) in shapes {
        if let Some(value) = checked(file.read(&name)) {
            assert_eq!(value.dims(), shape);
        }
    }
}

pub(super) fn read_shard_index(bytes: &[u8]) {
    let path = file("index.json", bytes);
    for name in checked(weights::shards(&path)).into_iter().flatten() {
        assert_eq!(scratch().join(&name).parent(), Some(&*scratch()), "{name}");
    }
}

pub(super) fn read_config_json(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Some(config) = checked(ModelConfig::parse(&text, "config.json")) else {
        return;
    };
    checked(LearnedTask::of_checkpoint(&config, "model"));
    checked(config.check_problem_type("model"));
    if config.blocks() <= 4 {
        assert!(!parameters(&config, HeadKind::Sequence(2)).is_empty());
    }
}

pub(super) fn read_adapter_config(bytes: &[u8]) {
    static WEIGHTS: OnceLock<Vec<u8>> = OnceLock::new();
    let weights = WEIGHTS.get_or_init(|| {
        let path = crate::fixture("pickles/adapter/adapter_model.bin");
        std::fs::read(path).expect("the fixture")
    });
    let folder = scratch();
    let weights_file = folder.join("adapter_model.bin");
    if !weights_file.exists() {
        std::fs::write(weights_file, weights).expect("a scratch file");
    }
    file("adapter_config.json", bytes);
    checked(Adapter::read(&folder, &bert()));
}

/// Builds the tokenizer of these files and tokenises some texts with it.
fn tokenise(files: &[(&str, &[u8])], config: &ModelConfig) {
    let owned = files
        .iter()
        .map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec()));
    let tokenizer = Tokenizer::from_files(owned.collect(), config, 16, "x".into());
    let texts = [
        "",
        "Kebe zepi moli. 日本語 [MASK]",
        "a\u{0}b é e\u{301} 123",
    ];
    let examples: Vec<Example> = texts
        .iter()
        .map(|text| Example {
            text: (*text).to_owned(),
            pair: (!text.is_empty()).then(|| "limi".to_owned()),
            label: None,
        })
        .collect();
    for example in checked(tokenizer.encode(&examples)).into_iter().flatten() {
        assert_eq!(example.input_ids.len(), example.token_type_ids.len());
        assert!(example.input_ids.len() <= 16);
    }
}

fn roberta() -> Result<ModelConfig> {
    ModelConfig::parse(&BERT.replace("\"bert\"", "\"roberta\""), "config.json")
}

pub(super) fn read_tokenizer_json(bytes: &[u8]) {
    let class = br#"{"tokenizer_class": "PreTrainedTokenizerFast"}"#;
    tokenise(&[("tokenizer.json", bytes)], &bert());
    let whole: &[(&str, &[u8])] = &[("tokenizer.json", bytes), ("tokenizer_config.json", class)];
    tokenise(whole, &bert());
    tokenise(&[("tokenizer.json", bytes)], &roberta().expect("roberta"));
}

const VOCABULARY: &[u8] = b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nkebe\n##e\nzepi\nmoli\n.\na\nb\n";

pub(super) fn read_tokenizer_config(bytes: &[u8]) {
    let vocabulary = ("vocab.txt", VOCABULARY);
    for name in [
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
    ] {
        tokenise(&[vocabulary, (name, bytes)], &bert());
    }
}

pub(super) fn read_vocab(bytes: &[u8]) {
    tokenise(&[("vocab.txt", bytes)], &bert());
}

/// `vocab.json` and `merges.txt`, with a line `====` between them.
pub(super) fn read_merges(bytes: &[u8]) {
    let bar = b"\n====\n";
    let at = bytes.windows(bar.len()).position(|part| part == bar);
    let (vocabulary, merges) = match at {
        Some(at) => (&bytes[..at], &bytes[at + bar.len()..]),
        None => (bytes, &b""[..]),
    };
    let files: &[(&str, &[u8])] = &[("vocab.json", vocabulary), ("merges.txt", merges)];
    tokenise(files, &roberta().expect("roberta"));
}
