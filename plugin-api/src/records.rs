//! The records that host and plugin exchange: plain data without any type of an ML framework.
//!
//! A record never changes its layout within major version 1; additions of later versions go into
//! its `ext` tail. The host fills [`HostRecord`], [`RunRecord`], [`DecisionRecord`] and
//! [`ModelRecord`]. The plugin answers with [`ScheduleTraits`], [`SchedulePlan`] and
//! [`MethodPlan`].

use crate::{
    graph::{Graph, Op},
    host::HostApi_Ref,
    open::{Ext, open_enum},
};
use abi_stable::{
    StableAbi,
    std_types::{ROption, RString, RVec},
};

open_enum!(
    /// The subject of a plugin's error; the host maps it to a message and an exit code.
    ErrorCode(u32) {
        /// The plugin refuses an option or a combination of options.
        BAD_OPTION = 1 => "bad option",
        /// The host or the model lacks a feature that the plugin needs.
        UNSUPPORTED = 2 => "unsupported",
        /// A bug in the plugin itself.
        INTERNAL = 3 => "internal",
        /// The plugin panicked, and the SDK caught it.
        PANIC = 4 => "panic",
        /// The library has no entry with this id.
        NOT_FOUND = 5 => "not found",
    }
);

open_enum!(
    /// The part of the model to which a parameter belongs.
    Part(u16) {
        /// Word, position and type embeddings with their LayerNorm.
        EMBEDDINGS = 1 => "embeddings",
        /// One Transformer block; see [`ParameterRecord::block`].
        BLOCK = 2 => "block",
        /// Everything above the last block: pooler, classifier.
        HEAD = 3 => "head",
        /// Added parameters that several blocks use (VeRA's projections, a prefix generator). They
        /// belong to no block. The SDK's stages train them in every epoch, like the head.
        SHARED = 4 => "shared",
    }
);

open_enum!(
    /// The role of a parameter.
    Role(u16) {
        /// The matrix of a linear layer, `[out, in]`.
        WEIGHT = 1 => "weight",
        /// The bias of a linear layer.
        BIAS = 2 => "bias",
        /// The scale of a LayerNorm.
        NORM_WEIGHT = 3 => "norm weight",
        /// The shift of a LayerNorm.
        NORM_BIAS = 4 => "norm bias",
        /// An embedding table, `[entries, hidden]`.
        EMBEDDING = 5 => "embedding",
    }
);

open_enum!(
    /// The kind of a site: its position in a block. The named inputs of each are in parentheses.
    SiteKind(u16) {
        /// The query projection (`x` is its input, `y` its output).
        QUERY = 1 => "query",
        /// The key projection (`x`, `y`).
        KEY = 2 => "key",
        /// The value projection (`x`, `y`).
        VALUE = 3 => "value",
        /// The dense layer after attention (`x` is the context, `y`), before dropout.
        ATTENTION_DENSE = 4 => "attention dense",
        /// The first dense layer of the feed-forward part (`x`, `y`), before the activation.
        INTERMEDIATE_DENSE = 5 => "intermediate dense",
        /// The activation of the feed-forward part (`x` before it, `y` after it).
        ACTIVATION = 6 => "activation",
        /// The second dense layer of the feed-forward part (`x`, `y`), before dropout.
        OUTPUT_DENSE = 7 => "output dense",
        /// The end of the attention sub-layer, before the sum and LayerNorm. `x` is the sub-layer's
        /// input, `y` its output after dense and dropout, and `residual` is then added to `y`.
        /// Houlsby adapters go here.
        ATTENTION_END = 8 => "attention end",
        /// The end of the feed-forward sub-layer (`x`, `y`, `residual`), as for attention.
        OUTPUT_END = 9 => "output end",
        /// The output of the embeddings after LayerNorm and dropout (`y`).
        EMBEDDINGS_END = 10 => "embeddings end",
        /// The output of a whole block after its last LayerNorm (`x` is the block's input, `y`).
        BLOCK_END = 11 => "block end",
        /// The keys and values that attention reads; `out_dim` counts the columns of both together.
        /// It accepts only [`Mode::KV_PREFIX`] and has no inputs.
        KEY_VALUE = 12 => "key value",
        /// A linear layer of the head (`x`, `y`): pooler or classifier.
        HEAD_DENSE = 13 => "head dense",
    }
);

open_enum!(
    /// The way in which a rewrite changes its site.
    Mode(u16) {
        /// `y' = g(x, y, …, P)` on the rows at the site.
        OUTPUT = 1 => "output",
        /// `W' = g(W, P)` on the weight `w` of the site's linear layer, `[out_dim, in_dim]` in
        /// every layout. It costs a full weight-gradient product.
        WEIGHT = 2 => "weight",
        /// The graph has no inputs and yields `[prefix, out_dim]`, without rows: keys (the first
        /// half of the columns) and values that attention reads in addition. Blocks may differ in
        /// `prefix`. Position ids are unchanged unless the plan's `ext` has `!position_shift`, an
        /// int that is added to them, as in Hugging Face's prefix tuning.
        KV_PREFIX = 3 => "kv prefix",
        /// `x' = g(x, P)` on the rows that the site's linear layer reads. Only this layer sees x',
        /// and `OUTPUT` rewrites of the site see x' as `x`. The result is `[rows, in_dim]`. Merging
        /// uses the site's weight. Since 1.1.
        INPUT = 4 => "input",
    }
);

macro_rules! records {
    ($($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $field:ident: $type:ty),* $(,)? })*) => {$(
        $(#[$meta])*
        #[repr(C)]
        #[derive(StableAbi, Debug, Clone, PartialEq)]
        pub struct $name { $($(#[$doc])* pub $field: $type),* }
    )*};
}

records! {
    /// The reason why a plugin refuses, in words for the person who runs the trainer.
    PluginError {
        /// The subject of the error.
        code: ErrorCode,
        /// The message: what was expected, and what was found.
        message: RString,
        /// Advice on what to do next; may be empty.
        help: RString,
        /// Extensions.
        ext: Ext,
    }

    /// A parameter of the model, or one that the method adds.
    ParameterRecord {
        /// The checkpoint key, without the prefix of the base model (`bert.`):
        /// `encoder.layer.0.attention.self.query.weight`.
        name: RString,
        /// The shape as in the checkpoint.
        shape: RVec<u64>,
        /// The part of the model.
        part: Part,
        /// The Transformer block, counted from 0 at the input; −1 outside the blocks, that is, if
        /// and only if `part` is not [`Part::BLOCK`].
        block: i32,
        /// The parameter's role.
        role: Role,
        /// Whether the PEFT method adds it, so that it is not in the base checkpoint.
        added: bool,
        /// The stack of blocks to which it belongs: `encoder`, `decoder`; empty outside of them.
        stack: RString,
        /// The parameter with which it shares its storage; empty if there is none.
        tied_to: RString,
        /// The memory layout of a matrix: `out_in` as in PyTorch's Linear, `in_out` as in GPT-2's
        /// Conv1D; empty for other parameters.
        layout: RString,
        /// The quantisation of a frozen weight (`int8-rows`); empty for plain numbers.
        quantised: RString,
        /// Extensions.
        ext: Ext,
    }

    /// The description of the run that a schedule receives once, when it is created.
    RunRecord {
        /// L: the number of Transformer blocks.
        blocks: u32,
        /// T: the number of epochs, at least 1.
        epochs: u32,
        /// The number of optimizer steps per epoch; 0 if not known yet (`progtune plan` without
        /// data).
        steps_per_epoch: u64,
        /// The random seed of the run, which is the only source of randomness that a schedule may
        /// use.
        seed: u64,
        /// The id of the PEFT method; empty for full fine-tuning.
        method: RString,
        /// The candidate parameters, sorted by name. A parameter's id is its index here.
        candidates: RVec<ParameterRecord>,
        /// Extensions.
        ext: Ext,
    }

    /// The properties that a schedule declares.
    ScheduleTraits {
        /// The signals to whose history it subscribes, by name (see [`HostRecord::signals`]).
        signals: RVec<RString>,
        /// The number of steps between decision points inside an epoch; 0 decides only at the start
        /// of each epoch.
        interval_steps: u64,
        /// Extensions.
        ext: Ext,
    }

    /// One observation of a signal.
    SignalRecord {
        /// The signal's name.
        name: RString,
        /// The epoch in which it was observed, counted from 1.
        epoch: u32,
        /// The number of optimizer steps completed when it was observed.
        step: u64,
        /// The values: one number, or one per block for per-block signals (NaN for a block that was
        /// frozen).
        values: RVec<f64>,
        /// Extensions.
        ext: Ext,
    }

    /// A decision point.
    DecisionRecord {
        /// The epoch that begins or is in progress, counted from 1.
        epoch: u32,
        /// The number of optimizer steps completed in this epoch.
        step_in_epoch: u64,
        /// The number of optimizer steps completed in the run.
        global_step: u64,
        /// The whole history of the signals to which the schedule subscribed, oldest first.
        history: RVec<SignalRecord>,
        /// Extensions.
        ext: Ext,
    }

    /// The parameters to train from this decision point to the next.
    SchedulePlan {
        /// The ids of candidate parameters (indices into [`RunRecord::candidates`]): distinct, and
        /// at least one.
        trainable: RVec<u32>,
        /// A factor on the learning rate for each block, multiplied by an added parameter's own
        /// factor; empty means 1 for all. Since 1.1, the factors for embeddings and head are in
        /// `ext`, as the numbers `lr_scale.embeddings` and `lr_scale.head`
        /// ([`SchedulePlan::with_lr_scale_of`]).
        lr_scales: RVec<f64>,
        /// A line for the log; may be empty.
        note: RString,
        /// Extensions.
        ext: Ext,
    }

    /// A named place in the model at which a method may rewrite the computation.
    SiteRecord {
        /// The name: the module's path in the checkpoint (`encoder.layer.3.attention.self.query`).
        name: RString,
        /// The kind.
        kind: SiteKind,
        /// The Transformer block; −1 outside.
        block: i32,
        /// The named inputs that an output graph may read, all `[rows, dim]`.
        inputs: RVec<RString>,
        /// The number of columns of `x`; 0 if the site has no `x`.
        in_dim: u32,
        /// The number of columns of `y`, of `residual` and of the graph's result.
        out_dim: u32,
        /// The weight parameter of the site's linear layer; empty if it has none.
        weight: RString,
        /// The bias parameter; empty if it has none.
        bias: RString,
        /// The modes that this host accepts here.
        modes: RVec<Mode>,
        /// Extensions.
        ext: Ext,
    }

    /// The model as a method sees it.
    ModelRecord {
        /// Hugging Face's `model_type`: `bert`, `roberta`.
        architecture: RString,
        /// The number of Transformer blocks.
        blocks: u32,
        /// Hugging Face's `hidden_size`.
        hidden_size: u32,
        /// Hugging Face's `intermediate_size`.
        intermediate_size: u32,
        /// Hugging Face's `num_attention_heads`.
        num_attention_heads: u32,
        /// Every parameter, including the task's head, sorted by name.
        parameters: RVec<ParameterRecord>,
        /// Every site, from the input to the head.
        sites: RVec<SiteRecord>,
        /// Extensions. `config.NAME` contains each number, truth value and text at the top level of
        /// the checkpoint's `config.json` (`config.layer_norm_eps`); see [`ModelRecord::config`].
        ext: Ext,
    }

    /// A parameter that a method adds.
    NewParameter {
        /// Its name, a path like a checkpoint key: unique, and different from the model's names.
        name: RString,
        /// Its shape.
        shape: RVec<u64>,
        /// Its initial value: a graph without inputs, evaluated once, that yields `shape`.
        init: Graph,
        /// Whether it is trained. If not, it is a constant, like VeRA's projections.
        trainable: bool,
        /// Its role, which determines weight decay and BitFit-like selections.
        role: Role,
        /// The part of the model to which schedules assign it.
        part: Part,
        /// The block to which it belongs, so that schedules treat it as part of that block; −1 if
        /// and only if `part` is not [`Part::BLOCK`].
        block: i32,
        /// Whether weight decay applies.
        weight_decay: bool,
        /// A factor on the learning rate; 1 means none (LoRA+ uses another factor for B).
        lr_scale: f64,
        /// Extensions.
        ext: Ext,
    }

    /// A change of the computation at a site.
    Rewrite {
        /// The site's name.
        site: RString,
        /// The way in which it changes the site.
        mode: Mode,
        /// The graph; see [`Mode`] for its inputs and its result.
        graph: Graph,
        /// The graph that computes the site's weight when the method is merged into it (input `w`,
        /// `[out_dim, in_dim]` in every layout); none if merging is impossible.
        merge: ROption<Graph>,
        /// The graph that computes the site's bias on merging (inputs `w` and `b` before merging);
        /// none if the bias is unchanged. It has no effect without `merge`.
        merge_bias: ROption<Graph>,
        /// Extensions.
        ext: Ext,
    }

    /// The changes that a method makes to a model.
    MethodPlan {
        /// The names of model parameters that become candidates. The classifier always is one.
        unfreeze: RVec<RString>,
        /// Parameters to add.
        parameters: RVec<NewParameter>,
        /// The rewrites. Several at one site are applied in this order.
        rewrites: RVec<Rewrite>,
        /// The learning rate used if the user gives none.
        suggested_lr: ROption<f64>,
        /// Whether the model computes the same as the base model before the first step, as with
        /// LoRA.
        identity_at_init: bool,
        /// Extensions: those of [`crate::extensions`].
        ext: Ext,
    }
}

/// The features that the host offers. A plugin adapts to them or returns [`ErrorCode::UNSUPPORTED`]
/// before training starts.
#[repr(C)]
#[derive(StableAbi, Debug, Clone)]
pub struct HostRecord {
    /// `progtune`.
    pub name: RString,
    /// The host's version.
    pub version: RString,
    /// The minor version of the interface with which the host was built.
    pub abi_minor: u32,
    /// The graph operations that it runs.
    pub ops: RVec<Op>,
    /// The kinds of sites that it knows (a model has some of them).
    pub site_kinds: RVec<SiteKind>,
    /// The rewrite modes that it runs.
    pub modes: RVec<Mode>,
    /// The signals to which a schedule may subscribe. `train_loss` is the mean loss of the epoch so
    /// far, observed before each decision point inside an epoch and at the end of it. `eval_metric`
    /// is the task's first metric, observed after each evaluation. `block_grad_norm` has one value
    /// per block, the L2 norm of its gradient before clipping, observed at every step.
    pub signals: RVec<RString>,
    /// The functions that a plugin may call.
    pub api: HostApi_Ref,
    /// Extensions. `understands` (texts, since 1.1) lists the critical keys of a method's plan that
    /// this host supports; see [`crate::extensions`].
    pub ext: Ext,
}

impl HostRecord {
    /// Writes an info line to the run's log.
    pub fn log(&self, message: &str) {
        (self.api.log())(3, message.into());
    }

    /// Writes a warning to the run's log.
    pub fn warn(&self, message: &str) {
        (self.api.log())(2, message.into());
    }

    /// Whether the user asked the run to stop.
    pub fn cancelled(&self) -> bool {
        (self.api.cancelled())()
    }
}
