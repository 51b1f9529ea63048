//! The usual names of text and label columns, in any case. Read by `choose_columns`, and by
//! `header`, which distinguishes names from data.

/// The most common names of text pairs on the Hugging Face hub and in public data sets.
pub(crate) const PAIRS: &[(&str, &str)] = &[
    ("sentence1", "sentence2"),
    ("sentence_1", "sentence_2"),
    ("sentence_a", "sentence_b"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("question_1", "question_2"),
    ("question", "sentence"),
    ("question", "context"),
    ("question", "passage"),
    ("query", "passage"),
    ("query", "document"),
    ("claim", "evidence"),
    ("text1", "text2"),
    ("text_1", "text_2"),
    ("text_a", "text_b"),
    ("s1", "s2"),
    ("q1", "q2"),
];

/// The most common names of single texts.
pub(crate) const TEXTS: &[&str] = &["text", "sentence", "content", "review", "tweet"];

/// Names of texts that often stand beside another part of the same text.
pub(crate) const PARTS: &[&str] = &["title", "headline", "subject", "summary", "description"];

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

/// Names of labels in public data sets, which count only if none of [`LABELS`] exists.
pub(crate) const OTHER_LABELS: &[&str] = &[
    "is_duplicate",
    "is_paraphrase",
    "entailment_judgment",
    "relatedness_score",
    "similarity",
    "similarity_score",
    "intent",
    "topic",
    "rating",
    "stars",
    "polarity",
    "emotion",
    "stance",
    "genre",
    "class index",
];

/// The column in which SNLI and MultiNLI write [`NO_GOLD_LABEL`].
pub(crate) const GOLD_LABEL: &str = "gold_label";

/// The label of rows on whose label the annotators did not agree.
pub(crate) const NO_GOLD_LABEL: &str = "-";

/// Whether text or label columns usually have this name. Words that may as well be values of a
/// column (`topic`) do not count.
pub(crate) fn is_usual_name(name: &str) -> bool {
    let name = name.trim().to_lowercase();
    let is_in_pair = |(a, b): &(&str, &str)| *a == name || *b == name;
    PAIRS.iter().any(is_in_pair)
        || TEXTS.contains(&name.as_str())
        || LABELS.contains(&name.as_str())
        || OTHER_LABELS.contains(&name.as_str()) && name.contains(['_', ' '])
}
