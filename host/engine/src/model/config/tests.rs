//! The values that are read from `config.json`, its quirks, and the messages that name a key.

use super::*;

const TINY: &str = r#"{"model_type":"bert","vocab_size":10,"hidden_size":8,"num_hidden_layers":2,"num_attention_heads":2,"intermediate_size":16}"#;

#[test]
fn defaults_are_hugging_faces() {
    let config = ModelConfig::parse(TINY, "x").unwrap();
    assert_eq!(
        (config.attention_dropout, config.classifier_dropout),
        (0.1, 0.1)
    );
    assert_eq!(config.encoder.layer_norm_eps, 1e-12);
    assert_eq!(config.max_tokens(), 512);
}

#[test]
fn a_family_is_known_by_its_class_too() {
    let architecture = |from: &str, to: &str| {
        let config = ModelConfig::parse(&TINY.replace(from, to), "x");
        config.map(|config| config.architecture).ok()
    };
    let stated = "\"model_type\":\"bert\"";
    for (to, expected) in [
        ("\"type_vocab_size\":2", Some(Architecture::Bert)),
        ("\"type_vocab_size\":1", None),
        (
            "\"architectures\":[\"RobertaForMaskedLM\"],\"type_vocab_size\":1",
            Some(Architecture::Roberta),
        ),
        (
            "\"model_type\":null,\"architectures\":[\"BertModel\"]",
            Some(Architecture::Bert),
        ),
        (
            "\"architectures\":[\"T5Model\"],\"type_vocab_size\":2",
            None,
        ),
    ] {
        assert_eq!(architecture(stated, to), expected, "{to}");
    }
}

/// The saved file has whole numbers, which transformers requires.
#[test]
fn whole_numbers_may_be_written_as_floats() {
    let text = TINY.replace(
        "\"hidden_size\":8",
        "\"hidden_size\":8.0,\"num_labels\":3.0",
    );
    let config = ModelConfig::parse(&text, "x").unwrap();
    assert_eq!((config.encoder.hidden_size, config.labels.len()), (8, 3));
    assert_eq!(config.raw["hidden_size"].to_string(), "8");
}

#[test]
fn faults_name_the_key() {
    for (from, to, key) in [
        ("\"bert\"", "\"t5\"", "model_type"),
        ("\"hidden_size\":8", "\"hidden_size\":\"8\"", "hidden_size"),
        (
            "\"num_attention_heads\":2",
            "\"num_attention_heads\":3",
            "num_attention_heads",
        ),
        ("\"vocab_size\":10,", "", "vocab_size"),
        (
            "\"model_type\"",
            "\"hidden_act\":\"prelu\",\"model_type\"",
            "hidden_act",
        ),
        (
            "\"model_type\"",
            "\"hidden_act\":null,\"model_type\"",
            "hidden_act",
        ),
        ("\"bert\"", "\"BERT\"", "model_type"),
        ("\"bert\"", "7", "model_type"),
        (
            "\"bert\"",
            "\"roberta\",\"pad_token_id\":null",
            "pad_token_id",
        ),
        ("\"hidden_size\":8", "\"hidden_size\":8.5", "hidden_size"),
        (
            "\"model_type\"",
            "\"initializer_range\":NaN,\"model_type\"",
            "initializer_range",
        ),
    ] {
        let error = ModelConfig::parse(&TINY.replace(from, to), "dir/config.json")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(key) && error.contains("dir/config.json"),
            "{error}"
        );
    }
    assert!(
        ModelConfig::parse("{", "x")
            .unwrap_err()
            .to_string()
            .contains("JSON")
    );
}
