//! The format of `VeraConfig`: the shared projections have keys of their own, or are drawn again
//! from their seed. [`super`] calls it.

use super::{
    Provenance, Recognised,
    adapter_config::Config,
    carried::{Carried, Change, Shared},
    content::{Content, some},
    keys::{BEFORE, PROJECTIONS},
    matching::Targets,
    option_list, with,
};
use crate::error::Result;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const KNOWN: [&str; 10] = [
    "r",
    "projection_prng_key",
    "save_projection",
    "vera_dropout",
    "d_initial",
    "fan_in_fan_out",
    "bias",
    "init_weights",
    "layers_to_transform",
    "layers_pattern",
];

pub(super) fn recognise(config: &Config<'_>, content: &mut Content) -> Result<Recognised> {
    config.refuse_unknown(&[&KNOWN])?;
    config.bias("vera_only")?;
    // PEFT resets it with a warning at linear layers, and BERT has no others.
    config.flag("fan_in_fan_out")?;
    let is_saved = config.get("save_projection").is_none() || config.flag("save_projection")?;
    for name in PROJECTIONS {
        if is_saved && !content.tensors.contains_key(name) {
            let expected = format!("false, as the file has no {BEFORE}{name}");
            return Err(config.fault("save_projection", &expected));
        }
        if !is_saved {
            // PEFT draws them again, too.
            content.tensors.remove(name);
        }
    }
    let targets = Targets::read(config, &["query", "value"])?;
    let found = content.adapted(&["vera_lambda_b", "vera_lambda_d"]);
    content.agree(config, &targets, &found)?;
    let mut carried = Carried::default();
    let outside = |name: &&String| {
        !content
            .module(name)
            .is_some_and(|module| module.is_in_block())
    };
    let outside: Vec<&str> = found.iter().filter(outside).map(String::as_str).collect();
    let unsaid = match outside.as_slice() {
        [] => Vec::new(),
        names => {
            for name in &found {
                carried.changes.insert(name.clone(), Change::Vera);
            }
            vec![format!("modules outside the blocks ({})", some(names))]
        }
    };
    let seed = config
        .get("projection_prng_key")
        .map_or(Some(0), Value::as_i64);
    carried.shared = Some(Shared {
        r: config.size("r", 256)? as u64,
        seed: seed.ok_or_else(|| config.fault("projection_prng_key", "a whole number"))?,
    });
    let names = targets.plain(&content.modules, &found);
    let names = names.unwrap_or_else(|| found.iter().cloned().collect());
    let mut options = vec![
        config.number("r", Some("256"))?,
        config.number("projection_prng_key", Some("0"))?,
        config.number("vera_dropout", Some("0"))?,
        config.number("d_initial", Some("0.1"))?,
        option_list("target_modules", &names),
    ];
    if !is_saved {
        options.push(("save_projection".to_owned(), "false".to_owned()));
    }
    Ok(Recognised {
        method: "vera",
        options,
        carried: Some(carried).filter(|_| !unsaid.is_empty()),
        folds: BTreeMap::new(),
        unsaid,
    })
}

pub(super) fn config(about: Provenance<'_>) -> Value {
    let keys = [
        "r",
        "target_modules",
        "projection_prng_key",
        "save_projection",
        "vera_dropout",
        "d_initial",
    ];
    with(
        about.options(keys),
        json!({ "bias": "none", "fan_in_fan_out": false, "init_weights": true }),
    )
}
