//! `progtune.lock`: written, enforced, and the choice between libraries with the same id.

use super::*;

#[test]
fn a_pinned_plugin_runs_and_another_build_does_not() {
    let user = User::new();
    let directory = user.library("plugins", "nothing");
    let file = directory.join(library_name("x"));
    let plan = format!("{PLAN} --plugin-dir @plugins");
    user.run(&format!("{plan} --locked")).badly(
        2,
        &[
            "lock file progtune.lock: --locked needs it",
            "progtune plugins lock",
        ],
    );
    let first = sha256(&file);
    user.run("plugins lock hostile-00 --plugin-dir @plugins")
        .well()
        .says(&["pinned in progtune.lock", "hostile 0.3.0", &first]);
    let text = fs::read_to_string(user.path("work/progtune.lock")).unwrap();
    for part in [
        "version = 1",
        "name = \"hostile\"",
        "schedules = [\"hostile-00\"]",
        "methods = [\"nothing-00\"]",
        &first,
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    let said = user.run(&format!("{plan} --locked")).well();
    assert!(!said.error.contains("third party"), "{}", said.error);
    // An unpinned plugin is refused with --locked, and runs without.
    let other = format!("{plan} --peft lora");
    user.run(&format!("{other} --locked")).badly(
        4,
        &[
            "the method 'lora' is not pinned in progtune.lock",
            "expected  a pin",
            "found     sha256 ",
        ],
    );
    user.run(&other).well();
    // Another build is refused with and without --locked. The message gives the file and both
    // hashes.
    user.library("plugins", "other");
    let second = sha256(&file);
    for flag in ["", " --locked"] {
        user.run(&format!("{plan}{flag}")).badly(
            4,
            &[
                "the schedule 'hostile-00' is pinned in progtune.lock, but another build was found",
                &format!("file      {}", file.display()),
                &format!("expected  sha256 {first}"),
                &format!("found     sha256 {second}"),
                "progtune plugins lock hostile-00",
            ],
        );
    }
    user.run("plugins why hostile-00 --plugin-dir @plugins")
        .badly(4, &["is pinned in"])
        .says(&["found", "pins another build", &second]);
    user.run("plugins lock hostile-00 --plugin-dir @plugins")
        .well();
    user.run(&plan).well();
    // The lock is looked for only in the current directory.
    user.library("plugins", "third");
    fs::create_dir(user.path("work/below")).unwrap();
    let mut below = user.command();
    below
        .current_dir(user.path("work/below"))
        .args(PLAN.split(' '));
    user.finish(below.arg("--plugin-dir").arg(&directory))
        .well();
}

#[test]
fn without_ids_everything_is_pinned_and_then_locked_runs() {
    let user = User::new();
    user.library("plugins", "nothing");
    user.run("plugins lock --plugin-dir @plugins --lock @pins.toml")
        .well();
    let run = "--plugin-dir @plugins --lock @pins.toml --locked";
    user.run(&format!("{PLAN} {run} --peft lora")).well();
    user.run("plan --task sample --lock @none.toml")
        .badly(2, &["none.toml: it does not exist"]);
    user.write("pins.toml", b"version = 1\n[[plugins]]\n");
    user.run(&format!("{PLAN} {run}"))
        .badly(2, &["pins.toml: line 2: unknown field"]);
}

#[test]
fn the_same_id_twice_is_decided_by_file_or_lock_or_not_at_all() {
    let user = User::new();
    let (first, second) = (
        user.library("first", "nothing"),
        user.library("second", "other"),
    );
    let both = format!("{PLAN} --plugin-dir @first --plugin-dir @second");
    let names = [&first, &second].map(|directory| directory.to_string_lossy().into_owned());
    user.run(&both).badly(
        4,
        &[
            "offered by two different libraries",
            &names[0],
            &names[1],
            "--plugin FILE",
        ],
    );
    user.run("plugins why hostile-00 --plugin-dir @first --plugin-dir @second")
        .badly(4, &["offered by two different libraries"])
        .says(&[&names[0], &names[1], "searched, in this order"]);
    let name = library_name("x");
    user.run(&format!("{both} --plugin @second/{name}")).well();
    user.run("plugins lock --plugin-dir @first --plugin-dir @second")
        .badly(4, &["offered by two different libraries"]);
    user.run(&format!(
        "plugins lock hostile-00 --plugin-dir @first --plugin-dir @second --plugin @second/{name}"
    ))
    .well();
    user.run(&both).well();
    let why = user
        .run("plugins why hostile-00 --plugin-dir @first --plugin-dir @second")
        .well();
    let line = |verb: &str| {
        why.out
            .lines()
            .find(|line| line.trim().starts_with(verb))
            .unwrap()
            .to_owned()
    };
    assert!(line("used").contains(&names[1]), "{}", why.out);
    assert!(line("shadowed").contains(&names[0]), "{}", why.out);
    // Libraries with the same bytes are one plugin.
    fs::remove_file(user.path("work/progtune.lock")).unwrap();
    user.library("second", "nothing");
    user.run(&both).well();
}

#[test]
fn an_unpinned_third_party_is_warned_of_once_a_build() {
    let user = User::new();
    user.library("plugins", "nothing");
    let warned = |words: &str| {
        user.run(words)
            .well()
            .error
            .contains("comes from a third party and is not pinned")
    };
    let plan = format!("{PLAN} --plugin-dir @plugins");
    assert_eq!([warned(&plan), warned(&plan)], [true, false]);
    user.library("plugins", "other");
    assert_eq!([warned(&plan), warned(&plan)], [true, false]);
    assert!(
        !warned("plan --task sample --schedule progressive --peft lora"),
        "those that are shipped"
    );
}
