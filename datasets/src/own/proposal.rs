//! Proposes flags for a file whose columns cannot be guessed without doubt, judging by the values.
//! Called by `choose_columns` and `headerless`; the proposals end messages.

use crate::own::survey::{ColumnKind, Survey, Values};

/// The values of a column with this many words on average are sentences.
const SENTENCE_WORDS: f64 = 4.0;

/// The values of a column with fewer words on average are words.
const FEW_WORDS: f64 = 2.5;

/// Fewer rows than this say nothing about the values of a column.
const FEW_ROWS: usize = 4;

fn is_sentences(kind: ColumnKind, values: &Values) -> bool {
    let is_various = values.n_distinct * 2 > values.n;
    kind == ColumnKind::Text && values.mean_words >= SENTENCE_WORDS && is_various
}

fn columns(survey: &Survey) -> impl Iterator<Item = (&str, ColumnKind, &Values)> + Clone {
    let columns = survey.columns.iter().zip(&survey.values);
    columns.map(|((name, kind), values)| (name.as_str(), *kind, values))
}

/// The only column of sentences, if the other columns of texts hold single words.
pub(crate) fn only_sentences(survey: &Survey, is_free: impl Fn(&str) -> bool) -> Option<&str> {
    let mut found = None;
    for (name, kind, values) in columns(survey).filter(|(name, ..)| is_free(name)) {
        let has_words = kind == ColumnKind::Text && values.mean_words >= FEW_WORDS;
        if has_words && (found.is_some() || !is_sentences(kind, values) || values.n < FEW_ROWS) {
            return None;
        }
        if has_words {
            found = Some(name);
        }
    }
    found
}

/// The columns of sentences, otherwise the column with the most words.
fn texts(survey: &Survey) -> Vec<&str> {
    let sentences = columns(survey).filter(|(_, kind, values)| is_sentences(*kind, values));
    let sentences: Vec<&str> = sentences.map(|(name, ..)| name).collect();
    if !sentences.is_empty() {
        return sentences;
    }
    let texts = columns(survey).filter(|(_, kind, _)| *kind == ColumnKind::Text);
    let wordiest = texts.max_by(|(.., a), (.., b)| a.mean_words.total_cmp(&b.mean_words));
    wordiest.map(|(name, ..)| name).into_iter().collect()
}

/// The columns beside the `taken` ones whose values repeat, those with the fewest values first.
fn labels<'a>(survey: &'a Survey, taken: &[&str]) -> Vec<&'a str> {
    let mut found: Vec<(usize, &str)> = columns(survey)
        .filter(|(name, ..)| !taken.contains(name))
        .filter(|(_, kind, values)| {
            let is_simple = !matches!(kind, ColumnKind::Nested | ColumnKind::Empty);
            is_simple && values.n_distinct > 1 && values.n_distinct * 2 <= values.n
        })
        .map(|(name, _, values)| (values.n_distinct, name))
        .collect();
    found.sort_by_key(|(n_distinct, _)| *n_distinct);
    found.into_iter().map(|(_, name)| name).collect()
}

/// The flags for all columns, such as `--text-column 2 --label-column 1`; empty if the values show
/// no texts. Columns of words with repeated values become the label.
pub(crate) fn all_flags(survey: &Survey) -> String {
    let texts = texts(survey);
    let label = labels(survey, &texts).into_iter().next();
    let label = label.or_else(|| only_other(survey, &texts));
    let label = label.map(|name| format!(" --label-column {}", shell(name)));
    flags(&texts, &label.unwrap_or_default())
}

/// The only column that is not taken.
fn only_other<'a>(survey: &'a Survey, taken: &[&str]) -> Option<&'a str> {
    let mut others = survey.names().filter(|name| !taken.contains(name));
    others.next().filter(|_| others.next().is_none())
}

/// The flags for the texts; empty if the values show none.
pub(crate) fn text_flags(survey: &Survey) -> String {
    flags(&texts(survey), "")
}

/// The flags for texts, in one or several columns, and whatever follows them.
fn flags(texts: &[&str], rest: &str) -> String {
    let joined = || format!("`--text-column {}{rest}`", shell(&texts.join(",")));
    match texts {
        [] => String::new(),
        [first, second] => format!(
            "{} (which joins the two), or `--text-column {} --pair-column {}{rest}` for pairs",
            joined(),
            shell(first),
            shell(second)
        ),
        _ => joined(),
    }
}

/// The flags for the columns that may hold the label, one of which is to be given.
pub(crate) fn label_flags(survey: &Survey, usual: &[&str], taken: &[&str]) -> String {
    let likely = if usual.is_empty() {
        labels(survey, taken)
    } else {
        usual.to_vec()
    };
    let flags: Vec<String> = likely
        .iter()
        .take(3)
        .map(|name| format!("`--label-column {}`", shell(name)))
        .collect();
    flags.join(" or ")
}

/// A name as a word on the command line.
fn shell(name: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "_-.,+:@%/".contains(c);
    if !name.is_empty() && name.chars().all(is_plain) {
        return name.to_owned();
    }
    format!(
        "'{}'",
        crate::error::printable(&name.replace('\'', "'\\''"), 200)
    )
}
