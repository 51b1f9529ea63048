//! The caches for tokenised data and for the output of frozen blocks, which spare computing them
//! again. Read by `train` and `plan`; `evaluate` and `predict` read a part of it.

use super::ConfigError;
use super::export::Written;
use super::settings::Settings;
use crate::flags::{Arguments, Declared, Flag, Form, Scope, WITHOUT_EFFECT};
use crate::prefix_cache::{self, CacheDtype, Mode};
use progtune_pipeline::token_cache::TokenCacheUse;
use progtune_process::ByteSize;

/// The commands that compute every example once, so that nothing could be read again.
const INFERENCE_COMMANDS: &[&str] = &["evaluate", "predict"];

pub(crate) static PREFIX_CACHE: Flag<Mode> = Flag::key(
    "prefix_cache",
    "WHERE",
    "Prefix cache, which keeps the output of frozen blocks for the next epoch: auto, off, ram, or disk (in the run directory)",
)
.default("auto")
.form(Form::OneOf(Mode::NAMES))
.elsewhere(&[(INFERENCE_COMMANDS, "WHERE", WITHOUT_EFFECT)]);

pub(crate) static PREFIX_CACHE_BUDGET: Flag<ByteSize> = Flag::key(
    "prefix_cache_budget",
    "SIZE",
    "Size limit of the prefix cache, such as 512MB or 2GiB; the rest is recomputed",
)
.computed("a quarter of the available memory; on disk half of what is free")
.example("2GiB")
.form(Form::Parsed(ByteSize::EXPECTED, ByteSize::parse))
.elsewhere(&[(INFERENCE_COMMANDS, "SIZE", WITHOUT_EFFECT)]);

pub(crate) static PREFIX_CACHE_DTYPE: Flag<CacheDtype> = Flag::key(
    "prefix_cache_dtype",
    "NAME",
    "Data type of the prefix cache: f32 (changes no result) or f16 (half the space)",
)
.default("f32")
.form(Form::OneOf(CacheDtype::NAMES))
.elsewhere(&[(INFERENCE_COMMANDS, "NAME", WITHOUT_EFFECT)]);

pub(crate) static TOKEN_CACHE: Flag<TokenCacheUse> = Flag::key(
    "token_cache",
    "NAME",
    "Cache of tokenised data on disk: auto (read it, else write it), overwrite (replace it) or off",
)
.default("auto")
.scope(Scope::All)
.form(Form::OneOf(TokenCacheUse::NAMES));

/// The flags given to `evaluate` or `predict` that have no effect there. Scripts for version 0.1
/// may contain them.
pub fn without_effect(arguments: &Arguments) -> Vec<String> {
    let all: [&dyn Declared; 3] = [&PREFIX_CACHE, &PREFIX_CACHE_BUDGET, &PREFIX_CACHE_DTYPE];
    let given = all
        .into_iter()
        .filter(|flag| !arguments.texts(*flag).is_empty());
    given.map(|flag| flag.about().flag()).collect()
}

/// The caches of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CachingConfig {
    /// The use of the tokenised data on disk.
    pub token_cache: TokenCacheUse,
    /// The place, precision and budget of the cache that keeps the output of frozen blocks between
    /// epochs.
    pub prefix_cache: prefix_cache::Settings,
}

impl CachingConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        Ok(Self {
            token_cache: settings.get(&TOKEN_CACHE)?,
            prefix_cache: prefix_cache::Settings {
                mode: settings.get(&PREFIX_CACHE)?,
                dtype: settings.get(&PREFIX_CACHE_DTYPE)?,
                budget: settings.find(&PREFIX_CACHE_BUDGET)?,
            },
        })
    }

    pub(super) fn write(&self, written: &mut Written) {
        let prefix_cache::Settings {
            mode,
            dtype,
            budget,
        } = self.prefix_cache;
        written.set(&TOKEN_CACHE, self.token_cache.to_string());
        written.set(&PREFIX_CACHE, mode.to_string());
        written.set(&PREFIX_CACHE_DTYPE, dtype.to_string());
        written.set_if(&PREFIX_CACHE_BUDGET, budget.map(|size| size.to_string()));
    }
}
