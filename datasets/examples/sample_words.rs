//! Prints every word of the embedded sample, one a line: the `--words` file of `tools/make_embedded_model.py`, which
//! keeps them whole in the embedded model's pruned vocabulary.
//!
//!     cargo run -p progtune-datasets --example sample_words > words.txt

fn main() {
    for word in progtune_datasets::sample::vocabulary() {
        println!("{word}");
    }
}
