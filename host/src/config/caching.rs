//! What is kept to be read instead of computed again: tokenised data, and the output of frozen blocks. Read by `train` and
//! `plan`.

use super::ConfigError;
use super::settings::Settings;
use crate::byte_size::ByteSize;
use crate::prefix_cache::{self, CacheDtype, Mode};
use crate::token_cache::TokenCacheUse;

/// The caches of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CachingConfig {
    /// What is done with tokenised data on disk.
    pub token_cache: TokenCacheUse,
    /// Where, how precisely and how much of the output of frozen blocks is kept from one epoch to the next.
    pub prefix_cache: prefix_cache::Settings,
}

impl CachingConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        Ok(Self {
            token_cache: read_token_cache(settings)?,
            prefix_cache: prefix_cache::Settings {
                mode: settings.choice("prefix_cache", Mode::NAMES)?,
                dtype: settings.choice("prefix_cache_dtype", CacheDtype::NAMES)?,
                budget: settings.optional_parsed(
                    "prefix_cache_budget",
                    ByteSize::EXPECTED,
                    ByteSize::parse,
                )?,
            },
        })
    }
}

pub(super) fn read_token_cache(settings: &Settings) -> Result<TokenCacheUse, ConfigError> {
    settings.choice("token_cache", TokenCacheUse::NAMES)
}
