//! JSON files that consist of one document rather than one object per line. The document is an
//! array of rows, `{"data": [rows]}`, one list per column, a list of rows under each of several
//! keys, or consecutive objects that span several lines. A row is an object, or a list of values
//! whose columns are numbered. Rows are read from the file one at a time. Called by `jsonl`, and by
//! the reader of questions to determine a file's layout.

use std::path::Path;

use serde_json::{Map, Value};

use crate::error::{DataError, Place, TableError};
use crate::format::DataFile;
use crate::readers::json_scan::{JsonScan, without_nan};
use crate::readers::json_value::row_of_array;

/// The key of the rows if they are not the whole document.
const DATA: &str = "data";

/// Lists under these names are the words of a sentence.
const WORDS: [&str; 2] = ["tokens", "words"];

/// The layout of the rows in a JSON file.
#[derive(Debug, PartialEq)]
pub(crate) enum Layout {
    /// One object per line.
    Lines,
    /// Consecutive objects, not one per line.
    Values,
    /// An array.
    Array,
    /// An array under `data`.
    Data,
    /// One list for each of these columns.
    Columns(Vec<String>),
    /// A list of rows under each of these keys, of which the user chooses one.
    Lists(Vec<String>),
    /// The list of rows under this key.
    Part(String),
}

/// The layout of a file, and the first row of a document.
pub(crate) struct Detected {
    pub(crate) layout: Layout,
    pub(crate) first: Option<Value>,
}

/// Inspects a file up to the end of its first value. Anything that is not JSON is left to the
/// reader of lines.
///
/// # Errors
/// The file cannot be read, or is a table that pandas wrote by index.
pub(crate) fn detect(file: &DataFile) -> Result<Detected, DataError> {
    if let Some(part) = &file.part {
        return Ok(Detected {
            layout: Layout::Part(part.clone()),
            first: None,
        });
    }
    let mut scan = JsonScan::open(file)?;
    let plain = |layout| {
        Ok(Detected {
            layout,
            first: None,
        })
    };
    match scan.peek()? {
        Some(b'[') => {
            scan.take(b'[')?;
            let line = scan.line();
            match scan.peek()? {
                Some(b'{') => Ok(Detected {
                    layout: Layout::Array,
                    first: first_row(&mut scan),
                }),
                Some(b']' | b'[') => plain(Layout::Array),
                _ if scan.line() > line => plain(Layout::Array),
                _ => plain(Layout::Lines),
            }
        }
        Some(b'{') => match of_object(file, &mut scan) {
            Ok(detected) => Ok(detected),
            Err(DataError::Table(error)) if matches!(*error, TableError::JsonLayout { .. }) => {
                plain(Layout::Lines)
            }
            Err(error) => Err(error),
        },
        _ => plain(Layout::Lines),
    }
}

fn first_row(scan: &mut JsonScan) -> Option<Value> {
    let bytes = scan.value(1).ok()?;
    parse(scan, 1, bytes)
        .ok()
        .map(|(_, row)| Value::Object(row))
}

fn of_object(file: &DataFile, scan: &mut JsonScan) -> Result<Detected, DataError> {
    let start = scan.line();
    let mut keys: Vec<(String, u8)> = Vec::new();
    let mut first = None;
    // Whether each value is a list whose first element is a list or an object.
    let mut hold_rows = true;
    scan.expect(b'{', "an object")?;
    while scan.peek()? != Some(b'}') {
        if !keys.is_empty() {
            scan.expect(b',', "a comma or the end of the object")?;
        }
        let key = key(scan)?;
        let Some(begin) = scan.peek()? else {
            return Err(scan.unexpected("a value"));
        };
        if key == DATA && begin == b'[' {
            let is_whole = skip_rows(scan, start, &mut first);
            // A truncated document is still a document: its reader reports where it ends.
            if first.is_some() && (is_whole.is_err() || scan.line() > start) {
                return Ok(Detected {
                    layout: Layout::Data,
                    first,
                });
            }
            is_whole?;
            hold_rows &= first.is_some();
        } else if begin == b'[' {
            hold_rows &= skip_list(scan)?;
        } else {
            hold_rows = false;
            scan.skip()?;
        }
        keys.push((key, begin));
    }
    scan.take(b'}')?;
    let is_one_line = scan.line() == start;
    // Unreadable bytes also count as a further value; the reader reports the reason.
    let is_alone = matches!(scan.peek(), Ok(None));
    let all_begin = |with: u8| keys.len() > 1 && keys.iter().all(|(_, begin)| *begin == with);
    let names = || keys.iter().map(|(key, _)| key.clone()).collect();
    let has_words = keys.iter().any(|(key, _)| WORDS.contains(&key.as_str()));
    let layout = match (is_alone, is_one_line) {
        (true, _) if first.is_some() => Layout::Data,
        (true, _) if all_begin(b'[') && !has_words && hold_rows => Layout::Lists(names()),
        (true, _) if all_begin(b'[') && !has_words => Layout::Columns(names()),
        (true, _) if all_begin(b'{') => {
            return Err(TableError::JsonByIndex {
                path: file.path.clone(),
                columns: names(),
            }
            .into());
        }
        (_, false) => Layout::Values,
        (_, true) => Layout::Lines,
    };
    let first = first.filter(|_| layout == Layout::Data);
    Ok(Detected { layout, first })
}

/// Skips the array of rows, or only its first row if that extends beyond the line `start`. The
/// first row is stored in `first` if it is an object.
fn skip_rows(
    scan: &mut JsonScan,
    start: usize,
    first: &mut Option<Value>,
) -> Result<(), DataError> {
    scan.expect(b'[', "an array")?;
    if scan.peek()? == Some(b'{') {
        *first = first_row(scan);
        if scan.line() > start {
            return Ok(());
        }
        scan.take(b',')?;
    }
    while !scan.take(b']')? {
        scan.skip()?;
        scan.take(b',')?;
    }
    Ok(())
}

/// Skips a list, and says whether its first element is a list or an object.
fn skip_list(scan: &mut JsonScan) -> Result<bool, DataError> {
    scan.expect(b'[', "an array")?;
    let holds_rows = matches!(scan.peek()?, Some(b'[' | b'{'));
    while !scan.take(b']')? {
        scan.skip()?;
        if !scan.take(b',')? && scan.peek()? != Some(b']') {
            return Err(scan.unexpected("a comma or the end of the array"));
        }
    }
    Ok(holds_rows)
}

fn key(scan: &mut JsonScan) -> Result<String, DataError> {
    if scan.peek()? != Some(b'"') {
        return Err(scan.unexpected("a key in quotes"));
    }
    let bytes = scan.value(1)?;
    let Ok(key) = serde_json::from_slice(&bytes) else {
        return Err(scan.unexpected("a key in quotes before this"));
    };
    scan.expect(b':', "a colon after the key")?;
    Ok(key)
}

/// An object with its place.
type Located = (Place, Map<String, Value>);

fn parse(scan: &JsonScan, row: usize, bytes: Vec<u8>) -> Result<Located, DataError> {
    let place = Place::row(scan.path(), row);
    match value(scan, &place, bytes)? {
        Value::Object(object) => Ok((place, object)),
        Value::Array(items) if items.len() > 1 => Ok((place, row_of_array(items))),
        other => Err(DataError::NotAnObject {
            place,
            found: crate::readers::json_value::describe(&other),
        }),
    }
}

fn value(scan: &JsonScan, place: &Place, bytes: Vec<u8>) -> Result<Value, DataError> {
    let wrong = |message: String| {
        DataError::from(TableError::JsonElement {
            place: place.clone(),
            line: scan.line(),
            message: message
                .split(" at line ")
                .next()
                .unwrap_or_default()
                .to_owned(),
        })
    };
    let text = String::from_utf8(bytes).map_err(|error| wrong(error.to_string()))?;
    serde_json::from_str(&text).or_else(|error| match without_nan(&text) {
        Some(text) => serde_json::from_str(&text).map_err(|error| wrong(error.to_string())),
        None => Err(wrong(error.to_string())),
    })
}

/// The rows of a document, one at a time.
pub(crate) struct Elements {
    scan: JsonScan,
    layout: Layout,
    n_rows: usize,
    is_over: bool,
}

impl Elements {
    /// The rows of a file with this layout: an array, `data`, or consecutive values.
    pub(crate) fn open(file: &DataFile, layout: Layout) -> Result<Self, DataError> {
        let mut scan = JsonScan::open(file)?;
        match &layout {
            Layout::Array => scan.expect(b'[', "an array of rows")?,
            Layout::Data => enter(&mut scan, DATA)?,
            Layout::Part(part) => enter(&mut scan, part)?,
            Layout::Lists(names) => {
                return Err(TableError::JsonLists {
                    path: file.path.clone(),
                    lists: names.clone(),
                }
                .into());
            }
            _ => {}
        }
        Ok(Self {
            scan,
            layout,
            n_rows: 0,
            is_over: false,
        })
    }

    /// The next row; `None` at the end. After an error about a row the next call continues after
    /// it.
    pub(crate) fn next_object(&mut self) -> Result<Option<Located>, DataError> {
        let is_list = self.layout != Layout::Values;
        if self.is_over || (!is_list && self.scan.peek()?.is_none()) {
            return Ok(None);
        }
        if is_list && !next_in_array(&mut self.scan, self.n_rows)? {
            self.is_over = true;
            if self.layout == Layout::Array {
                self.scan.expect_end()?;
            }
            return Ok(None);
        }
        self.n_rows += 1;
        let bytes = self.scan.value(self.n_rows)?;
        parse(&self.scan, self.n_rows, bytes).map(Some)
    }
}

/// Moves to the array under a key of the object that forms the file.
fn enter(scan: &mut JsonScan, name: &str) -> Result<(), DataError> {
    let mut found = Vec::new();
    scan.expect(b'{', "an object")?;
    loop {
        let key = key(scan)?;
        if key == name {
            return scan.expect(b'[', "an array");
        }
        found.push(key);
        scan.skip()?;
        if scan.take(b'}')? {
            return Err(TableError::NoJsonPart {
                path: scan.path().to_owned(),
                name: name.to_owned(),
                found,
            }
            .into());
        }
        scan.expect(b',', "a comma or the end of the object")?;
    }
}

/// Whether an array has another element after `n_taken`. The scan then stands before that element,
/// otherwise after the array.
fn next_in_array(scan: &mut JsonScan, n_taken: usize) -> Result<bool, DataError> {
    if scan.take(b']')? {
        return Ok(false);
    }
    if n_taken > 0 {
        scan.expect(b',', "a comma or the end of the array")?;
    }
    Ok(true)
}

/// The rows of a document with one list per column. Each list is read by its own scan, in step with
/// the others.
pub(crate) struct ColumnLists {
    lists: Vec<(String, JsonScan)>,
    n_rows: usize,
}

impl ColumnLists {
    pub(crate) fn open(file: &DataFile, names: &[String]) -> Result<Self, DataError> {
        let open = |name: &String| {
            let mut scan = JsonScan::open(file)?;
            enter(&mut scan, name)?;
            Ok((name.clone(), scan))
        };
        Ok(Self {
            lists: names.iter().map(open).collect::<Result<_, DataError>>()?,
            n_rows: 0,
        })
    }

    /// The next row; `None` at the end.
    pub(crate) fn next_object(&mut self) -> Result<Option<Located>, DataError> {
        let (mut going, mut over) = (None, None);
        for (name, scan) in &mut self.lists {
            if next_in_array(scan, self.n_rows)? {
                going = Some(name.clone());
            } else {
                over = Some(name.clone());
            }
        }
        match (going, over) {
            (None, _) => return Ok(None),
            (Some(long), Some(short)) => {
                return Err(self.lengths(&short, &long));
            }
            (Some(_), None) => self.n_rows += 1,
        }
        let mut object = Map::new();
        let mut failure = None;
        let mut place = Place::row(Path::new(""), self.n_rows);
        for (name, scan) in &mut self.lists {
            place = Place::row(scan.path(), self.n_rows);
            let bytes = scan.value(self.n_rows)?;
            match value(scan, &place, bytes) {
                Ok(value) => {
                    object.insert(name.clone(), value);
                }
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            Some(error) => Err(error),
            None => Ok(Some((place, object))),
        }
    }

    fn lengths(&self, short: &str, long: &str) -> DataError {
        let path = self.lists.first().map(|(_, scan)| scan.path().to_owned());
        TableError::JsonLengths {
            path: path.unwrap_or_default(),
            short: short.to_owned(),
            long: long.to_owned(),
            n_rows: self.n_rows,
        }
        .into()
    }
}
