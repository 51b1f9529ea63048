//! The model: BERT and RoBERTa encoders with a head, trainable block by block.
//!
//! Called by the trainer and the evaluator. A forward keeps a tape a block; the backward walks down from the
//! head, consumes one tape after the other, and stops at the lowest part that is trained.

mod composed;
pub mod config;
pub mod description;
mod fused;
pub mod gradients;
mod head;
mod layout;
pub mod parameters;
mod pass;
pub mod safetensors_file;
pub mod step;
pub mod weights;

use crate::{batch::Batch, error::Result, graph::distinct};
use candle_core::{Tensor, Var};
use config::ModelConfig;
use description::HeadKind;
use gradients::Gradients;
use layout::{Block, Layout};
use parameters::{HostSlice, Parameters};
use pass::{BlockMode, Pass};
use progtune_plugin_api::records::Rewrite;
use step::Step;

/// A model in memory.
pub struct Model {
    /// Its configuration.
    pub config: ModelConfig,
    /// Its parameters.
    pub parameters: Parameters,
    layout: Layout,
    fused: bool,
    /// Whether what lies below the lowest trained parameter drops out as well while training (the paper's code did).
    pub frozen_dropout: bool,
    /// Whether blocks keep their input alone while training and run their forward again in the backward: same bits,
    /// less memory, more time.
    pub recompute: bool,
    /// Parameters whose first value was not the base checkpoint's: they belong to a saved adapter, trained or not.
    pub not_in_base: Vec<parameters::ParameterId>,
}

/// What a block's backward needs.
enum Tape {
    Fused(Box<fused::BlockTape>),
    Composed(composed::Tape),
    /// The block's input and mode: enough to make one of the above again.
    Recompute {
        x: Tensor,
        mode: BlockMode,
    },
}

enum EmbeddingsTape {
    Fused(fused::EmbeddingsTape),
    Composed(composed::Tape),
}

/// How deep a backward goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Depth {
    /// The embeddings are trained.
    Embeddings,
    /// This is the lowest block with something trained.
    Block(usize),
}

impl Model {
    /// Puts a model together; `fused` selects the CPU kernels (the device must be the CPU then).
    pub fn new(
        config: ModelConfig,
        parameters: Parameters,
        head: HeadKind,
        rewrites: &[Rewrite],
        fused: bool,
    ) -> Result<Self> {
        let layout = Layout::new(&config, head, rewrites, &parameters)?;
        Ok(Self {
            config,
            parameters,
            layout,
            fused,
            frozen_dropout: false,
            recompute: false,
            not_in_base: Vec::new(),
        })
    }

    /// Logits `[S, outputs]`, without dropout and without a tape.
    pub fn logits(&self, batch: &Batch) -> Result<Tensor> {
        let pass = Pass::new(&self.config, &self.parameters, batch, None);
        let depth = Depth::Block(self.layout.blocks.len());
        let (hidden, _, _) = self.encode(&pass, depth)?;
        Ok(head::logits(&self.layout.head, &hidden, &pass)?.detach())
    }

    /// One micro-batch: forward, loss (Σ over its examples / `denominator`), backward into `gradients`.
    /// Returns the loss.
    pub fn train(
        &self,
        batch: &Batch,
        step: Step,
        denominator: usize,
        gradients: &mut Gradients,
    ) -> Result<f64> {
        let pass = Pass::new(&self.config, &self.parameters, batch, Some(step));
        let depth = self.depth();
        let (hidden, mut tapes, embeddings_tape) = self.encode(&pass, depth)?;

        let below = depth < Depth::Block(self.layout.blocks.len());
        let hidden = if below {
            Var::from_tensor(&hidden)?.into_inner()
        } else {
            hidden
        };
        let logits = head::logits(&self.layout.head, &hidden, &pass)?;
        let loss = head::loss(&logits, &batch.labels, denominator)?;
        let store = loss.backward()?;
        for id in self.head_parameters() {
            if let Some(gradient) = store
                .get(self.parameters.variable(id))
                .filter(|_| self.parameters.is_trainable(id))
            {
                gradients.add(id, gradient)?;
            }
        }
        let value = f64::from(loss.to_scalar::<f32>()?);
        let mut d = match store.get(&hidden) {
            Some(d) if below => d.detach(),
            _ => return Ok(value),
        };
        drop(store);
        for block in self.layout.blocks.iter().rev() {
            let Some(tape) = tapes.pop() else {
                return Ok(value);
            };
            let next = self.block_backward(block, tape, &d, &pass, gradients)?;
            match next {
                Some(next) => d = next,
                None => return Ok(value),
            }
        }
        match embeddings_tape {
            Some(EmbeddingsTape::Fused(tape)) => {
                let d = HostSlice::of(&d.contiguous()?).to_vec();
                fused::embeddings_backward(
                    &self.layout.embeddings,
                    tape,
                    d,
                    &pass,
                    gradients,
                    true,
                )?;
            }
            Some(EmbeddingsTape::Composed(tape)) => {
                tape.backward(
                    &d,
                    &self.embedding_parameters(),
                    &self.parameters,
                    gradients,
                )?;
            }
            None => {}
        }
        Ok(value)
    }

    fn tensor(&self, rows: Vec<f32>) -> Result<Tensor> {
        let hidden = self.config.encoder.hidden_size;
        let shape = (rows.len() / hidden, hidden);
        Ok(Tensor::from_vec(rows, shape, self.parameters.device())?)
    }

    /// The first tokens' vectors `[S, hidden]` after the last block, and the tapes from `depth` on.
    fn encode(
        &self,
        pass: &Pass<'_>,
        depth: Depth,
    ) -> Result<(Tensor, Vec<Tape>, Option<EmbeddingsTape>)> {
        let record = depth == Depth::Embeddings;
        let dropout = record || self.frozen_dropout;
        let embeddings = &self.layout.embeddings;
        let (mut x, tape) = if self.fused {
            let (rows, tape) = fused::embeddings_forward(embeddings, pass, record, dropout)?;
            (self.tensor(rows)?, EmbeddingsTape::Fused(tape))
        } else {
            let (x, tape) = composed::embeddings(embeddings, pass, dropout)?;
            (x, EmbeddingsTape::Composed(tape))
        };
        let embeddings_tape = record.then_some(tape);
        let mut tapes = Vec::new();
        let last = self.layout.blocks.len() - 1;
        for block in &self.layout.blocks {
            let record = depth <= Depth::Block(block.number);
            let mode = BlockMode {
                first_only: block.number == last,
                record,
                input_gradient: depth < Depth::Block(block.number),
                dropout: record || self.frozen_dropout,
            };
            // The topmost tape is the first that the backward takes: keeping it costs no memory at the peak.
            if record && self.recompute && block.number != last {
                let tape = Tape::Recompute { x: x.clone(), mode };
                let without = BlockMode {
                    record: false,
                    ..mode
                };
                (x, _) = self.block_forward(block, x, pass, without)?;
                tapes.push(tape);
                continue;
            }
            let tape;
            (x, tape) = self.block_forward(block, x, pass, mode)?;
            if record {
                tapes.push(tape);
            }
        }
        Ok((x, tapes, embeddings_tape))
    }

    /// A block's output, and its tape when the mode records.
    fn block_forward(
        &self,
        block: &Block,
        x: Tensor,
        pass: &Pass<'_>,
        mode: BlockMode,
    ) -> Result<(Tensor, Tape)> {
        if self.fused {
            let (rows, tape) = fused::block_forward(block, x, pass, mode)?;
            return Ok((self.tensor(rows)?, Tape::Fused(Box::new(tape))));
        }
        let (x, tape) = composed::block(block, &x, pass, mode)?;
        Ok((x, Tape::Composed(tape)))
    }

    /// Adds the gradients of a block's parameters; returns that of its input when its mode asks for it.
    fn block_backward(
        &self,
        block: &Block,
        tape: Tape,
        d: &Tensor,
        pass: &Pass<'_>,
        gradients: &mut Gradients,
    ) -> Result<Option<Tensor>> {
        match tape {
            Tape::Fused(tape) => {
                let d = HostSlice::of(&d.contiguous()?).to_vec();
                fused::block_backward(block, *tape, d, pass, gradients)?
                    .map(|d| self.tensor(d))
                    .transpose()
            }
            Tape::Composed(tape) => {
                tape.backward(d, &block.parameters(), &self.parameters, gradients)
            }
            Tape::Recompute { x, mode } => {
                let (_, tape) = self.block_forward(block, x, pass, mode)?;
                self.block_backward(block, tape, d, pass, gradients)
            }
        }
    }

    /// The lowest part that is trained now.
    fn depth(&self) -> Depth {
        let trained = |id: &usize| self.parameters.is_trainable(*id);
        if self.embedding_parameters().iter().any(trained) {
            return Depth::Embeddings;
        }
        let lowest = self
            .layout
            .blocks
            .iter()
            .find(|block| block.parameters().iter().any(trained));
        Depth::Block(lowest.map_or(self.layout.blocks.len(), |block| block.number))
    }

    fn embedding_parameters(&self) -> Vec<usize> {
        let e = &self.layout.embeddings;
        let mut ids = vec![e.word, e.position, e.token_type, e.norm.weight, e.norm.bias];
        ids.extend(e.end.parameters());
        distinct(ids)
    }

    fn head_parameters(&self) -> Vec<usize> {
        let mut ids = Vec::new();
        for layer in [&self.layout.head.dense, &self.layout.head.output] {
            ids.extend([layer.weight, layer.bias]);
            ids.extend(layer.site.parameters());
        }
        distinct(ids)
    }
}
