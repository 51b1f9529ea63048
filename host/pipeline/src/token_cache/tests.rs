//! The cache keeps what was put, forgets what was used longest ago, and never makes a run fail.

use super::*;
use progtune_engine::EncodedExample;
use std::time::Duration;

fn cache(directory: &Path, capacity: u64) -> TokenCache {
    TokenCache {
        directory: Some(directory.to_owned()),
        reads: true,
        capacity,
    }
}

fn examples(tokens: u32) -> Vec<EncodedExample> {
    vec![EncodedExample {
        input_ids: (0..tokens).collect(),
        token_type_ids: vec![0; tokens as usize],
        target: None,
    }]
}

fn made(cache: &TokenCache, key: &Key, tokens: u32) -> Examples {
    let mut builder = cache.builder(Some(key));
    for example in examples(tokens) {
        builder.push(example).unwrap();
    }
    builder.finish().unwrap()
}

fn put(cache: &TokenCache, key: &Key, tokens: u32) {
    cache.keep(key, &mut made(cache, key, tokens));
}

fn got(cache: &TokenCache, key: &Key) -> Option<Vec<EncodedExample>> {
    let examples = cache.get(key)?;
    Some(examples.iter().collect::<Result<_, _>>().unwrap())
}

#[test]
fn what_is_put_is_got_and_a_damaged_file_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache(&folder.path().join("new"), CAPACITY_BYTES);
    let key = Key::of_text("a");
    assert_eq!(got(&cache, &key), None);
    put(&cache, &key, 5);
    assert_eq!(got(&cache, &key), Some(examples(5)));
    assert_eq!(got(&cache, &Key::of_text("b")), None);
    let file = cache.path(&key, SUFFIX).unwrap();
    let mut bytes = fs::read(&file).unwrap();
    bytes[60] ^= 1;
    fs::write(&file, &bytes).unwrap();
    assert_eq!(got(&cache, &key), None);
    put(&cache, &key, 5);
    assert_eq!(got(&cache, &key), Some(examples(5)));
    let overwriting = TokenCache {
        reads: false,
        ..cache.clone()
    };
    assert_eq!(got(&overwriting, &key), None);
}

/// The file to which many examples were written becomes the cached file.
#[test]
fn many_examples_are_kept_as_well_and_leave_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache(folder.path(), CAPACITY_BYTES);
    let key = Key::of_text("many");
    let mut builder = cache.builder(Some(&key));
    for _ in 0..30_000 {
        builder.push(examples(200).remove(0)).unwrap();
    }
    let mut many = builder.finish().unwrap();
    assert!(many.held_bytes() < 100_000, "{}", many.held_bytes());
    let files = || fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(files(), 1, "a temporary file");
    cache.keep(&key, &mut many);
    let file = cache.path(&key, SUFFIX).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().len(), many.file_bytes());
    assert_eq!(many.get(29_999).unwrap(), examples(200)[0]);
    drop(many);
    assert_eq!(cache.get(&key).unwrap().len(), 30_000);

    let mut builder = cache.builder(None);
    for _ in 0..30_000 {
        builder.push(examples(200).remove(0)).unwrap();
    }
    let temporary = builder.finish().unwrap();
    assert_eq!(files(), 2);
    drop(temporary);
    assert_eq!(files(), 1, "what is not kept is removed");
}

#[test]
fn notes_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache(&folder.path().join("new"), CAPACITY_BYTES);
    let key = Key::of_text("a");
    assert_eq!(cache.note(&key), None);
    cache.keep_note(&key, &serde_json::json!({"n": 1}));
    assert_eq!(cache.note(&key), Some(serde_json::json!({"n": 1})));
    fs::write(cache.path(&key, ".json").unwrap(), "{\"n\"").unwrap();
    assert_eq!(cache.note(&key), None, "half a file");
}

#[test]
fn a_directory_that_cannot_be_written_is_no_fault() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let cache = cache(&file.join("below"), CAPACITY_BYTES);
    put(&cache, &Key::of_text("a"), 5);
    assert_eq!(got(&cache, &Key::of_text("a")), None);
}

#[test]
fn what_was_used_longest_ago_goes_first() {
    let folder = tempfile::tempdir().unwrap();
    let size = Examples::from(examples(1000)).file_bytes();
    let cache = cache(folder.path(), 3 * size);
    let keys: Vec<Key> = ["a", "b", "c", "d"].map(Key::of_text).into();
    for (age, key) in keys[..3].iter().enumerate() {
        put(&cache, key, 1000);
        let time = SystemTime::now() - Duration::from_secs(100 - age as u64);
        let path = cache.path(key, SUFFIX).unwrap();
        let file = File::options().append(true).open(path);
        file.unwrap().set_modified(time).unwrap();
    }
    fs::write(folder.path().join("other"), vec![0; 10_000]).unwrap();
    assert!(cache.get(&keys[0]).is_some(), "used now");
    put(&cache, &keys[3], 1000);
    let there: Vec<bool> = keys.iter().map(|key| cache.get(key).is_some()).collect();
    assert_eq!(there, [true, false, true, true]);
    assert!(folder.path().join("other").exists());
    let small = TokenCache {
        capacity: size - 1,
        ..cache
    };
    put(&small, &Key::of_text("e"), 1000);
    assert!(small.get(&Key::of_text("e")).is_none(), "larger than all");
}

/// Temporary files take room, and are never deleted. So do notes, which may be deleted.
#[test]
fn temporary_files_and_notes_count() {
    let folder = tempfile::tempdir().unwrap();
    let size = Examples::from(examples(1000)).file_bytes();
    let cache = cache(folder.path(), 2 * size + size / 2);
    let keys: Vec<Key> = ["a", "b", "c"].map(Key::of_text).into();
    let there = || -> Vec<bool> {
        let path = |key| cache.path(key, SUFFIX).unwrap();
        keys.iter().map(|key| path(key).exists()).collect()
    };
    put(&cache, &keys[0], 1000);
    let mut builder = cache.builder(None);
    builder.small = 0;
    for example in examples(1000) {
        builder.push(example).unwrap();
    }
    let mut working = builder.finish().unwrap();
    assert!(matches!(working.medium(), Medium::File { .. }));
    put(&cache, &keys[1], 1000);
    assert_eq!(there(), [false, true, false], "the working file takes room");
    let path = cache.path(&keys[1], SUFFIX).unwrap();
    let file = File::options().append(true).open(path).unwrap();
    let earlier = SystemTime::now() - Duration::from_secs(100);
    file.set_modified(earlier).unwrap();
    drop(working);
    put(&cache, &keys[2], 1000);
    assert_eq!(there(), [false, true, true]);
    let long = "x".repeat(size as usize);
    cache.keep_note(&Key::of_text("note"), &serde_json::json!(long));
    assert_eq!(there(), [false, false, true]);
}

#[test]
fn the_size_is_the_documented_one() {
    let found = |value: Option<&str>| {
        let value = value.map(OsString::from);
        capacity(&|name| value.clone().filter(|_| name == SIZE_VARIABLE))
    };
    assert_eq!(found(None).unwrap(), 2 << 30);
    assert_eq!(found(Some("")).unwrap(), 2 << 30);
    assert_eq!(found(Some("512MB")).unwrap(), 512_000_000);
    let error = found(Some("much")).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert_eq!(
        error.to_string(),
        "environment variable PROGTUNE_CACHE_SIZE: expected a size above 0 in bytes or with a unit, such as 512MB or \
         2GiB, found \"much\"; set a size, or unset it"
    );
}

#[test]
fn the_directory_is_the_documented_one() {
    let found = |set: &[(&str, &str)]| {
        let variable = |name: &str| {
            let value = set.iter().find(|(key, _)| *key == name);
            value.map(|&(_, value)| OsString::from(value))
        };
        directory(&variable)
    };
    let home = ("HOME", "/home/u");
    assert_eq!(found(&[]), None);
    let expected = |path: &str| Some(PathBuf::from(path));
    assert_eq!(
        found(&[home]),
        expected("/home/u/.cache/progtune/tokenized")
    );
    let cache = ("XDG_CACHE_HOME", "/c");
    assert_eq!(found(&[home, cache]), expected("/c/progtune/tokenized"));
    let relative = ("XDG_CACHE_HOME", "c");
    assert_eq!(
        found(&[home, relative]),
        expected("/home/u/.cache/progtune/tokenized")
    );
    let own = (DIRECTORY_VARIABLE, "own");
    assert_eq!(found(&[home, cache, own]), expected("own/tokenized"));
}
