//! Adapters that are damaged, or do not fit the model or the arguments.

use super::*;

type Line = CommandLine;

/// Evaluates the fixture's model with an adapter that is created in the directory.
fn evaluate(adapter: impl FnOnce(&Scratch) -> PathBuf) -> impl FnOnce(&Scratch) -> Line {
    move |scratch| CommandLine::evaluate(&bert()).path("--adapter", adapter(scratch))
}

/// Evaluates with a copy of `fixtures/parity/bert/METHOD` that `damage` has changed.
fn evaluate_damaged(method: &str, damage: impl FnOnce(&Path)) -> impl FnOnce(&Scratch) -> Line {
    evaluate(move |scratch| {
        let adapter = scratch.copy(&format!("bert/{method}"), "adapter");
        damage(&adapter);
        adapter
    })
}

/// Continues training from one of the fixture's adapters.
fn train_from(adapter: &str, flags: &str) -> impl FnOnce(&Scratch) -> Line {
    move |scratch| train(flags)(scratch).path("--init-adapter", bert().join(adapter))
}

fn drop_head(weights: &Path) {
    let mut file = TensorFile::read(weights);
    file.tensors.retain(|key, _| !key.contains("classifier"));
    file.write(weights);
}

fn change(key: &str, value: impl Into<serde_json::Value>) -> impl FnOnce(&Path) {
    move |adapter| {
        let names = ["adapter_config.json", "progtune_adapter.json"];
        let mut paths = names.iter().map(|name| adapter.join(name));
        let path = paths.find(|path| path.is_file()).expect("a configuration");
        set_key(&path, key, value.into());
    }
}

cases! { is_refused:
    no_adapter_in_the_directory(3, evaluate(|s| s.path("")));
    the_adapter_of_another_model(3, evaluate(|_| fixture("parity/roberta/lora")));
    a_rank_that_the_tensors_do_not_have(3, evaluate_damaged("lora", change("r", 8)));
    a_peft_type_without_a_plugin(3, evaluate_damaged("lora", change("peft_type", "LOHA")));
    adapter_config_cut_short(3, evaluate_damaged("lora", |adapter| {
        fs::write(adapter.join("adapter_config.json"), "{").unwrap();
    }));
    damaged_adapter_weights(3, evaluate_damaged("lora", |adapter| {
        fs::write(adapter.join("adapter_model.safetensors"), [0; 100]).unwrap();
    }));
    no_adapter_weights(3, evaluate_damaged("lora", |adapter| {
        fs::remove_file(adapter.join("adapter_model.safetensors")).unwrap();
    }));
    an_adapter_without_head_on_a_base_without_head(3, |s| {
        let adapter = s.copy("bert/lora", "headless");
        drop_head(&adapter.join("adapter_model.safetensors"));
        let base = s.copy("bert", "base");
        drop_head(&base.join("model.safetensors"));
        CommandLine::evaluate(&base).path("--adapter", adapter)
    });
    the_adapter_of_an_unknown_method(2, evaluate_damaged("adapter", change("method", "unheard-of")));
    an_adapter_of_a_later_version(3, evaluate_damaged("adapter", change("format_version", 2)));
    an_initial_adapter_of_another_method(2, train_from("adapter", "--peft lora"));
    an_initial_adapter_with_other_options(3, train_from("lora", "--peft lora --peft-opt r=8"));
    an_initial_adapter_without_a_method(2, train_from("lora", ""));
}
