//! The six linear layers of a block, and one value for each of them. Used wherever a block's layers
//! are listed: names, shapes, packed weights, tapes and gradients.

use std::ops::{Index, IndexMut};

/// A linear layer of a block, by its role in Hugging Face's `BertLayer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinearSite {
    /// `attention.self.query`.
    Query,
    /// `attention.self.key`.
    Key,
    /// `attention.self.value`.
    Value,
    /// `attention.output.dense`.
    AttentionDense,
    /// `intermediate.dense`.
    Intermediate,
    /// `output.dense`.
    Output,
}

impl LinearSite {
    /// All layers, in the order in which a forward computes them.
    pub const ALL: [Self; 6] = [
        Self::Query,
        Self::Key,
        Self::Value,
        Self::AttentionDense,
        Self::Intermediate,
        Self::Output,
    ];

    /// The module's name inside its block.
    pub const fn module(self) -> &'static str {
        match self {
            Self::Query => "attention.self.query",
            Self::Key => "attention.self.key",
            Self::Value => "attention.self.value",
            Self::AttentionDense => "attention.output.dense",
            Self::Intermediate => "intermediate.dense",
            Self::Output => "output.dense",
        }
    }

    /// Whether the layer feeds attention: query, key or value.
    pub(crate) fn feeds_attention(self) -> bool {
        matches!(self, Self::Query | Self::Key | Self::Value)
    }

    /// Whether the layer computes all rows, even in a block whose other layers compute first tokens
    /// only: key or value.
    pub(crate) fn computes_all_rows(self) -> bool {
        matches!(self, Self::Key | Self::Value)
    }
}

/// One value for each linear layer of a block.
///
/// ```
/// use progtune_engine::model::{LinearSite, PerLinear};
///
/// let names = PerLinear::from_fn(LinearSite::module);
/// assert_eq!(names.intermediate, "intermediate.dense");
/// assert_eq!(names[LinearSite::Query], "attention.self.query");
/// assert_eq!(names.each().len(), 6);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PerLinear<T> {
    /// `attention.self.query`.
    pub query: T,
    /// `attention.self.key`.
    pub key: T,
    /// `attention.self.value`.
    pub value: T,
    /// `attention.output.dense`.
    pub(crate) attention_dense: T,
    /// `intermediate.dense`.
    pub intermediate: T,
    /// `output.dense`.
    pub output: T,
}

impl<T> PerLinear<T> {
    /// The values that `f` gives, called in the order of [`LinearSite::ALL`].
    pub fn from_fn(mut f: impl FnMut(LinearSite) -> T) -> Self {
        Self {
            query: f(LinearSite::Query),
            key: f(LinearSite::Key),
            value: f(LinearSite::Value),
            attention_dense: f(LinearSite::AttentionDense),
            intermediate: f(LinearSite::Intermediate),
            output: f(LinearSite::Output),
        }
    }

    /// The values that `f` gives, called in the order of [`LinearSite::ALL`] until it fails.
    ///
    /// # Errors
    /// The first that `f` returns.
    pub(crate) fn try_from_fn<E>(mut f: impl FnMut(LinearSite) -> Result<T, E>) -> Result<Self, E> {
        Ok(Self {
            query: f(LinearSite::Query)?,
            key: f(LinearSite::Key)?,
            value: f(LinearSite::Value)?,
            attention_dense: f(LinearSite::AttentionDense)?,
            intermediate: f(LinearSite::Intermediate)?,
            output: f(LinearSite::Output)?,
        })
    }

    /// Each layer with its value, in the order of [`LinearSite::ALL`].
    pub fn each(&self) -> [(LinearSite, &T); 6] {
        LinearSite::ALL.map(|site| (site, &self[site]))
    }

    /// Each layer with its value, in the order of [`LinearSite::ALL`].
    pub(crate) fn each_mut(&mut self) -> [(LinearSite, &mut T); 6] {
        [
            (LinearSite::Query, &mut self.query),
            (LinearSite::Key, &mut self.key),
            (LinearSite::Value, &mut self.value),
            (LinearSite::AttentionDense, &mut self.attention_dense),
            (LinearSite::Intermediate, &mut self.intermediate),
            (LinearSite::Output, &mut self.output),
        ]
    }
}

impl<T> Index<LinearSite> for PerLinear<T> {
    type Output = T;

    fn index(&self, site: LinearSite) -> &T {
        match site {
            LinearSite::Query => &self.query,
            LinearSite::Key => &self.key,
            LinearSite::Value => &self.value,
            LinearSite::AttentionDense => &self.attention_dense,
            LinearSite::Intermediate => &self.intermediate,
            LinearSite::Output => &self.output,
        }
    }
}

impl<T> IndexMut<LinearSite> for PerLinear<T> {
    fn index_mut(&mut self, site: LinearSite) -> &mut T {
        match site {
            LinearSite::Query => &mut self.query,
            LinearSite::Key => &mut self.key,
            LinearSite::Value => &mut self.value,
            LinearSite::AttentionDense => &mut self.attention_dense,
            LinearSite::Intermediate => &mut self.intermediate,
            LinearSite::Output => &mut self.output,
        }
    }
}
