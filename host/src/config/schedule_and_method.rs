//! The trained parameters: the schedule chooses each epoch's blocks, and the method chooses the
//! parameters inside them. Read by `train` and `plan`.

use super::ConfigError;
use super::export::Written;
use super::settings::Settings;
use crate::flags::{Declared, Flag, Offers, Options, Takes};

pub(crate) static SCHEDULE: Flag<String> = Flag::key(
    "schedule",
    "ID",
    "Schedule that chooses each epoch's blocks: full, progressive, grow-from-hb, wo-lb, single-block, top-k, \
     gradual-unfreeze, lisa, auto-freeze, or a plugin's",
)
.default("full")
.usual()
.offers(Offers::Schedules);

pub(crate) static SCHEDULE_OPT: Flag<Options> = Flag::key(
    "schedule_opt",
    "K=V",
    "Option for the schedule, such as embeddings=first-part; repeatable",
)
.computed("the schedule's own, see `progtune plugins show ID`")
.example("block=3")
.takes(Takes::Options)
.elsewhere(&[(
    &["plugins check"],
    "K=V",
    "Option for the schedules, such as block=3; repeatable",
)]);

pub(crate) static PEFT: Flag<String> = Flag::key(
    "peft",
    "ID",
    "PEFT method that chooses the parameters: lora, dora, vera, kron-a, ia3, bitfit, adapter, pfeiffer, parallel, prefix, a \
     plugin's, or none",
)
.computed("none: full fine-tuning")
.example("lora")
.usual()
.offers(Offers::Methods);

pub(crate) static PEFT_OPT: Flag<Options> = Flag::key(
    "peft_opt",
    "K=V",
    "Option for the method, such as r=8; repeatable",
)
.computed("the method's own, see `progtune plugins show ID`")
.example("r=8")
.takes(Takes::Options)
.elsewhere(&[(
    &["plugins check"],
    "K=V",
    "Option for the methods, such as r=8; repeatable",
)]);

pub(crate) static TRAIN_POOLER: Flag<bool> = Flag::switch(
    "train_pooler",
    "Train the pooler even if the PEFT method leaves it frozen",
);

/// The schedule and the PEFT method of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleAndMethod {
    /// Id of the schedule plugin.
    pub schedule: String,
    /// Options of the schedule, sorted by name. They are not yet checked against the plugin's
    /// declaration.
    pub schedule_opt: Options,
    /// Id of the PEFT method plugin; `None` for full fine-tuning.
    pub peft: Option<String>,
    /// Options of the method, sorted by name; empty without a method.
    pub peft_opt: Options,
    /// Whether the pooler is trained even under LoRA and adapters.
    pub train_pooler: bool,
}

impl ScheduleAndMethod {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        Ok(Self {
            schedule: match settings.id(&SCHEDULE)? {
                Some(schedule) => schedule,
                None => settings.text(&SCHEDULE)?,
            },
            schedule_opt: settings.options(&SCHEDULE_OPT)?,
            peft: settings.id(&PEFT)?,
            peft_opt: settings.options(&PEFT_OPT)?,
            train_pooler: settings.get(&TRAIN_POOLER)?,
        })
    }

    pub(super) fn write(&self, written: &mut Written) {
        written.set(&SCHEDULE, &self.schedule);
        written.set_options(&SCHEDULE_OPT, &self.schedule_opt);
        written.set(&PEFT, self.peft.as_deref().unwrap_or("none"));
        written.set_options(&PEFT_OPT, &self.peft_opt);
        written.set(&TRAIN_POOLER, self.train_pooler);
    }

    /// Rejects options and an initial adapter (`init_adapter`) without a method, because they would
    /// silently have no effect.
    pub(super) fn check(
        &self,
        settings: &Settings,
        init_adapter: Option<&'static dyn Declared>,
    ) -> Result<(), ConfigError> {
        let without = |flag: &dyn Declared, what: String| ConfigError::Conflict {
            first: settings.named(flag),
            second: format!("full fine-tuning (peft, from {})", settings.origin(&PEFT)),
            reason: format!("{what} to a PEFT method"),
            advice: format!(
                "choose a method with --peft, or remove {}",
                flag.about().name
            ),
        };
        if self.peft.is_some() {
            return Ok(());
        }
        if let Some((name, _)) = self.peft_opt.first() {
            return Err(without(&PEFT_OPT, format!("the option `{name}` belongs")));
        }
        if let Some(flag) = init_adapter {
            return Err(without(flag, "an adapter belongs".into()));
        }
        Ok(())
    }
}
