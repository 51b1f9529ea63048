//! The stable interface between progtune and its plugins, and the kit for their authors.
//!
//! A plugin is one dynamic library that offers *schedules* (which parameters each epoch trains) or *PEFT methods* (what is
//! trained inside the model and how it changes the computation). It depends on this crate and on nothing of the host. What
//! crosses the boundary is plain data; a method **describes** what it computes as a tensor graph, and the host runs it.
//!
//! # A complete plugin
//!
//! `Cargo.toml` has `crate-type = ["cdylib"]` under `[lib]` and this crate as its one dependency. `src/lib.rs`:
//!
//! ```
//! use progtune_plugin_api::{contract, prelude::*, stage};
//!
//! /// Trains one part of the model more in every epoch, from the top.
//! struct Growing {
//!     run: RunRecord,
//!     embeddings: Embeddings,
//! }
//!
//! impl Growing {
//!     fn create(options: &Options, _: &HostRecord, run: &RunRecord) -> Result<Self, PluginError> {
//!         Ok(Self { run: run.clone(), embeddings: Embeddings::from_options(options, run)? })
//!     }
//! }
//!
//! impl Schedule for Growing {
//!     fn plan(&self, decision: &DecisionRecord) -> Result<SchedulePlan, PluginError> {
//!         let t = stage::epoch(&self.run, decision)?;
//!         Stage::top_blocks(&self.run, stage::parts(&self.run, t), self.embeddings).plan(&self.run)
//!     }
//! }
//!
//! /// A learned factor on every output of some linear layers: y' = y ⊙ s.
//! struct Scaling {
//!     targets: Vec<String>,
//! }
//!
//! impl Scaling {
//!     fn create(options: &Options, _: &HostRecord) -> Result<Self, PluginError> {
//!         Ok(Self { targets: options.strs("targets")?.into_iter().map(String::from).collect() })
//!     }
//! }
//!
//! impl Method for Scaling {
//!     fn plan(&self, model: &ModelRecord) -> Result<MethodPlan, PluginError> {
//!         let mut plan = MethodPlan { identity_at_init: true, ..MethodPlan::default() }.with_suggested_lr(1e-3);
//!         let targets: Vec<&str> = self.targets.iter().map(String::as_str).collect();
//!         for site in model.linear_sites("targets", &targets)? {
//!             let (name, shape) = (format!("{}.scale", site.name), [u64::from(site.out_dim)]);
//!             let mut g = GraphBuilder::new();
//!             let (y, s) = (g.input("y"), g.parameter(&name));
//!             g.mul(y, s);
//!             plan.parameters.push(NewParameter::at(site, &name, &shape, Graph::filled(1.0, &shape)));
//!             plan.rewrites.push(Rewrite::output(site, g.finish()));
//!         }
//!         Ok(plan)
//!     }
//! }
//!
//! export_plugin! {
//!     schedules: [
//!         {
//!             id: "growing",
//!             summary: "one more part in every epoch, from the top",
//!             options: [EMBEDDINGS_OPTION],
//!             create: Growing::create,
//!         },
//!     ],
//!     methods: [
//!         {
//!             id: "scaling",
//!             summary: "a learned factor on every output of some linear layers",
//!             options: [
//!                 { name: "targets", kind: Strs, default: ["key", "value"], help: "ends of the layers' names" },
//!             ],
//!             create: Scaling::create,
//!         },
//!     ],
//! }
//!
//! # fn main() {
//! // In #[cfg(test)]: every plugin runs the contract.
//! contract::assert_kept(&PLUGIN);
//! # }
//! ```
//!
//! Build it with `cargo build --release` and start the trainer with `--plugin-dir target/release --schedule growing`.
//!
//! # Where things are
//!
//! - [`records`], [`open`], [`graph`], [`host`]: the data types, [`root`]: the functions. They are the ABI.
//! - [`sdk`], [`authoring`], [`options`], [`stage`], [`export_plugin!`]: the kit.
//! - [`infer`], [`validate`], [`contract`]: what a plan must keep; the host applies the same rules.
//! - [`manifest`]: what the host reads from the file without running it.
//!
//! # What a plugin may rely on
//!
//! Options arrive checked against their declaration with defaults filled in. Any thread may call any object at any time;
//! answers are pure functions of what was given. A panic inside an entry becomes an error (build with `panic=unwind`, the
//! default). A library is loaded once and never unloaded.
//!
//! # How the interface grows
//!
//! Within major version 1, host and plugin of any two minor versions work together. A 1.1 may:
//!
//! - add constants to the open enumerations ([`graph::Op`], [`records::SiteKind`], [`records::Mode`], [`records::Part`],
//!   [`records::Role`], [`records::ErrorCode`], [`options::OptionKind`]). A host lists what it runs in
//!   [`records::HostRecord`], so that a plugin can adapt; an unknown one in a plan is refused by name.
//! - add keys to the `ext` tail of a record, with [`open::Value::Record`] and [`open::Value::List`] for structure. A key
//!   that begins with `!` must be understood or the record refused; others may be ignored.
//! - append functions to [`root::PluginModule`] and [`host::HostApi`], and methods with default bodies to
//!   [`root::ScheduleInterface`] and [`root::MethodInterface`]: absent in an older library, and checked for at run time.
//! - offer new signals to schedules, new keys in the manifest's JSON (unknown ones are ignored), new helpers here.
//!
//! It never changes a record's fields, the meaning of a number, or the name of a type or of this crate: those are part of
//! the layout that is checked when a library is loaded.

pub mod authoring;
pub mod contract;
pub mod export;
pub mod graph;
pub mod guard;
pub mod host;
pub mod infer;
pub mod interpret;
pub mod manifest;
pub mod names;
pub mod needs;
pub mod open;
pub mod options;
pub mod print;
pub mod records;
pub mod root;
pub mod sdk;
pub mod stage;
pub mod validate;

pub mod prelude {
    //! What a plugin's source usually needs.
    pub use crate::{
        export_plugin,
        graph::{Graph, GraphBuilder, Op},
        open::Value,
        options::Options,
        records::{
            DecisionRecord, ErrorCode, HostRecord, MethodPlan, Mode, ModelRecord, NewParameter,
            ParameterRecord, Part, PluginError, Rewrite, Role, RunRecord, SchedulePlan,
            ScheduleTraits, SiteKind, SiteRecord,
        },
        sdk::{Method, Schedule},
        stage::{EMBEDDINGS_OPTION, Embeddings, Stage},
    };
}
