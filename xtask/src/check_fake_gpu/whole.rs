//! The checks of `check-fake-gpu` and `check-gpu` besides losses: the same bits twice, checkpoints
//! that change the device, a run that diverges, the program's CPU path, the memory of a GPU. Called
//! by both.

use super::{
    NAMES,
    counts::Counts,
    place::{Place, losses_of, said},
};
use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

const LORA: &str = "--train-file rows.jsonl --text-column text --label-column label --peft lora --schedule progressive --precision f32";

/// The words of the run that is compared.
fn lora(place: &Place) -> String {
    format!("--model {} {LORA}", place.model.join("bert").display())
}

/// Trains, and returns the bytes of the adapter.
fn adapter(place: &Place, words: &str, directory: &str) -> Result<Vec<u8>, String> {
    let output = place.train(&format!("{} {words}", lora(place)), directory)?;
    if !output.status.success() {
        return Err(format!("{words}: {}: {}", output.status, said(&output)));
    }
    let path = place.scratch.path().join(directory);
    let path = path.join("adapter_model.safetensors");
    fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Two runs on the GPU must leave the same bits.
///
/// # Errors
/// If they do not.
pub(crate) fn same_bits_twice(place: &Place) -> Result<(), String> {
    let once = adapter(place, "--device cuda", "once")?;
    if adapter(place, "--device cuda", "again")? == once {
        Ok(())
    } else {
        Err("the same run on the GPU left other bits".into())
    }
}

/// The program for CUDA must leave the bits of the one without, on the CPU.
///
/// # Errors
/// If it does not, or there is no other program.
pub(crate) fn same_bits_on_the_cpu(place: &Place, other: &Path) -> Result<(), String> {
    let with_cuda = adapter(place, "--device cpu", "with")?;
    let words = format!("{} --device cpu", lora(place));
    let mut without = place.training(other, &words, "without");
    let output = place.run(&mut without)?;
    if !output.status.success() {
        return Err(format!("{}: {}", other.display(), said(&output)));
    }
    let path = place
        .scratch
        .path()
        .join("without/adapter_model.safetensors");
    let without = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    if without == with_cuda {
        Ok(())
    } else {
        Err(format!(
            "the CPU path of the program for CUDA leaves other bits than {}",
            other.display()
        ))
    }
}

/// A run that ended on one device must continue on the other, with the losses of a whole run.
///
/// # Errors
/// If it does not.
pub(crate) fn resumes_on_the_other(place: &Place) -> Result<(), String> {
    let train = |words: &str, directory: &str| {
        let output = place.train(&format!("{} {words}", lora(place)), directory)?;
        if output.status.success() {
            losses_of(&place.scratch.path().join(directory))
        } else {
            Err(said(&output))
        }
    };
    let whole = train("--device cpu", "whole")?;
    for [from, to] in [["cuda", "cpu"], ["cpu", "cuda"]] {
        train(&format!("--device {from} --max-steps 4"), "moved")?;
        let resume = |more: &[&str]| {
            let mut command = Command::new(&place.program);
            let words = ["resume", "moved", "--max-steps", "9", "--device", to];
            place.run(command.args(words).args(more))
        };
        let refused = resume(&[])?;
        let named = "--allow-changed device (";
        if refused.status.code() != Some(2) || !said(&refused).contains(named) {
            return Err(format!(
                "another device is to be refused: {}",
                said(&refused)
            ));
        }
        let output = resume(&["--allow-changed", "device"])?;
        if !output.status.success() {
            return Err(format!("from {from} to {to}: {}", said(&output)));
        }
        let moved = losses_of(&place.scratch.path().join("moved"))?;
        let last = |losses: &[f64]| losses.last().copied().unwrap_or(f64::NAN);
        let (found, expected) = (last(&moved), last(&whole));
        let difference = (found - expected).abs();
        if difference.is_nan() || difference > 1e-4 * expected {
            return Err(format!(
                "from {from} to {to}: the last loss is {found}, expected {expected}"
            ));
        }
    }
    Ok(())
}

/// A run that diverges must name the same step as on the CPU, although the GPU is asked for losses
/// only at the end of the epoch, and describe the same examples.
///
/// # Errors
/// If it does not.
pub(crate) fn names_the_step_that_diverges(place: &Place) -> Result<(), String> {
    let diverge = |device: &str| {
        let words = format!("{} --lr 1e38 --device {device}", lora(place));
        let directory = format!("diverges-{device}");
        let output = place.train(&words, &directory)?;
        let run = place.scratch.path().join(directory);
        let file = run.join("nonfinite-step-2.json");
        let text = fs::read(&file).unwrap_or_default();
        let described: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
        let text = said(&output);
        if text.contains("step 2: training diverged") && described["examples"].is_array() {
            Ok(described["examples"].clone())
        } else {
            Err(format!("--device {device}: step 2 is to diverge: {text}"))
        }
    };
    if diverge("cpu")? == diverge("cuda")? {
        Ok(())
    } else {
        Err("the step that diverges has other examples on the GPU".into())
    }
}

/// The memory that a plan forecasts for the GPU must be what a run reserves there. Returns both.
///
/// # Errors
/// If they differ by more than a tenth.
pub(super) fn forecasts_memory(place: &Place) -> Result<String, String> {
    let mut seen = Vec::new();
    for words in ["--peft none", "--peft lora", "--peft none --precision bf16"] {
        // The embedded model, because the workspace alone is larger than the tiny ones.
        let data = "--train-file long.jsonl --validation-split 0.2 --seed 7";
        let words = format!("{data} --batch-size 32 --device cuda --memory-budget 64GiB {words}");
        let words = format!("{words} --max-steps 2 --eval-strategy no --save-strategy no");
        let mut train = Command::new(&place.program);
        train.arg("train").args(words.split_whitespace());
        let output = place.run(train.args(["--overwrite-output", "--output", "memory"]))?;
        let text = said(&output);
        let forecast = text.split("predicted peak ").nth(1);
        let forecast = forecast.and_then(|rest| rest.split(' ').next()?.parse::<f64>().ok());
        let (Some(forecast), true) = (forecast, output.status.success()) else {
            return Err(format!("{words}: {text}"));
        };
        let reserved = Counts::read(&place.counts_file())?.of("peak bytes") as f64;
        let reserved = reserved / f64::from(1 << 20);
        let both = format!("{reserved:.0} MiB of {forecast} MiB");
        let share = reserved / forecast;
        if !(0.9..1.1).contains(&share) {
            return Err(format!("{words}: reserved {both} that were forecast"));
        }
        seen.push(both);
    }
    Ok(format!(
        "memory: full fine-tuning, LoRA and full fine-tuning in bf16 reserve {} that were forecast",
        seen.join(", ")
    ))
}

/// Each of CUDA's libraries that is absent must be named in one message.
///
/// # Errors
/// If one is not.
pub(crate) fn names_absent_libraries(place: &Place) -> Result<(), String> {
    let Some(libraries) = &place.libraries else {
        return Ok(());
    };
    let few = place.scratch.path().join("few");
    let failed = |error: std::io::Error| format!("{}: {error}", few.display());
    fs::create_dir_all(&few).map_err(failed)?;
    for absent in NAMES {
        for name in NAMES {
            let _ = fs::remove_file(few.join(name));
            if name != absent {
                symlink(libraries.join(name), few.join(name)).map_err(failed)?;
            }
        }
        let words = format!("{} --device cuda", lora(place));
        let mut command = place.training(&place.program, &words, "absent");
        let output = command
            .env("LD_LIBRARY_PATH", &few)
            .output()
            .map_err(|error| format!("{}: {error}", place.program.display()))?;
        let text = said(&output);
        if output.status.code() != Some(2) || !text.contains(absent) || text.lines().count() != 1 {
            return Err(format!(
                "without {absent}: expected one error that names it and exit code 2, found {}: {text}",
                output.status
            ));
        }
    }
    Ok(())
}

/// Trains on a GPU with too little memory, which must be one message.
///
/// # Errors
/// If it is something else.
pub(crate) fn out_of_memory(place: &Place) -> Result<(), String> {
    for bytes in ["33600000", "33900000"] {
        let words = format!("{} --device cuda", lora(place));
        let mut command = place.training(&place.program, &words, "small");
        command.env("FAKE_CUDA_BYTES", bytes);
        let output = place.run(&mut command)?;
        let text = said(&output);
        let errors = text.lines().filter(|line| line.starts_with("error:"));
        let is_right = output.status.code() == Some(5)
            && errors.count() == 1
            && text.contains("the GPU has no memory left")
            && text.contains("predicted peak ");
        if !is_right {
            return Err(format!(
                "a GPU of {bytes} bytes: expected one error and exit code 5, found {}: {text}",
                output.status
            ));
        }
    }
    Ok(())
}
