//! What a data file is made of: its format and the encoding of its text. `locate` and `own` decide on them, `rows` opens
//! the reader for them.

use std::path::{Path, PathBuf};

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};

/// A format of data files. Text formats may be compressed with gzip or zstd, which their contents tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Cells with commas (or semicolons, bars or tabs, which are recognised) between them, quoted as in RFC 4180; a header line.
    Csv,
    /// Tab-separated cells, nothing quoted; a header line.
    Tsv,
    /// A JSON object a line.
    Jsonl,
    /// Parquet: uncompressed, snappy, gzip, zstd, lz4 or brotli.
    Parquet,
    /// Arrow: Feather of version 2, the file format, and streams, plain or with lz4 or zstd.
    Arrow,
    /// `LABEL text` a line, as in TREC.
    LabelText,
    /// A text a line; what tells its label is the file's name.
    Lines,
    /// A word and its tags a line, an empty line after each sentence, as in the CoNLL tasks.
    Conll,
}

impl Format {
    /// Their names in configurations.
    pub const NAMES: &'static [(&'static str, Self)] = &[
        ("csv", Self::Csv),
        ("tsv", Self::Tsv),
        ("jsonl", Self::Jsonl),
        ("parquet", Self::Parquet),
        ("arrow", Self::Arrow),
        ("label-text", Self::LabelText),
        ("lines", Self::Lines),
        ("conll", Self::Conll),
    ];

    /// The name; where files are known by an extension, it is that.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::Jsonl => "jsonl",
            Self::Parquet => "parquet",
            Self::Arrow => "arrow",
            Self::LabelText => "label-text",
            Self::Lines => "lines",
            Self::Conll => "conll",
        }
    }

    /// The format that a file's name tells, `.gz` and `.zst` aside; `None` if it tells none.
    pub fn of_name(path: &Path) -> Option<Self> {
        match extension(path)?.as_str() {
            "csv" => Some(Self::Csv),
            "tsv" | "tab" => Some(Self::Tsv),
            "jsonl" | "ndjson" | "json" => Some(Self::Jsonl),
            "parquet" => Some(Self::Parquet),
            "arrow" | "feather" | "ipc" => Some(Self::Arrow),
            "conll" | "conllu" | "bio" | "iob" | "iob2" => Some(Self::Conll),
            _ => None,
        }
    }
}

/// JSON files that describe a data set, beside the files that hold it.
const DESCRIPTIONS: &[&str] = &[
    "dataset_infos.json",
    "dataset_info.json",
    "dataset_dict.json",
    "state.json",
    "config.json",
];

/// Whether a file in a data set's directory may hold rows, by its name: neither a description of the set nor what Hugging
/// Face's `datasets` keeps of a computation (`cache-….arrow`).
pub fn may_hold_rows(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| {
        let is_kept = name.starts_with("cache-") && name.ends_with(".arrow");
        !is_kept && !DESCRIPTIONS.contains(&name)
    })
}

/// A file name's extension in lower case, once `.gz` or `.zst` is taken off.
pub(crate) fn extension(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?.to_lowercase();
    let name = [".gz", ".zst"]
        .iter()
        .find_map(|end| name.strip_suffix(end))
        .unwrap_or(&name);
    name.rsplit_once('.').map(|(_, end)| end.to_owned())
}

/// The encoding of a text file; UTF-8 unless something else is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextEncoding(pub(crate) &'static Encoding);

impl Default for TextEncoding {
    fn default() -> Self {
        Self(encoding_rs::UTF_8)
    }
}

impl TextEncoding {
    /// The encoding with this label of the WHATWG Encoding Standard (`utf-8`, `windows-1252`, `latin1`, `shift_jis`), in
    /// any case. `None` if there is none, or if its line ends are not a byte (ISO-2022-JP) and it is not UTF-16, which is
    /// made UTF-8 before lines are looked for.
    pub fn by_name(name: &str) -> Option<Self> {
        let has_lines = |encoding: &&'static Encoding| {
            encoding.is_ascii_compatible() || [UTF_16LE, UTF_16BE].contains(encoding)
        };
        Encoding::for_label(name.as_bytes())
            .filter(has_lines)
            .map(Self)
    }

    /// The standard's name, in lower case.
    pub fn name(self) -> String {
        self.0.name().to_lowercase()
    }
}

/// Where the names of a CSV or TSV file's columns are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Header {
    /// In the first row.
    #[default]
    FirstRow,
    /// Not in the file: these are they, or numbers from 1 if there are none.
    Absent(Vec<String>),
    /// As in the files that a model was trained on, which had no header: a file whose first row has one of these names has
    /// one for all that.
    Learned(Vec<String>),
}

/// A file and how to read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFile {
    /// The file.
    pub path: PathBuf,
    /// Its format.
    pub format: Format,
    /// The encoding of its text; parquet and Arrow are UTF-8 whatever it says.
    pub encoding: TextEncoding,
    /// Where its columns' names are.
    pub header: Header,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_formats() {
        for (name, format) in [
            ("a.csv", Some(Format::Csv)),
            ("a.CSV.GZ", Some(Format::Csv)),
            ("a.b.jsonl.zst", Some(Format::Jsonl)),
            ("train-00000-of-00001.parquet", Some(Format::Parquet)),
            ("a.feather", Some(Format::Arrow)),
            ("data-00000-of-00001.arrow", Some(Format::Arrow)),
            ("en-ud-train.conllu", Some(Format::Conll)),
            ("a.tab", Some(Format::Tsv)),
            ("a.iob2.gz", Some(Format::Conll)),
            ("TREC.train", None),
            ("csv", None),
        ] {
            assert_eq!(Format::of_name(Path::new(name)), format, "{name}");
        }
        for (name, format) in Format::NAMES {
            assert_eq!(format.as_str(), *name);
        }
    }

    #[test]
    fn descriptions_hold_no_rows() {
        for (name, expected) in [
            ("train/data-00000-of-00001.arrow", true),
            ("train/cache-1b2f9a.arrow", false),
            ("train/state.json", false),
            ("dataset_dict.json", false),
            ("states.json", true),
        ] {
            assert_eq!(may_hold_rows(Path::new(name)), expected, "{name}");
        }
    }

    #[test]
    fn encodings_have_line_ends() {
        let name = |label| TextEncoding::by_name(label).map(TextEncoding::name);
        assert_eq!(name("UTF8"), Some("utf-8".to_owned()));
        assert_eq!(name("Windows-1252"), Some("windows-1252".to_owned()));
        assert_eq!(name("latin1"), Some("windows-1252".to_owned()));
        assert_eq!(name("utf-16"), Some("utf-16le".to_owned()));
        assert_eq!(name("UTF-16BE"), Some("utf-16be".to_owned()));
        assert_eq!(name("iso-2022-jp"), None);
        assert_eq!(name("klingon"), None);
    }
}
