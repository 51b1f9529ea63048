//! Everything that the documents refer to exists: files, headings, flags, variables, commands,
//! plugins, pictures. Conversely, every flag, schedule and method is in a document.

use super::{
    documents::{Document, anchors, links, spans},
    sandbox::Sandbox,
};
use progtune::help_topics::TOPICS;
use progtune::{
    cli::clap_command,
    config::keys,
    flags::{OTHER_VARIABLES, hugging_face},
};
use progtune_tests::{root, run};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// Flags in the documents that belong to cargo.
const FLAGS_OF_CARGO: &[&str] = &[
    "--release",
    "--workspace",
    "--features",
    "--matrix",
    "--cuda",
];

/// The document whose command draws docs/plan.svg.
const PICTURED: &str = "docs/plan.md";

/// Compares the picture that a document's command has drawn with the one in `docs/`, or writes it
/// there. An error says how they differ.
pub(super) fn check_pictures(
    document: &Document,
    sandbox: &Sandbox,
    writes: bool,
) -> Result<(), String> {
    if document.path != PICTURED {
        return Ok(());
    }
    let committed = root().join("docs/plan.svg");
    let drawn =
        fs::read_to_string(sandbox.path("plan.svg")).map_err(|e| format!("plan.svg: {e}"))?;
    if writes {
        return fs::write(&committed, drawn).map_err(|e| format!("docs/plan.svg: {e}"));
    }
    let committed = fs::read_to_string(&committed).map_err(|e| format!("docs/plan.svg: {e}"))?;
    let (committed, drawn) = (
        without_predictions(&committed)?,
        without_predictions(&drawn)?,
    );
    if committed == drawn {
        Ok(())
    } else {
        Err(format!(
            "docs/plan.svg is\n{committed}\nand {PICTURED}'s command draws\n{drawn}\n(PROGTUNE_README=write renews it)"
        ))
    }
}

/// A drawing without the figures that depend on the machine: the rows `seconds` and `peak MiB`.
fn without_predictions(drawing: &str) -> Result<String, String> {
    let height = |line: &str| {
        let (_, rest) = line.split_once(" y=\"")?;
        rest.split_once('"').map(|(y, _)| y.to_owned())
    };
    let of = |word: &str| {
        drawing
            .lines()
            .find(|line| line.contains(word))
            .and_then(height)
    };
    let heights = [of(">seconds<"), of(">peak MiB<")];
    assert!(
        heights.iter().all(Option::is_some),
        "the drawing has predictions"
    );
    let kept = drawing.lines().map(|line| {
        let is_text = line.starts_with("<text x=");
        if is_text && heights.contains(&height(line)) {
            line.split_once('>').map_or(line, |(head, _)| head)
        } else {
            line
        }
    });
    Ok(kept.collect::<Vec<_>>().join("\n"))
}

/// Every word in a text that begins with `prefix` and continues with characters that `is_part`
/// accepts.
fn words<'a>(text: &'a str, prefix: &str, is_part: impl Fn(char) -> bool) -> BTreeSet<&'a str> {
    let places = text.match_indices(prefix).map(|(at, _)| at);
    let begins = places.filter(|&at| {
        let before = text[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "-_!".contains(c))
    });
    let words = begins.map(|at| {
        let rest = &text[at + prefix.len()..];
        let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        &text[at..at + prefix.len() + length]
    });
    words.filter(|word| word.len() > prefix.len()).collect()
}

fn flags_in(text: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    let found = words(text, "--", is_part).into_iter();
    found.filter(|flag| flag.as_bytes()[2] != b'-').collect()
}

/// Every flag of every command, except hidden ones.
fn flags() -> BTreeSet<String> {
    let mut flags = BTreeSet::from(["--help".to_owned(), "--version".to_owned()]);
    let mut commands = vec![clap_command()];
    while let Some(command) = commands.pop() {
        let shown = command.get_arguments().filter(|flag| !flag.is_hide_set());
        flags.extend(shown.filter_map(|flag| flag.get_long().map(|name| format!("--{name}"))));
        commands.extend(
            command
                .get_subcommands()
                .filter(|c| !c.is_hide_set())
                .cloned(),
        );
    }
    flags
}

#[test]
fn every_flag_in_the_documents_exists_and_every_flag_is_in_one() {
    let flags = flags();
    let documents = Document::all();
    let mut told: BTreeMap<&str, &str> = BTreeMap::new();
    for document in &documents {
        told.extend(
            flags_in(&document.text)
                .into_iter()
                .map(|flag| (flag, document.path.as_str())),
        );
    }
    for topic in TOPICS {
        told.extend(
            flags_in(topic.text)
                .into_iter()
                .map(|flag| (flag, topic.page)),
        );
    }
    for (flag, path) in &told {
        assert!(
            flags.contains(&flag.replace('_', "-"))
                || FLAGS_OF_CARGO.contains(flag)
                || hugging_face::find(&flag[2..]).is_some(),
            "{path} has {flag}, which is no flag of progtune"
        );
    }
    let missing: Vec<&String> = flags
        .iter()
        .filter(|flag| !told.contains_key(flag.as_str()))
        .collect();
    assert!(missing.is_empty(), "no document tells of {missing:?}");
}

#[test]
fn every_variable_in_the_documents_exists() {
    let variables: Vec<String> = keys().map(|key| key.variable()).collect();
    for document in Document::all() {
        let is_part = |c: char| c.is_ascii_uppercase() || c == '_';
        for variable in words(&document.text, "PROGTUNE_", is_part) {
            assert!(
                OTHER_VARIABLES.contains(&variable)
                    || variables.iter().any(|name| name == variable)
                    || hugging_face::find(&variable["PROGTUNE_".len()..]).is_some(),
                "{} has {variable}, which is no variable of progtune",
                document.path
            );
        }
    }
}

#[test]
fn links_lead_somewhere() {
    let mut documents = Document::all();
    documents.extend(["ARCHITECTURE.md", "CONTRIBUTING.md"].map(|path| Document {
        text: fs::read_to_string(root().join(path)).expect("a document"),
        path: path.to_owned(),
        blocks: Vec::new(),
    }));
    let mut n_links = 0;
    for document in &documents {
        for (number, line) in document.prose() {
            for link in links(line).filter(|link| !link.starts_with("https://")) {
                n_links += 1;
                let place = format!("{}:{number}: {link}", document.path);
                let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
                let folder = Path::new(&document.path)
                    .parent()
                    .expect("a path in the repository");
                let path = if file.is_empty() {
                    root().join(&document.path)
                } else {
                    root().join(folder).join(file)
                };
                assert!(path.exists(), "{place}: no such file");
                if !anchor.is_empty() {
                    let text = fs::read_to_string(&path).expect("a document");
                    assert!(
                        anchors(&text).iter().any(|a| a == anchor),
                        "{place}: no such heading"
                    );
                }
            }
        }
    }
    assert!(n_links > 20, "{n_links} links");
    let readme = &documents
        .iter()
        .find(|d| d.path == "README.md")
        .expect("README.md")
        .text;
    for document in documents.iter().filter(|d| d.path.starts_with("docs/")) {
        assert!(
            readme.contains(&format!("({})", document.path)),
            "README.md does not lead to {}",
            document.path
        );
    }
}

#[test]
fn commands_in_the_text_exist() {
    for document in Document::all() {
        for (number, line) in document.prose() {
            for span in spans(line) {
                let mut words = span.split(' ');
                if words.next() != Some("progtune") {
                    continue;
                }
                let mut command = clap_command();
                for word in words.take_while(|word| word.chars().all(|c| c.is_ascii_lowercase())) {
                    if !command.has_subcommands() {
                        break;
                    }
                    if hugging_face::COMMANDS
                        .iter()
                        .any(|known| known.name == word)
                    {
                        break;
                    }
                    let found = command.find_subcommand(word).cloned();
                    command = found.unwrap_or_else(|| {
                        panic!(
                            "{}:{number}: `{span}`: there is no command {word}",
                            document.path
                        )
                    });
                }
            }
        }
    }
}

#[test]
fn every_schedule_and_method_has_a_row() {
    let page = Document::read("docs/schedules-and-methods.md").text;
    let readme = Document::read("README.md").text;
    let listed = run(&["plugins", "list", "--json"]).stdout;
    let listed: Value = serde_json::from_slice(&listed).expect("JSON");
    let mut ids = BTreeSet::new();
    collect_ids(&listed, &mut ids);
    assert!(ids.len() >= 19, "{listed:#}");
    for id in ids {
        assert!(
            page.contains(&format!("\n| `{id}` |")),
            "docs/schedules-and-methods.md has no row for {id}"
        );
        assert!(
            readme.contains(&format!("`{id}`")),
            "README.md does not name {id}"
        );
    }
}

fn collect_ids(value: &Value, ids: &mut BTreeSet<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| collect_ids(value, ids)),
        Value::Object(fields) => {
            ids.extend(fields.get("id").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| collect_ids(value, ids));
        }
        _ => {}
    }
}
