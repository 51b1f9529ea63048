//! The model: BERT and RoBERTa encoders with a head, trainable block by block.
//!
//! The recipe and the evaluator call it. A forward keeps one tape per block. The backward walks
//! down from the head, consumes one tape after the other, and stops at the lowest part that is
//! trained.

pub mod description;
pub mod fingerprint;
pub mod fused;
pub(crate) mod gpu;
pub mod graph;
pub mod lane;
pub mod tensor_writer;
pub mod weights;

mod composed;
pub(crate) mod config;
pub(crate) mod depth;
pub(crate) mod device;
mod frozen_prefix;
pub(crate) mod gradients;
mod key_value_prefix;
mod layout;
pub(crate) mod loss;
pub(crate) mod parameters;
mod pass;
pub(crate) mod per_linear;
mod place;
pub(crate) mod pytorch_file;
pub(crate) mod safetensors_file;
mod scratch;
mod start;
pub(crate) mod step;
pub(crate) mod tensor_file;
mod tensor_values;
mod walk;

pub use config::{Architecture, ModelConfig};
pub use depth::Depth;
pub use device::{ComputePath, Device, Kernels, Precision};
pub use gpu::KeptRows;
pub use gradients::Gradients;
pub use loss::LossWeighting;
pub use parameters::{HostSlice, ParameterId, Parameters};
pub use per_linear::{LinearSite, PerLinear};
pub use pytorch_file::PytorchFile;
pub use safetensors_file::SafetensorsFile;
pub use scratch::keeps_both_directions;
pub use start::{Hidden, Start};
pub use step::{DropoutSite, Step};

use crate::{batch::Batch, error::Result, model::graph::distinct};
use candle_core::Tensor;
use depth::lowest_readers;
use description::HeadKind;
use gpu::Gpu;
use layout::{Block, Layout};
use pass::BlockMode;
use progtune_kernels::gemm::Operands;
use progtune_plugin_api::records::Rewrite;
use scratch::Scratch;

/// A model in memory.
pub struct Model {
    /// Its configuration.
    pub config: ModelConfig,
    /// Its parameters.
    pub parameters: Parameters,
    layout: Layout,
    /// The lowest place that reads each parameter, by id.
    readers: Vec<Depth>,
    fused: bool,
    scratch: Scratch,
    /// The memory of the head, which is always computed in f32.
    head_scratch: Scratch,
    /// The model's part on a device; `None` on the other paths.
    gpu: Option<Gpu>,
    /// Whether dropout also applies, in training, to frozen blocks, and to the embeddings below
    /// them, as in the paper's code. The embeddings below a trained first block always drop out.
    pub frozen_dropout: bool,
    /// Whether blocks keep only their input while training and run their forward again in the
    /// backward. The bits are the same; it takes less memory and more time.
    pub recompute: bool,
    /// The weight of each label in the training loss.
    pub loss_weighting: LossWeighting,
    /// The parameters whose first value was not the base checkpoint's. They belong to a saved
    /// adapter, trained or not.
    pub not_in_base: Vec<parameters::ParameterId>,
}

impl Model {
    /// Puts a model together; `fused` selects the CPU kernels, which require the CPU as the device.
    pub fn new(
        config: ModelConfig,
        parameters: Parameters,
        head: HeadKind,
        rewrites: &[Rewrite],
        fused: bool,
    ) -> Result<Self> {
        let layout = Layout::new(&config, head, rewrites, &parameters)?;
        let weights = layout.blocks.iter().flat_map(|block| block.linears.each());
        let n_packed = weights.map(|(_, layer)| layer.in_dim * layer.out_dim).sum();
        Ok(Self {
            readers: lowest_readers(parameters.infos(), rewrites, config.blocks()),
            config,
            parameters,
            layout,
            fused,
            scratch: Scratch::for_weights(n_packed, Operands::F32),
            head_scratch: Scratch::default(),
            gpu: None,
            frozen_dropout: false,
            recompute: false,
            loss_weighting: LossWeighting::default(),
            not_in_base: Vec::new(),
        })
    }

    /// Empty gradients for the trainable set, where this model computes.
    ///
    /// # Errors
    /// If a device has no more memory.
    pub fn gradients(&self) -> Result<Gradients> {
        match &self.gpu {
            Some(gpu) => Gradients::on_gpu(&self.parameters, &gpu.lane, self.config.blocks()),
            None => Ok(Gradients::new(&self.parameters)),
        }
    }

    /// Whether the head yields logits for every token. Otherwise it yields one row per sequence.
    pub fn reads_every_token(&self) -> bool {
        self.layout.head.every_token
    }

    /// Releases the memory that training steps reuse, before a step of another kind such as an
    /// evaluation.
    pub fn release_buffers(&self) {
        self.scratch.release_buffers();
        self.head_scratch.release_buffers();
    }

    /// Releases all memory except the parameters, when no step follows.
    pub fn release_memory(&self) {
        self.scratch.release();
        self.head_scratch.release();
        if let Some(gpu) = &self.gpu {
            gpu.release();
        }
    }

    /// Logits, without dropout and without a tape: `[S, outputs]`, or `[T, outputs]` from a head
    /// that reads every token.
    ///
    /// ```no_run
    /// # use progtune_engine::{Error, model::Model};
    /// use progtune_engine::{Batch, EncodedExample};
    /// # fn logits(model: &Model) -> Result<(), Error> {
    /// let example = EncodedExample {
    ///     input_ids: vec![101, 7592, 102],
    ///     token_type_ids: vec![0; 3],
    ///     target: None,
    /// };
    /// let batch = Batch::new(&[example], &[0], model.config.first_position());
    /// println!("{}", model.logits(&batch)?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn logits(&self, batch: &Batch) -> Result<Tensor> {
        self.logits_from(batch, None)
    }

    /// Logits as in [`Model::logits`], computed from known rows.
    pub fn logits_from(&self, batch: &Batch, start: Option<Start>) -> Result<Tensor> {
        if let Some(gpu) = &self.gpu {
            return gpu::logits(self, gpu, batch, start);
        }
        if self.fused {
            return fused::logits(self, batch, start);
        }
        composed::logits(self, batch, start)
    }

    /// Runs one micro-batch: forward, loss, and backward into `gradients`.
    ///
    /// The loss is the sum over the examples, divided by `denominator` (see
    /// [`LossWeighting::weight_of`]). It is returned.
    pub fn train(
        &self,
        batch: &Batch,
        step: Step,
        denominator: f64,
        gradients: &mut Gradients,
    ) -> Result<f64> {
        self.train_from(batch, None, step, denominator, gradients)
    }

    /// Runs one micro-batch as in [`Model::train`], from known rows at or below the lowest trained
    /// block.
    pub fn train_from(
        &self,
        batch: &Batch,
        start: Option<Start>,
        step: Step,
        denominator: f64,
        gradients: &mut Gradients,
    ) -> Result<f64> {
        self.accumulate(batch, start, step, denominator, gradients)?;
        gradients.take_loss()
    }

    /// Runs one micro-batch as in [`Model::train_from`], and leaves its loss in `gradients` for
    /// [`AdamW::measure`](crate::optim::AdamW::measure). A device may still be computing.
    pub fn accumulate(
        &self,
        batch: &Batch,
        start: Option<Start>,
        step: Step,
        denominator: f64,
        gradients: &mut Gradients,
    ) -> Result<()> {
        if let Some(gpu) = &self.gpu {
            return gpu::train(self, gpu, batch, start, (step, denominator), gradients);
        }
        if self.fused {
            return fused::train(self, batch, start, (step, denominator), gradients);
        }
        composed::train(self, batch, start, (step, denominator), gradients)
    }

    /// Whether dropout applies to the embeddings, where `depth` is the lowest trained place.
    fn embeddings_drop_out(&self, depth: Depth) -> bool {
        // Where every block is trained, no output of a frozen block is cached: dropping out costs
        // nothing, and the blocks train on the noisy inputs that they get in PyTorch.
        depth <= Depth::Block(0) || self.frozen_dropout
    }

    /// The mode of a block, where `depth` is the lowest trained place.
    fn block_mode(&self, block: &Block, depth: Depth) -> BlockMode {
        let record = depth <= Depth::Block(block.number);
        let last = self.layout.blocks.len() - 1;
        BlockMode {
            first_only: block.number == last && !self.layout.head.every_token,
            record,
            input_gradient: depth < Depth::Block(block.number),
            dropout: record || self.frozen_dropout,
        }
    }

    /// The lowest place that reads a parameter that is trained now.
    fn depth(&self) -> Depth {
        self.depth_of(|id| self.parameters.is_trainable(id))
    }

    /// The lowest place that reads a trained parameter, where `is_trained` defines the trainable
    /// set.
    fn depth_of(&self, is_trained: impl Fn(parameters::ParameterId) -> bool) -> Depth {
        let readers = self.readers.iter().enumerate();
        let trained = readers.filter(|(id, _)| is_trained(*id));
        Depth::lowest(trained.map(|(_, place)| *place), self.layout.blocks.len())
    }

    fn embedding_parameters(&self) -> Vec<usize> {
        let e = &self.layout.embeddings;
        let mut ids = vec![e.word, e.position, e.token_type, e.norm.weight, e.norm.bias];
        ids.extend(e.end.parameters());
        distinct(ids)
    }

    fn head_parameters(&self) -> Vec<usize> {
        let mut ids = Vec::new();
        for layer in &self.layout.head.layers {
            ids.extend([layer.linear.weight, layer.linear.bias]);
            ids.extend(layer.linear.site.parameters());
        }
        distinct(ids)
    }
}
