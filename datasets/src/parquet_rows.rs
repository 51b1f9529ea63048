//! Chosen columns of a parquet file, row by row, each row with its place. Called by the readers of values
//! (`parquet_file`), of lists (`parquet_lists`) and of nested columns (`parquet_objects`).

use std::path::{Path, PathBuf};

use parquet::record::Row;
use parquet::record::reader::RowIter;
use parquet::schema::types::Type;

use crate::error::{DataError, Place};
use crate::parquet_file::{broken, contain, contradictory};
use crate::parquet_zstd::AnyCodec;

/// The rows of an open file that are left.
pub(crate) struct PlacedRows {
    path: PathBuf,
    rows: RowIter<'static>,
    /// Rows given so far.
    n_rows: usize,
}

impl PlacedRows {
    /// Every row of `reader`, the file at `path`, with the columns of `projection` in its order.
    pub(crate) fn new(path: &Path, reader: AnyCodec, projection: Type) -> Result<Self, DataError> {
        let rows = RowIter::from_file_into(Box::new(reader))
            .project(Some(projection))
            .map_err(broken(Place::file(path)))?;
        Ok(Self {
            path: path.to_path_buf(),
            rows,
            n_rows: 0,
        })
    }

    /// The next row; `None` at the end.
    pub(crate) fn next_placed(&mut self) -> Result<Option<(Place, Row)>, DataError> {
        let Some(row) = contain(|| self.rows.next()).ok_or_else(|| contradictory(&self.path))?
        else {
            return Ok(None);
        };
        self.n_rows += 1;
        let place = Place::row(&self.path, self.n_rows);
        let row = row.map_err(broken(place.clone()))?;
        Ok(Some((place, row)))
    }
}
