//! `IA3Config`. Called by [`super`].

use super::{Config, Provenance, Recognised, with};
use crate::error::Result;
use serde_json::{Value, json};

pub(super) fn recognise(config: &Config<'_>) -> Result<Recognised> {
    config.expect("fan_in_fan_out", &json!(false))?;
    let options = vec![
        config.modules("target_modules")?,
        config.modules("feedforward_modules")?,
    ];
    Ok(Recognised {
        method: "ia3",
        options,
    })
}

pub(super) fn config(about: Provenance<'_>) -> Value {
    with(
        about.options(["target_modules", "feedforward_modules"]),
        json!({ "fan_in_fan_out": false, "init_ia3_weights": true }),
    )
}
