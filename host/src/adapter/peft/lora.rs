//! `LoraConfig`, with and without `use_dora`. Called by [`super`].

use super::{Config, Provenance, Recognised, with};
use crate::error::Result;
use serde_json::{Value, json};

/// Initialisations that leave the base model as it is: PiSSA, OLoRA and the like change its weights when PEFT loads them.
const PLAIN_INITS: [&str; 2] = ["gaussian", "eva"];

pub(super) fn recognise(config: &Config<'_>) -> Result<Recognised> {
    config.expect("bias", &json!("none"))?;
    config.expect("fan_in_fan_out", &json!(false))?;
    let plain = |value: &Value| {
        value.is_boolean()
            || value
                .as_str()
                .is_some_and(|init| PLAIN_INITS.contains(&init))
    };
    if config
        .get("init_lora_weights")
        .is_some_and(|value| !plain(value))
    {
        return Err(config.fault("init_lora_weights", "true"));
    }
    for key in ["rank_pattern", "alpha_pattern"] {
        let pattern = config.get(key).and_then(Value::as_object);
        if pattern.is_some_and(|map| !map.is_empty()) {
            return Err(config.fault(key, "no patterns"));
        }
    }
    let mut options = vec![
        config.number("r", None)?,
        config.number("lora_alpha", None)?,
        config.number("lora_dropout", Some("0"))?,
        config.modules("target_modules")?,
    ];
    if config.is_true("use_rslora") {
        options.push(("use_rslora".to_owned(), "true".to_owned()));
    }
    let method = match config.is_true("use_dora") {
        true => "dora",
        false => "lora",
    };
    Ok(Recognised { method, options })
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
