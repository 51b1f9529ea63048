//! `verification.json` beside a result: the probes and their logits, with the machine that computed
//! them. Written by a run, read by `check`.

use super::sha256;
use crate::json_text::to_text;
use progtune_engine::{EncodedExample, Error, Result};
use progtune_process::files::{
    bounded::{LARGEST_TEXT, read_text},
    write_atomically,
};
use serde_json::{Map, Value, json};
use std::path::Path;

/// The file.
pub const FILE: &str = "verification.json";
/// The version of its format.
const FORMAT_VERSION: u64 = 1;

/// A result that was loaded again and found equal to the model in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Verification {
    /// Number of validation examples that were compared.
    pub examples: usize,
    /// The probes, for later.
    pub recorded: Recorded,
}

impl Verification {
    /// The entry `verification` of `all_results.json`.
    pub fn to_json(&self, secs: f64) -> Value {
        let recorded = &self.recorded;
        json!({
            "examples": self.examples,
            "probes": recorded.probes.len(),
            "logits_sha256": sha256(&recorded.logits),
            "device": recorded.device,
            "simd": recorded.simd,
            "kernels": recorded.kernels(),
            "precision": recorded.precision,
            "secs": secs,
        })
    }
}

/// Probes, their logits, and the machine that computed them.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// The version of progtune.
    pub progtune: String,
    /// The device.
    pub device: String,
    /// The processor's instruction set.
    pub simd: String,
    /// Whether the fused kernels computed.
    pub is_fused: bool,
    /// The precision of their products.
    pub precision: String,
    /// The probes.
    pub probes: Vec<EncodedExample>,
    /// The logits of each probe, token by token for heads that read every token.
    pub logits: Vec<Vec<f32>>,
}

impl Recorded {
    fn kernels(&self) -> &'static str {
        if self.is_fused { "fused" } else { "composed" }
    }

    /// Whether both were computed in the same way, so that every bit must agree.
    pub(crate) fn is_comparable_bit_by_bit(&self, other: &Self) -> bool {
        let way = |of: &Self| {
            let texts = [&of.progtune, &of.device, &of.simd, &of.precision].map(String::clone);
            (texts, of.is_fused)
        };
        way(self) == way(other) && self.device == "cpu"
    }

    /// The way in which the logits were computed, in words.
    pub fn way(&self) -> String {
        format!(
            "progtune {}, {}, {}, {}, {} kernels",
            self.progtune,
            self.device,
            self.simd,
            self.precision,
            self.kernels()
        )
    }

    /// Writes the file.
    ///
    /// # Errors
    /// Fails if the file system refuses.
    pub fn save(&self, directory: &Path) -> Result<()> {
        let probe = |(probe, logits): (&EncodedExample, &Vec<f32>)| {
            json!({
                "input_ids": probe.input_ids,
                "token_type_ids": probe.token_type_ids,
                "logits": logits,
            })
        };
        let probes: Vec<Value> = self.probes.iter().zip(&self.logits).map(probe).collect();
        let value = json!({
            "format_version": FORMAT_VERSION,
            "progtune": self.progtune,
            "device": self.device,
            "simd": self.simd,
            "kernels": self.kernels(),
            "precision": self.precision,
            "probes": probes,
        });
        let text = to_text(&value) + "\n";
        Ok(write_atomically(&directory.join(FILE), text.as_bytes())?)
    }

    /// Reads the file; `None` if there is none.
    ///
    /// # Errors
    /// Fails if the file cannot be read or is damaged.
    pub fn read(directory: &Path) -> Result<Option<Self>> {
        let path = directory.join(FILE);
        if !path.is_file() {
            return Ok(None);
        }
        let text = read_text(&path, LARGEST_TEXT).map_err(Error::io(&path, "read"))?;
        let damaged = |what: &str| {
            Error::Model(format!(
                "{}: {what}; restore the file from a copy of the result",
                path.display()
            ))
        };
        let value: Value = serde_json::from_str(&text)
            .map_err(|error| damaged(&format!("expected JSON, found an error: {error}")))?;
        let version = &value["format_version"];
        if *version != FORMAT_VERSION {
            return Err(damaged(&format!(
                "key `format_version`: expected {FORMAT_VERSION}, found {version}"
            )));
        }
        Self::of_json(&value)
            .map(Some)
            .ok_or_else(|| damaged("expected probes with token ids and logits, found another form"))
    }

    fn of_json(value: &Value) -> Option<Self> {
        let text = |key: &str| Some(value.get(key)?.as_str()?.to_owned());
        let ids = |probe: &Map<String, Value>, key: &str| -> Option<Vec<u32>> {
            let ids = probe.get(key)?.as_array()?.iter();
            ids.map(|id| u32::try_from(id.as_u64()?).ok()).collect()
        };
        let (mut probes, mut logits) = (Vec::new(), Vec::new());
        for probe in value.get("probes")?.as_array()? {
            let probe = probe.as_object()?;
            let numbers = probe.get("logits")?.as_array()?.iter();
            let numbers = numbers.map(|logit| Some(logit.as_f64()? as f32));
            logits.push(numbers.collect::<Option<_>>()?);
            let example = EncodedExample {
                input_ids: ids(probe, "input_ids")?,
                token_type_ids: ids(probe, "token_type_ids")?,
                target: None,
            };
            let (n_ids, n_types) = (example.input_ids.len(), example.token_type_ids.len());
            if n_ids == 0 || n_ids != n_types {
                return None;
            }
            probes.push(example);
        }
        Some(Self {
            progtune: text("progtune")?,
            device: text("device")?,
            simd: text("simd")?,
            is_fused: text("kernels")? == "fused",
            // Earlier versions computed in f32 only, and did not say so.
            precision: text("precision").unwrap_or_else(|| "f32".into()),
            probes,
            logits,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded() -> Recorded {
        let probe = |n: u32| EncodedExample {
            input_ids: (0..n).collect(),
            token_type_ids: vec![0; n as usize],
            target: None,
        };
        Recorded {
            progtune: "0.2.0".into(),
            device: "cpu".into(),
            simd: "avx512".into(),
            is_fused: true,
            precision: "f32".into(),
            probes: vec![probe(2), probe(3)],
            logits: vec![vec![0.1, -1.5e-20], vec![f32::MIN_POSITIVE, 12345.678]],
        }
    }

    #[test]
    fn every_bit_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Recorded::read(folder.path()).unwrap(), None);
        recorded().save(folder.path()).unwrap();
        let read = Recorded::read(folder.path()).unwrap().unwrap();
        assert_eq!(read, recorded());
        assert!(read.is_comparable_bit_by_bit(&recorded()));
        let elsewhere = Recorded {
            simd: "avx2".into(),
            ..recorded()
        };
        assert!(!read.is_comparable_bit_by_bit(&elsewhere));
    }

    #[test]
    fn a_damaged_file_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        for text in [
            "{",
            "{}",
            r#"{"format_version": 1, "probes": [{"input_ids": [1], "token_type_ids": [], "logits": []}]}"#,
        ] {
            std::fs::write(&path, text).unwrap();
            assert!(Recorded::read(folder.path()).is_err(), "{text}");
        }
    }
}
