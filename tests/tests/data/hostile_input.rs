//! The readers of everything that others make, with the files of the fuzzer's corpora: intact, cut
//! off, and with bytes that differ. Each call must return. `cargo xtask fuzz` looks for more.

use progtune_tests::hostile_input::{TARGETS, corpus};
use std::{collections::BTreeSet, fs};

/// The number of places in a file that are changed; more would take minutes.
const PLACES: usize = 60;

fn files(target: &str) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(corpus(target)).expect("a corpus");
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn every_target_has_a_corpus_and_every_corpus_a_target() {
    let folders = fs::read_dir(corpus("")).unwrap();
    let folders = folders.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let targets = TARGETS.iter().map(|target| target.name.to_owned());
    assert_eq!(folders.collect::<BTreeSet<_>>(), targets.collect());
    for target in TARGETS {
        assert!(!files(target.name).is_empty(), "{}", target.name);
    }
}

#[test]
fn no_file_of_a_corpus_breaks_a_reader() {
    for target in TARGETS {
        for bytes in files(target.name) {
            (target.run)(&bytes);
        }
        (target.run)(b"");
    }
}

#[test]
fn no_damage_breaks_a_reader() {
    for target in TARGETS {
        for bytes in files(target.name) {
            let step = bytes.len().div_ceil(PLACES).max(1);
            for at in (0..bytes.len()).step_by(step) {
                (target.run)(&bytes[..at]);
                for value in [0, b'"', 0xff] {
                    let mut bytes = bytes.clone();
                    bytes[at] = value;
                    (target.run)(&bytes);
                }
            }
        }
    }
}
