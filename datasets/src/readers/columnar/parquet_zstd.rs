//! Parquet files whose pages are compressed with zstd. The parquet library supports that codec only
//! through a C library. Its page reader is therefore told that such columns are not compressed, and
//! the pages are decompressed here, in Rust. Opened by `parquet`.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::record::reader::RowIter;
use parquet::schema::types::Type;

/// The largest page. The library trusts a page's own claim for other codecs too, but zstd packs a
/// gigabyte of zeros into a few kilobytes.
const MAX_PAGE_BYTES: u64 = 1 << 30;

/// A parquet file with any supported codec.
pub(crate) struct AnyCodec {
    inner: SerializedFileReader<File>,
    file: Arc<File>,
}

impl AnyCodec {
    /// Opens a file.
    pub(crate) fn open(path: &Path) -> std::io::Result<Result<Self>> {
        let file = File::open(path)?;
        let again = file.try_clone()?;
        Ok(SerializedFileReader::new(file).map(|inner| Self {
            inner,
            file: Arc::new(again),
        }))
    }
}

impl FileReader for AnyCodec {
    fn metadata(&self) -> &ParquetMetaData {
        self.inner.metadata()
    }

    fn num_row_groups(&self) -> usize {
        self.inner.num_row_groups()
    }

    fn get_row_group(&self, i: usize) -> Result<Box<dyn RowGroupReader + '_>> {
        Ok(Box::new(Group {
            inner: self.inner.get_row_group(i)?,
            file: Arc::clone(&self.file),
        }))
    }

    fn get_row_iter(&self, projection: Option<Type>) -> Result<RowIter<'_>> {
        RowIter::from_file(projection, self)
    }
}

struct Group<'a> {
    inner: Box<dyn RowGroupReader + 'a>,
    file: Arc<File>,
}

impl RowGroupReader for Group<'_> {
    fn metadata(&self) -> &RowGroupMetaData {
        self.inner.metadata()
    }

    fn num_columns(&self) -> usize {
        self.inner.num_columns()
    }

    fn get_column_page_reader(&self, i: usize) -> Result<Box<dyn PageReader>> {
        let column = self.metadata().column(i);
        if !matches!(column.compression(), Compression::ZSTD(_)) {
            return self.inner.get_column_page_reader(i);
        }
        let n_rows = usize::try_from(self.metadata().num_rows())
            .map_err(|error| ParquetError::General(error.to_string()))?;
        let pages =
            SerializedPageReader::new(Arc::clone(&self.file), &plain(column)?, n_rows, None)?;
        Ok(Box::new(ZstdPages { pages }))
    }

    fn get_column_bloom_filter(&self, i: usize) -> Option<&Sbbf> {
        self.inner.get_column_bloom_filter(i)
    }

    fn get_row_iter(&self, projection: Option<Type>) -> Result<RowIter<'_>> {
        RowIter::from_row_group(projection, self)
    }
}

/// The column as if its pages were uncompressed.
fn plain(column: &ColumnChunkMetaData) -> Result<ColumnChunkMetaData> {
    let builder = column.clone().into_builder();
    builder.set_compression(Compression::UNCOMPRESSED).build()
}

/// The pages of a column, each decompressed.
struct ZstdPages {
    pages: SerializedPageReader<File>,
}

impl Iterator for ZstdPages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for ZstdPages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        self.pages.get_next_page()?.map(unpacked).transpose()
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.pages.skip_next_page()
    }
}

fn unpacked(mut page: Page) -> Result<Page> {
    match &mut page {
        Page::DataPage { buf, .. } | Page::DictionaryPage { buf, .. } => {
            *buf = decompress(buf, 0)?.into();
        }
        // The levels before the values are not compressed.
        Page::DataPageV2 {
            buf,
            def_levels_byte_len,
            rep_levels_byte_len,
            is_compressed,
            ..
        } if *is_compressed => {
            let n_levels = def_levels_byte_len.saturating_add(*rep_levels_byte_len);
            *buf = decompress(buf, n_levels as usize)?.into();
        }
        Page::DataPageV2 { .. } => {}
    }
    Ok(page)
}

/// The bytes, with everything after the first `n_plain` decompressed.
fn decompress(bytes: &[u8], n_plain: usize) -> Result<Vec<u8>> {
    let wrong = |what: String| ParquetError::General(format!("a zstd page: {what}"));
    let (plain, packed) = bytes
        .split_at_checked(n_plain)
        .ok_or_else(|| wrong("levels longer than the page".to_owned()))?;
    let mut out = plain.to_vec();
    // A page without values is empty.
    if !packed.is_empty() {
        let decoder = ruzstd::decoding::StreamingDecoder::new(packed)
            .map_err(|error| wrong(error.to_string()))?;
        decoder
            .take(MAX_PAGE_BYTES)
            .read_to_end(&mut out)
            .map_err(|error| wrong(error.to_string()))?;
    }
    Ok(out)
}
