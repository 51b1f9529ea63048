//! Turns start and end logits into answers: the n best spans over the windows of a question, and
//! the decision whether it has an answer. Called by evaluation and prediction of question
//! answering.
//!
//! The rules are those of Hugging Face's `postprocess_qa_predictions` (transformers,
//! `examples/pytorch/question-answering/utils_qa.py`), with arithmetic in f32 as there. If scores
//! are equal, the earlier window and the higher logit come first.
//! `tests/tests/data/question_answering.rs` compares with its output.

use std::cmp::Ordering;

/// The settings for choosing answers; the defaults are Hugging Face's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DecodeSettings {
    /// Number of spans kept, and of starts and ends tried per window; at least 1.
    pub n_best_size: usize,
    /// The maximum number of tokens in an answer.
    pub max_answer_length: usize,
    /// Whether questions may be unanswerable (SQuAD v2).
    pub version_2_with_negative: bool,
    /// The answer is empty if the null score exceeds the best span's by more than this.
    pub null_score_diff_threshold: f32,
}

impl Default for DecodeSettings {
    fn default() -> Self {
        Self {
            n_best_size: 20,
            max_answer_length: 30,
            version_2_with_negative: false,
            null_score_diff_threshold: 0.0,
        }
    }
}

/// One window of a question, with the model's logits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window<'a> {
    /// Each token's logit for being the answer's first.
    pub(crate) start_logits: &'a [f32],
    /// Each token's logit for being the answer's last.
    pub(crate) end_logits: &'a [f32],
    /// The part of the context that each token covers, in code points; `None` outside the context.
    pub offsets: &'a [Option<(u32, u32)>],
}

/// A predicted answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Said {
    /// A part of the context, as a start and an exclusive end in code points; empty if the tokens
    /// cover no text.
    Part(u32, u32),
    /// The question has no answer.
    NoAnswer,
    /// Nothing, because the model's best tokens form no span. Hugging Face writes the word `empty`.
    #[default]
    Nothing,
}

impl Said {
    /// The text of the answer, as in Hugging Face's prediction files.
    pub fn text(self, context: &str) -> &str {
        match self {
            Self::Part(start, end) if start < end => {
                let byte = |point: u32| {
                    let mut bytes = context.char_indices().map(|(byte, _)| byte);
                    bytes.nth(point as usize).unwrap_or(context.len())
                };
                &context[byte(start)..byte(end)]
            }
            Self::Part(..) | Self::NoAnswer => "",
            Self::Nothing => "empty",
        }
    }

    /// The part of the context, if the answer is one.
    pub(crate) fn part(self) -> Option<(u32, u32)> {
        match self {
            Self::Part(start, end) => Some((start, end)),
            Self::NoAnswer | Self::Nothing => None,
        }
    }

    fn is_empty(self) -> bool {
        match self {
            Self::Part(start, end) => start >= end,
            Self::NoAnswer => true,
            Self::Nothing => false,
        }
    }

    /// Hugging Face's null prediction has the offsets (0, 0).
    fn is_null(self) -> bool {
        matches!(self, Self::NoAnswer | Self::Part(0, 0))
    }
}

/// One of the n best spans.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// The answer that it represents.
    pub said: Said,
    /// The logit of its first token.
    pub start_logit: f32,
    /// The logit of its last token.
    pub end_logit: f32,
    /// Softmax of the sums of both logits over the n best.
    pub probability: f32,
}

impl Span {
    fn new(said: Said, start_logit: f32, end_logit: f32) -> Self {
        Self {
            said,
            start_logit,
            end_logit,
            probability: 0.0,
        }
    }

    fn score(&self) -> f32 {
        self.start_logit + self.end_logit
    }
}

/// The result for one question.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decoded {
    /// The chosen answer.
    pub answer: Said,
    /// The n best spans, best first, for `nbest_predictions.json`. Without any span, this is one
    /// span with a score of 0.
    pub n_best: Vec<Span>,
    /// The null score minus the best span's score, for `null_odds.json`; only with
    /// `DecodeSettings::version_2_with_negative`.
    pub null_odds: Option<f32>,
}

/// Chooses the answer to a question from all its windows.
pub(crate) fn decode(windows: &[Window<'_>], settings: DecodeSettings) -> Decoded {
    let mut spans: Vec<Span> = Vec::new();
    let mut null: Option<Span> = None;
    for window in windows {
        if let Some(first) = first_token(window)
            && null
                .as_ref()
                .is_none_or(|null| null.score() > first.score())
        {
            null = Some(first);
        }
        spans.extend(spans_of(window, settings));
    }
    let null = null.filter(|_| settings.version_2_with_negative);
    spans.extend(null.clone());
    // The sort is stable, so that equal spans keep their order.
    spans.sort_by(|a, b| descending(a.score(), b.score()));
    spans.truncate(settings.n_best_size);
    if let Some(null) = &null
        && !spans.iter().any(|span| span.said.is_null())
    {
        spans.push(null.clone());
    }
    // There must be something to choose, even if "no answer" is the only candidate.
    if spans.is_empty() || (spans.len() == 1 && spans[0].said.is_empty()) {
        spans.insert(0, Span::new(Said::Nothing, 0.0, 0.0));
    }
    probabilities(&mut spans);
    let first = spans[0].said;
    // At least one span is not empty, unless the tokens cover no text.
    let best = spans.iter().find(|span| !span.said.is_empty());
    let null_odds = null.as_ref().map(|null| {
        let (start, end) = best.map_or((0.0, 0.0), |best| (best.start_logit, best.end_logit));
        null.score() - start - end
    });
    let answer = match null_odds {
        Some(odds) if odds > settings.null_score_diff_threshold => Said::NoAnswer,
        Some(_) => best.map_or(Said::NoAnswer, |best| best.said),
        None => first,
    };
    Decoded {
        answer,
        n_best: spans,
        null_odds,
    }
}

/// A window's score for "no answer": the logits of its first token.
fn first_token(window: &Window<'_>) -> Option<Span> {
    let (start, end) = (window.start_logits.first()?, window.end_logits.first()?);
    Some(Span::new(Said::NoAnswer, *start, *end))
}

/// All spans of a window between one of its best starts and one of its best ends.
fn spans_of<'a>(
    window: &'a Window<'a>,
    settings: DecodeSettings,
) -> impl Iterator<Item = Span> + 'a {
    let starts = highest(window.start_logits, settings.n_best_size);
    let ends = highest(window.end_logits, settings.n_best_size);
    let pairs = starts
        .into_iter()
        .flat_map(move |start| ends.clone().into_iter().map(move |end| (start, end)));
    pairs.filter_map(move |(start, end)| {
        let inside = |token: usize| window.offsets.get(token).copied().flatten();
        let (first, last) = (inside(start)?, inside(end)?);
        let fits = end >= start && end - start < settings.max_answer_length;
        fits.then(|| {
            let part = Said::Part(first.0, last.1);
            Span::new(part, window.start_logits[start], window.end_logits[end])
        })
    })
}

/// The indices of the `n` highest numbers, highest first; of equal ones the later comes first, as
/// in numpy's reversed `argsort`.
fn highest(numbers: &[f32], n: usize) -> Vec<usize> {
    let mut places: Vec<usize> = (0..numbers.len()).collect();
    let order = |a: &usize, b: &usize| descending(numbers[*a], numbers[*b]).then(b.cmp(a));
    if n < places.len() {
        places.select_nth_unstable_by(n, order);
        places.truncate(n);
    }
    places.sort_unstable_by(order);
    places
}

fn descending(a: f32, b: f32) -> Ordering {
    b.total_cmp(&a)
}

fn probabilities(spans: &mut [Span]) {
    let highest = spans.iter().map(Span::score).fold(f32::MIN, f32::max);
    let exp = |span: &Span| (span.score() - highest).exp();
    let sum: f32 = spans.iter().map(exp).sum();
    for span in spans {
        span.probability = exp(span) / sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFSETS: [Option<(u32, u32)>; 6] =
        [None, None, Some((0, 3)), Some((4, 8)), Some((9, 12)), None];

    fn window<'a>(start_logits: &'a [f32], end_logits: &'a [f32]) -> Window<'a> {
        Window {
            start_logits,
            end_logits,
            offsets: &OFFSETS,
        }
    }

    const V2: DecodeSettings = DecodeSettings {
        n_best_size: 20,
        max_answer_length: 30,
        version_2_with_negative: true,
        null_score_diff_threshold: 0.0,
    };

    #[test]
    fn the_best_span_lies_inside_the_context_and_ends_after_it_starts() {
        // The highest logits are outside the context, and the highest end precedes the highest
        // start.
        let (start, end) = (
            [9.0, 9.0, 1.0, 3.0, 2.0, 9.0],
            [9.0, 9.0, 5.0, 1.0, 2.0, 9.0],
        );
        let found = decode(&[window(&start, &end)], DecodeSettings::default());
        assert_eq!(found.answer, Said::Part(0, 3));
        assert_eq!(found.null_odds, None);
        let scores: Vec<f32> = found.n_best.iter().map(Span::score).collect();
        assert_eq!(scores, [6.0, 5.0, 4.0, 4.0, 3.0, 2.0]);
        let sum: f32 = found.n_best.iter().map(|span| span.probability).sum();
        assert!((sum - 1.0).abs() < 1e-6);
        let one_token = DecodeSettings {
            max_answer_length: 1,
            ..DecodeSettings::default()
        };
        let found = decode(&[window(&start, &end)], one_token);
        assert_eq!(found.n_best.len(), 3);
        let two = DecodeSettings {
            n_best_size: 2,
            ..DecodeSettings::default()
        };
        // Only two starts and two ends are tried, and those are outside the context.
        assert_eq!(decode(&[window(&start, &end)], two).answer, Said::Nothing);
    }

    #[test]
    fn the_null_score_is_the_lowest_of_all_windows() {
        let (low, high) = (
            [1.0, 0.0, 2.0, 0.0, 0.0, 0.0],
            [5.0, 0.0, 2.0, 0.0, 0.0, 0.0],
        );
        let found = decode(&[window(&high, &high), window(&low, &low)], V2);
        assert_eq!(found.null_odds, Some(2.0 - 4.0));
        assert_eq!(found.answer, Said::Part(0, 3));
        let found = decode(&[window(&high, &high)], V2);
        assert_eq!((found.answer, found.null_odds), (Said::NoAnswer, Some(6.0)));
        let patient = DecodeSettings {
            null_score_diff_threshold: 6.0,
            ..V2
        };
        assert_eq!(
            decode(&[window(&high, &high)], patient).answer,
            Said::Part(0, 3)
        );
    }

    #[test]
    fn no_answer_stays_among_the_n_best() {
        let (start, end) = (
            [-50.0, 0.0, 2.0, 1.0, 0.5, 0.0],
            [-50.0, 0.0, 2.0, 1.0, 0.5, 0.0],
        );
        let settings = DecodeSettings {
            n_best_size: 2,
            ..V2
        };
        let found = decode(&[window(&start, &end)], settings);
        assert_eq!(found.n_best.len(), 3);
        assert_eq!(found.n_best[2].said, Said::NoAnswer);
    }

    #[test]
    fn without_any_span_there_is_an_empty_one() {
        let outside = Window {
            start_logits: &[1.0, 2.0],
            end_logits: &[1.0, 2.0],
            offsets: &[None, None],
        };
        let found = decode(&[outside], DecodeSettings::default());
        assert_eq!((found.answer, found.n_best.len()), (Said::Nothing, 1));
        assert_eq!(found.n_best[0].probability, 1.0);
        assert_eq!(decode(&[], V2).answer, Said::Nothing);
        let found = decode(&[outside], V2);
        assert_eq!((found.answer, found.null_odds), (Said::NoAnswer, Some(2.0)));
    }

    #[test]
    fn texts_are_cut_at_code_points() {
        let context = "a–é😀z";
        assert_eq!(Said::Part(1, 4).text(context), "–é😀");
        assert_eq!(Said::Part(4, 9).text(context), "z");
        assert_eq!(Said::Part(2, 2).text(context), "");
        assert_eq!(Said::Nothing.text(context), "empty");
    }
}
