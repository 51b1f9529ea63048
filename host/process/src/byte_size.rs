//! Amounts of memory as people write them: `512MB`, `2GiB`. Used for values of the configuration
//! and in messages.

use std::fmt;

/// A number of bytes. It is parsed from a whole or decimal number with a unit, in any case. `kB`,
/// `MB`, `GB` and `TB` are powers of 1000. `KiB`, `MiB`, `GiB` and `TiB` are powers of 1024. `B` is
/// optional. The printed form parses to the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// The units, larger ones first.
const UNITS: &[(&str, u64)] = &[
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

impl ByteSize {
    /// A description of the values that [`ByteSize::parse`] accepts.
    pub const EXPECTED: &'static str =
        "a size above 0 in bytes or with a unit, such as 512MB or 2GiB";

    /// Parses a size above 0.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let end = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (number, unit) = (&text[..end], text[end..].trim());
        let unit = match unit {
            "" => 1,
            _ => UNITS
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(unit))
                .map(|&(_, size)| size)?,
        };
        let bytes = match number.parse::<u64>() {
            Ok(number) => number.checked_mul(unit)?,
            Err(_) => {
                let bytes = (number.parse::<f64>().ok()? * unit as f64).round();
                (bytes < u64::MAX as f64).then_some(bytes as u64)?
            }
        };
        (bytes > 0).then_some(Self(bytes))
    }

    /// The size for people, rounded: `312 MB`.
    pub fn rounded(self) -> String {
        let bytes = self.0 as f64;
        match self.0 {
            0..1_000 => format!("{} B", self.0),
            1_000..1_000_000 => format!("{:.0} kB", bytes / 1e3),
            1_000_000..10_000_000_000 => format!("{:.0} MB", bytes / 1e6),
            _ => format!("{:.1} GB", bytes / 1e9),
        }
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS
            .iter()
            .find(|(_, unit)| self.0 > 0 && self.0.is_multiple_of(*unit));
        match whole {
            Some((name, unit)) if *unit > 1 => write!(f, "{}{name}", self.0 / unit),
            _ => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [
            ("1", 1),
            ("1048576", 1 << 20),
            ("512MB", 512_000_000),
            ("2GiB", 2 << 30),
            ("2 gib", 2 << 30),
            ("1.5kB", 1500),
            ("0.5GiB", 1 << 29),
            ("7b", 7),
        ] {
            assert_eq!(ByteSize::parse(text), Some(ByteSize(bytes)), "{text}");
        }
        for text in [
            "",
            "0",
            "0GB",
            "GB",
            "-1",
            "1e9",
            "1.2.3",
            "5 apples",
            "nan",
            "18446744073709551615kB",
            "99999999999999999999",
        ] {
            assert_eq!(ByteSize::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_printed_is_read_back() {
        for bytes in [
            1,
            999,
            1000,
            1024,
            1500,
            512_000_000,
            2 << 30,
            3 << 40,
            u64::MAX,
        ] {
            let text = ByteSize(bytes).to_string();
            assert_eq!(ByteSize::parse(&text), Some(ByteSize(bytes)), "{text}");
        }
        assert_eq!(ByteSize(2 << 30).to_string(), "2GiB");
        assert_eq!(ByteSize(512_000_000).to_string(), "512MB");
        assert_eq!(ByteSize(312_400_000).rounded(), "312 MB");
        assert_eq!(ByteSize(12).rounded(), "12 B");
    }
}
