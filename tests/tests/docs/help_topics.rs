//! `progtune help`: every page of the documentation has a topic, the topics and commands are shown,
//! and an unknown word lists what there is.

use progtune::help_topics::TOPICS;
use progtune_tests::{root, run, run_failing};
use std::{collections::BTreeSet, fs};

fn help(words: &[&str]) -> String {
    let words: Vec<&str> = ["help"].iter().chain(words).copied().collect();
    String::from_utf8(run(&words).stdout).unwrap()
}

#[test]
fn every_page_has_a_topic_and_every_topic_a_page() {
    let listed = fs::read_dir(root().join("docs")).unwrap();
    let names = listed.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let pages: BTreeSet<String> = names
        .filter_map(|name| name.strip_suffix(".md").map(str::to_owned))
        .collect();
    let told: BTreeSet<String> = TOPICS.iter().map(|topic| topic.page.to_owned()).collect();
    assert_eq!(pages, told);
}

#[test]
fn help_alone_lists_commands_and_topics() {
    let list = help(&[]);
    for word in ["train", "plan", "plugins", "completions"] {
        assert!(list.contains(&format!("\n  {word} ")), "{word}: {list}");
    }
    for topic in TOPICS {
        assert!(list.contains(&format!("\n  {} ", topic.name)), "{list}");
    }
    let wide = list.lines().find(|line| line.chars().count() > 80);
    assert_eq!(wide, None);
}

#[test]
fn topics_commands_and_flags_are_shown() {
    let schedules = help(&["schedules"]);
    assert!(schedules.contains("grow-from-hb"), "{schedules}");
    assert!(schedules.ends_with("More: docs/schedules-and-methods.md\n"));
    assert_eq!(help(&["token-classification"]), help(&["tags"]));
    // `plugins` is a topic and a command.
    let plugins = help(&["plugins"]);
    assert!(plugins.contains("plugins check") && plugins.contains("Usage: progtune plugins"));
    let long = String::from_utf8(run(&["plan", "--help"]).stdout).unwrap();
    assert!(help(&["plan"]).ends_with(&long), "{long}");
    let of_new = String::from_utf8(run(&["plugins", "new", "--help"]).stdout).unwrap();
    assert_eq!(help(&["plugins", "new"]), of_new);
    let lr = help(&["--lr"]);
    assert!(
        lr.starts_with("--lr\n") && lr.contains("PROGTUNE_LR"),
        "{lr}"
    );
    let alias = help(&["learning_rate"]);
    assert!(alias.contains("another name of --lr\n"), "{alias}");
    let answered = help(&["--fp16"]).replace("\n  ", " ");
    assert!(
        answered.contains("parameters are kept in f32"),
        "{answered}"
    );
}

#[test]
fn an_unknown_topic_lists_the_topics() {
    run_failing(&["help", "schedule-and-metods"], 2);
    run_failing(&["help", "plugins", "nwe"], 2);
    run_failing(&["help", "zebra"], 2);
}
