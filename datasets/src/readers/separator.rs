//! The separator of a CSV file: a comma, or the character that its first rows or Excel's first line
//! indicate. Called by `csv`.

use crate::error::DataError;
use crate::readers::lines::Lines;

/// The number of rows inspected.
pub(crate) const SAMPLE_ROWS: usize = 50;

/// A character between cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Separator(char);

impl Separator {
    pub(crate) const COMMA: Self = Self(',');

    /// The recognised separators, the comma first.
    const ALL: [Self; 4] = [Self::COMMA, Self(';'), Self('\t'), Self('|')];

    pub(crate) fn character(self) -> char {
        self.0
    }

    /// The name in messages.
    pub(crate) fn name(self) -> &'static str {
        match self.0 {
            ';' => "semicolon",
            // `tab` is the name for TSV files, which have no quoting.
            '\t' => "TAB",
            '|' => "bar",
            _ => "comma",
        }
    }

    /// The separator that Excel's first line names: `sep=;`.
    pub(crate) fn of_excel_line(line: &str) -> Option<Self> {
        let line = line.trim_matches('"');
        let (key, named) = line.split_at_checked(4)?;
        let mut all = Self::ALL.into_iter();
        let named = all.find(|separator| named.chars().eq([separator.0]));
        named.filter(|_| key.eq_ignore_ascii_case("sep="))
    }

    /// The separator of a file. `counts` counts the cells of the first rows with a given separator.
    /// The result is the comma, with two exceptions. Another separator wins if only that one occurs
    /// in the first row, or only that one gives all rows the same number of cells.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn recognise(
        counts: impl Fn(Self) -> Result<Vec<usize>, DataError>,
    ) -> Result<Self, DataError> {
        let mut best = (Self::COMMA, Fit::default());
        for separator in Self::ALL {
            let fit = Fit::of(&counts(separator)?);
            if fit > best.1 {
                best = (separator, fit);
            }
        }
        Ok(best.0)
    }

    /// Whether one of the separators gives several rows the same number of cells, at least two.
    pub(crate) fn divides_evenly(counts: impl Fn(Self) -> Vec<usize>) -> bool {
        Self::ALL.into_iter().any(|separator| {
            let counts = counts(separator);
            counts.len() > 1 && Fit::of(&counts).is_even
        })
    }
}

/// The quality of a separator: greater is better. Of two equal ones, the one tried first is taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Fit {
    /// Whether it occurs in the first row at all.
    divides: bool,
    /// Whether all rows have as many cells as the first.
    is_even: bool,
}

impl Fit {
    fn of(counts: &[usize]) -> Self {
        let Some((&first, others)) = counts.split_first() else {
            return Self::default();
        };
        let divides = first > 1;
        Self {
            divides,
            is_even: divides && others.iter().all(|&count| count == first),
        }
    }
}

/// The separator that the first line names, as Excel writes it.
pub(crate) fn excel_line(lines: &mut Lines) -> Option<Separator> {
    let (_, line) = lines.next_line().ok()??;
    Separator::of_excel_line(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excel_names_a_separator() {
        assert_eq!(Separator::of_excel_line("sep=;"), Some(Separator(';')));
        assert_eq!(Separator::of_excel_line("SEP=\t"), Some(Separator('\t')));
        assert_eq!(Separator::of_excel_line("\"sep=|\""), Some(Separator('|')));
        for line in ["sep=", "sep=;;", "sep=x", "step=;", "text,label", "é"] {
            assert_eq!(Separator::of_excel_line(line), None, "{line}");
        }
    }

    #[test]
    fn the_comma_gives_way_to_what_divides_the_rows_evenly() {
        let found = |commas: &[usize], semicolons: &[usize]| {
            Separator::recognise(|separator| {
                Ok(match separator.0 {
                    ',' => commas.to_vec(),
                    ';' => semicolons.to_vec(),
                    _ => vec![1; commas.len()],
                })
            })
            .unwrap()
            .0
        };
        assert_eq!(found(&[2, 2, 2], &[1, 1, 1]), ',');
        assert_eq!(found(&[1, 2, 1], &[2, 2, 2]), ';');
        // `a,b;label`: one of the two is part of a text.
        assert_eq!(found(&[2, 3, 1], &[2, 2, 2]), ';');
        assert_eq!(found(&[2, 2, 2], &[2, 2, 2]), ',');
        // A ragged row is reported, whatever separates its cells.
        assert_eq!(found(&[2, 2, 3], &[1, 1, 1]), ',');
        assert_eq!(found(&[1, 2, 4], &[2, 2, 3]), ';');
        assert_eq!(found(&[1], &[1]), ',');
    }
}
