//! Finds the base model of adapters by the record beside them. Called by `fetch` for every command
//! that uses adapters without `--model`.

use super::{Fetcher, ModelFiles};
use crate::config::AdapterChoice;
use progtune_engine::{Error, ModelSource, Result, base_model::BaseModel};
use progtune_hub::{Kind, NamedPath, Repository};
use std::path::{Path, PathBuf};

impl Fetcher<'_> {
    /// The base model that these adapters record, whose directories are local; `None` for the
    /// embedded model, also if there are no adapters.
    ///
    /// # Errors
    /// Fails if an adapter records no base model, two record different ones, or the model is
    /// neither here nor on the hub.
    pub(super) fn base_of(&self, adapters: &[AdapterChoice]) -> Result<Option<NamedPath>> {
        let mut known: Option<(&Path, BaseModel)> = None;
        for directory in adapters.iter().filter_map(|one| one.directory.as_deref()) {
            let Some(base) = BaseModel::read(directory)? else {
                return Err(Error::Usage(format!(
                    "--adapter {}: the adapter does not record its base model; give it with --model DIR or ID",
                    directory.display()
                )));
            };
            match &known {
                None => known = Some((directory, base)),
                Some((_, first)) if first.is(&base) => {}
                Some((other, first)) => {
                    return Err(Error::Usage(format!(
                        "--adapter: {} was trained on the base model `{}`, {} on `{}`, but one base model is loaded; use \
                         them separately, or give the intended one with --model",
                        other.display(),
                        first.typed(),
                        directory.display(),
                        base.typed()
                    )));
                }
            }
        }
        match known {
            Some((adapter, base)) => self.found_base(adapter, &base),
            None => Ok(None),
        }
    }

    fn found_base(&self, adapter: &Path, base: &BaseModel) -> Result<Option<NamedPath>> {
        if base.is_embedded() {
            return Ok(None);
        }
        if let Some(path) = local_base(adapter, base)? {
            return Ok(Some(NamedPath::new(path)));
        }
        let reason = match Repository::parse(Kind::Model, &base.typed()) {
            Some(repository) => match self.hub.snapshot(&repository, &ModelFiles::All) {
                Ok(snapshot) => return Ok(Some(snapshot.into())),
                Err(error) => error.to_string(),
            },
            None => "there is no such directory".to_owned(),
        };
        // The hub's message ends with its own advice.
        let advice = if reason.contains("--model") {
            ""
        } else {
            "; give it with --model DIR or ID"
        };
        Err(Error::Model(format!(
            "{}: the adapter was trained on the base model `{}`, which cannot be found: {reason}{advice}",
            adapter.display(),
            base.typed(),
        )))
    }
}

/// The directory of a base model. Its path may be relative to the directory in which training was
/// started, so it is also tried below each directory above the adapter; there its weights must have
/// the recorded hash.
fn local_base(adapter: &Path, base: &BaseModel) -> Result<Option<PathBuf>> {
    let path = PathBuf::from(&base.name);
    if path.is_dir() {
        return Ok(Some(path));
    }
    if path.is_absolute() || base.sha256.is_none() {
        return Ok(None);
    }
    let Ok(adapter) = adapter.canonicalize() else {
        return Ok(None);
    };
    for above in adapter.ancestors().skip(1) {
        let candidate = above.join(&path);
        if !candidate.join("config.json").is_file() {
            continue;
        }
        let source = ModelSource::Directory(NamedPath::new(&*candidate));
        if source.weights_sha256()? == base.sha256 {
            return Ok(Some(candidate));
        }
    }
    Ok(None)
}

/// Warns if a model is not the base that adapters record.
///
/// # Errors
/// Fails if the weights cannot be read.
pub(crate) fn warn_of_another_base<'a>(
    adapters: impl Iterator<Item = &'a Path>,
    source: &ModelSource,
) -> Result<()> {
    for adapter in adapters {
        let recorded = BaseModel::read(adapter)?;
        let difference = recorded.map(|base| base.difference(source)).transpose()?;
        if let Some(text) = difference.flatten() {
            tracing::warn!("{}: {text}", adapter.display());
        }
    }
    Ok(())
}
