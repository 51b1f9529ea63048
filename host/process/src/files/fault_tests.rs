//! Every operation of the file system fails in turn, writes only half, or comes after a kill. Each
//! time a file has its old or its new contents, and nothing else is left.

use super::{
    atomic_file::AtomicFile, folder::Folder, journal::Journal, medium::faults::in_test::with,
    temporary::PREFIX, write_atomically,
};
use std::{fs, io::Write, path::Path};

const OLD: &str = "the old contents";
const NEW: &str = "the new contents, which are longer";

/// The plans for an operation: every way to fail.
const KINDS: [&str; 5] = ["fail:N", "fail:N:EIO", "short:N", "full:N", "kill:N"];

/// The operations of `work` when nothing fails.
fn counted(work: impl FnOnce() -> bool) -> Vec<String> {
    let (is_done, operations) = with("count", work);
    assert!(is_done);
    operations
}

/// Kinds of operations, without numbers and names.
fn kinds(operations: &[String]) -> Vec<&str> {
    operations
        .iter()
        .map(|line| line.split(' ').nth(1).unwrap())
        .collect()
}

/// Number of temporary files in a directory.
fn temporary(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap().flatten();
    let is_temporary =
        |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(PREFIX);
    entries.filter(is_temporary).count()
}

/// Writes over an old file in every way to fail, and checks what is there afterwards.
fn check_replaced(write: fn(&Path) -> bool) {
    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("file");
    fs::write(&target, OLD).unwrap();
    let n = counted(|| write(&target)).len();
    assert_eq!(fs::read_to_string(&target).unwrap(), NEW);
    for kind in KINDS {
        for at in 1..=n {
            let plan = kind.replace('N', &at.to_string());
            fs::write(&target, OLD).unwrap();
            let (is_done, operations) = with(&plan, || write(&target));
            let case = format!("{plan}: {operations:?}");
            let found = fs::read_to_string(&target).unwrap();
            assert!([OLD, NEW].contains(&found.as_str()), "{case}: {found}");
            if is_done {
                // A full disk still has room for what needs none.
                assert!(kind == "full:N" && found == NEW, "{case}");
            }
            let names: Vec<_> = fs::read_dir(place.path()).unwrap().flatten().collect();
            if kind == "kill:N" {
                assert!(temporary(place.path()) <= 1, "{case}");
            } else {
                assert_eq!(names.len(), 1, "{case}");
            }
            for entry in names.iter().filter(|entry| entry.path() != target) {
                fs::remove_file(entry.path()).unwrap();
            }
        }
    }
}

#[test]
fn a_file_written_at_once_is_old_or_new() {
    check_replaced(|path| write_atomically(path, NEW.as_bytes()).is_ok());
}

#[test]
fn a_file_written_in_pieces_is_old_or_new() {
    check_replaced(|path| {
        let written = AtomicFile::create(path).and_then(|mut file| {
            for piece in NEW.as_bytes().chunks(5) {
                // Flushed, so that each piece is an operation of its own.
                let written = file.write_all(piece).and_then(|()| file.flush());
                written.map_err(crate::error::Error::io(path, "write"))?;
            }
            file.finish()
        });
        written.is_ok()
    });
}

/// A power failure keeps only what was forced to the disk: contents before the name, and the name
/// before success.
#[test]
fn contents_and_names_reach_the_disk_in_order() {
    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("file");
    let operations = counted(|| write_atomically(&target, NEW.as_bytes()).is_ok());
    let expected: &[&str] = if cfg!(unix) {
        &["Create", "Write", "Sync", "Rename", "Sync"]
    } else {
        &["Create", "Write", "Sync", "Rename"]
    };
    assert_eq!(kinds(&operations), expected, "{operations:?}");
}

#[test]
fn an_abandoned_file_is_removed() {
    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("file");
    fs::write(&target, OLD).unwrap();
    let mut file = AtomicFile::create(&target).unwrap();
    file.write_all(&vec![b'x'; 200_000]).unwrap();
    file.write_all(b"y").unwrap();
    assert_eq!(temporary(place.path()), 1);
    drop(file);
    assert_eq!(temporary(place.path()), 0);
    assert_eq!(fs::read_to_string(&target).unwrap(), OLD);
}

#[test]
fn large_and_small_pieces_stay_in_order() {
    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("file");
    let mut file = AtomicFile::create(&target).unwrap();
    let mut expected = Vec::new();
    for size in [3, 70_000, 1, 65_535, 65_536, 65_537, 0, 9] {
        let piece = vec![(size % 251) as u8; size];
        file.write_all(&piece).unwrap();
        expected.extend(piece);
    }
    file.finish().unwrap();
    assert_eq!(fs::read(&target).unwrap(), expected);
}

/// A journal has whole pieces only, and after a failure it can be continued.
#[test]
fn a_journal_has_whole_pieces_only() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("records");
    let folder = Folder::open(place.path()).unwrap();
    let write = |journal: &mut Journal| {
        let mut wanted = Vec::new();
        let mut failures = 0;
        for piece in ["one\n", "second\n", "third piece\n"] {
            if journal.append(piece.as_bytes()).is_ok() {
                wanted.push(piece);
            } else {
                failures += 1;
            }
        }
        (wanted.concat(), failures)
    };
    let mut journal = Journal::create(&folder, "records").unwrap();
    let ((_, failures), operations) = with("count", || write(&mut journal));
    assert_eq!((failures, operations.len()), (0, 3));
    for kind in KINDS {
        for at in 1..=operations.len() {
            let plan = kind.replace('N', &at.to_string());
            let mut journal = Journal::create(&folder, "records").unwrap();
            let ((wanted, failures), log) = with(&plan, || write(&mut journal));
            let found = fs::read_to_string(&path).unwrap();
            assert_eq!(found, wanted, "{plan}: {log:?}");
            assert!(failures > 0, "{plan}: {log:?}");
            assert_eq!(journal.length(), wanted.len() as u64);
            journal.append(b"end\n").unwrap();
            let mark = journal.mark();
            assert_eq!(fs::read_to_string(&path).unwrap(), wanted + "end\n");
            assert_eq!(Journal::open(&folder, "records").unwrap().mark(), mark);
        }
    }
}

/// Cutting a journal back fails: the file is as it was.
#[test]
fn a_journal_that_cannot_be_cut_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let folder = Folder::open(place.path()).unwrap();
    let mut journal = Journal::create(&folder, "records").unwrap();
    journal.append(b"one\n").unwrap();
    let mark = journal.mark();
    journal.append(b"two\n").unwrap();
    let (outcome, log) = with("fail:1:EIO", || Journal::reopen(&folder, "records", &mark));
    assert!(log[0].contains("Truncate"), "{log:?}");
    let text = outcome.unwrap_err().to_string();
    assert!(text.contains("cannot shorten"), "{text}");
    let found = fs::read_to_string(place.path().join("records")).unwrap();
    assert_eq!(found, "one\ntwo\n");
}
