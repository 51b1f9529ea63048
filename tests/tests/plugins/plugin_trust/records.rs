//! The plugins behind a result: named in every record of a run, and in a message if another build
//! reads it.

use super::*;
use progtune_tests::{outside_plugins::outside_plugin, read_json};
use serde_json::Value;

fn train(user: &User, words: &str, output: &Path) {
    let mut train = user.command();
    train.args("train --task sample --quiet --epochs 1 --max-steps 1 --max-train-samples 8 --max-eval-samples 8".split(' '));
    train.args(words.split(' ')).arg("--output").arg(output);
    user.finish(train.arg("--plugin-dir").arg(user.path("plugins")))
        .well();
}

#[test]
fn every_record_names_plugins_versions_and_hashes() {
    let user = User::new();
    user.library("plugins", "nothing");
    let scaling = user.write(
        &format!("plugins/{}", library_name("scaling")),
        &fs::read(outside_plugin("scaling")).unwrap(),
    );
    let schedule = sha256(&user.path("plugins").join(library_name("x")));
    for (peft, version, hash) in [
        ("scaling", "0.3.0", Some(sha256(&scaling))),
        ("lora", env!("CARGO_PKG_VERSION"), None),
    ] {
        let run = user.path(peft);
        train(&user, &format!("--schedule hostile-00 --peft {peft}"), &run);
        for plugins in [
            &read_json(&run.join("plan.json"))["plugins"],
            &read_json(&run.join("all_results.json"))["plugins"],
            &read_json(&run.join("progtune_plugins.json")),
        ] {
            assert_eq!(plugins[0]["plugin"], "hostile 0.3.0");
            assert_eq!(plugins[0]["sha256"], Value::from(schedule.as_str()));
            assert_eq!(plugins[0]["options"]["crash"], false);
            assert_eq!(plugins[1]["kind"], "peft");
            assert_eq!(plugins[1]["id"], peft);
            assert_eq!(plugins[1]["version"], version);
            assert_eq!(plugins[1]["sha256"].as_str().unwrap().len(), 64);
            if let Some(hash) = &hash {
                assert_eq!(plugins[1]["sha256"], Value::from(hash.as_str()));
            }
        }
        let beside = fs::read_to_string(run.join("progtune_plugins.json")).unwrap();
        assert!(
            !beside.contains(&*user.home.path().to_string_lossy()),
            "a path in {beside}"
        );
    }
}

#[test]
fn a_result_of_another_build_is_said_to_be_one() {
    let user = User::new();
    user.library("plugins", "nothing");
    let scaling = fs::read(outside_plugin("scaling")).unwrap();
    let file = user.write(&format!("plugins/{}", library_name("scaling")), &scaling);
    let run = user.path("run");
    train(&user, "--schedule full --peft scaling", &run);
    let evaluate = || {
        let words =
            "evaluate --task sample --max-eval-samples 8 --adapter @run --plugin-dir @plugins";
        user.run(words).well().error
    };
    let text = evaluate();
    assert!(!text.contains("the results may differ"), "{text}");
    // One additional byte makes another build.
    fs::write(&file, [scaling.as_slice(), &[0]].concat()).unwrap();
    let text = evaluate();
    assert!(
        text.contains(
            "the method 'scaling' of this adapter was made by plugin scaling 0.3.0 (sha256 "
        ),
        "{text}"
    );
    assert!(
        text.contains("the loaded plugin is scaling 0.3.0 (sha256 "),
        "{text}"
    );
}
