//! The lowest part of the model that a set of trained parameters reaches, and with it the number of
//! leading frozen blocks. [`crate::plan`] asks before there are weights, [`super::Model`] at every
//! step; both get the same answer.

use super::description::ParameterInfo;
use progtune_plugin_api::{
    graph::Op,
    records::{Part, Rewrite},
};

/// The depth of a backward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// Down to the embeddings.
    Embeddings,
    /// Down to this block. The number of blocks stands for the head.
    Block(usize),
}

impl Depth {
    /// The lowest of these places, in a model of `blocks` blocks. Without a place it is the head.
    ///
    /// ```
    /// use progtune_engine::model::Depth;
    ///
    /// let trained = [Depth::Block(5), Depth::Block(3)];
    /// assert_eq!(Depth::lowest(trained, 6).frozen_blocks(), 3);
    /// assert_eq!(Depth::lowest([], 6).frozen_blocks(), 6);
    /// assert_eq!(Depth::lowest([Depth::Embeddings], 6).frozen_blocks(), 0);
    /// ```
    pub fn lowest(places: impl IntoIterator<Item = Self>, blocks: usize) -> Self {
        let head = Self::Block(blocks);
        places.into_iter().fold(head, Self::min)
    }

    /// The number of leading blocks below this place, all of which are frozen. It is 0 if the
    /// embeddings are trained.
    pub fn frozen_blocks(self) -> usize {
        match self {
            Self::Embeddings => 0,
            Self::Block(lowest) => lowest,
        }
    }

    /// The place of a site, by its name.
    fn of_site(name: &str, blocks: usize) -> Self {
        let inside = name.strip_prefix("encoder.layer.");
        let number = inside.and_then(|inside| inside.split('.').next()?.parse().ok());
        match number {
            Some(block) => Self::Block(block),
            None if name == "embeddings" => Self::Embeddings,
            None => Self::Block(blocks),
        }
    }

    /// The place that a parameter belongs to. A shared one belongs nowhere, so this is the head
    /// until a rewrite reads it.
    fn of_parameter(info: &ParameterInfo, blocks: usize) -> Self {
        match (info.part, info.block) {
            (Part::EMBEDDINGS, _) => Self::Embeddings,
            (_, Some(block)) => Self::Block(block),
            (_, None) => Self::Block(blocks),
        }
    }
}

/// The lowest place that reads each parameter, in the order of `infos`, which are sorted by name. A
/// parameter is read where it belongs, and wherever a rewrite's graph names it.
pub(crate) fn lowest_readers(
    infos: &[ParameterInfo],
    rewrites: &[Rewrite],
    blocks: usize,
) -> Vec<Depth> {
    let own = infos.iter().map(|info| Depth::of_parameter(info, blocks));
    let mut readers: Vec<Depth> = own.collect();
    for rewrite in rewrites {
        let place = Depth::of_site(&rewrite.site, blocks);
        for op in [Op::PARAMETER, Op::BASE] {
            for name in rewrite.graph.names(op) {
                if let Ok(id) = infos.binary_search_by(|info| info.name.as_str().cmp(name)) {
                    readers[id] = readers[id].min(place);
                }
            }
        }
    }
    readers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        config::ModelConfig,
        description::{HeadKind, parameters},
    };
    use progtune_plugin_api::{graph::GraphBuilder, open::Ext, records::Mode};

    #[test]
    fn a_rewrite_reads_parameters_below_their_own_place() {
        let text = r#"{"model_type":"bert","vocab_size":9,"hidden_size":4,"num_hidden_layers":3,
            "num_attention_heads":1,"intermediate_size":8}"#;
        let config = ModelConfig::parse(text, "test").unwrap();
        let infos = parameters(&config, HeadKind::Sequence(2));
        let mut graph = GraphBuilder::new();
        let (y, bias) = (graph.input("y"), graph.base("classifier.bias"));
        graph.add(y, bias);
        let graph = graph.finish();
        let rewrite = |site: &str| Rewrite {
            site: site.into(),
            mode: Mode::OUTPUT,
            graph: graph.clone(),
            merge: None.into(),
            merge_bias: None.into(),
            ext: Ext::new(),
        };
        let place = |name: &str, rewrites: &[Rewrite]| {
            let at = infos.iter().position(|info| info.name == name).unwrap();
            lowest_readers(&infos, rewrites, 3)[at]
        };
        assert_eq!(place("classifier.bias", &[]), Depth::Block(3));
        assert_eq!(
            place("encoder.layer.2.output.dense.bias", &[]),
            Depth::Block(2)
        );
        assert_eq!(place("embeddings.LayerNorm.bias", &[]), Depth::Embeddings);
        let in_block = [rewrite("encoder.layer.1.output"), rewrite("pooler.dense")];
        assert_eq!(place("classifier.bias", &in_block), Depth::Block(1));
        assert_eq!(
            place("classifier.bias", &[rewrite("embeddings")]),
            Depth::Embeddings
        );
    }
}
