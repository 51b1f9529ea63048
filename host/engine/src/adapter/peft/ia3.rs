//! The format of `IA3Config`. [`super`] calls it.

use super::{
    Provenance, Recognised,
    adapter_config::Config,
    carried::{Carried, Change},
    content::{Content, some},
    matching::{Names, Targets},
    option_list, with,
};
use crate::error::Result;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const KNOWN: [&str; 3] = ["feedforward_modules", "fan_in_fan_out", "init_ia3_weights"];

pub(super) fn recognise(config: &Config<'_>, content: &mut Content) -> Result<Recognised> {
    config.refuse_unknown(&[&KNOWN])?;
    // PEFT resets it with a warning at linear layers, and BERT has no others.
    config.flag("fan_in_fan_out")?;
    let targets = Targets::read(config, &["key", "value", "output.dense"])?;
    let feedforward = match Names::read(config, "feedforward_modules")? {
        Some(names) => names,
        None if config.get("feedforward_modules").is_some() => Names::List(Vec::new()),
        None => Names::List(vec!["output.dense".to_owned()]),
    };
    let found = content.adapted(&["ia3_l"]);
    content.agree(config, &targets, &found)?;
    let (mut carried, mut scaled, mut outside) = (Carried::default(), BTreeSet::new(), Vec::new());
    for name in &found {
        let Some(module) = content.module(name) else {
            continue;
        };
        let scales_input = feedforward.ends(&module.path);
        let is_row = |name: &str| {
            content
                .tensors
                .get(name)
                .is_some_and(|l| l.dims().first() == Some(&1))
        };
        if scales_input != is_row(&format!("{name}.ia3_l")) {
            let expected = format!(
                "the modules whose input is scaled, according to the shape of {name}.ia3_l"
            );
            return Err(config.fault("feedforward_modules", &expected));
        }
        if scales_input {
            scaled.insert(name.clone());
        }
        if !module.is_in_block() {
            outside.push(name.as_str());
        }
        let change = Change::Factors { scales_input };
        carried.changes.insert(name.clone(), change);
    }
    let unsaid = match outside.as_slice() {
        [] => Vec::new(),
        names => vec![format!("modules outside the blocks ({})", some(names))],
    };
    let plain = targets.plain(&content.modules, &found);
    let list = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>();
    let names = match (plain, &feedforward) {
        (Some(names), Names::List(inputs)) if is_same(inputs, &names, &found, &scaled) => {
            [names, inputs.clone()]
        }
        _ => [list(&found), list(&scaled)],
    };
    Ok(Recognised {
        method: "ia3",
        options: vec![
            option_list("target_modules", &names[0]),
            option_list("feedforward_modules", &names[1]),
        ],
        carried: Some(carried).filter(|_| !unsaid.is_empty()),
        folds: BTreeMap::new(),
        unsaid,
    })
}

/// Whether the list has the same meaning for names here, without the prefix that they have in
/// Transformers.
fn is_same(
    inputs: &[String],
    targets: &[String],
    found: &BTreeSet<String>,
    scaled: &BTreeSet<String>,
) -> bool {
    inputs.iter().all(|name| targets.contains(name))
        && found.iter().all(|module| {
            inputs.iter().any(|name| module.ends_with(name.as_str())) == scaled.contains(module)
        })
}

pub(super) fn config(about: Provenance<'_>) -> Value {
    with(
        about.options(["target_modules", "feedforward_modules"]),
        json!({ "fan_in_fan_out": false, "init_ia3_weights": true }),
    )
}
