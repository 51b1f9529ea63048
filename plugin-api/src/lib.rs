//! The stable interface between progtune and its plugins, and the kit for their authors.
//!
//! A plugin is one dynamic library that offers *schedules* or *PEFT methods*. A schedule decides
//! which parameters each epoch trains. A method decides which parameters are trained inside the
//! model, and how they change the computation. It depends on this crate and on nothing in the host.
//! Only plain data crosses the boundary. A method **describes** its computation as a tensor graph,
//! and the host runs it.
//!
//! # The tour
//!
//! `progtune plugins new NAME --kind schedule|peft` writes a crate like the one below, with its
//! tests. `cargo test`, `cargo build --release` and
//! `progtune --plugin-dir target/release --schedule NAME` work immediately.
//!
//! **A schedule** is created for a run with its options and the [`RunRecord`](records::RunRecord):
//! L blocks, T epochs, and the candidates, which are the parameters that may be trained. At each
//! decision point, normally the start of an epoch, it answers with the ids of the parameters to
//! train from there on. [`stage::Stage`] collects them by blocks, with head and embeddings, and
//! [`stage::BlocksByEpoch`] is a whole schedule that only names the blocks of each epoch. A
//! schedule may follow signals ([`ScheduleTraits`](records::ScheduleTraits)) and scale learning
//! rates ([`SchedulePlan`](records::SchedulePlan)).
//!
//! **A method** receives the model: every parameter, and every *site* at which it may change the
//! computation. It answers with parameters to unfreeze, parameters to add, and rewrites of sites,
//! each of which is a tensor graph:
//!
//! ```
//! # use progtune_plugin_api::{graph::GraphBuilder, interpret::{Array, Values, evaluate}};
//! // y' = y + 2·x·Aᵀ·Bᵀ, with A [r, in] and B [out, r]
//! let mut g = GraphBuilder::new();
//! let (x, y) = (g.input("x"), g.input("y"));
//! let (a, b) = (g.parameter("A"), g.parameter("B"));
//! let low = g.linear(x, a);
//! let low = g.scale(low, 2.0);
//! let delta = g.linear(low, b);
//! g.add(y, delta);
//! let graph = g.finish();
//! println!("{graph}"); // %0 = input name=x …
//!
//! // An author's test runs it without a host.
//! let values = Values {
//!     inputs: [
//!         ("x".into(), Array::rows(2, &[1.0, 3.0])),
//!         ("y".into(), Array::rows(1, &[10.0])),
//!     ].into(),
//!     parameters: [
//!         ("A".into(), Array::fixed(&[1, 2], &[1.0, 1.0])),
//!         ("B".into(), Array::fixed(&[1, 1], &[0.5])),
//!     ].into(),
//!     ..Values::default()
//! };
//! assert_eq!(evaluate(&graph, &values).unwrap(), Array::rows(1, &[14.0]));
//! ```
//!
//! **Options** are declared in [`export_plugin!`] with type, default, range and help. The values
//! that arrive have been checked. Values that only the run or the model can judge are refused with
//! [`PluginError::bad_option`](records::PluginError::bad_option).
//!
//! **Features that a host lacks** (an operation, a mode, a signal) are refused by the SDK, by name,
//! before anything is trained ([`needs`]). A plugin that can do without a feature reads
//! [`HostRecord`](records::HostRecord) and adapts.
//!
//! **The contract** ([`contract`]) is one line in the plugin's tests. `progtune plugins check FILE`
//! runs it on the built library. It also runs the graphs in the host's own executors and compares
//! them with [`interpret`] and finite differences.
//!
//! # A complete plugin
//!
//! `Cargo.toml` has `crate-type = ["cdylib"]` under `[lib]` and this crate as its only dependency.
//! `src/lib.rs`:
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
//!         let k = stage::parts(&self.run, t);
//!         Stage::top_blocks(&self.run, k, self.embeddings).plan(&self.run)
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
//!         let plan = MethodPlan { identity_at_init: true, ..MethodPlan::default() };
//!         let mut plan = plan.with_suggested_lr(1e-3);
//!         let targets: Vec<&str> = self.targets.iter().map(String::as_str).collect();
//!         for site in model.linear_sites("targets", &targets)? {
//!             let (name, shape) = (format!("{}.scale", site.name), [u64::from(site.out_dim)]);
//!             let mut g = GraphBuilder::new();
//!             let (y, s) = (g.input("y"), g.parameter(&name));
//!             g.mul(y, s);
//!             let ones = Graph::filled(1.0, &shape);
//!             plan.parameters.push(NewParameter::at(site, &name, &shape, ones));
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
//!                 {
//!                     name: "targets", kind: Strs, default: ["key", "value"],
//!                     help: "ends of the layers' names"
//!                 },
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
//! Build it with `cargo build --release` and start the trainer with
//! `--plugin-dir target/release --schedule growing`.
//!
//! # Where to find things
//!
//! - [`records`], [`open`], [`graph`], [`host`] and [`extensions`] are the data types, and [`root`]
//!   the functions. They are the ABI.
//! - [`sdk`], [`authoring`], [`options`], [`stage`] and [`export_plugin!`] are the kit.
//! - [`infer`], [`validate`], [`needs`] and [`contract`] are the rules for a plan; the host applies
//!   the same rules.
//! - [`interpret`] runs graphs, for tests.
//! - [`manifest`] is the part of the file that the host reads without running it.
//!
//! # Guarantees for a plugin
//!
//! Options arrive checked against their declaration, with defaults filled in. Any thread may call
//! any object at any time, and answers must be pure functions of the arguments. A panic inside an
//! entry becomes an error (build with `panic=unwind`, the default). A library is loaded once and
//! never unloaded.
//!
//! # How the interface grows
//!
//! Within major version 1, host and plugin of any two minor versions work together. A minor version
//! may:
//!
//! - add constants to the open enumerations ([`graph::Op`], [`records::SiteKind`],
//!   [`records::Mode`], [`records::Part`], [`records::Role`], [`records::ErrorCode`],
//!   [`options::OptionKind`]). A host lists what it supports in [`records::HostRecord`], so that a
//!   plugin can adapt; an unknown constant in a plan is refused by name.
//! - add keys to the `ext` tail of a record, with [`open::Value::Record`] and [`open::Value::List`]
//!   for structure. If a key begins with `!`, the reader must understand it or refuse the record;
//!   others may be ignored.
//! - append functions to [`root::PluginModule`] and [`host::HostApi`], and methods with default
//!   bodies to [`root::ScheduleInterface`] and [`root::MethodInterface`]. They are absent in older
//!   libraries, which is checked at run time.
//! - offer new signals to schedules, new keys in the manifest's JSON (unknown ones are ignored),
//!   and new helpers in this crate.
//!
//! Version 1.1 added the mode [`records::Mode::INPUT`], the operation
//! [`graph::Op::UNIFORM_MT19937`], and the plan's keys of [`extensions`] with the list of those
//! that a host supports. A plugin that can do without them asks first, as the first-party `ia3` and
//! `vera` do, and then also runs on a 1.0 host.
//!
//! A minor version never changes a record's fields, the meaning of a number, or the name of a type
//! or of this crate. These are part of the layout that is checked when a library is loaded.

pub mod authoring;
pub mod contract;
pub mod export;
#[doc(hidden)]
pub mod export_faults;
pub mod extensions;
pub mod graph;
pub mod guard;
pub mod host;
pub mod infer;
pub mod interpret;
pub mod manifest;
pub mod mersenne;
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
    //! The items that a plugin's source usually needs.
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
        stage::{BlocksByEpoch, EMBEDDINGS_OPTION, Embeddings, Stage},
    };
}
