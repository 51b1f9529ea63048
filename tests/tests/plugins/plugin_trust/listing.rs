//! Lists many plugins, quickly and without running any.

use super::*;
use progtune_tests::outside_plugins::patched;
use std::time::{Duration, Instant};

#[test]
fn fifty_plugins_are_listed_in_no_time_and_none_is_run() {
    let user = User::new();
    let library = hostile("nothing");
    for number in 0..50 {
        let id = |kind: &str| format!("\"{kind}-{number:02}\"").into_bytes();
        let mut bytes = patched(&library, b"\"hostile-00\"", &id("hostile"));
        bytes = patched(&bytes, b"\"nothing-00\"", &id("nothing"));
        user.write(
            &format!("plugins/{}", library_name(&format!("p{number:02}"))),
            &bytes,
        );
    }
    let witness = user.path("witness");
    let mut fastest = Duration::MAX;
    for _ in 0..10 {
        let mut list = user.command();
        list.args(["plugins", "list", "--plugin-dir"])
            .arg(user.path("plugins"));
        list.env("HOSTILE_WITNESS", &witness);
        let started = Instant::now();
        let said = user.finish(&mut list).well();
        fastest = fastest.min(started.elapsed());
        assert!(
            said.out.contains("hostile-49") && said.out.contains("nothing-00"),
            "{}",
            said.out
        );
        assert_eq!(
            said.out
                .lines()
                .filter(|line| line.contains("third party"))
                .count(),
            100
        );
    }
    println!("50 plugins are listed in {fastest:?}, the start of the process included");
    assert!(fastest < Duration::from_secs(1), "{fastest:?}");
    for words in [
        "plugins list --json",
        "plugins why hostile-07",
        "plugins lock",
    ] {
        let mut command = user.command();
        command
            .args(words.split(' '))
            .arg("--plugin-dir")
            .arg(user.path("plugins"));
        user.finish(command.env("HOSTILE_WITNESS", &witness)).well();
    }
    assert!(!witness.exists(), "a constructor ran");
    // The witness is meaningful: a run that needs one of the plugins writes it. A plugin in its own
    // process would not know where, because that process has a clean environment.
    let mut plan = user.command();
    plan.args(PLAN.split(' '))
        .args(["--plugin-isolation", "none"])
        .arg("--plugin-dir")
        .arg(user.path("plugins"));
    plan.env("HOSTILE_WITNESS", &witness);
    let library = user.path("plugins").join(library_name("p00"));
    fs::remove_file(user.path("work/progtune.lock")).unwrap();
    user.finish(plan.arg("--plugin").arg(library)).well();
    assert!(witness.exists());
}
