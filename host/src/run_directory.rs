//! What a run leaves behind: the output directory with its records. Called by the recipe and the trainer.

use crate::{
    config::RunConfig,
    error::{Error, Result},
    files::{create_directory, write_atomically},
};
use serde_json::Value;
use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

/// The file whose presence means that a run finished.
const RESULTS: &str = "all_results.json";
/// The file whose presence means that a directory is a run's.
const CONFIG: &str = "config.toml";

/// An open run directory.
pub struct RunDirectory {
    path: PathBuf,
    metrics: BufWriter<File>,
}

impl RunDirectory {
    /// Whether the run may use its directory: asked before any work is done. Changes nothing.
    ///
    /// # Errors
    /// When a finished run is there already, or files that are not a run's, or what this run starts from; when a file
    /// is in the way.
    pub fn check(config: &RunConfig) -> Result<()> {
        let path = config.output_dir();
        refuse_file(&path)?;
        refuse_own_input(&path, config)?;
        match config.overwrite_output {
            true => Ok(()),
            false => refuse_used(&path),
        }
    }

    /// Creates the directory and writes the resolved `config.toml`. What an earlier run left there is removed.
    ///
    /// # Errors
    /// As [`RunDirectory::check`], and when the file system refuses.
    pub fn create(config: &RunConfig) -> Result<Self> {
        Self::check(config)?;
        let path = config.output_dir();
        create_directory(&path).map_err(|e| Error::Usage(format!("--output {e}")))?;
        if path.join(CONFIG).exists() {
            remove_results(&path)?;
        }
        write_atomically(&path.join(CONFIG), config.to_toml().as_bytes())?;
        let metrics = path.join("metrics.jsonl");
        let file = File::create(&metrics).map_err(Error::io(&metrics, "create"))?;
        Ok(Self {
            path,
            metrics: BufWriter::new(file),
        })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a line to `metrics.jsonl`.
    pub fn record(&mut self, line: &Value) -> Result<()> {
        let path = self.path.join("metrics.jsonl");
        writeln!(self.metrics, "{line}")
            .and_then(|()| self.metrics.flush())
            .map_err(Error::io(&path, "write"))
    }

    /// Writes a JSON file.
    pub fn write_json(&self, name: &str, value: &Value) -> Result<()> {
        let mut text =
            serde_json::to_string_pretty(value).map_err(|e| Error::Model(e.to_string()))?;
        text.push('\n');
        write_atomically(&self.path.join(name), text.as_bytes())
    }

    /// Writes `all_results.json`: from now on the run is finished.
    pub fn finish(&self, results: &Value) -> Result<()> {
        self.write_json(RESULTS, results)
    }
}

fn refuse_file(path: &Path) -> Result<()> {
    match path.ancestors().find(|ancestor| ancestor.exists()) {
        Some(file) if !file.is_dir() => Err(Error::Usage(format!(
            "--output {}: expected a directory, but {} is a file; choose another --output",
            path.display(),
            file.display()
        ))),
        _ => Ok(()),
    }
}

/// Replacing the run that a new one starts from would destroy its beginning.
fn refuse_own_input(path: &Path, config: &RunConfig) -> Result<()> {
    let Ok(output) = path.canonicalize() else {
        return Ok(());
    };
    let inputs = [
        ("--model", config.model.as_deref().map(Path::new)),
        ("--init-adapter", config.init_adapter.as_deref()),
    ];
    for (flag, input) in inputs {
        if input.and_then(|input| input.canonicalize().ok()).as_ref() == Some(&output) {
            return Err(Error::Usage(format!(
                "--output {}: this is also {flag}, which the run would destroy; choose another --output",
                path.display()
            )));
        }
    }
    Ok(())
}

fn refuse_used(path: &Path) -> Result<()> {
    if path.join(RESULTS).exists() {
        return Err(Error::Usage(format!(
            "{}: a finished run is here; choose another --output, or pass --overwrite-output to replace it",
            path.display()
        )));
    }
    let is_run = path.join(CONFIG).exists();
    let used = path
        .read_dir()
        .is_ok_and(|mut entries| entries.next().is_some());
    if used && !is_run {
        return Err(Error::Usage(format!(
            "{}: this directory holds files that are not a run's; choose another --output (or pass --overwrite-output)",
            path.display()
        )));
    }
    Ok(())
}

/// Takes an earlier run's mark and result away before a new run begins in its place.
fn remove_results(path: &Path) -> Result<()> {
    let results = [
        RESULTS,
        "config.json",
        "model.safetensors",
        "adapter_model.safetensors",
        "adapter_config.json",
        "adapter.safetensors",
        crate::adapter::NEUTRAL_CONFIG,
        crate::learned_task::TASK_FILE,
        crate::provenance::FILE,
    ];
    for name in results.iter().chain(crate::tokenizer::FILES) {
        let file = path.join(name);
        match std::fs::remove_file(&file) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io(&file, "remove")(e));
            }
            _ => {}
        }
    }
    Ok(())
}
