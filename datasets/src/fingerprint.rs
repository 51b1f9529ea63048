//! A fingerprint of source text, computed by the compiler: whoever keeps on disk what some code has made puts the code's
//! fingerprint into the key, so that no kept result outlives a change of the code. Used by the host's token cache.

/// The fingerprint of everything in this crate that decides what a file's rows become.
pub const READERS: u64 = {
    let mut hash = SEED;
    hash = extend(hash, include_bytes!("cell.rs"));
    hash = extend(hash, include_bytes!("choose_columns.rs"));
    hash = extend(hash, include_bytes!("columnar/arrow.rs"));
    hash = extend(hash, include_bytes!("columnar/arrow_messages.rs"));
    hash = extend(hash, include_bytes!("columnar/contain.rs"));
    hash = extend(hash, include_bytes!("columnar/examples.rs"));
    hash = extend(hash, include_bytes!("columnar/lists.rs"));
    hash = extend(hash, include_bytes!("columnar/objects.rs"));
    hash = extend(hash, include_bytes!("columnar/parquet.rs"));
    hash = extend(hash, include_bytes!("columnar/parquet_zstd.rs"));
    hash = extend(hash, include_bytes!("columnar/value.rs"));
    hash = extend(hash, include_bytes!("columnar.rs"));
    hash = extend(hash, include_bytes!("conll.rs"));
    hash = extend(hash, include_bytes!("csv.rs"));
    hash = extend(hash, include_bytes!("decompress.rs"));
    hash = extend(hash, include_bytes!("files.rs"));
    hash = extend(hash, include_bytes!("foreign.rs"));
    hash = extend(hash, include_bytes!("format.rs"));
    hash = extend(hash, include_bytes!("glue.rs"));
    hash = extend(hash, include_bytes!("grammar.rs"));
    hash = extend(hash, include_bytes!("header.rs"));
    hash = extend(hash, include_bytes!("hold_out.rs"));
    hash = extend(hash, include_bytes!("hub_names.rs"));
    hash = extend(hash, include_bytes!("json_document.rs"));
    hash = extend(hash, include_bytes!("json_scan.rs"));
    hash = extend(hash, include_bytes!("jsonl.rs"));
    hash = extend(hash, include_bytes!("label.rs"));
    hash = extend(hash, include_bytes!("label_form.rs"));
    hash = extend(hash, include_bytes!("learn_labels.rs"));
    hash = extend(hash, include_bytes!("lines.rs"));
    hash = extend(hash, include_bytes!("own.rs"));
    hash = extend(hash, include_bytes!("own_files.rs"));
    hash = extend(hash, include_bytes!("own_reader.rs"));
    hash = extend(hash, include_bytes!("plain_text.rs"));
    hash = extend(hash, include_bytes!("record.rs"));
    hash = extend(hash, include_bytes!("rows.rs"));
    hash = extend(hash, include_bytes!("sample.rs"));
    hash = extend(hash, include_bytes!("sample_pairs.rs"));
    hash = extend(hash, include_bytes!("separator.rs"));
    hash = extend(hash, include_bytes!("split.rs"));
    hash = extend(hash, include_bytes!("splitmix.rs"));
    hash = extend(hash, include_bytes!("table.rs"));
    hash = extend(hash, include_bytes!("tag_columns.rs"));
    hash = extend(hash, include_bytes!("tag_repair.rs"));
    hash = extend(hash, include_bytes!("tag_scheme.rs"));
    hash = extend(hash, include_bytes!("tagged.rs"));
    hash = extend(hash, include_bytes!("task.rs"));
    hash = extend(hash, include_bytes!("text_file.rs"));
    hash = extend(hash, include_bytes!("tsv.rs"));
    hash = extend(hash, include_bytes!("word_lines.rs"));
    extend(hash, include_bytes!("word_lists.rs"))
};

/// What a fingerprint starts from (the offset basis of 64-bit FNV-1a).
pub const SEED: u64 = 0xcbf2_9ce4_8422_2325;

/// `hash` with further bytes taken in, by 64-bit FNV-1a. Not for what an adversary chooses.
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

    /// Reference: the test vectors of the FNV draft (draft-eastlake-fnv).
    #[test]
    fn known_values() {
        assert_eq!(extend(SEED, b""), SEED);
        assert_eq!(extend(SEED, b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(extend(SEED, b"foobar"), 0x8594_4171_f739_67e8);
    }

    /// Every file of this crate is in the fingerprint, in the order of their names, but for those that change no row, and
    /// those of questions: what is kept of questions is known by their contents.
    #[test]
    fn no_reader_is_forgotten() {
        let others = [
            "error.rs",
            "example.rs",
            "fingerprint.rs",
            "lib.rs",
            "locate.rs",
            "metric.rs",
            "nearest.rs",
            "squad.rs",
            "survey.rs",
            "whole_text.rs",
        ];
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let folders = [folder.clone(), folder.join("columnar")];
        let mut files: Vec<std::path::PathBuf> = folders
            .iter()
            .flat_map(|folder| std::fs::read_dir(folder).unwrap())
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_file())
            .filter(|path| !others.iter().any(|name| path.ends_with(name)))
            .collect();
        files.sort();
        let hash = files.iter().fold(SEED, |hash, file| {
            extend(hash, &std::fs::read(file).unwrap())
        });
        assert_eq!(hash, READERS, "{files:?}");
    }
}
