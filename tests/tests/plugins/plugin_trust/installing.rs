//! `plugins install`, `list`, `show`, `why` and `remove`.

use super::*;
use progtune_tests::outside_plugins::{outside_plugin, patched};

#[test]
fn a_plugin_is_installed_shown_explained_used_and_removed() {
    let user = User::new();
    let scaling = outside_plugin("scaling");
    let mut install = user.command();
    let target = user
        .path("data/progtune/plugins")
        .join(library_name("scaling"));
    user.finish(install.args(["plugins", "install"]).arg(&scaling))
        .well()
        .says(&[
            "installed scaling 0.3.0 in ",
            &*target.to_string_lossy(),
            "method    scaling",
            "next: progtune --peft scaling",
        ]);
    let said = user
        .run("plugins list")
        .well()
        .says(&["scaling 0.3.0", "third party"]);
    assert!(
        said.out
            .lines()
            .any(|line| line.contains("lora") && line.contains("shipped")),
        "{}",
        said.out
    );
    user.run("plugins show scaling").well().says(&[
        "scaling (method)",
        "interface 1.",
        "in a BERT of 2 blocks with hidden size 32",
        "rewrites encoder.layer.0.attention.self.key (output)",
        "%0 = input name=",
    ]);
    user.run("plugins show scaling --model embedded")
        .well()
        .says(&["in embedded: ", "[384]"]);
    user.run("plugins why scaling").well().says(&[
        "method scaling",
        "used",
        &*target.to_string_lossy(),
        "a third party's",
        &sha256(&scaling),
        "there is no progtune.lock here",
        "in a child process, passed",
        "searched, in this order",
    ]);
    user.run("plan --task sample --peft scaling").well();
    user.run("plugins remove scaling").well().says(&[
        "removed scaling 0.3.0 with scaling",
        &*target.to_string_lossy(),
    ]);
    assert!(!target.exists());
    user.run("plugins remove scaling")
        .badly(2, &["no plugin in ", "offers 'scaling'", "plugins list"]);
    user.run("plugins remove lora")
        .badly(2, &["offers 'lora'", "remove that file by hand"]);
    user.run("plugins why scaling")
        .badly(2, &["no schedule or method 'scaling'"]);
}

#[test]
fn another_plugins_ids_are_taken_with_force_only() {
    let user = User::new();
    user.library("a", "nothing");
    let renamed = patched(
        &hostile("nothing"),
        b"\"name\":\"hostile\"",
        b"\"name\":\"hostilf\"",
    );
    user.write(&format!("b/{}", library_name("x")), &renamed);
    let name = library_name("x");
    user.run(&format!("plugins install @a/{name}"))
        .well()
        .says(&["installed hostile 0.3.0"]);
    // The same plugin again is an update.
    user.library("a", "other");
    user.run(&format!("plugins install @a/{name}"))
        .well()
        .says(&["replaced hostile 0.3.0"]);
    user.run(&format!("plugins install @b/{name}")).badly(
        2,
        &[
            "the schedule 'hostile-00' is offered by plugin hostile 0.3.0",
            "--force",
        ],
    );
    user.run(&format!("plugins install @b/{name} --force"))
        .well()
        .says(&["installed hostilf 0.3.0", "removed "]);
    let left = fs::read_dir(user.path("data/progtune/plugins"))
        .unwrap()
        .count();
    assert_eq!(left, 1);
    user.run(PLAN).well();
}

#[test]
fn what_fails_its_trial_is_not_installed() {
    let user = User::new();
    user.library("a", "constructor-crashes");
    user.run(&format!("plugins install @a/{}", library_name("x")))
        .badly(4, &["killed by signal 11"]);
    user.write("text.so", b"a text");
    user.run("plugins install @text.so")
        .badly(4, &["expected a dynamic library"]);
    user.run("plugins install @none.so")
        .badly(4, &["none.so: No such file"]);
    assert!(!user.path("data/progtune").exists());
}
