//! A request for own data as keys of `config.toml`.

use progtune_datasets::{Header, OwnRequest};

use super::flags::*;
use crate::config::export::Written;
use crate::flags::{Declared, Flag, Form};

/// Writes the request. File names are written only if they were given and not found in a data set.
pub(in crate::config) fn write(own: &OwnRequest, with_files: bool, written: &mut Written) {
    for (flag, files) in [
        (&TRAIN_FILE, &own.train),
        (&VALIDATION_FILE, &own.validation),
        (&TEST_FILE, &own.test),
    ] {
        if with_files && !files.is_empty() {
            written.set(flag, files.as_slice());
        }
    }
    let reading = &own.reading;
    written.set_if(&FILE_FORMAT, reading.format.map(|format| format.as_str()));
    written.set(&ENCODING, reading.encoding.name());
    written.set(&NO_HEADER, reading.header != Header::FirstRow);
    if let Header::Absent(names) | Header::Learned(names) = &reading.header
        && !names.is_empty()
    {
        written.set(&COLUMNS, names.join(","));
    }
    written.set_if(&TEXT_COLUMN, reading.text_column.as_deref());
    written.set_if(&PAIR_COLUMN, reading.pair_column.as_deref());
    written.set_if(&LABEL_COLUMN, reading.label_column.as_deref());
    written.set_if(&LABEL_SEPARATOR, reading.label_separator.as_deref());
    let repair = reading.repair_tags.map(|repair| repair.as_str());
    written.set_if(&REPAIR_TAGS, repair);
    let problem = reading.problem_type.map(|problem| problem.as_str());
    written.set_if(&PROBLEM_TYPE, problem);
    written.set_if(&ON_BAD_ROW, name_in(&ON_BAD_ROW, reading.on_bad_row));
    written.set_if(&VALIDATION_SPLIT, own.validation_split);
}

fn name_in<T: Copy + PartialEq + Sync>(flag: &Flag<T>, value: T) -> Option<&'static str> {
    let (Form::OneOf(names) | Form::OneOfOrNone(names)) = flag.form else {
        return None;
    };
    let place = names.iter().position(|(_, known)| *known == value)?;
    flag.names().get(place).copied()
}
