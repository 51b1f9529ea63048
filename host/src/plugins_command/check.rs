//! `progtune plugins check FILE`: runs the contract test on a built library. It also compares each
//! of a method's graphs in progtune's executors with the reference interpreter. Called by
//! `plugins_command`.

mod executors;

use crate::{
    cli::arguments::{JSON, LIBRARY, ONLY_ID},
    config::flags::{PEFT_OPT, SCHEDULE_OPT},
    flags::Arguments,
};
use progtune_engine::{
    Error, Result,
    plugin::{self, Entry, EntryKind, PluginFault, PluginSources, Plugins},
};
use progtune_plugin_api::{
    contract::{
        Check, CreateMethod, CreateSchedule, Report, Subject, check_method, check_schedule,
    },
    names::did_you_mean,
    open::Attribute,
    options,
    records::{HostRecord, RunRecord},
};
use progtune_process::terminal::{print, print_json};
use serde_json::{Value, json};
use std::path::PathBuf;

/// The arguments of `plugins check`.
pub(super) struct CheckArgs {
    file: PathBuf,
    id: Option<String>,
    schedule_opt: Vec<String>,
    peft_opt: Vec<String>,
    json: bool,
}

impl CheckArgs {
    /// Reads the arguments from the command line.
    pub(super) fn of(arguments: &Arguments) -> Self {
        Self {
            file: arguments.required(&LIBRARY),
            id: arguments.one(&ONLY_ID),
            schedule_opt: arguments.texts(&SCHEDULE_OPT),
            peft_opt: arguments.texts(&PEFT_OPT),
            json: arguments.is_on(&JSON),
        }
    }
}

/// Checks every entry of the library, prints the results, and fails if a promise is broken.
pub(super) fn run(args: &CheckArgs, places: &PluginSources) -> Result<()> {
    let plugins = plugin::find_unlocked(&PluginSources {
        files: vec![args.file.clone()],
        ..places.clone()
    })?;
    let entries = chosen(&plugins, args)?;
    let mut reports = Vec::new();
    for entry in entries {
        reports.push((entry, check(&plugins, entry, args)?));
    }
    if args.json {
        print_json(&format!("{:#}\n", to_json(args, &reports)))?;
    } else {
        print(to_table(&reports))?;
    }
    let all = || reports.iter().flat_map(|(_, report)| &report.checks);
    match all().filter(|check| !check.kept()).count() {
        0 => Ok(()),
        broken => Err(Error::Plugin(PluginFault::Invalid {
            plugin: reports[0].0.library.to_string(),
            what: "the contract".into(),
            reason: format!("{broken} of {} checks failed", all().count()),
        })),
    }
}

fn chosen<'p>(plugins: &'p Plugins, args: &CheckArgs) -> Result<Vec<&'p Entry>> {
    let all = plugins.entries().iter();
    let entries: Vec<&Entry> = all.filter(|entry| entry.library.named).collect();
    let Some(id) = &args.id else {
        return if entries.is_empty() {
            Err(Error::Usage(format!(
                "{} offers no schedule and no method: there is nothing to check",
                args.file.display()
            )))
        } else {
            Ok(entries)
        };
    };
    let found: Vec<&Entry> = entries.iter().copied().filter(|e| e.id == *id).collect();
    if found.is_empty() {
        Err(Error::Usage(format!(
            "--id: the library offers no '{id}'{}",
            did_you_mean(id, entries.iter().map(|entry| entry.id.as_str()))
        )))
    } else {
        Ok(found)
    }
}

fn check(plugins: &Plugins, entry: &Entry, args: &CheckArgs) -> Result<Report> {
    let (flag, texts) = match entry.kind {
        EntryKind::Schedule => ("--schedule-opt", &args.schedule_opt),
        EntryKind::Method => ("--peft-opt", &args.peft_opt),
    };
    let given = texts.iter().map(|text| match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Error::Usage(format!(
            "{flag}: expected NAME=VALUE, found '{text}'"
        ))),
    });
    let given: Vec<(String, String)> = given.collect::<Result<_>>()?;
    // The user's typing errors are not the plugin's fault.
    options::resolve(&entry.options, &given).map_err(|fault| PluginFault::Option {
        plugin: entry.library.to_string(),
        id: entry.id.clone(),
        option: fault.name,
        reason: format!("{} ({flag})", fault.reason),
    })?;
    let unchecked = plugins.unchecked(entry, &given)?;
    match entry.kind {
        EntryKind::Schedule => {
            let create = |options: &[Attribute], host: &HostRecord, run: &RunRecord| {
                unchecked.schedule(options, host, run)
            };
            Ok(check_schedule(&Subject::<CreateSchedule<'_>> {
                id: &entry.id,
                declared: &entry.options,
                given: &given,
                create: &create,
            }))
        }
        EntryKind::Method => {
            let create = |options: &[Attribute], host: &HostRecord| unchecked.method(options, host);
            let mut report = check_method(&Subject::<CreateMethod<'_>> {
                id: &entry.id,
                declared: &entry.options,
                given: &given,
                create: &create,
            });
            for check in executors::checks(plugins, &entry.id, &given)? {
                report.push(check);
            }
            Ok(report)
        }
    }
}

fn to_table(reports: &[(&Entry, Report)]) -> String {
    let mut text = String::new();
    for (entry, report) in reports {
        text.push_str(&format!("{} {}\n", entry.kind, entry.id));
        for check in &report.checks {
            text.push_str(&line(check));
        }
    }
    if let Some((entry, _)) = reports.first() {
        let manifest = &entry.library.manifest;
        text.push_str(&format!(
            "{}, interface 1.{}\n",
            entry.library, manifest.abi_minor
        ));
    }
    text
}

/// One check as `  ok    valid plans                         252 cases`, with its violations below.
fn line(check: &Check) -> String {
    let verdict = if !check.kept() {
        "FAIL"
    } else if check.cases == 0 {
        "-"
    } else {
        "ok"
    };
    let cases = match check.cases {
        0 => check.note.clone(),
        1 => "1 case".into(),
        cases => format!("{cases} cases"),
    };
    let mut text = format!("  {verdict:<5} {:<36} {cases}\n", check.name);
    for violation in &check.violations {
        text.push_str(&format!("          {violation}\n"));
    }
    text
}

fn to_json(args: &CheckArgs, reports: &[(&Entry, Report)]) -> Value {
    let check = |check: &Check| {
        json!({
            "name": check.name,
            "kept": check.kept(),
            "cases": check.cases,
            "violations": check.violations,
            "note": check.note,
        })
    };
    let entries = reports.iter().map(|(entry, report)| {
        json!({
            "kind": entry.kind.to_string(),
            "id": entry.id,
            "kept": report.kept(),
            "plans": report.plans,
            "refusals": report.refusals,
            "checks": report.checks.iter().map(check).collect::<Vec<_>>(),
        })
    });
    json!({
        "file": args.file,
        "kept": reports.iter().all(|(_, report)| report.kept()),
        "entries": entries.collect::<Vec<_>>(),
    })
}
