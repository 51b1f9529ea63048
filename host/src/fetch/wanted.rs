//! The files that a command needs from a model or adapter repository. Made by `fetch`, called by
//! the hub.

use progtune_engine::{
    TASK_FILE,
    adapter::{NEUTRAL_CONFIG, NEUTRAL_WEIGHTS, peft},
    base_model, made_by,
    model::weights::{self, FILES, INDICES},
};
use progtune_hub::Wanted;
use progtune_pipeline::tokenizer;
use std::path::Path;

/// The required part of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ModelFiles {
    /// Only `config.json`.
    Config,
    /// `config.json` and the tokenizer.
    Tokenizer,
    /// Everything that training and prediction read.
    All,
}

const CONFIG: &str = "config.json";

impl Wanted for ModelFiles {
    fn choose(&self, names: &[String]) -> Result<Vec<String>, String> {
        let has = |name: &str| names.iter().any(|other| other == name);
        if !has(CONFIG) {
            return Err(if has(peft::CONFIG) {
                format!(
                    "no {CONFIG}, but {}: this is an adapter; pass it as --adapter, with its base model as --model",
                    peft::CONFIG
                )
            } else {
                format!(
                    "no {CONFIG}: expected a Hugging Face checkpoint of BERT or RoBERTa; choose another model"
                )
            });
        }
        let mut chosen = vec![CONFIG.to_owned()];
        if *self == Self::Config {
            return Ok(chosen);
        }
        let others = tokenizer::FILES.iter().copied();
        chosen.extend(
            others
                .chain([TASK_FILE, made_by::FILE])
                .filter(|name| has(name))
                .map(str::to_owned),
        );
        let has_tokenizer =
            has("tokenizer.json") || has("vocab.txt") || has("vocab.json") && has("merges.txt");
        if !has_tokenizer {
            return Err(
                "no tokenizer: expected tokenizer.json, or vocab.txt, or vocab.json with merges.txt; download the model \
                 and its tokenizer into one directory, and pass that as --model"
                    .into(),
            );
        }
        if *self == Self::Tokenizer {
            return Ok(chosen);
        }
        match FILES.into_iter().find(|name| has(name)) {
            Some(weights) => chosen.push(weights.to_owned()),
            None => return Err(no_weights(names)),
        }
        Ok(chosen)
    }

    fn then(&self, snapshot: &Path) -> Result<Vec<String>, String> {
        let found = FILES.iter().find(|name| snapshot.join(name).exists());
        match found.filter(|name| *self == Self::All && INDICES.contains(name)) {
            Some(index) => weights::shards(&snapshot.join(index))
                .map(|names| names.into_iter().collect())
                .map_err(|error| error.to_string()),
            None => Ok(Vec::new()),
        }
    }

    fn usual(&self) -> Vec<String> {
        let files: &[&str] = match self {
            Self::Config => &[CONFIG],
            Self::Tokenizer => &[CONFIG, "tokenizer.json"],
            Self::All => &[CONFIG, "tokenizer.json", FILES[0]],
        };
        files.iter().map(|&name| name.to_owned()).collect()
    }

    fn flag(&self) -> &'static str {
        "--model"
    }
}

fn no_weights(names: &[String]) -> String {
    let has = |other: &&str| names.iter().any(|name| name == other);
    let found = ["tf_model.h5", "flax_model.msgpack"].into_iter().find(has);
    match found {
        Some(name) => format!(
            "no model.safetensors, only {name}, which progtune does not read: look for a converted revision (the hub offers \
             some as --revision refs/pr/N, see the model's Community page), or save the model again with `save_pretrained` of \
             a current transformers and pass that directory as --model"
        ),
        None => "no model.safetensors and no pytorch_model.bin: expected the model's weights; choose another model".into(),
    }
}

/// An adapter in PEFT's or progtune's own format, with the files that a run saves beside it.
pub(super) struct AdapterFiles;

impl Wanted for AdapterFiles {
    fn choose(&self, names: &[String]) -> Result<Vec<String>, String> {
        let has = |name: &str| names.iter().any(|other| other == name);
        let needed = if has(NEUTRAL_CONFIG) {
            [NEUTRAL_CONFIG, NEUTRAL_WEIGHTS]
        } else if !has(peft::WEIGHTS) && has(peft::PICKLED_WEIGHTS) {
            [peft::CONFIG, peft::PICKLED_WEIGHTS]
        } else {
            [peft::CONFIG, peft::WEIGHTS]
        };
        if let Some(missing) = needed.iter().find(|name| !has(name)) {
            return Err(format!(
                "no {missing}: expected {} with {} (PEFT), or {NEUTRAL_CONFIG} with {NEUTRAL_WEIGHTS}; choose another \
                 adapter",
                peft::CONFIG,
                peft::WEIGHTS
            ));
        }
        let beside = [TASK_FILE, base_model::FILE, made_by::FILE, "plan.json"];
        let beside = beside.into_iter().filter(|name| has(name));
        Ok(needed
            .into_iter()
            .chain(beside)
            .map(str::to_owned)
            .collect())
    }

    fn usual(&self) -> Vec<String> {
        vec![peft::CONFIG.to_owned(), peft::WEIGHTS.to_owned()]
    }

    fn flag(&self) -> &'static str {
        "--adapter"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_model_is_what_is_read_of_it() {
        let all = names(
            ".gitattributes README.md config.json model.safetensors pytorch_model.bin tokenizer.json \
             tokenizer_config.json vocab.txt onnx/model.onnx",
        );
        assert_eq!(ModelFiles::Config.choose(&all).unwrap(), ["config.json"]);
        assert_eq!(
            ModelFiles::All.choose(&all).unwrap(),
            names("config.json tokenizer.json vocab.txt tokenizer_config.json model.safetensors")
        );
        let sharded =
            names("config.json vocab.json merges.txt model.safetensors.index.json m-1.safetensors");
        let chosen = ModelFiles::All.choose(&sharded).unwrap();
        assert_eq!(chosen.last().unwrap(), INDICES[0]);
        for (files, expected) in [
            ("pytorch_model.bin tf_model.h5", FILES[2]),
            (
                "pytorch_model.bin.index.json pytorch_model-00001-of-00002.bin",
                FILES[3],
            ),
            ("pytorch_model.bin model.safetensors", FILES[0]),
        ] {
            let all = names(&format!("config.json vocab.txt {files}"));
            let chosen = ModelFiles::All.choose(&all).unwrap();
            assert_eq!(chosen, ["config.json", "vocab.txt", expected]);
        }
        for (text, expected) in [
            ("README.md", "no config.json"),
            ("adapter_config.json", "this is an adapter"),
            ("config.json model.safetensors", "no tokenizer"),
            ("config.json vocab.txt", "expected the model's weights"),
            ("config.json vocab.txt tf_model.h5", "only tf_model.h5"),
        ] {
            let error = ModelFiles::All.choose(&names(text)).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn shards_are_those_of_the_index() {
        let snapshot = tempfile::tempdir().unwrap();
        let index = snapshot.path().join(INDICES[0]);
        let write = |text: &str| std::fs::write(&index, text).unwrap();
        write(
            r#"{"weight_map": {"a": "m-2.safetensors", "b": "m-1.safetensors", "c": "m-2.safetensors"}}"#,
        );
        let then = || ModelFiles::All.then(snapshot.path());
        assert_eq!(then().unwrap(), ["m-1.safetensors", "m-2.safetensors"]);
        write(r#"{"weight_map": {"a": "../../../etc/passwd"}}"#);
        assert!(then().unwrap_err().contains("../../../etc/passwd"));
        write("{}");
        assert!(then().unwrap_err().contains("weight_map"));
    }

    #[test]
    fn an_adapter_is_of_one_format() {
        let peft = names("README.md adapter_config.json adapter_model.safetensors task.json");
        assert_eq!(
            AdapterFiles.choose(&peft).unwrap(),
            names("adapter_config.json adapter_model.safetensors task.json")
        );
        let own = names("adapter.safetensors progtune_adapter.json");
        assert_eq!(AdapterFiles.choose(&own).unwrap().len(), 2);
        let pickled = names("adapter_config.json adapter_model.bin");
        assert_eq!(AdapterFiles.choose(&pickled).unwrap(), pickled);
        let both = names("adapter_config.json adapter_model.bin adapter_model.safetensors");
        assert_eq!(AdapterFiles.choose(&both).unwrap()[1], peft::WEIGHTS);
        let none = AdapterFiles.choose(&names("adapter_config.json"));
        assert!(none.unwrap_err().contains("no adapter_model.safetensors"));
    }
}
