//! The names that columns of texts and labels usually have. Read by `choose_columns`, and by `header`, which tells names from
//! data.

/// Pairs of texts under the names that data sets on the Hugging Face hub use most.
pub(crate) const PAIRS: &[(&str, &str)] = &[
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("question", "sentence"),
    ("question", "context"),
    ("question", "passage"),
    ("query", "passage"),
    ("text1", "text2"),
    ("text_a", "text_b"),
];

/// Single texts, likewise.
pub(crate) const TEXTS: &[&str] = &["text", "sentence", "content", "review", "tweet"];

/// Labels, likewise. Where the first is there, it is the label whatever else there is.
pub(crate) const LABELS: &[&str] = &[
    "label",
    "labels",
    "gold_label",
    "class",
    "category",
    "target",
    "score",
    "sentiment",
];

/// Whether columns of texts or labels usually have this name.
pub(crate) fn is_usual_name(name: &str) -> bool {
    let name = name.trim().to_lowercase();
    let is_in_pair = |(a, b): &(&str, &str)| *a == name || *b == name;
    PAIRS.iter().any(is_in_pair)
        || TEXTS.contains(&name.as_str())
        || LABELS.contains(&name.as_str())
}
