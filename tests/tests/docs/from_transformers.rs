//! The words of Hugging Face's tools: the table of `from_transformers/table.rs` against the command
//! line, configuration files and the page docs/from-transformers.md.

mod table;

use progtune::{
    cli,
    config::{RunConfig, Sources},
    flags::hugging_face,
};
use progtune_tests::root;
use std::{collections::BTreeSet, fs};

/// A row of the table.
struct Row {
    typed: &'static str,
    here: Here,
}

/// The outcome of the typed words.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Here {
    /// The same as with these words.
    Same(&'static str),
    /// Nothing, since it always holds.
    Accepted,
    /// An error with this answer.
    Answer(&'static str),
}

/// The rows of a table, each group with its heading.
fn groups(table: &'static str) -> Vec<(&'static str, Vec<Row>)> {
    let mut groups = vec![("", Vec::new())];
    for line in table.trim().lines() {
        if let Some(heading) = line.strip_prefix("# ") {
            groups.push((heading, Vec::new()));
            continue;
        }
        let (typed, here) = line.split_once(" | ").expect("two columns");
        let here = match here.strip_prefix('=') {
            None => Here::Answer(here),
            Some("") => Here::Accepted,
            Some(same) => Here::Same(same.trim()),
        };
        let rows = groups.last_mut().map(|(_, rows)| rows);
        rows.expect("the first group").push(Row { typed, here });
    }
    groups.retain(|(_, rows)| !rows.is_empty());
    groups
}

fn rows(table: &'static str) -> Vec<Row> {
    let groups = groups(table).into_iter();
    groups.flat_map(|(_, rows)| rows).collect()
}

/// The configuration that the words of `progtune plan` lead to, or the message.
fn configured(words: &str, file: Option<&str>) -> Result<RunConfig, String> {
    let line = format!("progtune plan {words}");
    let invocation = cli::parse(line.split_whitespace()).map_err(|e| e.to_string())?;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file.toml");
    let sources = Sources {
        file: file.map(|text| {
            fs::write(&path, text).unwrap();
            path.clone()
        }),
        ..Sources::default()
    };
    RunConfig::resolve_plan(&invocation.arguments, &sources).map_err(|e| e.to_string())
}

/// The word in a row of flags: the last one that is one of Hugging Face's.
fn word_of(typed: &str) -> &str {
    let mut words = typed.split(' ').rev();
    let word = words.find_map(|word| word.strip_prefix("--"));
    word.expect("a flag")
}

#[test]
fn every_flag_does_what_the_table_says() {
    let rows = rows(table::FLAGS);
    assert!(rows.len() >= 60, "{}", rows.len());
    for Row { typed, here } in &rows {
        let name = word_of(typed);
        // Scripts have `_`, but `-` is as good.
        for typed in [
            (*typed).to_owned(),
            typed.replace(name, &name.replace('_', "-")),
        ] {
            let found = configured(&typed, None);
            match here {
                Here::Same(same) => assert_eq!(found, configured(same, None), "{typed}"),
                Here::Accepted => assert_eq!(found, configured("", None), "{typed}"),
                Here::Answer(answer) => {
                    let message = found.expect_err(&typed);
                    let word = word_of(&typed);
                    let expected = format!("error: --{word}: {answer}\n");
                    assert!(message.starts_with(&expected), "{typed}: {message}");
                    assert!(message.contains("progtune help transformers"), "{message}");
                }
            }
        }
    }
    let told: BTreeSet<&str> = rows.iter().map(|row| word_of(row.typed)).collect();
    for word in hugging_face::flags() {
        assert!(told.contains(word.name), "no row for {}", word.name);
    }
}

/// The same words as keys of a file. A value is written as TOML needs it.
#[test]
fn every_key_does_what_the_table_says() {
    for Row { typed, here } in rows(table::FLAGS) {
        let words: Vec<&str> = typed.trim_start_matches("--").split(' ').collect();
        if typed.matches("--").count() > 1 {
            continue;
        }
        let (name, value) = match words.as_slice() {
            [name] => (name, "true".to_owned()),
            [name, value] if value.parse::<f64>().is_ok() => (name, (*value).to_owned()),
            [name, value @ ("True" | "False")] => (name, value.to_lowercase()),
            [name, value] => (name, format!("\"{value}\"")),
            // Several values.
            _ => continue,
        };
        let found = configured("", Some(&format!("{name} = {value}\n")));
        match here {
            Here::Same(same) => match configured(same, None) {
                Ok(expected) => assert_eq!(found, Ok(expected), "{typed}"),
                // The messages name the origin of the value, and it is not the same.
                Err(_) => assert!(found.is_err(), "{typed}"),
            },
            Here::Accepted => assert_eq!(found, configured("", None), "{typed}"),
            Here::Answer(_) if *name == "do_eval" => {}
            Here::Answer(answer) => {
                let message = found.expect_err(typed);
                let expected = format!("there is no key `{name}`; {answer}");
                assert!(message.ends_with(&expected), "{typed}: {message}");
            }
        }
    }
    let twice = configured("", Some("lr = 1e-4\nlearning_rate = 1e-4\n")).unwrap_err();
    assert!(twice.contains("two names of one key"), "{twice}");
}

#[test]
fn every_command_does_what_the_table_says() {
    let rows = rows(table::COMMANDS);
    for Row { typed, here } in &rows {
        let found = cli::parse(typed.split(' ')).map(|parsed| parsed.command);
        match here {
            Here::Same(same) => {
                let same = cli::parse(same.split(' ')).map(|parsed| parsed.command);
                assert_eq!(found.unwrap(), same.unwrap(), "{typed}");
            }
            Here::Accepted => panic!("{typed}: a command is not accepted for nothing"),
            Here::Answer(answer) => {
                let message = found.expect_err(typed).to_string();
                assert!(message.contains(&format!(": {answer}\n")), "{message}");
            }
        }
    }
    let told: Vec<String> = rows.iter().map(|row| row.typed.replace('-', "_")).collect();
    for word in hugging_face::COMMANDS {
        let typed = format!("progtune {}", word.name);
        assert!(told.contains(&typed), "no row for {typed}");
    }
}

#[test]
fn every_value_does_what_the_table_says() {
    let rows = rows(table::VALUES);
    for Row { typed, here } in &rows {
        let (flag, value) = typed.split_once(' ').unwrap();
        let key = match flag.trim_start_matches("--") {
            "lr_scheduler_type" => "lr_scheduler",
            "task_name" => "task",
            key => key,
        };
        match here {
            Here::Same(same) => assert_eq!(configured(typed, None), configured(same, None)),
            Here::Accepted => panic!("{typed}: a value is not accepted for nothing"),
            // A plugin may have the id, so only a search for it finds that there is none.
            Here::Answer(answer) if ["peft", "schedule"].contains(&key) => {
                assert!(configured(typed, None).is_ok(), "{typed}");
                let hint = format!("\n'{value}': {answer}");
                assert_eq!(hugging_face::hint(key, value), hint);
            }
            Here::Answer(answer) => {
                let message = configured(typed, None).expect_err(typed);
                assert!(message.ends_with(&format!("; {answer}")), "{message}");
            }
        }
    }
    for (key, word) in hugging_face::VALUES {
        let is_told = rows.iter().any(|row| {
            let value = row.typed.split(' ').next_back().unwrap_or_default();
            value.to_lowercase().replace('-', "_") == word.name
        });
        assert!(is_told, "no row for {key} {}", word.name);
    }
}

/// The tables as the page has them.
fn page_tables() -> String {
    let mut text = String::new();
    for (title, table) in [
        ("Flags and keys", table::FLAGS),
        ("Commands", table::COMMANDS),
        ("Values", table::VALUES),
    ] {
        text += &format!("## {title}\n\n");
        for (heading, rows) in groups(table) {
            if !heading.is_empty() {
                text += &format!("### {heading}\n\n");
            }
            text += "| typed | here |\n|---|---|\n";
            for Row { typed, here } in rows {
                let here = match here {
                    Here::Same(same) => format!("`{same}`"),
                    Here::Accepted => "accepted".to_owned(),
                    Here::Answer(answer) => answer.replace('|', "\\|"),
                };
                text += &format!("| `{typed}` | {here} |\n");
            }
            text += "\n";
        }
    }
    text
}

#[test]
fn the_page_has_the_same_tables() {
    let page = fs::read_to_string(root().join("docs/from-transformers.md")).unwrap();
    let expected = page_tables();
    let from = page.find("## Flags and keys").expect("the first table");
    let found = &page[from..];
    assert_eq!(found.trim_end(), expected.trim_end());
}
