//! Files without columns, one text per line or one per file. `table` reads from it. The parts get
//! names, so that a label can be chosen like a column.
//!
//! `label-text` lines contain a label, whitespace and the text. The column `label` is the first
//! word (`DESC:manner`), and `coarse_label` is the part before its colon (`DESC`; all of it without
//! a colon). `lines` contain only a text. Their columns are `file` (the file's name), `extension`
//! (the part after the last dot) and `folder` (the folder's name). One of these is the label if
//! each class has its own file (`rt-polarity.pos`, `rt-polarity.neg`). Blank lines are ignored.
//! `text-file` files are one text, with the same columns; `folder` is the label if each class has
//! its own folder.

use crate::error::{DataError, Place, quote};
use crate::format::{DataFile, extension};
use crate::readers::lines::{Lines, MAX_LINE_BYTES};
use crate::readers::record::{Record, Records};

/// The rows of a file in the format `label-text`.
pub(crate) struct LabelTextRecords(Lines);

/// The rows of a file in the format `lines`.
pub(crate) struct LineRecords {
    lines: Lines,
    /// The cells that are the same in every row.
    name: [String; 3],
}

/// The row of a file in the format `text-file`.
pub(crate) struct TextFileRecord {
    lines: Lines,
    name: [String; 3],
    is_read: bool,
}

/// The column of the folder's name.
pub(crate) const FOLDER: &str = "folder";

/// The columns of texts in files with telling names.
const COLUMNS: &[&str] = &["text", "file", "extension", FOLDER];

/// The cells of a file's name.
fn name_of(file: &DataFile) -> [String; 3] {
    let text =
        |name: Option<&std::ffi::OsStr>| name.unwrap_or_default().to_string_lossy().into_owned();
    let path = std::path::absolute(&file.path).unwrap_or_else(|_| file.path.clone());
    [
        text(path.file_name()),
        extension(&path).unwrap_or_default(),
        text(path.parent().and_then(|folder| folder.file_name())),
    ]
}

impl TextFileRecord {
    pub(crate) fn open(file: &DataFile) -> Result<Self, DataError> {
        Ok(Self {
            lines: Lines::open(file)?,
            name: name_of(file),
            is_read: false,
        })
    }
}

impl LabelTextRecords {
    pub(crate) fn open(file: &DataFile) -> Result<Self, DataError> {
        Ok(Self(Lines::open(file)?))
    }
}

impl LineRecords {
    pub(crate) fn open(file: &DataFile) -> Result<Self, DataError> {
        Ok(Self {
            lines: Lines::open(file)?,
            name: name_of(file),
        })
    }
}

impl Records for LabelTextRecords {
    fn next_record(&mut self, record: &mut Record) -> Result<bool, DataError> {
        let path = self.0.path().to_path_buf();
        while let Some((number, line)) = self.0.next_line()? {
            if line.trim().is_empty() {
                continue;
            }
            let Some((label, text)) = line.split_once(char::is_whitespace) else {
                return Err(DataError::NoLabelWord {
                    place: Place::line(&path, number),
                    found: quote(line),
                });
            };
            record.start(number);
            record.add_cell(text);
            record.add_cell(label);
            record.add_cell(label.split_once(':').map_or(label, |(coarse, _)| coarse));
            return Ok(true);
        }
        Ok(false)
    }

    fn fixed_columns(&self) -> Option<&'static [&'static str]> {
        Some(&["text", "label", "coarse_label"])
    }

    fn separator(&self) -> &'static str {
        "space"
    }
}

impl Records for LineRecords {
    fn next_record(&mut self, record: &mut Record) -> Result<bool, DataError> {
        while let Some((number, line)) = self.lines.next_line()? {
            if line.trim().is_empty() {
                continue;
            }
            record.start(number);
            record.add_cell(line);
            for cell in &self.name {
                record.add_cell(cell);
            }
            return Ok(true);
        }
        Ok(false)
    }

    fn fixed_columns(&self) -> Option<&'static [&'static str]> {
        Some(COLUMNS)
    }

    fn separator(&self) -> &'static str {
        "line"
    }
}

impl Records for TextFileRecord {
    fn next_record(&mut self, record: &mut Record) -> Result<bool, DataError> {
        if std::mem::replace(&mut self.is_read, true) {
            return Ok(false);
        }
        let path = self.lines.path().to_path_buf();
        record.start(1);
        let mut end_before = String::new();
        while let Some((_, line, end)) = self.lines.next_line_and_end()? {
            record.push_str(&end_before);
            record.push_str(line);
            end.clone_into(&mut end_before);
            if record.n_bytes() > MAX_LINE_BYTES {
                return Err(DataError::TooLong {
                    place: Place::file(&path),
                    what: "text",
                    found: format!("more than {} bytes", record.n_bytes()),
                    limit: MAX_LINE_BYTES,
                });
            }
        }
        record.end_cell();
        for cell in &self.name {
            record.add_cell(cell);
        }
        Ok(true)
    }

    fn fixed_columns(&self) -> Option<&'static [&'static str]> {
        Some(COLUMNS)
    }

    fn separator(&self) -> &'static str {
        "file"
    }
}
