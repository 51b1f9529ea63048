//! A plan as squares, blocks by epochs: what is trained, what is frozen, and what the prefix cache spares. An
//! SVG file. Called by `progtune plan --svg`.

use super::{
    View,
    square::{Square, column},
};
use progtune_plain_text::shown_line;
use progtune_process::thousands::grouped;

/// Sizes of the drawing, in its units.
const SIDE: usize = 22;
const GAP: usize = 3;
const LEFT: usize = 110;
const TOP: usize = 74;
const TEXT: usize = 15;
/// Figures stand below a column where columns are as wide as figures.
const WIDE: usize = 74;
/// Columns at most; longer runs are drawn by every n-th epoch.
const MOST_COLUMNS: usize = 60;

/// The plan as an SVG file: a column an epoch, a row a part of the model, the head on top.
pub fn to_svg(view: &View<'_>) -> String {
    let View {
        blueprint,
        foresight,
        names,
        predictions,
        starts,
    } = *view;
    let epochs = foresight.epochs();
    let every = epochs.len().div_ceil(MOST_COLUMNS).max(1);
    let width = if epochs.len() <= 10 { WIDE } else { SIDE };
    let shown: Vec<usize> = (0..epochs.len()).step_by(every).collect();
    let rows = blueprint.blocks + 2;
    let (right, bottom) = (
        LEFT + shown.len() * (width + GAP),
        TOP + rows * (SIDE + GAP),
    );
    let mut body = String::new();
    let mut text = |x: usize, y: usize, anchor: &str, words: &str| {
        body.push_str(&format!(
            "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{}</text>\n",
            escaped(words)
        ));
    };
    let method = names.peft.unwrap_or("full fine-tuning");
    text(12, 24, "start", &format!("{}, {method}", names.schedule));
    text(
        12,
        42,
        "start",
        &format!("{} on {}", names.model, names.task),
    );
    text(LEFT - 8, TOP - 8, "end", "epoch");
    let row_name = |row: usize| match row {
        0 => "head".to_owned(),
        row if row + 1 == rows => "embeddings".to_owned(),
        row => format!("block {}", blueprint.blocks - row),
    };
    for row in 0..rows {
        let y = TOP + row * (SIDE + GAP) + SIDE / 2 + 4;
        text(LEFT - 8, y, "end", &row_name(row));
    }
    let (total, full) = view.totals();
    let mut last = bottom + TEXT;
    if width == WIDE {
        text(LEFT - 8, last, "end", "updated");
        if !predictions.is_empty() {
            text(LEFT - 8, last + TEXT, "end", "seconds");
            text(LEFT - 8, last + 2 * TEXT, "end", "peak MiB");
        }
    }
    for (at, &epoch) in shown.iter().enumerate() {
        let middle = LEFT + at * (width + GAP) + width / 2;
        if width == WIDE || at.is_multiple_of(5) {
            let number = epochs[epoch].stage.epoch.to_string();
            text(middle, TOP - 8, "middle", &number);
        }
        if width != WIDE {
            continue;
        }
        text(middle, last, "middle", &grouped(epochs[epoch].updated));
        if let Some(prediction) = predictions.get(epoch) {
            let secs = prediction.secs.epoch.unwrap_or(prediction.secs.step);
            text(middle, last + TEXT, "middle", &format!("{secs:.2}"));
            let peak = prediction.peak_bytes.map_or("?".to_owned(), |bytes| {
                format!("{:.0}", bytes as f64 / 1048576.0)
            });
            text(middle, last + 2 * TEXT, "middle", &peak);
        }
    }
    last += if predictions.is_empty() {
        TEXT
    } else {
        3 * TEXT
    } + 6;
    let share = 100.0 * total as f64 / full.max(1) as f64;
    let summary = format!(
        "{} updated parameters, {share:.1} % of every block in every epoch",
        grouped(total)
    );
    text(12, last, "start", &summary);
    let mut squares = String::new();
    for (at, &epoch) in shown.iter().enumerate() {
        let start = starts.get(epoch).copied().unwrap_or(0);
        let (embeddings, blocks) = column(epochs[epoch].stage, blueprint.blocks, start);
        let from_the_top = std::iter::once(Square::Trained)
            .chain(blocks.into_iter().rev())
            .chain([embeddings]);
        for (row, square) in from_the_top.enumerate() {
            squares.push_str(&format!(
                "<rect x=\"{}\" y=\"{}\" width=\"{width}\" height=\"{SIDE}\" rx=\"3\" fill=\"{}\">\
                 <title>epoch {}, {}: {}</title></rect>\n",
                LEFT + at * (width + GAP),
                TOP + row * (SIDE + GAP),
                square.colour(),
                epochs[epoch].stage.epoch,
                row_name(row),
                square.words(),
            ));
        }
    }
    let mut x = 12;
    for square in [Square::Trained, Square::Frozen, Square::Cached] {
        if square == Square::Cached && starts.iter().all(|&start| start == 0) {
            continue;
        }
        squares.push_str(&format!(
            "<rect x=\"{x}\" y=\"{}\" width=\"12\" height=\"12\" rx=\"2\" fill=\"{}\"/>\n\
             <text x=\"{}\" y=\"{}\">{}</text>\n",
            last + 12,
            square.colour(),
            x + 17,
            last + 22,
            square.words()
        ));
        x += 30 + 7 * square.words().len();
    }
    let (width, height) = (right.max(430) + 12, last + 36);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\" fill=\"#24292f\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n{body}{squares}</svg>\n"
    )
}

/// Text as XML has it: also what XML cannot say and what a terminal would obey is escaped.
fn escaped(text: &str) -> String {
    shown_line(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_break_the_file() {
        assert_eq!(escaped("a<b & \"c\">"), "a&lt;b &amp; &quot;c&quot;&gt;");
        assert_eq!(escaped("a\x1b\u{202e}\n<"), "a\\u{1b}\\u{202e}\\n&lt;");
    }
}
