//! The format of `LoraConfig`, with and without `use_dora`. [`super`] calls it.

use super::{
    Provenance, Recognised,
    adapter_config::Config,
    carried::{Carried, Change},
    content::{Content, some},
    folds::Fold,
    graphs::Lora,
    matching::{Kind, Pattern, Targets},
    option_list, with,
};
use crate::error::{Error, Result};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Keys that are understood here, or that change nothing once an adapter is trained.
const KNOWN: [&str; 24] = [
    "r",
    "lora_alpha",
    "lora_dropout",
    "fan_in_fan_out",
    "bias",
    "use_rslora",
    "init_lora_weights",
    "layers_to_transform",
    "layers_pattern",
    "rank_pattern",
    "alpha_pattern",
    "megatron_core",
    "trainable_token_indices",
    "loftq_config",
    "eva_config",
    "corda_config",
    "lora_ga_config",
    "use_dora",
    "use_qalora",
    "qalora_group_size",
    "lora_bias",
    "loraplus_lr_ratio",
    "loraplus_lr_embedding",
    "enable_lora",
];
/// Keys that change the computation in ways that are not supported.
const REFUSED: [&str; 10] = [
    "target_parameters",
    "layer_replication",
    "megatron_config",
    "alora_invocation_tokens",
    "use_bdlora",
    "arrow_config",
    "kasa_config",
    "velora_config",
    "monteclora_config",
    "enable_lora",
];
const ENDS: [&str; 5] = [
    "lora_A",
    "lora_B",
    "lora_embedding_A",
    "lora_embedding_B",
    "lora_magnitude_vector",
];

/// The change that an initialisation makes to the base model when PEFT loads the adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    Plain,
    Olora,
    Pissa,
}

impl Start {
    fn read(config: &Config<'_>) -> Result<Self> {
        const KEY: &str = "init_lora_weights";
        let text = match config.get(KEY) {
            None | Some(Value::Bool(_)) => return Ok(Self::Plain),
            Some(Value::String(text)) => text.to_lowercase(),
            Some(_) => {
                return Err(config.fault(KEY, "true, false or the name of an initialisation"));
            }
        };
        match text.as_str() {
            "gaussian" | "eva" | "orthogonal" | "mica" | "lora_ga" => Ok(Self::Plain),
            "olora" => Ok(Self::Olora),
            "pissa" => Ok(Self::Pissa),
            "corda" | "loftq" => Err(config.advised(
                KEY,
                "an initialisation whose base model can be derived from the checkpoint (it cannot for CorDA and LoftQ)",
                "save the converted base model and set the key to true, or convert the adapter with PEFT (save_pretrained \
                 with path_initial_model_for_weight_conversion)",
            )),
            text if text.starts_with("pissa_niter_") => Err(config.advised(
                KEY,
                "\"pissa\" or a plain initialisation (the fast one draws random numbers each time PEFT loads it)",
                "convert the adapter with PEFT (save_pretrained with path_initial_model_for_weight_conversion)",
            )),
            _ => Err(config.fault(
                KEY,
                "true, false, \"gaussian\", \"eva\", \"orthogonal\", \"mica\", \"lora_ga\", \"olora\" or \"pissa\"",
            )),
        }
    }

    fn fold(self, r: usize, scaling: f64) -> Option<Fold> {
        match self {
            Self::Plain => None,
            Self::Olora => Some(Fold::Olora { r, scaling }),
            Self::Pissa => Some(Fold::Pissa { r }),
        }
    }
}

/// The part of the configuration that concerns every module.
struct Settings<'a> {
    config: &'a Config<'a>,
    is_dora: bool,
    is_rank_stabilised: bool,
    has_bias: bool,
    start: Start,
    ranks: Pattern,
    alphas: Pattern,
}

/// Rank and alpha of a module.
#[derive(Debug, Clone, PartialEq)]
struct Strength {
    r: usize,
    alpha: Value,
    scaling: f64,
}

impl<'a> Settings<'a> {
    fn read(config: &'a Config<'a>) -> Result<Self> {
        config.refuse(&REFUSED)?;
        config.refuse_unknown(&[&KNOWN, &REFUSED])?;
        config.bias("lora_only")?;
        config.real("lora_dropout", 0.0)?;
        // PEFT resets it with a warning at linear layers, and BERT has no others.
        config.flag("fan_in_fan_out")?;
        config.flag("use_qalora")?;
        let settings = Self {
            config,
            is_dora: config.flag("use_dora")?,
            is_rank_stabilised: config.flag("use_rslora")?,
            has_bias: config.flag("lora_bias")?,
            start: Start::read(config)?,
            ranks: Pattern::read(config, "rank_pattern")?,
            alphas: Pattern::read(config, "alpha_pattern")?,
        };
        if settings.has_bias && settings.is_dora {
            return Err(config.fault("lora_bias", "false beside `use_dora`, as in PEFT"));
        }
        Ok(settings)
    }

    /// The strength of a module; `found` is the rank of its tensors, and `limit` the smaller side
    /// of its weight. An initialisation that decomposes the weight yields no more ranks than that,
    /// but scales by the requested rank.
    fn strength(&self, path: &str, found: Option<usize>, limit: usize) -> Result<Strength> {
        let config = self.config;
        let r = match self.ranks.of(path) {
            Some(rank) => rank.as_u64().filter(|&r| r > 0).map(|r| r as usize),
            None => Some(config.size("r", 8)?),
        };
        let r = r.ok_or_else(|| config.fault("rank_pattern", "whole numbers of at least 1"))?;
        let expected = match self.start {
            Start::Plain => r,
            Start::Olora | Start::Pissa => r.min(limit),
        };
        if let Some(found) = found.filter(|&found| found != expected) {
            return Err(Error::Model(format!(
                "{}: keys `r` and `rank_pattern`: they give {path} the rank {expected}, but its tensors have the rank \
                 {found}; copy the adapter again",
                config.path.display()
            )));
        }
        let alpha = match self.alphas.of(path) {
            Some(alpha) => alpha.clone(),
            None => {
                config.real("lora_alpha", 8.0)?;
                config.get("lora_alpha").cloned().unwrap_or(json!(8))
            }
        };
        let divisor = if self.is_rank_stabilised {
            (r as f64).sqrt()
        } else {
            r as f64
        };
        let scaling = alpha.as_f64().unwrap_or_default() / divisor;
        Ok(Strength {
            r: expected,
            alpha,
            scaling,
        })
    }
}

pub(super) fn recognise(config: &Config<'_>, content: &mut Content) -> Result<Recognised> {
    let settings = Settings::read(config)?;
    let targets = Targets::read(config, &["query", "value"])?;
    let found = content.adapted(&ENDS);
    content.agree(config, &targets, &found)?;
    let mut folds = content.token_rows(config)?;
    let (mut carried, mut strengths) = (Carried::default(), Vec::new());
    for name in &found {
        let Some(module) = content.module(name).cloned() else {
            continue;
        };
        let is_table = module.kind == Kind::Embedding;
        let (rank, limit) = ranks(content, name, is_table);
        let strength = settings.strength(&module.path, rank, limit)?;
        let weight = format!("{name}.weight");
        let fold = if is_table {
            Some(table(&settings, content, name, strength.scaling)?)
        } else {
            settings.start.fold(strength.r, strength.scaling)
        };
        if let Some(fold) = fold
            && folds.insert(weight, fold).is_some()
        {
            return Err(config.fault("trainable_token_indices", "null for a table that has LoRA"));
        }
        if !is_table {
            let lora = Lora {
                r: strength.r,
                scaling: strength.scaling,
                has_bias: settings.has_bias,
                is_dora: settings.is_dora,
            };
            carried.changes.insert(name.clone(), Change::Lora(lora));
        }
        strengths.push(strength);
    }
    let unsaid = unsaid(&settings, content, &found, &strengths, &folds);
    let options = match strengths.first() {
        Some(strength) if unsaid.is_empty() => {
            let targets = targets.plain(&content.modules, &found);
            options(&settings, strength, &found, targets)?
        }
        _ => Vec::new(),
    };
    Ok(Recognised {
        method: if settings.is_dora { "dora" } else { "lora" },
        options,
        carried: Some(carried).filter(|_| !unsaid.is_empty()),
        folds,
        unsaid,
    })
}

/// The rank of a module's tensors, and the smaller side of its weight according to them. A table
/// has no such limit.
fn ranks(content: &Content, name: &str, is_table: bool) -> (Option<usize>, usize) {
    let dims = |key: &str| content.tensors.get(key).map(|tensor| tensor.dims());
    if is_table {
        let a = dims(&format!("{name}.lora_embedding_A"));
        return (a.and_then(|dims| dims.first().copied()), usize::MAX);
    }
    let a = dims(&format!("{name}.lora_A.weight"));
    let b = dims(&format!("{name}.lora_B.weight"));
    let columns = a.and_then(|dims| dims.last().copied());
    let rows = b.and_then(|dims| dims.first().copied());
    let limit = columns.into_iter().chain(rows).min().unwrap_or(usize::MAX);
    (a.and_then(|dims| dims.first().copied()), limit)
}

/// LoRA of an embedding.
fn table(settings: &Settings<'_>, content: &mut Content, name: &str, scaling: f64) -> Result<Fold> {
    let config = settings.config;
    if settings.has_bias {
        let expected = format!("false beside LoRA of an embedding ({name}), as in PEFT");
        return Err(config.fault("lora_bias", &expected));
    }
    let a = content.take(config, &format!("{name}.lora_embedding_A"))?;
    let b = content.take(config, &format!("{name}.lora_embedding_B"))?;
    let magnitude = if settings.is_dora {
        Some(content.take(config, &format!("{name}.lora_magnitude_vector"))?)
    } else {
        None
    };
    if a.rank() != 2 || b.rank() != 2 {
        return Err(Error::Model(format!(
            "{}: {name}: expected matrices for lora_embedding_A and lora_embedding_B, found the shapes {:?} and {:?}; copy \
             the adapter again",
            config.path.display(),
            a.dims(),
            b.dims()
        )));
    }
    Ok(Fold::Table {
        a,
        b,
        scaling,
        magnitude,
    })
}

/// The properties that the plugin's options cannot express, in words.
fn unsaid(
    settings: &Settings<'_>,
    content: &Content,
    found: &BTreeSet<String>,
    strengths: &[Strength],
    folds: &BTreeMap<String, Fold>,
) -> Vec<String> {
    let mut list = Vec::new();
    if strengths.windows(2).any(|pair| pair[0] != pair[1]) {
        list.push("ranks or scales that differ by module (`rank_pattern`, `alpha_pattern`)".into());
    }
    if settings.has_bias {
        list.push("`lora_bias`".into());
    }
    if settings.start != Start::Plain {
        list.push("`init_lora_weights` that converts the base model".into());
    }
    let outside = |name: &&String| {
        !content
            .module(name)
            .is_some_and(|module| module.is_in_block())
    };
    let outside: Vec<&str> = found.iter().filter(outside).map(String::as_str).collect();
    if !outside.is_empty() {
        list.push(format!("modules outside the blocks ({})", some(&outside)));
    }
    if folds.values().any(|fold| matches!(fold, Fold::Rows { .. })) {
        list.push("`trainable_token_indices`".into());
    }
    list
}

fn options(
    settings: &Settings<'_>,
    strength: &Strength,
    found: &BTreeSet<String>,
    targets: Option<Vec<String>>,
) -> Result<Vec<(String, String)>> {
    let names = targets.unwrap_or_else(|| found.iter().cloned().collect());
    let mut options = vec![
        ("r".to_owned(), strength.r.to_string()),
        ("lora_alpha".to_owned(), strength.alpha.to_string()),
        settings.config.number("lora_dropout", Some("0"))?,
        option_list("target_modules", &names),
    ];
    if settings.is_rank_stabilised {
        options.push(("use_rslora".to_owned(), "true".to_owned()));
    }
    Ok(options)
}

pub(super) fn config(about: Provenance<'_>, use_dora: bool) -> Value {
    let keys = [
        "r",
        "lora_alpha",
        "lora_dropout",
        "target_modules",
        "use_rslora",
    ];
    with(
        about.options(keys),
        json!({
            "use_dora": use_dora,
            "bias": "none",
            "fan_in_fan_out": false,
            "init_lora_weights": true,
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Reference: PEFT 0.21.2. For a `[2, hidden]` layer, its PiSSA and OLoRA yield two of three
    /// requested ranks, and scale by three.
    #[test]
    fn a_decomposed_weight_has_no_more_ranks_than_its_smaller_side() {
        let strength = |start: Value, found: usize| {
            let config = Config {
                json: json!({"r": 3, "lora_alpha": 2, "init_lora_weights": start}),
                path: Path::new("adapter_config.json"),
            };
            let settings = Settings::read(&config)?;
            settings.strength("qa_outputs", Some(found), 2)
        };
        for start in ["pissa", "olora"] {
            let found = strength(start.into(), 2).unwrap();
            assert_eq!((found.r, found.scaling), (2, 2.0 / 3.0), "{start}");
            assert!(strength(start.into(), 3).is_err(), "{start}");
        }
        assert_eq!(strength(true.into(), 3).unwrap().r, 3);
        assert!(strength(true.into(), 2).is_err());
    }
}
