//! `VeraConfig`: the shared projections have keys of their own, or are drawn again from their seed. Called by [`super`].

use super::{Config, Provenance, Recognised, with};
use crate::error::Result;
use serde_json::{Value, json};

const PROJECTIONS: [&str; 2] = ["vera_A", "vera_B"];
const BEFORE: &str = "base_model.";

pub(super) fn is_projection(name: &str) -> bool {
    PROJECTIONS.contains(&name)
}

/// The key of a projection, if the adapter holds it.
pub(super) fn projection_key(name: &str, about: Provenance<'_>) -> Option<String> {
    let saved = about.option("save_projection") != json!(false);
    saved.then(|| format!("{BEFORE}{name}"))
}

/// The name of a projection's key.
pub(super) fn projection_of(key: &str) -> Option<&str> {
    key.strip_prefix(BEFORE).filter(|name| is_projection(name))
}

pub(super) fn recognise(config: &Config<'_>) -> Result<Recognised> {
    config.expect("bias", &json!("none"))?;
    config.expect("fan_in_fan_out", &json!(false))?;
    config.expect("layers_to_transform", &Value::Null)?;
    let mut options = vec![
        config.number("r", None)?,
        config.number("projection_prng_key", Some("0"))?,
        config.number("vera_dropout", Some("0"))?,
        config.number("d_initial", Some("0.1"))?,
        config.modules("target_modules")?,
    ];
    if config.get("save_projection") == Some(&json!(false)) {
        options.push(("save_projection".to_owned(), "false".to_owned()));
    }
    Ok(Recognised {
        method: "vera",
        options,
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
