//! The records that host and plugin exchange: plain data, no ML-framework type.
//!
//! A record never changes its layout within major version 1; what a later version wants to add goes into its
//! `ext` tail. The host fills [`HostRecord`], [`RunRecord`], [`DecisionRecord`] and [`ModelRecord`]; the
//! plugin answers with [`ScheduleTraits`], [`SchedulePlan`] and [`MethodPlan`].

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
    /// What a plugin's error is about; the host maps it to a message and an exit code.
    ErrorCode(u32) {
        /// An option or a combination of options the plugin refuses.
        BAD_OPTION = 1 => "bad option",
        /// The host or the model lacks something the plugin needs.
        UNSUPPORTED = 2 => "unsupported",
        /// A fault of the plugin itself.
        INTERNAL = 3 => "internal",
        /// The plugin panicked; the SDK caught it.
        PANIC = 4 => "panic",
        /// No entry of this id in the library.
        NOT_FOUND = 5 => "not found",
    }
);

open_enum!(
    /// The part of the model a parameter belongs to.
    Part(u16) {
        /// Word, position and type embeddings and their LayerNorm.
        EMBEDDINGS = 1 => "embeddings",
        /// One Transformer block; see [`ParameterRecord::block`].
        BLOCK = 2 => "block",
        /// Everything above the last block: pooler, classifier.
        HEAD = 3 => "head",
        /// Added parameters that several blocks use (VeRA's projections, a prefix generator). They belong to
        /// no block; the SDK's stages train them in every epoch, as the head.
        SHARED = 4 => "shared",
    }
);

open_enum!(
    /// What a parameter is.
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
    /// The kind of a site: where in a block it lies. The named inputs of each are in parentheses.
    SiteKind(u16) {
        /// The query projection (`x` its input, `y` its output).
        QUERY = 1 => "query",
        /// The key projection (`x`, `y`).
        KEY = 2 => "key",
        /// The value projection (`x`, `y`).
        VALUE = 3 => "value",
        /// The dense layer after attention (`x` the context, `y`), before dropout.
        ATTENTION_DENSE = 4 => "attention dense",
        /// The first dense layer of the feed-forward part (`x`, `y`), before the activation.
        INTERMEDIATE_DENSE = 5 => "intermediate dense",
        /// The activation of the feed-forward part (`x` before it, `y` after it).
        ACTIVATION = 6 => "activation",
        /// The second dense layer of the feed-forward part (`x`, `y`), before dropout.
        OUTPUT_DENSE = 7 => "output dense",
        /// The end of the attention sub-layer (`x` the sub-layer's input, `y` its output after dense and
        /// dropout, `residual` what is added to `y` next), before the sum and LayerNorm. Houlsby's place.
        ATTENTION_END = 8 => "attention end",
        /// The end of the feed-forward sub-layer (`x`, `y`, `residual`), as above.
        OUTPUT_END = 9 => "output end",
        /// The output of the embeddings after LayerNorm and dropout (`y`).
        EMBEDDINGS_END = 10 => "embeddings end",
        /// The output of a whole block after its last LayerNorm (`x` the block's input, `y`).
        BLOCK_END = 11 => "block end",
        /// The keys and values attention reads; `out_dim` counts the columns of both together. Accepts
        /// [`Mode::KV_PREFIX`] only, no inputs.
        KEY_VALUE = 12 => "key value",
        /// A linear layer of the head (`x`, `y`): pooler or classifier.
        HEAD_DENSE = 13 => "head dense",
    }
);

open_enum!(
    /// How a rewrite changes its site.
    Mode(u16) {
        /// `y' = g(x, y, …, P)` on the rows at the site.
        OUTPUT = 1 => "output",
        /// `W' = g(W, P)` on the weight `w` of the site's linear layer, `[out_dim, in_dim]` in every layout:
        /// costs a full weight-gradient product.
        WEIGHT = 2 => "weight",
        /// The graph has no inputs and yields `[prefix, out_dim]`, without rows: keys (first half of the
        /// columns) and values that attention reads in addition. Blocks may differ in `prefix`. Position ids
        /// stay as they are unless the plan's `ext` has `!position_shift` (an int, the number to add, which
        /// Hugging Face's prefix tuning does).
        KV_PREFIX = 3 => "kv prefix",
        /// `x' = g(x, P)` on the rows that the site's linear layer reads, and it alone; what `OUTPUT` rewrites of the site
        /// see as `x` is x'. Its result is `[rows, in_dim]`. Merging goes by the site's weight. Since 1.1.
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
    /// Why a plugin refuses, in words for the person who runs the trainer.
    PluginError {
        /// What it is about.
        code: ErrorCode,
        /// What is wrong: what was expected, what was found.
        message: RString,
        /// What to do next; empty when there is nothing to say.
        help: RString,
        /// Extensions.
        ext: Ext,
    }

    /// One parameter of the model, or one that the method adds.
    ParameterRecord {
        /// The checkpoint key, without the prefix of the base model (`bert.`): `encoder.layer.0.attention.self.query.weight`.
        name: RString,
        /// The shape as in the checkpoint.
        shape: RVec<u64>,
        /// The part of the model.
        part: Part,
        /// The Transformer block, 0 at the input; −1 outside the blocks (exactly when `part` is not [`Part::BLOCK`]).
        block: i32,
        /// What it is.
        role: Role,
        /// Whether the PEFT method adds it (it is not in the base checkpoint).
        added: bool,
        /// The stack of blocks it belongs to: `encoder`, `decoder`; empty outside.
        stack: RString,
        /// The parameter it shares its storage with; empty when none.
        tied_to: RString,
        /// How a matrix lies in memory: `out_in` as in PyTorch's Linear, `in_out` as in GPT-2's Conv1D; empty for others.
        layout: RString,
        /// The quantisation of a frozen weight (`int8-rows`); empty for plain numbers.
        quantised: RString,
        /// Extensions.
        ext: Ext,
    }

    /// What a schedule is told once, when it is created.
    RunRecord {
        /// L: Transformer blocks.
        blocks: u32,
        /// T: epochs, at least 1.
        epochs: u32,
        /// Optimizer steps in one epoch; 0 when not known yet (`progtune plan` without data).
        steps_per_epoch: u64,
        /// The seed of the run; the only source of randomness a schedule may use.
        seed: u64,
        /// The id of the PEFT method; empty for full fine-tuning.
        method: RString,
        /// The candidate parameters. A parameter's id is its index here; they are sorted by name.
        candidates: RVec<ParameterRecord>,
        /// Extensions.
        ext: Ext,
    }

    /// What a schedule declares about itself.
    ScheduleTraits {
        /// The signals whose history it wants, by name (see [`HostRecord::signals`]).
        signals: RVec<RString>,
        /// Steps between decision points inside an epoch; 0: only at the start of each epoch.
        interval_steps: u64,
        /// Extensions.
        ext: Ext,
    }

    /// One observation of a signal.
    SignalRecord {
        /// The signal's name.
        name: RString,
        /// The epoch it was observed in, from 1.
        epoch: u32,
        /// Optimizer steps done when it was observed.
        step: u64,
        /// The values: one number, or one a block for per-block signals (NaN for a block that was frozen).
        values: RVec<f64>,
        /// Extensions.
        ext: Ext,
    }

    /// A decision point.
    DecisionRecord {
        /// The epoch that begins or runs, from 1.
        epoch: u32,
        /// Optimizer steps done in this epoch.
        step_in_epoch: u64,
        /// Optimizer steps done in the run.
        global_step: u64,
        /// The whole history of the signals the schedule subscribed to, oldest first.
        history: RVec<SignalRecord>,
        /// Extensions.
        ext: Ext,
    }

    /// What is trained from this decision point to the next.
    SchedulePlan {
        /// Ids of candidate parameters (indices into [`RunRecord::candidates`]): distinct, at least one.
        trainable: RVec<u32>,
        /// A factor on the learning rate for each block, times the one of an added parameter; empty: 1 for all.
        /// Embeddings and head have theirs in `ext`, since 1.1: the numbers `lr_scale.embeddings` and `lr_scale.head`
        /// ([`SchedulePlan::with_lr_scale_of`]).
        lr_scales: RVec<f64>,
        /// A line for the log; may be empty.
        note: RString,
        /// Extensions.
        ext: Ext,
    }

    /// A named place in the model where a method may rewrite the computation.
    SiteRecord {
        /// The name: the module's path in the checkpoint (`encoder.layer.3.attention.self.query`).
        name: RString,
        /// The kind.
        kind: SiteKind,
        /// The Transformer block; −1 outside.
        block: i32,
        /// The named inputs that an output graph may read, all `[rows, dim]`.
        inputs: RVec<RString>,
        /// Columns of `x`; 0 when the site has no `x`.
        in_dim: u32,
        /// Columns of `y`, of `residual` and of what the graph must yield.
        out_dim: u32,
        /// The weight parameter of the site's linear layer; empty when it has none.
        weight: RString,
        /// The bias parameter; empty when it has none.
        bias: RString,
        /// The modes this host accepts here.
        modes: RVec<Mode>,
        /// Extensions.
        ext: Ext,
    }

    /// The model as a method sees it.
    ModelRecord {
        /// Hugging Face's `model_type`: `bert`, `roberta`.
        architecture: RString,
        /// Transformer blocks.
        blocks: u32,
        /// Hugging Face's `hidden_size`.
        hidden_size: u32,
        /// Hugging Face's `intermediate_size`.
        intermediate_size: u32,
        /// Hugging Face's `num_attention_heads`.
        num_attention_heads: u32,
        /// Every parameter, sorted by name, the task's head included.
        parameters: RVec<ParameterRecord>,
        /// Every site, from the input to the head.
        sites: RVec<SiteRecord>,
        /// Extensions. `config.NAME` holds each number, truth value and text at the top level of the
        /// checkpoint's `config.json` (`config.layer_norm_eps`); see [`ModelRecord::config`].
        ext: Ext,
    }

    /// A parameter that a method adds.
    NewParameter {
        /// Its name, a path like a checkpoint key: unique, not one of the model's.
        name: RString,
        /// Its shape.
        shape: RVec<u64>,
        /// How it starts: a graph without inputs, evaluated once, that yields `shape`.
        init: Graph,
        /// Whether it is trained (false: a constant, VeRA's projections for example).
        trainable: bool,
        /// What it is; weight decay and BitFit-like selections go by it.
        role: Role,
        /// The part of the model that schedules count it to.
        part: Part,
        /// The block it belongs to, so that schedules treat it as part of that block; −1 exactly when `part` is
        /// not [`Part::BLOCK`].
        block: i32,
        /// Whether weight decay applies.
        weight_decay: bool,
        /// A factor on the learning rate, 1 for none (LoRA+ uses another for B).
        lr_scale: f64,
        /// Extensions.
        ext: Ext,
    }

    /// A change of the computation at a site.
    Rewrite {
        /// The site's name.
        site: RString,
        /// How it changes it.
        mode: Mode,
        /// The graph; see [`Mode`] for its inputs and its result.
        graph: Graph,
        /// What the site's weight becomes when the method is merged into it (input `w`, `[out_dim, in_dim]` in
        /// every layout); none when it cannot be.
        merge: ROption<Graph>,
        /// What the site's bias becomes on merging (inputs `w` and `b`, as before merging); none: it stays.
        /// Means nothing without `merge`.
        merge_bias: ROption<Graph>,
        /// Extensions.
        ext: Ext,
    }

    /// What a method does to a model.
    MethodPlan {
        /// Names of model parameters that become candidates. The classifier always is one.
        unfreeze: RVec<RString>,
        /// Parameters to add.
        parameters: RVec<NewParameter>,
        /// Rewrites; several at one site apply in this order.
        rewrites: RVec<Rewrite>,
        /// The learning rate when the user gives none.
        suggested_lr: ROption<f64>,
        /// Whether the model computes the same as the base model before the first step (LoRA does).
        identity_at_init: bool,
        /// Extensions: those of [`crate::extensions`].
        ext: Ext,
    }
}

/// What the host offers; a plugin adapts to it or returns [`ErrorCode::UNSUPPORTED`] before training starts.
#[repr(C)]
#[derive(StableAbi, Debug, Clone)]
pub struct HostRecord {
    /// `progtune`.
    pub name: RString,
    /// The host's version.
    pub version: RString,
    /// The minor version of the interface the host was built with.
    pub abi_minor: u32,
    /// The graph operations it runs.
    pub ops: RVec<Op>,
    /// The kinds of site it knows (a model has some of them).
    pub site_kinds: RVec<SiteKind>,
    /// The rewrite modes it runs.
    pub modes: RVec<Mode>,
    /// The signals a schedule may subscribe to. `train_loss`: the mean loss of the epoch so far, observed before
    /// each decision point inside an epoch and at the end of it. `eval_metric`: the task's first metric, observed
    /// after each evaluation. `block_grad_norm`: one value a block, the L2 norm of its gradient before clipping,
    /// observed at every step.
    pub signals: RVec<RString>,
    /// What a plugin may call.
    pub api: HostApi_Ref,
    /// Extensions. `understands` (texts, since 1.1): the critical keys of a method's plan that this host acts on; see
    /// [`crate::extensions`].
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
