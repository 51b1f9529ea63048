//! Prints every word of the generated tasks, one per line. This is the `--words` file of
//! `tools/make_embedded_model.py`, which keeps the words whole in the embedded model's pruned
//! vocabulary.
//!
//!     cargo run -p progtune-datasets --example sample_words > words.txt

use std::collections::BTreeSet;

use progtune_datasets::{sample, sample_pairs};

fn main() {
    let words = [sample::vocabulary(), sample_pairs::vocabulary()].concat();
    for word in words.into_iter().collect::<BTreeSet<_>>() {
        println!("{word}");
    }
}
