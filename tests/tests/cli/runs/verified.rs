//! A run's result is verified before the run is finished. The same function is called here on a
//! directory that is damaged between writing and verifying.

use super::*;
use progtune::{
    config::MachineConfig,
    verify::{self, Expected, Loading},
};
use progtune_engine::{
    model::{Device, Kernels, Precision},
    plugin::{Isolation, PluginSources},
};
use progtune_hub::NamedPath;
use progtune_tests::{profile_dir, scratch::TensorFile};

fn plugins() -> PluginSources {
    PluginSources {
        directories: vec![profile_dir()],
        isolation: Isolation::None,
        ..PluginSources::default()
    }
}

/// Takes the logits of a result, lets `damage` change its directory, and verifies it.
fn verified_after(run: &Path, damage: impl FnOnce(&Path)) -> Result<(), String> {
    let (plugins, base) = (plugins(), NamedPath::new(fixture("parity/bert")));
    let loading = Loading {
        base: Some(&base),
        plugins: &plugins,
        machine: MachineConfig {
            threads: None,
            device: Device::Cpu,
            kernels: Kernels::Auto,
            precision: Precision::Auto,
        },
    };
    let config = loading.configuration(run);
    let expected = verify::with_result(&config, &config.models, |model| Expected::of(model, None));
    let expected = expected.expect("a whole result");
    damage(run);
    verify::verify(run, &expected, &loading).map(drop)
}

#[test]
fn every_bit_of_an_adapter_counts() {
    let scratch = Scratch::new();
    let run = trained(&scratch, "--max-steps 2 --peft lora");
    assert_eq!(verified_after(&run, |_| {}), Ok(()));
    let said = verified_after(&run, |run| {
        let path = run.join("adapter_model.safetensors");
        let mut file = TensorFile::read(&path);
        let (_, _, bytes) = file.tensors.values_mut().next().unwrap();
        // The least significant bit of one number, which no logit may show.
        bytes[0] ^= 1;
        file.write(&path);
    });
    let said = said.unwrap_err();
    assert!(
        said.contains(
            "adapter_model.safetensors: the saved result is not the model in memory: the values of "
        ),
        "{said}"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_told() {
    let scratch = Scratch::new();
    let run = trained(&scratch, "--max-steps 1");
    for (file, length) in [("model.safetensors", 1000), ("config.json", 0)] {
        let path = run.join(file);
        let whole = fs::read(&path).unwrap();
        let said = verified_after(&run, |_| fs::write(&path, &whole[..length]).unwrap());
        let said = said.unwrap_err();
        assert!(
            said.contains("the saved result cannot be loaded again: "),
            "{file}: {said}"
        );
        assert!(said.contains(file), "{file}: {said}");
        fs::write(&path, whole).unwrap();
    }
}

/// The records of the run, with examples, probes and the machine.
#[test]
fn the_verification_is_recorded() {
    let scratch = Scratch::new();
    let run = trained(&scratch, "--max-steps 1 --peft lora --eval-batch-size 5");
    let results = read_json(&run.join("all_results.json"));
    let verification = &results["verification"];
    assert_eq!(verification["examples"], 5, "the first batch");
    assert_eq!(verification["probes"], 4);
    assert_eq!(verification["device"], "cpu");
    assert_eq!(verification["kernels"], "fused");
    assert_eq!(verification["logits_sha256"].as_str().unwrap().len(), 64);
    let record = read_json(&run.join("verification.json"));
    assert_eq!(record["probes"].as_array().unwrap().len(), 4);
    let files = results["files"].as_object().unwrap();
    for name in [
        "adapter_model.safetensors",
        "config.toml",
        "metrics.jsonl",
        "verification.json",
    ] {
        let bytes = fs::metadata(run.join(name)).unwrap().len();
        assert_eq!(files[name]["bytes"], bytes, "{name}");
    }
    assert!(!files.contains_key("log.txt") && !files.contains_key("all_results.json"));
    assert_eq!(results["base_model"]["sha256"].as_str().unwrap().len(), 64);
}

/// f16 has no number for the largest values of f32. The merged model would not load, so `merge`
/// says so at once.
#[test]
fn a_merged_model_that_would_not_load_is_refused() {
    let scratch = Scratch::new();
    let run = trained(&scratch, "--max-steps 1 --peft lora");
    let path = run.join("adapter_model.safetensors");
    let mut file = TensorFile::read(&path);
    for (name, (_, _, bytes)) in &mut file.tensors {
        if name.contains("lora_B") {
            for value in bytes.chunks_exact_mut(4) {
                value.copy_from_slice(&1e8f32.to_le_bytes());
            }
        }
    }
    file.write(&path);
    let said = CommandLine::new("merge --quiet --dtype f16")
        .path("--adapter", &run)
        .path("--output", scratch.path("merged"))
        .fail(3);
    assert!(
        said.contains("the saved result cannot be loaded again"),
        "{said}"
    );
}
