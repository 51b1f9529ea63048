//! Checkpoints that are damaged or do not fit: each is refused by the binary with exit code 3 and one message that
//! names the file or key, what was expected and what was found.

use super::*;
use progtune_tests::scratch::{TensorFile, replace_in, set_key};
use serde_json::json;

const WEIGHTS: &str = "model.safetensors";

/// A copy of the five-block BERT, damaged by `damage`, evaluated: the message.
#[track_caller]
fn refusal(fixture: &str, damage: impl FnOnce(&Path)) -> String {
    let scratch = Scratch::new();
    let model = scratch.copy(fixture, "model");
    damage(&model);
    let text = scratch.hide_path(&CommandLine::evaluate(&model).fail(3));
    assert!(
        text.starts_with("error: DIR/model"),
        "names what is wrong first: {text}"
    );
    println!("{}", text.trim_end());
    text
}

#[track_caller]
fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

#[test]
fn missing_unexpected_and_misshapen_tensors_are_listed_together() {
    let text = refusal("bert", |model| {
        let mut file = TensorFile::read(&model.join(WEIGHTS));
        for key in [
            "bert.encoder.layer.0.output.dense.weight",
            "bert.embeddings.LayerNorm.bias",
        ] {
            file.tensors.remove(key).unwrap();
        }
        file.set("bert.encoder.layer.5.output.dense.bias", &[32], &[0.0; 32]);
        file.set("bert.encoder.layer.1.adapter.weight", &[2, 3], &[0.0; 6]);
        file.set(
            "bert.encoder.layer.2.intermediate.dense.bias",
            &[63],
            &[0.0; 63],
        );
        file.set(
            "bert.encoder.layer.4.attention.self.key.weight",
            &[16, 64],
            &[0.0; 1024],
        );
        file.write(&model.join(WEIGHTS));
    });
    assert_says(
        &text,
        &[
            "missing: embeddings.LayerNorm.bias [32]",
            "missing: encoder.layer.0.output.dense.weight [32, 64]",
            "unexpected: bert.encoder.layer.1.adapter.weight [2, 3]",
            "and 1 more",
            "wrong shape: bert.encoder.layer.2.intermediate.dense.bias: expected [64], found [63]",
            "wrong shape: bert.encoder.layer.4.attention.self.key.weight: expected [32, 32], found [16, 64]",
        ],
    );
    assert_eq!(
        text.lines().filter(|line| line.starts_with("  ")).count(),
        7,
        "five, the count and the advice: {text}"
    );
}

#[test]
fn one_tensor_under_two_names_is_refused() {
    let text = refusal("bert", |model| {
        let mut file = TensorFile::read(&model.join(WEIGHTS));
        file.set("embeddings.LayerNorm.gamma", &[32], &[0.0; 32]);
        file.write(&model.join(WEIGHTS));
    });
    assert_says(
        &text,
        &[
            "bert.embeddings.LayerNorm.weight",
            "embeddings.LayerNorm.gamma",
            "keep one",
        ],
    );
}

#[test]
fn damaged_weight_files_are_named() {
    let length = fs::metadata(fixture("parity/bert").join(WEIGHTS))
        .unwrap()
        .len();
    let cut = |to: u64| {
        move |model: &Path| {
            let bytes = fs::read(model.join(WEIGHTS)).unwrap();
            fs::write(model.join(WEIGHTS), &bytes[..to as usize]).unwrap();
        }
    };
    let replace =
        |bytes: &'static [u8]| move |model: &Path| fs::write(model.join(WEIGHTS), bytes).unwrap();
    let sizes = [
        format!("expected {length} bytes"),
        format!("found {}", length - 1),
    ];
    assert_says(
        &refusal("bert", cut(length - 1)),
        &[WEIGHTS, "truncated", &sizes[0], &sizes[1], "again"],
    );
    assert_says(
        &refusal("bert", cut(1000)),
        &[WEIGHTS, "header claims", "the file has 1000", "again"],
    );
    assert_says(&refusal("bert", cut(5)), &[WEIGHTS, "found 5 bytes"]);
    assert_says(&refusal("bert", cut(0)), &[WEIGHTS, "found 0 bytes"]);
    assert_says(
        &refusal("bert", replace(b"<html>Not found</html>")),
        &[WEIGHTS, "expected a safetensors file"],
    );
    assert_says(
        &refusal("bert", replace(&[0; 64])),
        &[WEIGHTS, "header is damaged"],
    );
    let shape = |model: &Path| {
        let bytes = fs::read(model.join(WEIGHTS)).unwrap();
        let text = bytes
            .windows(10)
            .position(|w| w == b"[120,32],\"")
            .expect("the word embeddings' shape");
        let mut bytes = bytes;
        bytes[text + 1..text + 4].copy_from_slice(b"121");
        fs::write(model.join(WEIGHTS), bytes).unwrap();
    };
    assert_says(
        &refusal("bert", shape),
        &[WEIGHTS, "header is damaged", "shape"],
    );
}

#[test]
fn tensors_that_are_no_numbers_are_named() {
    let key = "bert.encoder.layer.3.output.LayerNorm.weight";
    for bad in [f32::NAN, f32::INFINITY] {
        let text = refusal("bert", |model| {
            let mut file = TensorFile::read(&model.join(WEIGHTS));
            let mut values = [1.0; 32];
            values[7] = bad;
            file.set(key, &[32], &values);
            file.write(&model.join(WEIGHTS));
        });
        assert_says(
            &text,
            &[WEIGHTS, key, "expected finite numbers", "in 1 of 32"],
        );
    }
    let text = refusal("bert", |model| {
        let mut file = TensorFile::read(&model.join(WEIGHTS));
        file.tensors.get_mut(key).unwrap().0 = safetensors::Dtype::I32;
        file.write(&model.join(WEIGHTS));
    });
    assert_says(
        &text,
        &[WEIGHTS, key, "I32", "expected F64, F32, F16 or BF16"],
    );
}

#[test]
fn absent_files_are_named() {
    let text = refusal("bert", |model| {
        fs::remove_file(model.join(WEIGHTS)).unwrap()
    });
    assert_says(
        &text,
        &["no model.safetensors", "model.safetensors.index.json"],
    );
    let text = refusal("bert", |model| {
        fs::rename(model.join(WEIGHTS), model.join("pytorch_model.bin")).unwrap()
    });
    assert_says(&text, &["pytorch_model.bin is a pickle", "save_pretrained"]);
    let text = refusal("bert", |model| {
        fs::remove_file(model.join("config.json")).unwrap()
    });
    assert_says(&text, &["no config.json here"]);
    let text = refusal("bert", |model| {
        fs::remove_file(model.join("tokenizer.json")).unwrap();
        fs::remove_file(model.join("vocab.txt")).unwrap();
    });
    assert_says(
        &text,
        &[
            "no tokenizer here",
            "tokenizer.json",
            "vocab.txt",
            "merges.txt",
        ],
    );
    let text = refusal("checkpoints/no_prefix", |_| {});
    assert_says(
        &text,
        &[
            "no head yet",
            "missing: classifier.bias [2]",
            "missing: classifier.weight [2, 32]",
            "--adapter",
        ],
    );
}

#[test]
fn bad_values_in_config_json_name_the_key() {
    for (key, value, expected) in [
        ("model_type", json!("t5"), "expected `bert` or `roberta`"),
        ("model_type", json!(7), "expected `bert` or `roberta`"),
        (
            "hidden_size",
            json!("32"),
            "expected a whole number from 1 to 16777216, found \"32\"",
        ),
        (
            "hidden_size",
            json!(-32),
            "expected a whole number from 1 to 16777216, found -32",
        ),
        (
            "hidden_size",
            json!(1u64 << 40),
            "expected a whole number from 1 to 16777216, found 1099511627776",
        ),
        (
            "num_hidden_layers",
            json!(0),
            "expected a whole number from 1 to 1000, found 0",
        ),
        (
            "intermediate_size",
            json!(null),
            "expected a whole number from 1 to 16777216, found nothing",
        ),
        (
            "num_attention_heads",
            json!(5),
            "expected a divisor of hidden_size 32, found 5",
        ),
        (
            "hidden_act",
            json!("prelu"),
            "expected one of gelu, gelu_10, gelu_accurate, gelu_fast, gelu_new, gelu_python, gelu_python_tanh, \
             gelu_pytorch_tanh, hardswish, laplace, leaky_relu, linear, mish, quick_gelu, relu, relu2, relu6, sigmoid, silu, \
             sqrtsoftplus, swish, tanh (`prelu` has parameters of its own, which are not supported), found \"prelu\"",
        ),
        (
            "hidden_dropout_prob",
            json!(1.5),
            "expected a number from 0 up to but not 1, found 1.5",
        ),
        (
            "layer_norm_eps",
            json!(0),
            "expected a positive number, found 0",
        ),
        ("pad_token_id", json!(-1), "expected a token id, found -1"),
        (
            "position_embedding_type",
            json!("relative_key"),
            "expected \"absolute\", found \"relative_key\"",
        ),
        (
            "id2label",
            json!({"a": 0, "b": 1}),
            "expected label names by id (\"0\", \"1\", …), not by \"a\"; names and ids seem to have changed places",
        ),
    ] {
        let text = refusal("bert", |model| {
            set_key(&model.join("config.json"), key, value)
        });
        assert_says(&text, &["config.json", &format!("key `{key}`"), expected]);
    }
    let text = refusal("bert", |model| {
        replace_in(
            &model.join("config.json"),
            "\"hidden_size\": 32,",
            "\"hidden_size\": 32",
        )
    });
    assert_says(&text, &["config.json", "not valid JSON", "line "]);
    let text = refusal("bert", |model| {
        fs::write(model.join("config.json"), "[]").unwrap()
    });
    assert_says(&text, &["config.json", "expected a JSON object"]);
    let text = refusal("bert", |model| {
        fs::write(model.join("config.json"), b"{\"a\": \"\xff\"}").unwrap()
    });
    assert_says(&text, &["config.json", "UTF-8", "fetch it again"]);
}

#[test]
fn sizes_that_differ_are_said_with_both_numbers() {
    for (size, says) in [
        (119, "ids up to 119, but config.json says vocab_size 119"),
        (50, "vocab_size 50"),
    ] {
        let text = refusal("bert", |model| {
            set_key(&model.join("config.json"), "vocab_size", json!(size))
        });
        assert_says(
            &text,
            &["the tokenizer has 120 tokens", says, "another model"],
        );
    }
    let text = refusal("bert", |model| {
        set_key(&model.join("config.json"), "vocab_size", json!(130))
    });
    assert_says(
        &text,
        &[
            "word_embeddings.weight: expected [130, 32], found [120, 32]",
            "config.json says `vocab_size` 130, the weights say 120",
        ],
    );
    let text = refusal("bert", |model| {
        set_key(
            &model.join("config.json"),
            "max_position_embeddings",
            json!(65),
        )
    });
    assert_says(
        &text,
        &[
            "position_embeddings.weight: expected [65, 32], found [64, 32]",
            "config.json says `max_position_embeddings` 65, the weights say 64",
        ],
    );
    let text = refusal("bert", |model| {
        set_key(&model.join("config.json"), "num_hidden_layers", json!(4))
    });
    assert_says(
        &text,
        &["config.json says `num_hidden_layers` 4, but the weights have 5 layers"],
    );
    let text = refusal("bert", |model| {
        set_key(&model.join("config.json"), "num_hidden_layers", json!(6))
    });
    assert_says(
        &text,
        &["config.json says `num_hidden_layers` 6, but the weights have 5 layers"],
    );
    let text = refusal("bert_regression", |_| {});
    assert_says(
        &text,
        &[
            "another task",
            "classifier.weight: expected [2, 32], found [1, 32]",
            "--task",
        ],
    );
    // RoBERTa counts positions from pad_token_id + 1.
    let text = refusal("roberta", |model| {
        set_key(&model.join("config.json"), "pad_token_id", json!(64))
    });
    assert_says(
        &text,
        &[
            "config.json",
            "`max_position_embeddings` 66 and `pad_token_id` 64",
            "inputs of 1 tokens",
        ],
    );
}

#[test]
fn a_damaged_shard_index_is_named() {
    let index = "model.safetensors.index.json";
    let shards = "checkpoints/sharded";
    let damage =
        |text: &'static str| move |model: &Path| fs::write(model.join(index), text).unwrap();
    assert_says(
        &refusal(shards, damage("{")),
        &[index, "not valid JSON", "line 1"],
    );
    assert_says(&refusal(shards, damage("{}")), &[index, "no `weight_map`"]);
    assert_says(
        &refusal(shards, damage(r#"{"weight_map": {"a": 1}}"#)),
        &[index, "no file name"],
    );
    let outside = damage(r#"{"weight_map": {"a": "../x.safetensors"}}"#);
    assert_says(
        &refusal(shards, outside),
        &[index, "../x.safetensors", "not beside the index"],
    );
    let absent = "model-00002-of-00002.safetensors";
    let text = refusal(shards, |model| fs::remove_file(model.join(absent)).unwrap());
    assert_says(&text, &[absent, "is missing", index]);
    let text = refusal(shards, |model| fs::write(model.join(absent), "x").unwrap());
    assert_says(&text, &[absent, "found 1 bytes"]);
    let one = r#"{"weight_map": {"classifier.bias": "model-00001-of-00002.safetensors"}}"#;
    assert_says(
        &refusal(shards, damage(one)),
        &[
            "missing: encoder.layer.0.attention.output.LayerNorm.bias [32]",
            "and 11 more",
        ],
    );
}

#[test]
fn damaged_tokenizer_files_are_named() {
    let without_json = |model: &Path| fs::remove_file(model.join("tokenizer.json")).unwrap();
    let text = refusal("bert", |model| {
        fs::write(model.join("tokenizer.json"), "{}").unwrap()
    });
    assert_says(
        &text,
        &["tokenizer.json", "not a tokenizer this program can read"],
    );
    let text = refusal("bert", |model| {
        without_json(model);
        fs::write(model.join("vocab.txt"), "[PAD]\n[UNK]\n").unwrap();
    });
    assert_says(&text, &["vocab.txt", "has no [CLS]"]);
    let text = refusal("bert", |model| {
        without_json(model);
        fs::write(model.join("vocab.txt"), b"\xff\xfe").unwrap();
    });
    assert_says(&text, &["vocab.txt", "utf-8"]);
    let text = refusal("roberta", |model| {
        without_json(model);
        fs::write(model.join("merges.txt"), "#version: 0.2\nab\n").unwrap();
    });
    assert_says(&text, &["merges.txt", "expected two tokens, found `ab`"]);
    let text = refusal("roberta", |model| {
        without_json(model);
        fs::remove_file(model.join("merges.txt")).unwrap();
    });
    assert_says(&text, &["no tokenizer here", "merges.txt"]);
}
