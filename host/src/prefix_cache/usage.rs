//! What the cache did in an epoch, for the records and for the person. Made by the prefix cache, written by the trainer.

use super::budget::Place;
use progtune_process::{byte_size::ByteSize, thousands::grouped};
use serde_json::{Value, json};

/// An epoch of the cache.
#[derive(Debug, Clone)]
pub struct Usage {
    /// Where the entries are.
    pub place: Place,
    /// The entries hold the output of the blocks below this one.
    pub boundary: usize,
    /// Entries held at the end of the epoch, training and evaluation together.
    pub examples: usize,
    /// Examples there are.
    pub all_examples: usize,
    /// Entries saved or saved again in the epoch.
    pub saved: usize,
    /// Bytes the entries take.
    pub bytes: u64,
    /// The share of this epoch's examples that started from the cache.
    pub hit_rate: f64,
    /// Entries that turned out damaged since the start of the run.
    pub damaged: usize,
}

impl Usage {
    /// The part of an evaluation's line in `metrics.jsonl`.
    pub fn to_json(&self) -> Value {
        let mut json = json!({
            "place": self.place_name(),
            "boundary": self.boundary,
            "examples": self.examples,
            "bytes": self.bytes,
            "hit_rate": self.hit_rate,
        });
        if self.damaged > 0 {
            json["damaged"] = json!(self.damaged);
        }
        json
    }

    /// The line of the progress: `blocks 0-1 of 3,668 examples in RAM, 312 MB`.
    pub fn line(&self) -> String {
        let blocks = match self.boundary {
            1 => "block 0".to_owned(),
            b => format!("blocks 0-{}", b - 1),
        };
        let count = |examples| grouped(examples as u64);
        let examples = match self.examples == self.all_examples {
            true => count(self.examples),
            false => format!("{} of {}", count(self.examples), count(self.all_examples)),
        };
        let place = match self.place {
            Place::Ram => "in RAM",
            Place::Disk => "on disk",
        };
        let size = ByteSize(self.bytes).rounded();
        format!("prefix cache: {blocks} of {examples} examples {place}, {size}")
    }

    fn place_name(&self) -> &'static str {
        match self.place {
            Place::Ram => "ram",
            Place::Disk => "disk",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_in_words() {
        let mut usage = Usage {
            place: Place::Ram,
            boundary: 2,
            examples: 3668,
            all_examples: 3668,
            saved: 0,
            bytes: 312_000_000,
            hit_rate: 1.0,
            damaged: 0,
        };
        assert_eq!(
            usage.line(),
            "prefix cache: blocks 0-1 of 3,668 examples in RAM, 312 MB"
        );
        (usage.boundary, usage.examples, usage.place) = (1, 7, Place::Disk);
        assert_eq!(
            usage.line(),
            "prefix cache: block 0 of 7 of 3,668 examples on disk, 312 MB"
        );
        assert!(usage.to_json().get("damaged").is_none());
    }
}
