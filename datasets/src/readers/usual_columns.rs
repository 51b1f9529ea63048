//! The usual names of text and label columns. Read by `choose_columns`, and by `header`, which
//! distinguishes names from data.

/// The most common names of text pairs on the Hugging Face hub.
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

/// The most common names of single texts.
pub(crate) const TEXTS: &[&str] = &["text", "sentence", "content", "review", "tweet"];

/// The most common names of labels. If the first exists, it is the label regardless of the other
/// columns.
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

/// Whether text or label columns usually have this name.
pub(crate) fn is_usual_name(name: &str) -> bool {
    let name = name.trim().to_lowercase();
    let is_in_pair = |(a, b): &(&str, &str)| *a == name || *b == name;
    PAIRS.iter().any(is_in_pair)
        || TEXTS.contains(&name.as_str())
        || LABELS.contains(&name.as_str())
}
