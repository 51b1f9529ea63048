//! What is trained: the schedule chooses each epoch's blocks, the method the parameters inside them. Read by `train` and
//! `plan`.

use super::ConfigError;
use super::settings::Settings;

/// The schedule and the PEFT method of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainablesConfig {
    /// Id of the schedule plugin.
    pub schedule: String,
    /// Options of the schedule, sorted by name; checked by the plugin's declaration, not here.
    pub schedule_opt: Vec<(String, String)>,
    /// Id of the PEFT method plugin; `None` is full fine-tuning.
    pub peft: Option<String>,
    /// Options of the method, sorted by name; empty without a method.
    pub peft_opt: Vec<(String, String)>,
    /// Whether the pooler is trained under LoRA and adapters too.
    pub train_pooler: bool,
}

impl TrainablesConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        Ok(Self {
            schedule: settings.text("schedule")?,
            schedule_opt: settings.options("schedule_opt")?,
            peft: settings.optional_text("peft")?,
            peft_opt: settings.options("peft_opt")?,
            train_pooler: settings.switch("train_pooler")?,
        })
    }

    /// Options or an adapter without a method would silently do nothing.
    pub(super) fn check(
        &self,
        settings: &Settings,
        has_init_adapter: bool,
    ) -> Result<(), ConfigError> {
        let without = |key: &str, what: String| ConfigError::Conflict {
            first: format!("{key} (from {})", settings.origin(key)),
            second: format!("full fine-tuning (peft, from {})", settings.origin("peft")),
            reason: format!("{what} to a PEFT method"),
            advice: format!("choose a method with --peft, or remove {key}"),
        };
        if self.peft.is_some() {
            return Ok(());
        }
        if let Some((name, _)) = self.peft_opt.first() {
            return Err(without("peft_opt", format!("the option `{name}` belongs")));
        }
        if has_init_adapter {
            return Err(without("init_adapter", "an adapter belongs".into()));
        }
        Ok(())
    }
}
