//! The plan of a run: the parameters that each epoch trains, and their cost, from configuration and
//! plugins, without weights. `progtune plan` shows it, and the recipe trains exactly this.

mod epoch_forecast;
mod picture;
mod run_plan;
mod square;
mod stage;
mod table;
mod trainable_set;

pub use epoch_forecast::{EpochForecast, EpochSecs};
pub use picture::to_svg;
pub use run_plan::RunPlan;
pub use stage::{LrScales, Stage};
pub use table::{PlanNames, View, to_json};
pub use trainable_set::ModelPlan;
