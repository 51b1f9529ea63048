//! Writes the rows of an embedded task to `train.jsonl` and `validation.jsonl` in a directory, for
//! reading or for another program.
//!
//!     cargo run -p progtune-datasets --example sample_rows -- sample_pairs DIR

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use progtune_datasets::{Label, SplitName, Task, load_split};
use serde_json::json;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [task, directory] = arguments.as_slice() else {
        return Err("expected the name of an embedded task and a directory".into());
    };
    let task = Task::by_name(task)?;
    let directory = PathBuf::from(directory);
    std::fs::create_dir_all(&directory)?;
    for split in [SplitName::Train, SplitName::Validation] {
        let mut lines = String::new();
        for row in load_split(task, Path::new("."), split, None)?.examples {
            let label = match row.label {
                Some(Label::Class(id)) => task.labels[id as usize].as_str(),
                _ => return Err(format!("`{}` is no task with classes", task.name).into()),
            };
            let row = match row.pair {
                Some(pair) => json!({"sentence1": row.text, "sentence2": pair, "label": label}),
                None => json!({"sentence": row.text, "label": label}),
            };
            writeln!(lines, "{row}")?;
        }
        std::fs::write(directory.join(format!("{split}.jsonl")), lines)?;
    }
    Ok(())
}
