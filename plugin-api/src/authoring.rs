//! Constructors, selections and builders for the records, with which authors write plans. Used by
//! plugins, by [`crate::stage`] and by the contract test; the host uses the constructors too.

use crate::{
    graph::{Graph, GraphBuilder},
    names::did_you_mean,
    open::{Attribute, Value},
    records::{
        DecisionRecord, ErrorCode, MethodPlan, Mode, ModelRecord, NewParameter, ParameterRecord,
        Part, PluginError, Rewrite, Role, RunRecord, SchedulePlan, ScheduleTraits, SiteKind,
        SiteRecord,
    },
};
use abi_stable::std_types::{ROption, RString, RVec};
use std::ops::{Bound, RangeBounds};

impl PluginError {
    /// An error of any code.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into().into(),
            help: RString::new(),
            ext: RVec::new(),
        }
    }

    /// An option that the plugin refuses. The reason says what was expected and what was found.
    pub fn bad_option(name: &str, reason: impl std::fmt::Display) -> Self {
        Self::new(ErrorCode::BAD_OPTION, format!("option '{name}': {reason}"))
    }

    /// The host or the model lacks a feature.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::UNSUPPORTED, message)
    }

    /// Adds advice on what to do next.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into().into();
        self
    }
}

impl std::fmt::Display for PluginError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        if self.help.is_empty() {
            Ok(())
        } else {
            write!(f, " ({})", self.help)
        }
    }
}

impl std::error::Error for PluginError {}

impl ParameterRecord {
    /// The number of elements; `u64::MAX` if the shape is too large.
    pub fn elements(&self) -> u64 {
        self.shape
            .iter()
            .try_fold(1u64, |product, &size| product.checked_mul(size))
            .unwrap_or(u64::MAX)
    }
}

impl RunRecord {
    /// The ids of the candidates that satisfy a predicate.
    pub fn select(&self, mut wanted: impl FnMut(&ParameterRecord) -> bool) -> Vec<u32> {
        (0u32..)
            .zip(self.candidates.iter())
            .filter(|(_, p)| wanted(p))
            .map(|(id, _)| id)
            .collect()
    }

    /// The ids of the candidates in these blocks: `run.blocks(3..5)`.
    pub fn blocks(&self, blocks: impl RangeBounds<u32>) -> Vec<u32> {
        let low = match blocks.start_bound() {
            Bound::Included(&block) => i64::from(block),
            Bound::Excluded(&block) => i64::from(block) + 1,
            Bound::Unbounded => 0,
        };
        let high = match blocks.end_bound() {
            Bound::Included(&block) => i64::from(block) + 1,
            Bound::Excluded(&block) => i64::from(block),
            Bound::Unbounded => i64::MAX,
        };
        self.select(|p| p.part == Part::BLOCK && (low..high).contains(&i64::from(p.block)))
    }

    /// The ids of the candidates in the top `k` blocks.
    pub fn top_blocks(&self, k: u32) -> Vec<u32> {
        self.blocks(self.blocks.saturating_sub(k)..)
    }

    /// The ids of the candidates in the embeddings.
    pub fn embeddings(&self) -> Vec<u32> {
        self.select(|p| p.part == Part::EMBEDDINGS)
    }

    /// The ids of the candidates above the last block.
    pub fn head(&self) -> Vec<u32> {
        self.select(|p| p.part == Part::HEAD)
    }

    /// The ids of the candidates in all other parts: parameters that several blocks share, and
    /// parts of later versions.
    pub fn shared(&self) -> Vec<u32> {
        self.select(|p| ![Part::BLOCK, Part::EMBEDDINGS, Part::HEAD].contains(&p.part))
    }

    /// The candidate with an id.
    pub fn candidate(&self, id: u32) -> Option<&ParameterRecord> {
        self.candidates.get(id as usize)
    }
}

impl Default for ScheduleTraits {
    fn default() -> Self {
        Self {
            signals: RVec::new(),
            interval_steps: 0,
            ext: RVec::new(),
        }
    }
}

impl ScheduleTraits {
    /// The traits of a schedule that subscribes to the history of these signals.
    pub fn signals(names: &[&str]) -> Self {
        Self {
            signals: names.iter().map(|&name| name.into()).collect(),
            ..Self::default()
        }
    }
}

impl DecisionRecord {
    /// The start of an epoch (from 1), without history.
    pub fn epoch(epoch: u32) -> Self {
        Self {
            epoch,
            step_in_epoch: 0,
            global_step: 0,
            history: RVec::new(),
            ext: RVec::new(),
        }
    }
}

impl SchedulePlan {
    /// Trains these candidates.
    pub fn train(ids: impl IntoIterator<Item = u32>) -> Self {
        Self {
            trainable: ids.into_iter().collect(),
            lr_scales: RVec::new(),
            note: RString::new(),
            ext: RVec::new(),
        }
    }

    /// Adds a line to the log.
    #[must_use]
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into().into();
        self
    }

    /// Scales the learning rate of each block.
    #[must_use]
    pub fn with_lr_scales(mut self, scales: impl IntoIterator<Item = f64>) -> Self {
        self.lr_scales = scales.into_iter().collect();
        self
    }

    /// Scales the learning rate of [`Part::EMBEDDINGS`] or [`Part::HEAD`]; other parts have no such
    /// scale. A host of interface 1.0 does not know it and refuses the plan.
    #[must_use]
    pub fn with_lr_scale_of(mut self, part: Part, scale: f64) -> Self {
        self.ext
            .push(Attribute::new(&format!("!lr_scale.{part}"), scale));
        self
    }

    /// The factor on the learning rate of [`Part::EMBEDDINGS`] or [`Part::HEAD`]; 1 if there is
    /// none.
    pub fn lr_scale_of(&self, part: Part) -> f64 {
        let wanted = format!("lr_scale.{part}");
        let ours = |attribute: &&Attribute| attribute.key.trim_start_matches('!') == wanted;
        match self.ext.iter().find(ours).map(|attribute| &attribute.value) {
            Some(Value::Float(scale)) => *scale,
            _ => 1.0,
        }
    }
}

impl SiteRecord {
    /// Whether the site is a linear layer, that is, whether it has a weight.
    pub fn is_linear(&self) -> bool {
        !self.weight.is_empty()
    }

    /// Whether the host accepts this mode here.
    pub fn accepts(&self, mode: Mode) -> bool {
        self.modes.contains(&mode)
    }

    /// The part to which a parameter at this site belongs.
    pub fn part(&self) -> Part {
        match self.kind {
            _ if self.block >= 0 => Part::BLOCK,
            SiteKind::EMBEDDINGS_END => Part::EMBEDDINGS,
            _ => Part::HEAD,
        }
    }
}

impl ModelRecord {
    /// The parameter with this name.
    pub fn parameter(&self, name: &str) -> Option<&ParameterRecord> {
        self.parameters
            .iter()
            .find(|parameter| parameter.name == name)
    }

    /// The site with this name.
    pub fn site(&self, name: &str) -> Option<&SiteRecord> {
        self.sites.iter().find(|site| site.name == name)
    }

    /// The value of the `config.json` entry with this name, if the host passed it.
    pub fn config(&self, name: &str) -> Option<&Value> {
        let attribute = self
            .ext
            .iter()
            .find(|attribute| attribute.key.strip_prefix("config.") == Some(name));
        attribute.map(|attribute| &attribute.value)
    }

    /// The sites of these kinds, from the input to the head.
    ///
    /// # Errors
    /// [`ErrorCode::UNSUPPORTED`] if the model lacks one of the kinds.
    pub fn sites_of(&self, kinds: &[SiteKind]) -> Result<Vec<&SiteRecord>, PluginError> {
        for kind in kinds {
            if !self.sites.iter().any(|site| site.kind == *kind) {
                let architecture = &self.architecture;
                let message = format!("the model ({architecture}) has no site of kind '{kind}'");
                return Err(PluginError::unsupported(message));
            }
        }
        Ok(self
            .sites
            .iter()
            .filter(|site| kinds.contains(&site.kind))
            .collect())
    }

    /// The linear layers inside the blocks whose name is a pattern or ends with `.` and a pattern,
    /// as Hugging Face PEFT matches `target_modules`.
    ///
    /// # Errors
    /// [`ErrorCode::BAD_OPTION`] with the nearest names if a pattern matches nothing. `option` is
    /// the option's name.
    pub fn linear_sites(
        &self,
        option: &str,
        patterns: &[&str],
    ) -> Result<Vec<&SiteRecord>, PluginError> {
        let linear = || {
            self.sites
                .iter()
                .filter(|site| site.is_linear() && site.block >= 0)
        };
        let matches = |site: &SiteRecord, pattern: &str| {
            site.name
                .strip_suffix(pattern)
                .is_some_and(|before| before.is_empty() || before.ends_with('.'))
        };
        if patterns.is_empty() {
            return Err(PluginError::bad_option(
                option,
                "expected at least one name, found none",
            ));
        }
        for &pattern in patterns {
            if pattern.is_empty() || !linear().any(|site| matches(site, pattern)) {
                let ends = || linear().flat_map(suffixes);
                let near = did_you_mean(pattern, ends());
                return Err(PluginError::bad_option(
                    option,
                    format!("'{pattern}' matches no linear layer in the blocks{near}"),
                ));
            }
        }
        Ok(linear()
            .filter(|site| patterns.iter().any(|pattern| matches(site, pattern)))
            .collect())
    }
}

/// The suffixes of a site's name that do not depend on the block: `attention.self.query`,
/// `self.query`, `query`.
fn suffixes(site: &SiteRecord) -> impl Iterator<Item = &str> {
    let block = format!(".{}.", site.block);
    let inside = site
        .name
        .split_once(block.as_str())
        .map_or(site.name.as_str(), |(_, inside)| inside);
    std::iter::successors(Some(inside), |name| {
        name.split_once('.').map(|(_, end)| end)
    })
}

impl NewParameter {
    /// A trained parameter of a block: a weight with weight decay and no learning-rate scale.
    pub fn trained(name: impl Into<String>, shape: &[u64], init: Graph, block: i32) -> Self {
        Self {
            name: name.into().into(),
            shape: shape.to_vec().into(),
            init,
            trainable: true,
            role: Role::WEIGHT,
            part: if block >= 0 { Part::BLOCK } else { Part::HEAD },
            block,
            weight_decay: true,
            lr_scale: 1.0,
            ext: RVec::new(),
        }
    }

    /// A trained parameter at a site, like [`NewParameter::trained`] with the site's block and
    /// part.
    pub fn at(site: &SiteRecord, name: impl Into<String>, shape: &[u64], init: Graph) -> Self {
        Self {
            part: site.part(),
            ..Self::trained(name, shape, init, site.block)
        }
    }

    /// The same as a parameter that several blocks share.
    #[must_use]
    pub fn shared(self) -> Self {
        Self {
            part: Part::SHARED,
            block: -1,
            ..self
        }
    }

    /// The same as a bias, without weight decay.
    #[must_use]
    pub fn bias(self) -> Self {
        Self {
            role: Role::BIAS,
            weight_decay: false,
            ..self
        }
    }

    /// The same as a constant, which is never trained.
    #[must_use]
    pub fn frozen(self) -> Self {
        Self {
            trainable: false,
            ..self
        }
    }

    /// The same with a factor on the learning rate.
    #[must_use]
    pub fn with_lr_scale(self, lr_scale: f64) -> Self {
        Self { lr_scale, ..self }
    }
}

/// Init graphs with one node.
impl Graph {
    /// The same value everywhere.
    pub fn filled(value: f64, shape: &[u64]) -> Self {
        let mut graph = GraphBuilder::new();
        graph.constant(value, shape);
        graph.finish()
    }

    /// Normal random numbers with mean 0.
    pub fn normal(std: f64, shape: &[u64]) -> Self {
        let mut graph = GraphBuilder::new();
        graph.normal(std, shape);
        graph.finish()
    }

    /// Normal random numbers with mean 0, redrawn beyond two standard deviations.
    pub fn truncated_normal(std: f64, shape: &[u64]) -> Self {
        let mut graph = GraphBuilder::new();
        graph.truncated_normal(std, shape);
        graph.finish()
    }

    /// Uniform random numbers in `[−bound, bound)`.
    pub fn uniform(bound: f64, shape: &[u64]) -> Self {
        let mut graph = GraphBuilder::new();
        graph.uniform(-bound, bound, shape);
        graph.finish()
    }
}

impl Rewrite {
    /// `y' = g(…)` at a site.
    pub fn output(site: &SiteRecord, graph: Graph) -> Self {
        Self {
            site: site.name.clone(),
            mode: Mode::OUTPUT,
            graph,
            merge: ROption::RNone,
            merge_bias: ROption::RNone,
            ext: RVec::new(),
        }
    }

    /// `x' = g(x, …)` for the linear layer of a site (since 1.1).
    pub fn input(site: &SiteRecord, graph: Graph) -> Self {
        Self {
            mode: Mode::INPUT,
            ..Self::output(site, graph)
        }
    }

    /// `W' = g(W, …)` at a site. It is its own merge graph.
    pub fn weight(site: &SiteRecord, graph: Graph) -> Self {
        Self {
            mode: Mode::WEIGHT,
            merge: ROption::RSome(graph.clone()),
            ..Self::output(site, graph)
        }
    }

    /// Extra rows of keys and values at a [`SiteKind::KEY_VALUE`] site.
    pub fn kv_prefix(site: &SiteRecord, graph: Graph) -> Self {
        Self {
            mode: Mode::KV_PREFIX,
            ..Self::output(site, graph)
        }
    }

    /// Adds the graph that computes the merged weight.
    #[must_use]
    pub fn with_merge(mut self, merge: Graph) -> Self {
        self.merge = ROption::RSome(merge);
        self
    }

    /// Adds the graph that computes the merged bias.
    #[must_use]
    pub fn with_merge_bias(mut self, merge: Graph) -> Self {
        self.merge_bias = ROption::RSome(merge);
        self
    }
}

impl Default for MethodPlan {
    /// A method that changes nothing: only the head is trained.
    fn default() -> Self {
        Self {
            unfreeze: RVec::new(),
            parameters: RVec::new(),
            rewrites: RVec::new(),
            suggested_lr: ROption::RNone,
            identity_at_init: false,
            ext: RVec::new(),
        }
    }
}

impl MethodPlan {
    /// Sets the learning rate used if the user gives none.
    #[must_use]
    pub fn with_suggested_lr(mut self, lr: f64) -> Self {
        self.suggested_lr = ROption::RSome(lr);
        self
    }
}
