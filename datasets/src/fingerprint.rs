//! A fingerprint of source text, computed by the compiler. Whoever keeps results of some code on
//! disk includes the code's fingerprint in the key, so that no result outlives a change to the
//! code. The host's token cache uses it.

/// The fingerprint of everything in this crate that determines how a file's rows are read.
pub const READERS: u64 = {
    let mut hash = SEED;
    hash = extend(hash, include_bytes!("columns.rs"));
    hash = extend(hash, include_bytes!("drawn_rows.rs"));
    hash = extend(hash, include_bytes!("format.rs"));
    hash = extend(hash, include_bytes!("generated/grammar/reading.rs"));
    hash = extend(hash, include_bytes!("generated/grammar.rs"));
    hash = extend(hash, include_bytes!("generated/sample.rs"));
    hash = extend(hash, include_bytes!("generated/sample_pairs.rs"));
    hash = extend(hash, include_bytes!("generated.rs"));
    hash = extend(hash, include_bytes!("kept_columns.rs"));
    hash = extend(hash, include_bytes!("own/choose_columns.rs"));
    hash = extend(hash, include_bytes!("own/data.rs"));
    hash = extend(hash, include_bytes!("own/facts.rs"));
    hash = extend(hash, include_bytes!("own/files.rs"));
    hash = extend(hash, include_bytes!("own/find.rs"));
    hash = extend(hash, include_bytes!("own/headerless.rs"));
    hash = extend(hash, include_bytes!("own/hold_out.rs"));
    hash = extend(hash, include_bytes!("own/label_form.rs"));
    hash = extend(hash, include_bytes!("own/learn_labels.rs"));
    hash = extend(hash, include_bytes!("own/proposal.rs"));
    hash = extend(hash, include_bytes!("own/reader.rs"));
    hash = extend(hash, include_bytes!("own/recognise.rs"));
    hash = extend(hash, include_bytes!("own/survey.rs"));
    hash = extend(hash, include_bytes!("own.rs"));
    hash = extend(hash, include_bytes!("problem_type.rs"));
    hash = extend(hash, include_bytes!("readers/cell.rs"));
    hash = extend(hash, include_bytes!("readers/columnar/arrow.rs"));
    hash = extend(hash, include_bytes!("readers/columnar/arrow_messages.rs"));
    hash = extend(hash, include_bytes!("readers/columnar/contain.rs"));
    hash = extend(hash, include_bytes!("readers/columnar/examples.rs"));
    hash = extend(hash, include_bytes!("readers/columnar/lists.rs"));
    hash = extend(hash, include_bytes!("readers/columnar/objects.rs"));
    hash = extend(hash, include_bytes!("readers/columnar/parquet.rs"));
    hash = extend(hash, include_bytes!("readers/columnar/parquet_zstd.rs"));
    hash = extend(hash, include_bytes!("readers/columnar/value.rs"));
    hash = extend(hash, include_bytes!("readers/columnar.rs"));
    hash = extend(hash, include_bytes!("readers/conll.rs"));
    hash = extend(hash, include_bytes!("readers/csv.rs"));
    hash = extend(hash, include_bytes!("readers/decompress.rs"));
    hash = extend(hash, include_bytes!("readers/foreign.rs"));
    hash = extend(hash, include_bytes!("readers/header.rs"));
    hash = extend(hash, include_bytes!("readers/hub_names.rs"));
    hash = extend(hash, include_bytes!("readers/json_document.rs"));
    hash = extend(hash, include_bytes!("readers/json_scan.rs"));
    hash = extend(hash, include_bytes!("readers/json_value.rs"));
    hash = extend(hash, include_bytes!("readers/jsonl.rs"));
    hash = extend(hash, include_bytes!("readers/lines.rs"));
    hash = extend(hash, include_bytes!("readers/plain_text.rs"));
    hash = extend(hash, include_bytes!("readers/raw_row.rs"));
    hash = extend(hash, include_bytes!("readers/record.rs"));
    hash = extend(hash, include_bytes!("readers/records.rs"));
    hash = extend(hash, include_bytes!("readers/separator.rs"));
    hash = extend(hash, include_bytes!("readers/table.rs"));
    hash = extend(hash, include_bytes!("readers/text_file.rs"));
    hash = extend(hash, include_bytes!("readers/tsv.rs"));
    hash = extend(hash, include_bytes!("readers/usual_columns.rs"));
    hash = extend(hash, include_bytes!("readers/whole_text.rs"));
    hash = extend(hash, include_bytes!("readers/word_lines.rs"));
    hash = extend(hash, include_bytes!("readers/word_lists.rs"));
    hash = extend(hash, include_bytes!("readers.rs"));
    hash = extend(hash, include_bytes!("request.rs"));
    hash = extend(hash, include_bytes!("sampling.rs"));
    hash = extend(hash, include_bytes!("split_name.rs"));
    hash = extend(hash, include_bytes!("splitmix.rs"));
    hash = extend(hash, include_bytes!("tag_scheme/repair.rs"));
    hash = extend(hash, include_bytes!("tag_scheme.rs"));
    hash = extend(hash, include_bytes!("tags/columns.rs"));
    hash = extend(hash, include_bytes!("tags/data.rs"));
    hash = extend(hash, include_bytes!("tags.rs"));
    hash = extend(hash, include_bytes!("tasks/label.rs"));
    hash = extend(hash, include_bytes!("tasks/locate.rs"));
    hash = extend(hash, include_bytes!("tasks/metric.rs"));
    hash = extend(hash, include_bytes!("tasks/named.rs"));
    hash = extend(hash, include_bytes!("tasks/rows.rs"));
    hash = extend(hash, include_bytes!("tasks/split.rs"));
    hash = extend(hash, include_bytes!("tasks/squad.rs"));
    hash = extend(hash, include_bytes!("tasks/task.rs"));
    extend(hash, include_bytes!("tasks.rs"))
};

/// The initial value of a fingerprint (the offset basis of 64-bit FNV-1a).
pub(crate) const SEED: u64 = 0xcbf2_9ce4_8422_2325;

/// `hash` extended by further bytes, by 64-bit FNV-1a. Do not use it for data chosen by an
/// adversary.
pub const fn extend(mut hash: u64, bytes: &[u8]) -> u64 {
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        i += 1;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs,
        path::{Path, PathBuf},
    };

    /// Reference: the test vectors of the FNV draft (draft-eastlake-fnv).
    #[test]
    fn known_values() {
        assert_eq!(extend(SEED, b""), SEED);
        assert_eq!(extend(SEED, b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(extend(SEED, b"foobar"), 0x8594_4171_f739_67e8);
    }

    /// All files below `folder`, sorted by name.
    fn files_below(folder: &Path) -> Vec<PathBuf> {
        let mut entries: Vec<PathBuf> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        entries.sort();
        entries
            .into_iter()
            .flat_map(|entry| {
                if entry.is_dir() {
                    files_below(&entry)
                } else {
                    vec![entry]
                }
            })
            .collect()
    }

    /// Every file of this crate is in the fingerprint, sorted by name. Excepted are tests, files
    /// that affect no row, and the readers of questions, because kept questions are identified by
    /// their contents.
    #[test]
    fn no_reader_is_forgotten() {
        let others = [
            "error",
            "error.rs",
            "example.rs",
            "fingerprint.rs",
            "lib.rs",
            "skipped_rows.rs",
            "squad",
            "squad.rs",
        ];
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let is_reader = |file: &PathBuf| {
            let below = file.strip_prefix(&folder).unwrap();
            !below.ends_with("tests.rs") && !others.iter().any(|other| below.starts_with(other))
        };
        let mut files = files_below(&folder);
        files.retain(is_reader);
        files.sort();
        let hash = files.iter().fold(SEED, |hash, file| {
            extend(hash, &std::fs::read(file).unwrap())
        });
        assert_eq!(hash, READERS, "{files:?}");
    }
}
