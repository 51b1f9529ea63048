//! Opens the records of a file with cells in columns, by its format. Called by `header`.

use crate::error::DataError;
use crate::format::{DataFile, Format};
use crate::readers::csv::CsvRecords;
use crate::readers::plain_text::{LabelTextRecords, LineRecords, TextFileRecord};
use crate::readers::record::Records;
use crate::readers::tsv::TsvRecords;

/// The records of a file. JSONL, columnar and column files have none.
pub(crate) fn open_records(file: &DataFile) -> Result<Box<dyn Records>, DataError> {
    Ok(match file.format {
        Format::Csv => Box::new(CsvRecords::open(file)?),
        Format::LabelText => Box::new(LabelTextRecords::open(file)?),
        Format::Lines => Box::new(LineRecords::open(file)?),
        Format::TextFile => Box::new(TextFileRecord::open(file)?),
        Format::Tsv | Format::Jsonl | Format::Parquet | Format::Arrow | Format::Conll => {
            Box::new(TsvRecords::open(file)?)
        }
    })
}
