//! A plan as an SVG file of squares, blocks by epochs: trained, frozen, or spared by the prefix
//! cache. `progtune plan --svg` writes it.

use super::{
    View,
    run_plan::Epoch,
    square::{Square, column},
};
use progtune_plain_text::shown_line;
use progtune_process::{grouped, short_path};

/// The measures of the drawing, in its units.
const SIDE: usize = 22;
const GAP: usize = 3;
const LEFT: usize = 110;
const TOP: usize = 74;
const TEXT: usize = 15;
/// The width of columns with figures below them.
const WIDE: usize = 74;
/// The longest name of a model, which is a path for a local one.
const LONGEST: usize = 48;
/// The largest number of columns. Longer runs are drawn at regular intervals.
const MOST_COLUMNS: usize = 60;

/// The plan as an SVG file: one column per epoch, one row per part of the model, with the head on
/// top.
pub fn to_svg(view: &View<'_>) -> String {
    let mut picture = Picture::new(view);
    picture.draw_names();
    picture.draw_figures();
    picture.draw_summary();
    picture.draw_squares();
    picture.draw_legend();
    picture.finish()
}

/// A picture while it is drawn.
struct Picture<'a> {
    view: &'a View<'a>,
    epochs: Vec<Epoch<'a>>,
    /// The epochs that have a column, by their place in `epochs`.
    shown: Vec<usize>,
    /// The width of a column.
    width: usize,
    /// The number of parts of the model.
    rows: usize,
    /// The height of the last line of text.
    last: usize,
    texts: String,
    squares: String,
}

impl<'a> Picture<'a> {
    fn new(view: &'a View<'a>) -> Self {
        let epochs = view.run_plan.epochs();
        let every = epochs.len().div_ceil(MOST_COLUMNS).max(1);
        let rows = view.model_plan.blocks + 2;
        Self {
            view,
            shown: (0..epochs.len()).step_by(every).collect(),
            width: if epochs.len() <= 10 { WIDE } else { SIDE },
            rows,
            last: TOP + rows * (SIDE + GAP) + TEXT,
            epochs,
            texts: String::new(),
            squares: String::new(),
        }
    }

    fn text(&mut self, x: usize, y: usize, anchor: &str, words: &str) {
        self.texts.push_str(&format!(
            "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{}</text>\n",
            escaped(words)
        ));
    }

    /// The left edge of a column.
    fn left_of(&self, column: usize) -> usize {
        LEFT + column * (self.width + GAP)
    }

    fn row_name(&self, row: usize) -> String {
        match row {
            0 => "head".to_owned(),
            row if row + 1 == self.rows => "embeddings".to_owned(),
            row => format!("block {}", self.view.model_plan.blocks - row),
        }
    }

    /// The titles, and the names of rows and figures.
    fn draw_names(&mut self) {
        let names = self.view.names;
        let method = names.peft.unwrap_or("full fine-tuning");
        let title = format!("{}, {method}", names.schedule);
        self.text(12, 24, "start", &title);
        let model = short_path(names.model, LONGEST);
        let subject = format!("{model} on {}", names.task);
        self.text(12, 42, "start", &subject);
        self.text(LEFT - 8, TOP - 8, "end", "epoch");
        for row in 0..self.rows {
            let y = TOP + row * (SIDE + GAP) + SIDE / 2 + 4;
            self.text(LEFT - 8, y, "end", &self.row_name(row));
        }
        if self.width == WIDE {
            self.text(LEFT - 8, self.last, "end", "updated");
            if !self.view.forecasts.is_empty() {
                self.text(LEFT - 8, self.last + TEXT, "end", "seconds");
                self.text(LEFT - 8, self.last + 2 * TEXT, "end", "peak MiB");
            }
        }
    }

    /// The number of each column, and where columns are wide, its figures.
    fn draw_figures(&mut self) {
        for at in 0..self.shown.len() {
            let epoch = self.shown[at];
            let middle = self.left_of(at) + self.width / 2;
            if self.width == WIDE || at.is_multiple_of(5) {
                let number = self.epochs[epoch].stage.epoch.to_string();
                self.text(middle, TOP - 8, "middle", &number);
            }
            if self.width != WIDE {
                continue;
            }
            let updated = grouped(self.epochs[epoch].updated);
            self.text(middle, self.last, "middle", &updated);
            if let Some(forecast) = self.view.forecasts.get(epoch) {
                let secs = forecast.secs.epoch.unwrap_or(forecast.secs.step);
                self.text(middle, self.last + TEXT, "middle", &format!("{secs:.2}"));
                let peak = forecast.peak_bytes.map_or("?".to_owned(), |bytes| {
                    format!("{:.0}", bytes as f64 / 1048576.0)
                });
                self.text(middle, self.last + 2 * TEXT, "middle", &peak);
            }
        }
        let lines = if self.view.forecasts.is_empty() { 1 } else { 3 };
        self.last += lines * TEXT + 6;
    }

    fn draw_summary(&mut self) {
        let (total, full) = self.view.totals();
        let share = 100.0 * total as f64 / full.max(1) as f64;
        let summary = format!(
            "{} updated parameters, {share:.1} % of every block in every epoch",
            grouped(total)
        );
        self.text(12, self.last, "start", &summary);
    }

    fn draw_squares(&mut self) {
        let View {
            model_plan, starts, ..
        } = *self.view;
        for at in 0..self.shown.len() {
            let epoch = self.shown[at];
            let (stage, start) = (self.epochs[epoch].stage, starts.get(epoch).copied());
            let (embeddings, blocks) = column(stage, model_plan.blocks, start.unwrap_or(0));
            let from_the_top = std::iter::once(Square::Trained)
                .chain(blocks.into_iter().rev())
                .chain([embeddings]);
            for (row, square) in from_the_top.enumerate() {
                self.squares.push_str(&format!(
                    "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{SIDE}\" rx=\"3\" fill=\"{}\">\
                     <title>epoch {}, {}: {}</title></rect>\n",
                    self.left_of(at),
                    TOP + row * (SIDE + GAP),
                    self.width,
                    square.colour(),
                    stage.epoch,
                    self.row_name(row),
                    square.words(),
                ));
            }
        }
    }

    fn draw_legend(&mut self) {
        let mut x = 12;
        let has_cached = self.view.starts.iter().any(|&start| start > 0);
        for square in [Square::Trained, Square::Frozen, Square::Cached] {
            if square == Square::Cached && !has_cached {
                continue;
            }
            self.squares.push_str(&format!(
                "<rect x=\"{x}\" y=\"{}\" width=\"12\" height=\"12\" rx=\"2\" fill=\"{}\"/>\n\
                 <text x=\"{}\" y=\"{}\">{}</text>\n",
                self.last + 12,
                square.colour(),
                x + 17,
                self.last + 22,
                square.words()
            ));
            x += 30 + 7 * square.words().len();
        }
    }

    /// The file.
    fn finish(self) -> String {
        let right = self.left_of(self.shown.len());
        let (width, height) = (right.max(430) + 12, self.last + 36);
        let (texts, squares) = (self.texts, self.squares);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
             font-family=\"system-ui, sans-serif\" font-size=\"12\" fill=\"#24292f\">\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n{texts}{squares}</svg>\n"
        )
    }
}

/// Text as XML requires it. Characters that XML lacks or that a terminal would obey are escaped as
/// well.
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
