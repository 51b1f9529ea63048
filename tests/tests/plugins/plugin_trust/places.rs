//! The permissions of a plugin's location, and the cache of copies and verdicts.

use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_everyone_may_write_is_refused_also_behind_a_link() {
    let user = User::new();
    let (real, name) = (user.library("real", "nothing"), library_name("x"));
    fs::create_dir(user.path("linked")).unwrap();
    symlink(real.join(&name), user.path("linked").join(&name)).unwrap();
    let plan = format!("{PLAN} --plugin-dir @linked");
    user.run(&plan).well();
    chmod(&real, 0o777);
    user.run(&plan)
        .badly(2, &["everyone may write to its directory "]);
    user.run(&format!("{PLAN} --plugin-dir @real"))
        .badly(4, &["everyone may write to it"]);
    user.run(&format!("{PLAN} --plugin @real/{name}"))
        .badly(4, &["everyone may write to it"]);
    chmod(&real, 0o755);
    chmod(&real.join(&name), 0o646);
    user.run(&plan).badly(2, &["everyone may write to it"]);
    user.run(&format!("{PLAN} --plugin @real/{name}"))
        .badly(4, &["everyone may write to it"]);
}

#[test]
fn a_verdict_is_kept_and_a_damaged_one_is_made_anew() {
    let user = User::new();
    user.library("plugins", "nothing");
    let plan = format!("{PLAN} --plugin-dir @plugins");
    user.run(&plan).well();
    let notes = || -> Vec<PathBuf> {
        let files = fs::read_dir(user.path("cache/plugins")).unwrap();
        let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
        files.retain(|file| file.extension().is_some_and(|end| end == "tried"));
        files.sort();
        files
    };
    let written = || -> Vec<_> {
        notes()
            .iter()
            .map(|file| fs::metadata(file).unwrap().modified().unwrap())
            .collect()
    };
    let before = written();
    // One for the library, one for the schedule with this run's options; progressive and full need
    // none.
    assert_eq!(notes().len(), 2);
    user.run(&plan).well();
    assert_eq!(written(), before, "tried again without need");
    let good: Vec<String> = notes()
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    for file in notes() {
        fs::write(file, "{").unwrap();
    }
    user.run(&plan).well();
    let again: Vec<String> = notes()
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    assert_eq!(good, again);
}

#[test]
fn without_a_cache_nothing_stays_behind() {
    let user = User::new();
    user.library("plugins", "nothing");
    let blocked = user.write("blocked", b"a file");
    let mut plan = user.command();
    plan.args(PLAN.split(' '))
        .arg("--plugin-dir")
        .arg(user.path("plugins"));
    user.finish(plan.env("PROGTUNE_CACHE_DIR", &blocked)).well();
    let left: Vec<_> = fs::read_dir(user.path("tmp"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
