//! Files of a different kind from what their names say, recognised by their first bytes. One line
//! says what the file is and how to convert it, or which format reads it. Called wherever a file is
//! opened.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::error::{DataError, TableError};
use crate::format::Format;

/// The number of leading bytes inspected.
const N_BYTES: u64 = 4096;

/// The kind of file, and how to convert it into a supported one.
type Kind = (&'static str, &'static str);

const PANDAS_EXCEL: &str = "save the sheet as CSV (UTF-8), or convert it with `python -c \"import pandas; \
     pandas.read_excel('FILE').to_csv('FILE.csv', index=False)\"`";

/// Kinds by first bytes. Zip and OLE files can hold many things and are inspected further.
const KINDS: &[(&[u8], Kind)] = &[
    (
        b"SQLite format 3\0",
        (
            "an SQLite database",
            "export the table with `sqlite3 -header -csv FILE 'SELECT * FROM table' > FILE.csv`",
        ),
    ),
    (
        b"FEA1",
        (
            "a feather file of version 1",
            "write it again with pandas' `to_feather`, which writes version 2, or with `to_parquet`",
        ),
    ),
    (
        b"ORC",
        (
            "an ORC file",
            "convert it with `python -c \"import pandas; pandas.read_orc('FILE').to_parquet('FILE.parquet')\"`",
        ),
    ),
    (
        b"Obj\x01",
        (
            "an Avro file",
            "convert it to JSONL, for example with `avro-tools tojson FILE > FILE.jsonl`",
        ),
    ),
    (
        b"\x93NUMPY",
        (
            "a NumPy array",
            "write the rows as CSV or JSONL with their columns named",
        ),
    ),
    (
        b"\x89HDF\r\n\x1a\n",
        (
            "an HDF5 file",
            "convert it with pandas: `pandas.read_hdf('FILE').to_parquet('FILE.parquet')`",
        ),
    ),
    (
        b"%PDF-",
        ("a PDF", "write its texts as CSV or JSONL, one text per row"),
    ),
    (
        b"BZh",
        (
            "a file compressed with bzip2",
            "unpack it with `bunzip2`, or compress it with gzip or zstd",
        ),
    ),
    (
        b"\xFD7zXZ\0",
        (
            "a file compressed with xz",
            "unpack it with `unxz`, or compress it with gzip or zstd",
        ),
    ),
    (
        b"\x04\x22\x4D\x18",
        (
            "a file compressed with lz4",
            "unpack it with `unlz4`, or compress it with gzip or zstd",
        ),
    ),
    (
        b"7z\xBC\xAF\x27\x1C",
        ("a 7z archive", "unpack it and name the files inside"),
    ),
    (
        b"Rar!\x1a\x07",
        ("a RAR archive", "unpack it and name the files inside"),
    ),
    (
        b"version https://git-lfs.github.com/spec/",
        (
            "a pointer of Git LFS in place of the file",
            "fetch the file itself with `git lfs pull`",
        ),
    ),
];

/// Columnar files by their first bytes: their kind, and the format that reads them.
const COLUMNAR: &[(&[u8], &str, Format)] = &[
    (b"PAR1", "a parquet file", Format::Parquet),
    (
        b"ARROW1",
        "an Arrow file (Feather of version 2)",
        Format::Arrow,
    ),
    (
        b"\xFF\xFF\xFF\xFF",
        "an Arrow stream, as Hugging Face's `save_to_disk` writes it",
        Format::Arrow,
    ),
];

/// The format of a columnar file that begins with these bytes.
pub(crate) fn columnar_format(start: &[u8]) -> Option<Format> {
    let mut columnar = COLUMNAR.iter();
    let found = columnar.find(|(magic, ..)| start.starts_with(magic));
    found.map(|(.., format)| *format)
}

/// Whether bytes may be text.
fn may_be_text(start: &[u8]) -> bool {
    !start.iter().any(|&byte| byte < 9)
}

/// The kind of a file that begins with these bytes, if the kind is known and not supported.
fn recognise(start: &[u8]) -> Option<Kind> {
    if let Some((_, kind)) = KINDS.iter().find(|(magic, _)| start.starts_with(magic)) {
        // `ORC` and `BZh` may also begin a text.
        let is_text = may_be_text(start) && !start.starts_with(b"version ");
        return (!is_text).then_some(*kind);
    }
    let has = |name: &[u8]| start.windows(name.len()).any(|part| part == name);
    match start {
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Some(
            if has(b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet") {
                (
                    "an OpenDocument spreadsheet (.ods)",
                    "save the sheet as CSV (UTF-8) and give that file",
                )
            } else if has(b"xl/") || has(b"[Content_Types].xml") {
                ("an Excel workbook (.xlsx)", PANDAS_EXCEL)
            } else {
                (
                    "a zip archive",
                    "unpack it with `unzip` and name the files inside",
                )
            },
        ),
        [0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1, ..] => {
            Some(("an Excel workbook in the old format (.xls)", PANDAS_EXCEL))
        }
        // A protocol number from 2 to 5, and an operation with which a pickle begins.
        [
            0x80,
            2..=5,
            b'c' | b'}' | b']' | b'(' | b'X' | 0x95 | 0x8C,
            ..,
        ] => Some((
            "a Python pickle",
            "a pickle can run any program when it is loaded; if you trust it, convert it with `python -c \"import pandas; \
             pandas.read_pickle('FILE').to_parquet('FILE.parquet')\"`",
        )),
        _ => None,
    }
}

/// Refuses a file that begins with these bytes if its kind is not supported, or if it is columnar
/// and not read as `format`.
///
/// # Errors
/// The file is of such a kind.
pub(crate) fn refuse(path: &Path, start: &[u8], format: Option<Format>) -> Result<(), DataError> {
    let mut columnar = COLUMNAR.iter();
    if let Some((_, what, is)) = columnar.find(|(magic, ..)| start.starts_with(magic)) {
        return if format == Some(*is) || may_be_text(start) {
            Ok(())
        } else {
            Err(TableError::OtherFormat {
                path: path.to_path_buf(),
                what,
                format: is.as_str(),
            }
            .into())
        };
    }
    match recognise(start) {
        None => Ok(()),
        Some((what, advice)) => Err(TableError::Foreign {
            path: path.to_path_buf(),
            what,
            advice: advice.replace("FILE", &path.display().to_string()),
        }
        .into()),
    }
}

/// Like [`refuse`], for a file that is not open. A file that cannot be opened is left to its
/// reader.
pub(crate) fn refuse_file(path: &Path, format: Option<Format>) -> Result<(), DataError> {
    let mut start = Vec::new();
    if path.is_file()
        && let Ok(file) = File::open(path)
        && file.take(N_BYTES).read_to_end(&mut start).is_ok()
    {
        return refuse(path, &start, format);
    }
    Ok(())
}
