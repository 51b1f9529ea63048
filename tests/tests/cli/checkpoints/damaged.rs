//! Checkpoints that are damaged or do not fit. The binary refuses each with exit code 3 and one
//! message that names the file or key, what was expected and what was found.

use super::*;
use progtune_tests::{
    cases,
    scratch::{TensorFile, replace_in, set_key},
};
use serde_json::{Value, json};

const WEIGHTS: &str = "model.safetensors";
const NORM: &str = "bert.encoder.layer.3.output.LayerNorm.weight";

const SHARDED: &str = "checkpoints/sharded";
const INDEX: &str = "model.safetensors.index.json";
const SHARD: &str = "model-00002-of-00002.safetensors";

/// Evaluates a copy of a fixture that `damage` has changed.
#[track_caller]
fn is_refused(fixture: &str, damage: impl FnOnce(&Path)) {
    let scratch = Scratch::new();
    let model = scratch.copy(fixture, "model");
    damage(&model);
    let text = scratch.hide_path(&CommandLine::evaluate(&model).fail(3));
    assert!(
        text.starts_with("error: DIR/model"),
        "names what is wrong first: {text}"
    );
}

fn without(name: &str) -> impl FnOnce(&Path) {
    move |model| fs::remove_file(model.join(name)).unwrap()
}

fn with(name: &str, contents: impl AsRef<[u8]>) -> impl FnOnce(&Path) {
    move |model| fs::write(model.join(name), contents).unwrap()
}

/// Sets another value for a key in the model's `config.json`; `null` removes the key.
fn key(name: &str, value: Value) -> impl FnOnce(&Path) {
    move |model| set_key(&model.join("config.json"), name, value)
}

/// Changes the model's weights.
fn weights(change: impl FnOnce(&mut TensorFile)) -> impl FnOnce(&Path) {
    move |model| {
        let mut file = TensorFile::read(&model.join(WEIGHTS));
        change(&mut file);
        file.write(&model.join(WEIGHTS));
    }
}

/// Truncates the model's weights.
fn cut(length: impl FnOnce(usize) -> usize) -> impl FnOnce(&Path) {
    move |model| {
        let bytes = fs::read(model.join(WEIGHTS)).unwrap();
        fs::write(model.join(WEIGHTS), &bytes[..length(bytes.len())]).unwrap();
    }
}

/// Removes `tokenizer.json` from a model, and changes one of the files that are then read.
fn without_json(damage: impl FnOnce(&Path)) -> impl FnOnce(&Path) {
    move |model| {
        without("tokenizer.json")(model);
        damage(model);
    }
}

fn misfitting(file: &mut TensorFile) {
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
}

/// Changes the first dimension of the word embeddings in the weights' header.
fn another_shape(model: &Path) {
    let mut bytes = fs::read(model.join(WEIGHTS)).unwrap();
    let text = bytes
        .windows(10)
        .position(|w| w == b"[120,32],\"")
        .expect("the word embeddings' shape");
    bytes[text + 1..text + 4].copy_from_slice(b"121");
    fs::write(model.join(WEIGHTS), bytes).unwrap();
}

/// Puts one value that is not a number into the weights.
fn with_value(bad: f32) -> impl FnOnce(&Path) {
    weights(move |file| {
        let mut values = [1.0; 32];
        values[7] = bad;
        file.set(NORM, &[32], &values);
    })
}

cases! { is_refused:
    missing_unexpected_and_misshapen_tensors_are_listed_together("bert", weights(misfitting));
    one_tensor_under_two_names("bert", weights(|file| {
        file.set("embeddings.LayerNorm.gamma", &[32], &[0.0; 32]);
    }));
    weights_that_lack_a_byte("bert", cut(|length| length - 1));
    weights_cut_inside_the_header("bert", cut(|_| 1000));
    weights_of_five_bytes("bert", cut(|_| 5));
    weights_of_no_bytes("bert", cut(|_| 0));
    weights_that_are_a_page("bert", with(WEIGHTS, "<html>Not found</html>"));
    weights_that_are_zeros("bert", with(WEIGHTS, [0; 64]));
    weights_of_another_shape("bert", another_shape);
    a_weight_of_nan("bert", with_value(f32::NAN));
    a_weight_of_infinity("bert", with_value(f32::INFINITY));
    weights_that_are_whole_numbers("bert", weights(|file| {
        file.tensors.get_mut(NORM).unwrap().0 = safetensors::Dtype::I32;
    }));
    no_weights("bert", without(WEIGHTS));
    weights_under_the_name_of_a_pickle("bert", |model| {
        fs::rename(model.join(WEIGHTS), model.join("pytorch_model.bin")).unwrap();
    });
    no_configuration("bert", without("config.json"));
    no_tokenizer("bert", without_json(without("vocab.txt")));
    no_head("checkpoints/no_prefix", |_| {});
}

/// Replaces a file of the model by a link to a device without an end.
#[cfg(unix)]
fn endless(name: &str) -> impl FnOnce(&Path) {
    move |model| {
        let _ = fs::remove_file(model.join(name));
        std::os::unix::fs::symlink("/dev/zero", model.join(name)).unwrap();
    }
}

#[cfg(unix)]
cases! { is_refused:
    a_configuration_that_is_a_device("bert", endless("config.json"));
    weights_that_are_a_device("bert", endless(WEIGHTS));
    a_tokenizer_that_is_a_device("bert", endless("tokenizer.json"));
}

cases! { is_refused:
    another_model_type("bert", key("model_type", json!("t5")));
    a_model_type_that_is_a_number("bert", key("model_type", json!(7)));
    a_size_that_is_a_text("bert", key("hidden_size", json!("32")));
    a_negative_size("bert", key("hidden_size", json!(-32)));
    a_size_beyond_reason("bert", key("hidden_size", json!(1u64 << 40)));
    no_layers("bert", key("num_hidden_layers", json!(0)));
    a_size_that_is_missing("bert", key("intermediate_size", json!(null)));
    heads_that_do_not_divide_the_size("bert", key("num_attention_heads", json!(5)));
    an_activation_with_parameters("bert", key("hidden_act", json!("prelu")));
    dropout_above_one("bert", key("hidden_dropout_prob", json!(1.5)));
    an_epsilon_of_zero("bert", key("layer_norm_eps", json!(0)));
    a_negative_token_id("bert", key("pad_token_id", json!(-1)));
    relative_positions("bert", key("position_embedding_type", json!("relative_key")));
    labels_and_ids_in_each_others_places("bert", key("id2label", json!({"a": 0, "b": 1})));
    a_configuration_without_a_comma("bert", |model| {
        let (comma, none) = ("\"hidden_size\": 32,", "\"hidden_size\": 32");
        replace_in(&model.join("config.json"), comma, none);
    });
    a_configuration_that_is_a_list("bert", with("config.json", "[]"));
    a_configuration_that_is_not_utf_8("bert", with("config.json", b"{\"a\": \"\xff\"}"));
}

cases! { is_refused:
    a_vocabulary_one_too_small("bert", key("vocab_size", json!(119)));
    a_vocabulary_far_too_small("bert", key("vocab_size", json!(50)));
    a_vocabulary_too_large("bert", key("vocab_size", json!(130)));
    positions_that_differ("bert", key("max_position_embeddings", json!(65)));
    a_layer_too_few("bert", key("num_hidden_layers", json!(4)));
    a_layer_too_many("bert", key("num_hidden_layers", json!(6)));
    the_head_of_another_task("bert_regression", |_| {});
    // RoBERTa counts positions from pad_token_id + 1.
    padding_that_leaves_no_positions("roberta", key("pad_token_id", json!(64)));
}

cases! { is_refused:
    an_index_that_is_no_json(SHARDED, with(INDEX, "{"));
    an_index_without_a_map(SHARDED, with(INDEX, "{}"));
    an_index_with_a_number(SHARDED, with(INDEX, r#"{"weight_map": {"a": 1}}"#));
    an_index_that_leads_outside(SHARDED, with(INDEX, r#"{"weight_map": {"a": "../x.safetensors"}}"#));
    a_shard_that_is_missing(SHARDED, without(SHARD));
    a_shard_that_is_damaged(SHARDED, with(SHARD, "x"));
    an_index_of_one_tensor(SHARDED, with(
        INDEX,
        r#"{"weight_map": {"classifier.bias": "model-00001-of-00002.safetensors"}}"#,
    ));
}

cases! { is_refused:
    a_tokenizer_of_nothing("bert", with("tokenizer.json", "{}"));
    a_vocabulary_without_cls("bert", without_json(with("vocab.txt", "[PAD]\n[UNK]\n")));
    a_vocabulary_that_is_not_utf_8("bert", without_json(with("vocab.txt", b"\xff\xfe")));
    a_merge_of_one_token("roberta", without_json(with("merges.txt", "#version: 0.2\nab\n")));
    no_merges("roberta", without_json(without("merges.txt")));
}
