//! The file of messages has no entry whose test is gone. Each test checks that its own entries are
//! current.

use progtune_tests::messages;
use std::fs;

#[test]
fn every_recorded_message_has_its_test() {
    let text = fs::read_to_string(messages::file()).unwrap();
    let recorded = messages::parse(&text);
    assert!(recorded.len() > 100, "{} messages", recorded.len());
    let is_stale = |test: &str| {
        let Some((file, names)) = messages::source_of(test) else {
            return true;
        };
        let source = fs::read_to_string(file).unwrap();
        let is_part_of_a_name = |c: char| c.is_alphanumeric() || c == '_';
        let words: Vec<&str> = source.split(|c| !is_part_of_a_name(c)).collect();
        names.iter().any(|name| !words.contains(name))
    };
    let stale: Vec<&String> = recorded
        .keys()
        .map(|(test, _)| test)
        .filter(|test| is_stale(test))
        .collect();
    assert!(
        stale.is_empty(),
        "no test has these names; delete their entries in {}: {stale:?}",
        messages::file().display()
    );
}
