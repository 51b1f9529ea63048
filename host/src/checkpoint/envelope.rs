//! A text with its length and hash, so that every flipped bit and every missing byte is noticed.
//! The form of a checkpoint's `step-N.json`.

use crate::digest::of_bytes;

/// The first word of the file, and the version of its form.
const MAGIC: &str = "progtune-checkpoint";
const VERSION: u32 = 1;

/// The text in its envelope.
pub(super) fn seal(text: &str) -> String {
    let hash = of_bytes(text.as_bytes());
    format!("{MAGIC} {VERSION} {} {hash}\n{text}", text.len())
}

/// The text in an envelope.
///
/// # Errors
/// Says what was expected and what was found.
pub(super) fn open(bytes: &[u8]) -> Result<&str, String> {
    let damaged = |what: String| format!("damaged: {what}");
    let text = std::str::from_utf8(bytes).map_err(|_| damaged("it is not UTF-8".into()))?;
    let (first, text) = text
        .split_once('\n')
        .ok_or_else(|| damaged("its first line is incomplete".into()))?;
    let words: Vec<&str> = first.split(' ').collect();
    let [MAGIC, version, length, hash] = words[..] else {
        return Err(damaged(format!("expected `{MAGIC}` in its first line")));
    };
    if version != VERSION.to_string() {
        return Err(format!(
            "expected the format version {VERSION}, found {version:.20}; continue the run with the version of progtune that \
             began it"
        ));
    }
    if length != text.len().to_string() {
        let found = text.len();
        return Err(damaged(format!(
            "expected {length:.20} bytes, found {found}"
        )));
    }
    if hash != of_bytes(text.as_bytes()) {
        return Err(damaged("its SHA-256 differs from the recorded one".into()));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let sealed = seal("{\"step\": 3}\n").into_bytes();
        assert_eq!(open(&sealed).unwrap(), "{\"step\": 3}\n");
        for at in 0..sealed.len() {
            assert!(open(&sealed[..at]).is_err(), "cut at {at}");
            for bit in 0..8 {
                let mut other = sealed.clone();
                other[at] ^= 1 << bit;
                assert!(open(&other).is_err(), "byte {at}, bit {bit}");
            }
        }
        let newer = String::from_utf8(sealed).unwrap();
        let newer = newer.replacen(" 1 ", " 2 ", 1);
        assert!(open(newer.as_bytes()).unwrap_err().contains("version 1"));
    }
}
