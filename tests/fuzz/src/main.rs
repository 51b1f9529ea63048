//! One program for every target, because linking one is slow: the variable `PROGTUNE_FUZZ_TARGET`
//! names the target, and the arguments are libFuzzer's. Run by `cargo xtask fuzz`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use progtune_tests::hostile_input::{TARGETS, Target};
use std::sync::OnceLock;

static TARGET: OnceLock<&Target> = OnceLock::new();

fn find() -> &'static Target {
    let name = std::env::var("PROGTUNE_FUZZ_TARGET").unwrap_or_default();
    let found = TARGETS.iter().find(|target| target.name == name);
    found.unwrap_or_else(|| panic!("PROGTUNE_FUZZ_TARGET: there is no target {name:?}"))
}

fuzz_target!(|bytes: &[u8]| (TARGET.get_or_init(find).run)(bytes));
