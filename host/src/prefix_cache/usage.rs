//! The use of the cache in an epoch, for the records and for people. Made by the prefix cache,
//! written by the recipe.

use super::budget::Place;
use progtune_process::{ByteSize, grouped};
use serde_json::{Value, json};

/// The use of the cache in one epoch.
#[derive(Debug, Clone)]
pub struct Usage {
    /// The place of the entries.
    pub place: Place,
    /// The boundary of the entries: they hold the output of the blocks below this one.
    pub boundary: usize,
    /// Number of entries held at the end of the epoch, for training and evaluation together.
    pub examples: usize,
    /// Number of all examples.
    pub(crate) all_examples: usize,
    /// Number of entries saved or replaced in the epoch.
    pub saved: usize,
    /// Size of the entries in bytes.
    pub bytes: u64,
    /// The share of this epoch's examples that started from the cache.
    pub hit_rate: f64,
    /// Number of entries found damaged since the start of the run.
    pub damaged: usize,
}

impl Usage {
    /// The cache's part of an evaluation's line in `metrics.jsonl`.
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

    /// The line in the progress output:
    /// `prefix cache: blocks 0-1 of 3,668 examples in RAM, 312 MB`.
    pub fn line(&self) -> String {
        let blocks = match self.boundary {
            1 => "block 0".to_owned(),
            b => format!("blocks 0-{}", b - 1),
        };
        let count = |examples| grouped(examples as u64);
        let examples = if self.examples == self.all_examples {
            count(self.examples)
        } else {
            format!("{} of {}", count(self.examples), count(self.all_examples))
        };
        let place = match self.place {
            Place::Ram => "in RAM",
            Place::Disk => "on disk",
            Place::Gpu => "on the GPU",
        };
        let size = ByteSize(self.bytes).rounded();
        format!("prefix cache: {blocks} of {examples} examples {place}, {size}")
    }

    fn place_name(&self) -> &'static str {
        match self.place {
            Place::Ram => "ram",
            Place::Disk => "disk",
            Place::Gpu => "gpu",
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
