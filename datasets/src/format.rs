//! The format of a data file and the encoding of its text. `locate` and `own` choose them; `rows`
//! opens the matching reader.

use std::path::{Path, PathBuf};

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};

/// A format of data files. Text formats may be compressed with gzip or zstd; the first bytes reveal
/// it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Cells separated by commas (or by semicolons, bars or tabs, which are recognised) and quoted
    /// as in RFC 4180, with a header line.
    Csv,
    /// Tab-separated cells without quoting, with a header line.
    Tsv,
    /// One JSON object per line.
    Jsonl,
    /// Parquet: uncompressed, snappy, gzip, zstd, lz4 or brotli.
    Parquet,
    /// Arrow: Feather version 2, the file format, and streams; uncompressed or with lz4 or zstd.
    Arrow,
    /// `LABEL text` per line, as in TREC.
    LabelText,
    /// One text per line; the file's name determines the label.
    Lines,
    /// One text per file; the folder's name determines the label, as in IMDb's `aclImdb`.
    TextFile,
    /// One word with its tags per line and an empty line after each sentence, as in the CoNLL
    /// tasks.
    Conll,
}

impl Format {
    /// The formats and their names in configurations.
    pub const NAMES: &'static [(&'static str, Self)] = &[
        ("csv", Self::Csv),
        ("tsv", Self::Tsv),
        ("jsonl", Self::Jsonl),
        ("parquet", Self::Parquet),
        ("arrow", Self::Arrow),
        ("label-text", Self::LabelText),
        ("lines", Self::Lines),
        ("text-file", Self::TextFile),
        ("conll", Self::Conll),
    ];

    /// The name: the file extension, if the format has one.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::Jsonl => "jsonl",
            Self::Parquet => "parquet",
            Self::Arrow => "arrow",
            Self::LabelText => "label-text",
            Self::Lines => "lines",
            Self::TextFile => "text-file",
            Self::Conll => "conll",
        }
    }

    /// The format that a file's name indicates, ignoring `.gz` and `.zst`; `None` if it indicates
    /// none.
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

/// JSON files that describe a data set and lie beside its data files.
const DESCRIPTIONS: &[&str] = &[
    "dataset_infos.json",
    "dataset_info.json",
    "dataset_dict.json",
    "state.json",
    "config.json",
];

/// Whether a file in a data set's directory may hold rows, judging by its name. Neither the set's
/// descriptions nor the results that Hugging Face's `datasets` caches (`cache-….arrow`) do.
pub fn may_hold_rows(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| {
        let is_kept = name.starts_with("cache-") && name.ends_with(".arrow");
        !is_kept && !DESCRIPTIONS.contains(&name)
    })
}

/// A file name's extension in lower case, after removing `.gz` or `.zst`.
pub(crate) fn extension(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?.to_lowercase();
    let name = [".gz", ".zst"]
        .iter()
        .find_map(|end| name.strip_suffix(end))
        .unwrap_or(&name);
    name.rsplit_once('.').map(|(_, end)| end.to_owned())
}

/// The encoding of a text file; the default is UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextEncoding(pub(crate) &'static Encoding);

impl Default for TextEncoding {
    fn default() -> Self {
        Self(encoding_rs::UTF_8)
    }
}

impl TextEncoding {
    /// The encoding with this label in the WHATWG Encoding Standard (`utf-8`, `windows-1252`,
    /// `latin1`, `shift_jis`), in any case. Unknown labels give `None`. So do encodings whose line
    /// ends are not a single byte (ISO-2022-JP), except UTF-16, which is converted to UTF-8 before
    /// lines are split.
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

/// The origin of a CSV or TSV file's column names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Header {
    /// The first row.
    #[default]
    FirstRow,
    /// The user: the file has no header. An empty list numbers the columns from 1.
    Absent(Vec<String>),
    /// The training files, which had no header. If a file's first row contains one of these names,
    /// it has a header nevertheless.
    Learned(Vec<String>),
}

/// A file and how to read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFile {
    /// The file.
    pub path: PathBuf,
    /// Its format.
    pub format: Format,
    /// The encoding of its text. Parquet and Arrow are always UTF-8.
    pub encoding: TextEncoding,
    /// The origin of its column names.
    pub header: Header,
    /// The key of the rows in a JSON document that has several lists of rows.
    pub part: Option<String>,
}

impl DataFile {
    /// The file with what the user gives to read it: its path, and the key after `#` if there is
    /// one.
    pub fn given(&self) -> String {
        let path = self.path.display();
        match &self.part {
            None => path.to_string(),
            Some(part) => format!("{path}#{part}"),
        }
    }
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
