//! Arbitrary bytes, and damaged good ones, in every format: an error or rows, never a panic.

use super::*;
use progtune_datasets::{Format, OnBadRow, RepairTags, TaggedData};
use proptest::prelude::*;

/// Files that are near enough to good ones to reach every part of the readers.
const SEEDS: &[&[u8]] = &[
    b"text,label\n\"a \"\"b\"\"\nc\",x\nd,y\n",
    b"text\tlabel\na\tx\n\nb\ty\n",
    b"{\"text\": \"a\", \"label\": 1}\n{\"text\": \"b\", \"label\": null}\n",
    b"A:b text here\nC other\n",
    b"a\tO\nb\tB-x\n\t\nc\tI-x\n\xEF\xBB\xBF",
    b"-DOCSTART- O\n\na b O\nc d I-x\n",
    b"{\"tokens\": [\"a\", \"b\"], \"tags\": [\"O\", 3]}\n{\"tokens\": [], \"tags\": null}\n",
    b"{\"text\": \"a\", \"label\": [\"x\", 1, null]}\n{\"text\": \"b\", \"label\": [[]]}\n",
    b"\x1F\x8B\x08\x00\x00\x00\x00\x00\x00\x03\x2B\x49\xAD\x28\xD1\xC9",
    b"\x28\xB5\x2F\xFD\x24\x09\x49\x00\x00text,labe",
    b"PAR1\x15\x04\x15\x10\x15\x14\x4C\x15\x02\x15\x00\x12\x00\x00PAR1",
];

fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    (
        prop::sample::select(SEEDS),
        changes,
        any::<prop::sample::Index>(),
        any::<bool>(),
    )
        .prop_map(|(seed, changes, cut, is_cut)| {
            let mut bytes = seed.to_vec();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if is_cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            bytes
        })
}

fn no_panic(bytes: &[u8]) {
    let dir = dir_with(&[("f", bytes)]);
    for (_, format) in Format::NAMES {
        for on_bad_row in [OnBadRow::Error, OnBadRow::Skip] {
            for text_column in [None, Some("text".to_owned())] {
                let reading = Reading {
                    format: Some(*format),
                    on_bad_row,
                    text_column,
                    ..Reading::default()
                };
                let request = train_on(dir.path(), &["f"], reading);
                match load(dir.path(), &request) {
                    Ok(data) => assert!(!data.train.is_empty()),
                    Err(message) => assert_has(&message, &[]),
                }
                no_panic_over_tags(request);
            }
        }
    }
}

/// The same as sentences with tags, their tags repaired, and as rows with several labels.
fn no_panic_over_tags(mut request: OwnRequest) {
    TaggedData::is_asked_for(&request);
    for repair in [None, Some(RepairTags::Bio), Some(RepairTags::Drop)] {
        request.reading.repair_tags = repair;
        match TaggedData::load(&request, None) {
            Ok(data) => {
                for sentence in &data.train {
                    let n_tags = sentence.tags.as_ref().map(Vec::len);
                    assert_eq!(n_tags, Some(sentence.words.len()));
                    assert!(!sentence.words.is_empty());
                }
            }
            Err(error) => assert!(!error.to_string().contains(|c: char| c.is_control())),
        }
    }
    request.reading.label_separator = Some(" ".into());
    if let Err(error) = OwnData::load(&request, None) {
        assert!(!error.to_string().contains(|c: char| c.is_control()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn damaged_files(bytes in damaged()) {
        no_panic(&bytes);
    }

    #[test]
    fn arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        no_panic(&bytes);
    }
}
