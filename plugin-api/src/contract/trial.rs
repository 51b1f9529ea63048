//! Runs a plan on a synthetic model: numbers for every parameter, the sites' inputs, and the
//! rewrites one after the other. Used by [`super::behaviour`].

use crate::{
    interpret::{Array, Random, Values, evaluate},
    records::{MethodPlan, Mode, ModelRecord, NewParameter, Rewrite, Role, SiteRecord},
};
use std::collections::BTreeMap;

/// The number of rows at a site.
const ROWS: usize = 3;

/// A plan, and a model with numbers.
pub(super) struct Trial<'a> {
    plan: &'a MethodPlan,
    model: &'a ModelRecord,
    base: BTreeMap<String, Array>,
}

impl<'a> Trial<'a> {
    /// Gives the model's parameters numbers like those of a trained model: weights around 0, scales
    /// around 1.
    pub(super) fn new(plan: &'a MethodPlan, model: &'a ModelRecord) -> Self {
        let numbered = model
            .parameters
            .iter()
            .enumerate()
            .map(|(index, parameter)| {
                let around = if parameter.role == Role::NORM_WEIGHT {
                    1.0
                } else {
                    0.0
                };
                let array = random(sizes(&parameter.shape), around, 0.5, index);
                (parameter.name.to_string(), array)
            });
        Self {
            plan,
            model,
            base: numbered.collect(),
        }
    }

    /// The initial value of a new parameter.
    pub(super) fn initial(&self, parameter: &NewParameter, seed: u64) -> Result<Array, String> {
        let values = Values {
            base: self.base.clone(),
            seed: Some(seed),
            ..Values::default()
        };
        evaluate(&parameter.init, &values).map_err(|fault| format!("init graph: {fault}"))
    }

    /// The values before the first step.
    pub(super) fn at_start(&self) -> Values {
        let start = |parameter: &NewParameter| self.initial(parameter, 1).ok();
        self.values(|_, parameter| start(parameter))
    }

    /// The values after some training: each trained parameter has moved, to a different place for
    /// each `draw`.
    pub(super) fn trained(&self, draw: usize) -> Values {
        self.values(|index, parameter| {
            let mut array = self.initial(parameter, 1).ok()?;
            if parameter.trainable {
                let moves = random(array.dims.clone(), 0.0, 0.2, 1000 * (draw + 1) + index);
                array
                    .values
                    .iter_mut()
                    .zip(moves.values)
                    .for_each(|(value, by)| *value += by);
            }
            Some(array)
        })
    }

    fn values(&self, value: impl Fn(usize, &NewParameter) -> Option<Array>) -> Values {
        let parameters = self.plan.parameters.iter().enumerate();
        Values {
            base: self.base.clone(),
            parameters: parameters
                .filter_map(|(index, p)| Some((p.name.to_string(), value(index, p)?)))
                .collect(),
            ..Values::default()
        }
    }

    /// The site with a name.
    pub(super) fn site(&self, name: &str) -> Option<&'a SiteRecord> {
        self.model.site(name)
    }

    /// The sites that are rewritten.
    pub(super) fn sites(&self) -> impl Iterator<Item = &'a SiteRecord> {
        let rewritten = |site: &&SiteRecord| self.plan.rewrites.iter().any(|r| r.site == site.name);
        self.model.sites.iter().filter(rewritten)
    }

    /// The rewrites of a site in the order in which a host applies them: first of its weight, then
    /// of its input.
    pub(super) fn rewrites_of(&self, site: &SiteRecord) -> Vec<&'a Rewrite> {
        let here = self
            .plan
            .rewrites
            .iter()
            .filter(|rewrite| rewrite.site == site.name);
        let mut here: Vec<&Rewrite> = here.collect();
        here.sort_by_key(|rewrite| match rewrite.mode {
            Mode::WEIGHT => 0,
            Mode::INPUT => 1,
            _ => 2,
        });
        here
    }

    /// Inputs for a site. At a linear layer, `y` is the layer's output for `x`.
    pub(super) fn inputs(&self, site: &SiteRecord) -> BTreeMap<String, Array> {
        let input = |(index, name): (usize, &str)| {
            let columns = if name == "x" {
                site.in_dim
            } else {
                site.out_dim
            } as usize;
            let array = random(vec![ROWS, columns], 0.0, 1.0, usize::MAX - index);
            (
                name.to_owned(),
                Array {
                    rows: true,
                    ..array
                },
            )
        };
        let names = site.inputs.iter().map(|name| name.as_str()).enumerate();
        let mut inputs: BTreeMap<String, Array> = names.map(input).collect();
        if let (Some(x), Some(weight)) = (inputs.get("x"), self.base.get(site.weight.as_str())) {
            let y = linear(x, weight, self.base.get(site.bias.as_str()));
            inputs.insert("y".into(), y);
        }
        inputs
    }

    /// The inputs of a rewrite's graph, before any other rewrite of its site.
    pub(super) fn graph_values(
        &self,
        rewrite: &Rewrite,
        values: &Values,
    ) -> Result<Values, String> {
        let site = self.site(&rewrite.site).ok_or("no such site")?;
        let inputs = match rewrite.mode {
            Mode::WEIGHT => [("w".to_owned(), self.weight(site)?)].into(),
            Mode::OUTPUT => self.inputs(site),
            Mode::INPUT => only_x(self.inputs(site)),
            _ => BTreeMap::new(),
        };
        Ok(Values {
            inputs,
            ..values.clone()
        })
    }

    /// The site's result without and with the rewrites.
    pub(super) fn forward(
        &self,
        site: &SiteRecord,
        rewrites: &[&Rewrite],
        values: &Values,
    ) -> Result<(Array, Array), String> {
        let mut inputs = self.inputs(site);
        let before = inputs.get("y").cloned().ok_or("the site has no y")?;
        let mut weight = self
            .base
            .get(site.weight.as_str())
            .cloned()
            .unwrap_or_else(|| Array::fixed(&[0], &[]));
        for rewrite in rewrites {
            let run = |inputs: BTreeMap<String, Array>| {
                let values = Values {
                    inputs,
                    ..values.clone()
                };
                evaluate(&rewrite.graph, &values).map_err(|fault| format!("graph: {fault}"))
            };
            match rewrite.mode {
                Mode::WEIGHT => weight = run([("w".into(), weight)].into())?,
                Mode::INPUT => {
                    let x = run(only_x(inputs.clone()))?;
                    inputs.insert("x".into(), x);
                }
                _ => {
                    let y = run(inputs.clone())?;
                    inputs.insert("y".into(), y);
                    continue;
                }
            }
            let x = inputs.get("x").ok_or("the site has no x")?;
            let y = linear(x, &weight, self.base.get(site.bias.as_str()));
            inputs.insert("y".into(), y);
        }
        let after = inputs.remove("y").ok_or("the site has no y")?;
        Ok((before, after))
    }

    /// The result of the site's layer after all rewrites have been merged into it.
    pub(super) fn merged(
        &self,
        site: &SiteRecord,
        rewrites: &[&Rewrite],
        values: &Values,
    ) -> Result<Array, String> {
        let mut weight = self.weight(site)?;
        let mut bias = self.base.get(site.bias.as_str()).cloned();
        for rewrite in rewrites {
            let mut inputs: BTreeMap<String, Array> = [("w".into(), weight.clone())].into();
            inputs.extend(bias.clone().map(|bias| ("b".into(), bias)));
            let run = |graph, inputs| {
                let values = Values {
                    inputs,
                    ..values.clone()
                };
                evaluate(graph, &values).map_err(|fault| format!("merge graph: {fault}"))
            };
            if let Some(graph) = rewrite.merge_bias.as_ref().into_option() {
                bias = Some(run(graph, inputs.clone())?);
            }
            inputs.remove("b");
            let graph = rewrite
                .merge
                .as_ref()
                .into_option()
                .ok_or("no merge graph")?;
            weight = run(graph, inputs)?;
        }
        let inputs = self.inputs(site);
        let x = inputs.get("x").ok_or("the site has no x")?;
        Ok(linear(x, &weight, bias.as_ref()))
    }

    fn weight(&self, site: &SiteRecord) -> Result<Array, String> {
        let weight = self.base.get(site.weight.as_str()).cloned();
        weight.ok_or_else(|| "the site has no weight".into())
    }
}

/// The inputs that an input graph may read.
fn only_x(inputs: BTreeMap<String, Array>) -> BTreeMap<String, Array> {
    inputs.into_iter().filter(|(name, _)| name == "x").collect()
}

/// An error if two results differ by more than `tolerance` relative to their size.
pub(super) fn far(
    what: &str,
    found: &Array,
    than: &str,
    expected: &Array,
    tolerance: f64,
) -> Result<(), String> {
    let (distance, size) = (found.distance(expected), expected.magnitude().max(1.0));
    if distance <= tolerance * size {
        Ok(())
    } else {
        Err(format!(
            "{what}, y differs by {distance:.2e} from y {than} (of size {size:.2e})"
        ))
    }
}

/// x·Wᵀ + b.
fn linear(x: &Array, weight: &Array, bias: Option<&Array>) -> Array {
    let (n, k) = (weight.dims[0], weight.dims[1]);
    let row = |x: &[f64]| -> Vec<f64> {
        let product = |j: usize| -> f64 {
            let dot: f64 = weight.values[j * k..][..k]
                .iter()
                .zip(x)
                .map(|(w, x)| w * x)
                .sum();
            dot + bias.map_or(0.0, |bias| bias.values[j])
        };
        (0..n).map(product).collect()
    };
    Array::rows(
        n,
        &x.values.chunks_exact(k).flat_map(row).collect::<Vec<f64>>(),
    )
}

fn sizes(shape: &[u64]) -> Vec<usize> {
    shape.iter().map(|&size| size as usize).collect()
}

fn random(dims: Vec<usize>, around: f64, spread: f64, stream: usize) -> Array {
    let mut random = Random::of(7, stream);
    let n: usize = dims.iter().product();
    Array {
        rows: false,
        dims,
        values: (0..n)
            .map(|_| around + spread * (2.0 * random.uniform() - 1.0))
            .collect(),
    }
}
