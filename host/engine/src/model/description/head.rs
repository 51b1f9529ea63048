//! The layers of each kind of head in each model family.

use crate::{
    model::config::{Architecture, ModelConfig},
    task_kind::HeadKind,
};

/// A linear layer of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeadModule {
    /// The module's name, which is also the site's.
    pub module: &'static str,
    /// The number of columns that it reads.
    pub in_dim: usize,
    /// The number of columns that it yields.
    pub out_dim: usize,
    /// Whether dropout applies to its input.
    pub drops_out: bool,
    /// Whether tanh follows.
    pub tanh: bool,
}

/// The layers of Hugging Face's `…ForSequenceClassification`, `…ForQuestionAnswering` and
/// `…ForTokenClassification`, in the order in which they are computed.
pub(crate) fn head_layers(config: &ModelConfig, head: HeadKind) -> Vec<HeadModule> {
    let hidden = config.encoder.hidden_size;
    let layer = |module, out_dim| HeadModule {
        module,
        in_dim: hidden,
        out_dim,
        drops_out: false,
        tanh: false,
    };
    let dropped = |module, out_dim| HeadModule {
        drops_out: true,
        ..layer(module, out_dim)
    };
    let tanh = |layer| HeadModule {
        tanh: true,
        ..layer
    };
    match (head, config.architecture) {
        (HeadKind::QuestionAnswering, _) => vec![layer("qa_outputs", 2)],
        (HeadKind::Token(n), _) => vec![dropped("classifier", n)],
        (HeadKind::Sequence(n), Architecture::Bert) => {
            vec![
                tanh(layer("pooler.dense", hidden)),
                dropped("classifier", n),
            ]
        }
        (HeadKind::Sequence(n), Architecture::Roberta) => vec![
            tanh(dropped("classifier.dense", hidden)),
            dropped("classifier.out_proj", n),
        ],
    }
}
