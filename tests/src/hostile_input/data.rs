//! Data files of users. `datasets/tests/corpus.rs` tries further forms and noise.

use super::{checked, file};
use progtune_datasets::{OnBadRow, OwnData, OwnRequest, Reading, RepairTags, TaggedData};

fn request(name: &str, bytes: &[u8]) -> OwnRequest {
    OwnRequest {
        train: vec![file(name, bytes).display().to_string()],
        ..OwnRequest::default()
    }
}

fn read_rows(name: &str, bytes: &[u8]) {
    for on_bad_row in [OnBadRow::Error, OnBadRow::Skip] {
        let reading = Reading {
            on_bad_row,
            ..Reading::default()
        };
        let request = OwnRequest {
            reading,
            ..request(name, bytes)
        };
        if let Some(data) = checked(OwnData::load(&request, None)) {
            assert!(!data.train.is_empty());
        }
    }
}

pub(super) fn read_csv(bytes: &[u8]) {
    read_rows("x.csv", bytes);
}

pub(super) fn read_jsonl(bytes: &[u8]) {
    read_rows("x.jsonl", bytes);
}

pub(super) fn read_conll(bytes: &[u8]) {
    for repair_tags in [None, Some(RepairTags::Bio)] {
        let mut request = request("x.conll", bytes);
        request.reading.repair_tags = repair_tags;
        let data = checked(TaggedData::load(&request, None));
        for sentence in data.iter().flat_map(|data| &data.train) {
            let n_tags = sentence.tags.as_ref().map(Vec::len);
            assert_eq!(n_tags, Some(sentence.words.len()));
        }
    }
}
