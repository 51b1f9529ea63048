//! Folds a method into the base model's own weights, which gives a model that computes the same
//! without additions.
//!
//! `merge_command` calls it. A rewrite of a linear layer becomes new weights by its merge graph.
//! Without one, its graph is run on the layer as an affine function (`affine`). Rewrites of a
//! sub-layer's end go into the dense layer before it, rewrites of the activation into the dense
//! layer after it. Everything is f32.

mod affine;

use crate::{
    batch::{Batch, EncodedExample},
    error::{Error, Result},
    model::{
        Model,
        description::{HeadKind, sites},
        graph::{Program, RowContext},
        parameters::Parameters,
    },
};
use affine::{Rows, fold};
use candle_core::Tensor;
use progtune_plugin_api::{
    graph::Graph,
    records::{Mode, Rewrite, SiteKind, SiteRecord},
};
use std::collections::BTreeMap;

/// The largest difference of the merged model's logits from those of the model with its method,
/// relative to the largest logit. Larger ones are not rounding: the method's merge graphs are
/// wrong.
const TOLERANCE: f32 = 1e-3;

/// The model with its method folded into its weights; `rewrites` are those that it runs.
///
/// ```no_run
/// # use progtune_engine::Error;
/// use progtune_engine::{HeadKind, merge::merge, model::Model, plan::ModelPlan};
/// # fn merged(model: &Model, model_plan: &ModelPlan) -> Result<(), Error> {
/// let merged = merge(model, HeadKind::Sequence(2), &model_plan.rewrites, "lora")?;
/// assert!(merged.parameters.infos().iter().all(|info| info.added.is_none()));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// When weights cannot express a rewrite: one error with every site and the reason. When the merged
/// model computes something else, because the method's merge graphs are wrong.
pub fn merge(model: &Model, head: HeadKind, rewrites: &[Rewrite], method: &str) -> Result<Model> {
    let sites = sites(&model.config, head);
    let mut layers = Layers {
        parameters: &model.parameters,
        changed: BTreeMap::new(),
    };
    let mut order: Vec<((usize, isize), &SiteRecord, &Rewrite)> = Vec::new();
    for (number, rewrite) in (0isize..).zip(rewrites) {
        let site = sites.iter().find(|site| site.name == rewrite.site);
        let site = site.ok_or_else(|| {
            Error::Model(format!(
                "the method rewrites {}, which this model does not have",
                rewrite.site
            ))
        })?;
        order.push((turn(site, rewrite, number), site, rewrite));
    }
    order.sort_by_key(|&(turn, ..)| turn);
    let mut refused: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (_, site, rewrite) in order {
        if let Err(reason) = layers.apply(site, rewrite)? {
            refused.entry(reason).or_default().push(site.name.as_str());
        }
    }
    if !refused.is_empty() {
        return Err(refusal(method, &refused));
    }
    let merged = layers.into_model(model, head)?;
    check(model, &merged, method)?;
    Ok(merged)
}

/// Whether weights can express a method's rewrites, judged by the first one of each kind. A method
/// that is not affine is found at once, without merging every layer.
pub fn is_possible(model: &Model, head: HeadKind, rewrites: &[Rewrite]) -> bool {
    let sites = sites(&model.config, head);
    let mut layers = Layers {
        parameters: &model.parameters,
        changed: BTreeMap::new(),
    };
    let mut kinds = Vec::new();
    rewrites.iter().all(|rewrite| {
        let Some(site) = sites.iter().find(|site| site.name == rewrite.site) else {
            return false;
        };
        let kind = (site.kind, rewrite.mode);
        if kinds.contains(&kind) {
            return true;
        }
        kinds.push(kind);
        matches!(layers.apply(site, rewrite), Ok(Ok(())))
    })
}

/// The order in which rewrites apply: a layer's weight, then its output, then what follows the
/// layer, and last what precedes it, outwards from the layer. `number` is the rewrite's place in
/// the plan.
fn turn(site: &SiteRecord, rewrite: &Rewrite, number: isize) -> (usize, isize) {
    match site.kind {
        SiteKind::ACTIVATION => (4, -number),
        SiteKind::ATTENTION_END | SiteKind::OUTPUT_END => (2, number),
        _ if rewrite.mode == Mode::INPUT => (3, -number),
        _ if rewrite.mode == Mode::WEIGHT => (0, number),
        _ => (1, number),
    }
}

fn refusal(method: &str, refused: &BTreeMap<String, Vec<&str>>) -> Error {
    let line = |(reason, sites): (&String, &Vec<&str>)| {
        let more = match sites.len() {
            0..=3 => String::new(),
            n => format!(" and {} more", n - 3),
        };
        let named: Vec<&str> = sites.iter().take(3).copied().collect();
        format!("\n  {}{more}: {reason}", named.join(", "))
    };
    Error::Usage(format!(
        "the method {method} cannot be merged into the model's weights:{}\nKeep the adapter, and use it with --adapter",
        refused.iter().map(line).collect::<String>()
    ))
}

/// The linear layers, as far as they are merged.
struct Layers<'a> {
    parameters: &'a Parameters,
    changed: BTreeMap<String, Tensor>,
}

/// Success, or the reason why a rewrite cannot be merged.
type Outcome = std::result::Result<(), String>;

impl Layers<'_> {
    fn value(&self, name: &str) -> Result<Tensor> {
        match self.changed.get(name) {
            Some(value) => Ok(value.clone()),
            None => {
                let id = self.parameters.id(name)?;
                Ok(self.parameters.variable(id).as_detached_tensor())
            }
        }
    }

    /// Weight `[out, in]` and bias `[out]`.
    fn layer(&self, module: &str) -> Result<(Tensor, Tensor)> {
        let value = |suffix| self.value(&format!("{module}.{suffix}"));
        Ok((value("weight")?, value("bias")?))
    }

    fn set(&mut self, module: &str, weight: Tensor, bias: Tensor) {
        self.changed.insert(format!("{module}.weight"), weight);
        self.changed.insert(format!("{module}.bias"), bias);
    }

    fn apply(&mut self, site: &SiteRecord, rewrite: &Rewrite) -> Result<Outcome> {
        let name = site.name.as_str();
        if ![Mode::OUTPUT, Mode::WEIGHT, Mode::INPUT].contains(&rewrite.mode) {
            let reason = format!("a {} rewrite does not change a weight", rewrite.mode);
            return Ok(Err(reason));
        }
        match site.kind {
            SiteKind::ATTENTION_END | SiteKind::OUTPUT_END => {
                let module = format!("{name}.dense");
                self.after(&module, &rewrite.graph, false)
            }
            SiteKind::ACTIVATION => {
                let block = name.trim_end_matches(".intermediate");
                self.before(&format!("{block}.output.dense"), "y", &rewrite.graph)
            }
            _ if site.weight.is_empty() => Ok(Err(format!(
                "no linear layer ends or begins at the {}",
                site.kind
            ))),
            _ if rewrite.mode == Mode::WEIGHT => {
                self.with_graphs(name, &rewrite.graph, None)?;
                Ok(Ok(()))
            }
            _ => match rewrite.merge.as_ref().into_option() {
                Some(merge) => {
                    let bias = rewrite.merge_bias.as_ref().into_option();
                    self.with_graphs(name, merge, bias)?;
                    Ok(Ok(()))
                }
                None if rewrite.mode == Mode::INPUT => self.before(name, "x", &rewrite.graph),
                None => self.after(name, &rewrite.graph, true),
            },
        }
    }

    /// Computes W' and b' by graphs of W and b.
    fn with_graphs(&mut self, module: &str, merge: &Graph, bias: Option<&Graph>) -> Result<()> {
        let (w, b) = self.layer(module)?;
        let rows = RowContext {
            step: None,
            row_keys: &[],
        };
        let run = |graph: &Graph, inputs: &[(&str, Tensor)]| {
            Program::new(graph, 0, self.parameters)?.run(inputs, self.parameters, rows)
        };
        let weight = run(merge, &[("w", w.clone())])?;
        let bias = match bias {
            Some(graph) => run(graph, &[("w", w), ("b", b.clone())])?,
            None => b,
        };
        self.set(module, weight, bias);
        Ok(())
    }

    /// Follows the layer with an affine function of its output and, with `reads_x`, its input.
    fn after(&mut self, module: &str, graph: &Graph, reads_x: bool) -> Result<Outcome> {
        let (w, b) = self.layer(module)?;
        let y = Rows {
            linear: w.t()?.contiguous()?,
            constant: b.unsqueeze(0)?,
        };
        let x = if reads_x {
            Some(("x", Rows::identity(w.dim(1)?, w.device())?))
        } else {
            None
        };
        let inputs: Vec<(&str, Rows)> = [("y", y)].into_iter().chain(x).collect();
        Ok(match fold(graph, &inputs, self.parameters)? {
            Ok(rows) => {
                let weight = rows.linear.t()?.contiguous()?;
                self.set(module, weight, rows.constant.squeeze(0)?);
                Ok(())
            }
            Err(reason) => Err(reason),
        })
    }

    /// Precedes the layer with an affine function r·M + c of the row r that it reads, the graph's
    /// `input`: W' = W·Mᵀ, b' = b + W·c.
    fn before(&mut self, module: &str, input: &str, graph: &Graph) -> Result<Outcome> {
        let (w, b) = self.layer(module)?;
        let row = Rows::identity(w.dim(1)?, w.device())?;
        Ok(match fold(graph, &[(input, row)], self.parameters)? {
            Ok(rows) => {
                let weight = w.matmul(&rows.linear.t()?)?;
                let shift = rows.constant.matmul(&w.t()?)?.squeeze(0)?;
                self.set(module, weight, (b + shift)?);
                Ok(())
            }
            Err(reason) => Err(reason),
        })
    }

    fn into_model(self, model: &Model, head: HeadKind) -> Result<Model> {
        let infos = model.parameters.infos().iter();
        let infos: Vec<_> = infos.filter(|info| info.added.is_none()).cloned().collect();
        let values = infos.iter().map(|info| self.value(&info.name));
        let values = values.collect::<Result<Vec<_>>>()?;
        let parameters = Parameters::new(infos, values)?;
        Model::new(model.config.clone(), parameters, head, &[], true)
    }
}

/// Compares both models on token ids from all over the vocabulary.
fn check(model: &Model, merged: &Model, method: &str) -> Result<()> {
    let vocabulary = model.config.encoder.vocab_size;
    let length = model.config.max_tokens().min(16);
    let sequence = |number: usize| EncodedExample {
        input_ids: (0..length)
            .map(|at| ((number * length + at) * 7919 % vocabulary) as u32)
            .collect(),
        token_type_ids: vec![0; length],
        target: None,
    };
    let examples: Vec<EncodedExample> = (0..4).map(sequence).collect();
    let batch = Batch::new(&examples, &[0, 1, 2, 3], model.config.first_position());
    let flat = |model: &Model| -> Result<Vec<f32>> {
        Ok(model.logits(&batch)?.flatten_all()?.to_vec1::<f32>()?)
    };
    let (expected, found) = (flat(model)?, flat(merged)?);
    let pairs = || expected.iter().zip(&found);
    let scale = expected.iter().fold(1f32, |most, v| most.max(v.abs()));
    let off = pairs().fold(0f32, |most, (a, b)| most.max((a - b).abs())) / scale;
    // A NaN is a difference, too.
    if off <= TOLERANCE && pairs().all(|(_, b)| b.is_finite()) {
        return Ok(());
    }
    Err(Error::Model(format!(
        "the method {method}: its merge graphs do not compute what its rewrites do (logits differ by {off:.1e} of the \
         largest, at most {TOLERANCE:.0e} is rounding); nothing was written. Keep the adapter, and tell the plugin's author"
    )))
}
