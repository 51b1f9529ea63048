//! Files without columns, one text per line. `table` reads from it. The parts get names, so that a
//! label can be chosen like a column.
//!
//! `label-text` lines contain a label, whitespace and the text. The column `label` is the first
//! word (`DESC:manner`), and `coarse_label` is the part before its colon (`DESC`; all of it without
//! a colon). `lines` contain only a text. Their columns are `file` (the file's name), `extension`
//! (the part after the last dot) and `folder` (the folder's name). One of these is the label if
//! each class has its own file (`rt-polarity.pos`, `rt-polarity.neg`). Blank lines are ignored.

use crate::error::{DataError, Place, quote};
use crate::format::{DataFile, extension};
use crate::readers::lines::Lines;
use crate::readers::record::{Record, Records};

/// The rows of a file in the format `label-text`.
pub(crate) struct LabelTextRecords(Lines);

/// The rows of a file in the format `lines`.
pub(crate) struct LineRecords {
    lines: Lines,
    /// The cells that are the same in every row.
    name: [String; 3],
}

impl LabelTextRecords {
    pub(crate) fn open(file: &DataFile) -> Result<Self, DataError> {
        Ok(Self(Lines::open(file)?))
    }
}

impl LineRecords {
    pub(crate) fn open(file: &DataFile) -> Result<Self, DataError> {
        let text = |name: Option<&std::ffi::OsStr>| {
            name.unwrap_or_default().to_string_lossy().into_owned()
        };
        let path = std::path::absolute(&file.path).unwrap_or_else(|_| file.path.clone());
        Ok(Self {
            lines: Lines::open(file)?,
            name: [
                text(path.file_name()),
                extension(&path).unwrap_or_default(),
                text(path.parent().and_then(|folder| folder.file_name())),
            ],
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
        Some(&["text", "file", "extension", "folder"])
    }

    fn separator(&self) -> &'static str {
        "line"
    }
}
