//! A plugin that can do the worst in every place where its code runs, for
//! `tests/tests/plugins/hostile_plugins.rs`. The test writes a marker into the built file to choose
//! the misdeed, so that one build serves every row. With the original marker, the plugin is in good
//! order.
//!
//! Its source is the expansion of `export_plugin!`, written by hand, because the macro's own code
//! does nothing wrong.

use progtune_plugin_api::{
    manifest::{DefaultSpec, EntrySpec, ManifestRecord, OptionSpec, PluginSpec},
    open::Attribute,
    options::OptionKind,
    prelude::*,
    root::{Answer, MethodObject, ScheduleObject},
    sdk::{
        Plugin,
        generated::{Header, Loaded, RSlice, RStr, header, load},
        make_method, make_schedule, no_such_entry,
    },
};

/// `hostile-marker:` and the name of the misdeed, padded with spaces.
#[used]
static MARKER: [u8; 40] = *b"hostile-marker:nothing                  ";

/// Whether this is the build for `what`.
fn is(what: &str) -> bool {
    // SAFETY: a reference to a static. The read is volatile, because the value in the file is not
    // the one that the compiler saw.
    let marker = unsafe { std::ptr::read_volatile(&MARKER) };
    let text = marker.split(|&byte| byte == b':').nth(1).unwrap_or_default();
    text.trim_ascii_end() == what.as_bytes()
}

/// Reads from an invalid address.
fn crash() {
    // SAFETY: none. The process is meant to be killed for it.
    unsafe { std::ptr::read_volatile(std::ptr::without_provenance::<u8>(8)) };
}

#[used]
#[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__mod_init_func"))]
#[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".init_array"))]
static CONSTRUCTOR: extern "C" fn() = constructor;

extern "C" fn constructor() {
    if let Some(path) = std::env::var_os("HOSTILE_WITNESS") {
        let _ = std::fs::write(path, "a constructor ran");
    }
    if is("constructor-aborts") {
        std::process::abort();
    } else if is("constructor-crashes") {
        crash();
    } else if is("constructor-hangs") {
        std::thread::sleep(std::time::Duration::from_secs(1_000_000));
    } else if is("constructor-exits") {
        std::process::exit(0);
    }
}

#[used]
#[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__mod_term_func"))]
#[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".fini_array"))]
static DESTRUCTOR: extern "C" fn() = destructor;

extern "C" fn destructor() {
    if is("destructor-crashes") {
        crash();
    }
}

#[cfg(unix)]
mod in_a_run;

/// Trains everything, unless its marker or its option says otherwise.
struct Hostile {
    run: RunRecord,
    crashes: bool,
}

impl Hostile {
    fn create(options: &Options, _: &HostRecord, run: &RunRecord) -> Result<Self, PluginError> {
        if is("create-crashes") {
            crash();
        }
        let crashes = options.bool("crash")? || is("plan-crashes");
        Ok(Self { run: run.clone(), crashes })
    }
}

impl Schedule for Hostile {
    fn traits(&self) -> ScheduleTraits {
        if is("run-follows-signals") { ScheduleTraits::signals(&["train_loss"]) } else { ScheduleTraits::default() }
    }

    fn plan(&self, decision: &DecisionRecord) -> Result<SchedulePlan, PluginError> {
        #[cfg(unix)]
        if let Some(plan) = in_a_run::plan(&self.run, decision) {
            return Ok(plan);
        }
        if is("plan-panics") {
            panic!("in plan");
        } else if is("plan-exits") {
            std::process::exit(0);
        } else if self.crashes {
            crash();
        }
        Ok(SchedulePlan::train(0..self.run.candidates.len() as u32))
    }
}

/// Changes nothing.
struct Nothing;

impl Method for Nothing {
    fn plan(&self, _: &ModelRecord) -> Result<MethodPlan, PluginError> {
        if is("method-plan-aborts") {
            std::process::abort();
        }
        #[cfg(unix)]
        in_a_run::after_method_plan();
        Ok(MethodPlan::default())
    }
}

extern "C" fn create_schedule(
    id: RStr<'_>,
    options: RSlice<'_, Attribute>,
    host: &HostRecord,
    run: &RunRecord,
) -> Answer<ScheduleObject> {
    match id.as_str() {
        "hostile-00" => make_schedule(Hostile::create, options, host, run),
        other => no_such_entry("schedule", other),
    }
}

extern "C" fn create_method(
    id: RStr<'_>,
    options: RSlice<'_, Attribute>,
    host: &HostRecord,
) -> Answer<MethodObject> {
    match id.as_str() {
        "nothing-00" => make_method(|_, _| Ok(Nothing), options, host),
        other => no_such_entry("method", other),
    }
}

const PLUGIN: Plugin = Plugin {
    spec: &PluginSpec {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        license: env!("CARGO_PKG_LICENSE"),
        entries: &[
            EntrySpec {
                id: "hostile-00",
                kind: "schedule",
                summary: "does what its marker says",
                options: &[OptionSpec {
                    name: "crash",
                    kind: OptionKind::BOOL,
                    default: DefaultSpec::Bool(false),
                    min: "",
                    max: "",
                    choices: &[],
                    help: "whether plan crashes",
                }],
            },
            EntrySpec {
                id: "nothing-00",
                kind: "method",
                summary: "changes nothing",
                options: &[],
            },
        ],
    },
    create_schedule,
    create_method,
};

const LENGTH: usize = PLUGIN.spec.json_len();

#[used]
#[unsafe(no_mangle)]
#[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__progtune"))]
#[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".progtune"))]
static PROGTUNE_PLUGIN: ManifestRecord<LENGTH> =
    ManifestRecord::new(PLUGIN.spec, cfg!(panic = "unwind"));

extern "C" fn manifest() -> RStr<'static> {
    RStr::from_str(PROGTUNE_PLUGIN.json())
}

extern "C" fn root() -> Loaded {
    load(|| {
        if is("root-panics") {
            panic!("in root");
        } else if is("root-crashes") {
            crash();
        }
        PLUGIN.into_module(manifest)
    })
}

#[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
static PROGTUNE_ROOT: Header = header(root);
