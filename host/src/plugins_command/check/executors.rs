//! Runs a method's graphs in the executors of this program on a model of two narrow blocks. Values
//! are compared with those of the reference interpreter, and gradients with its finite differences.
//! Called by `plugins check`.

use abi_stable::std_types::RString;
use candle_core::{Device, Tensor, Var};
use progtune_engine::rng::Stream;
use progtune_engine::{
    HeadKind, Result,
    model::{
        HostSlice, ModelConfig, Parameters,
        description::ParameterInfo,
        fused::{INPUTS, run_program},
        graph::{Program, RowContext, initial_value},
    },
    plan::ModelPlan,
    plugin::Plugins,
};
use progtune_plugin_api::{
    contract::Check,
    graph::{Graph, Op},
    interpret::{Array, Leaf, Values, derivatives, evaluate},
    records::{Mode, Rewrite, SiteRecord},
};

/// Number of rows at a site.
const ROWS: usize = 5;
/// The maximum number of elements per tensor that are compared with finite differences.
const ELEMENTS: usize = 48;
/// The largest accepted difference between `f32` and the interpreter, relative to the largest
/// number.
const TOLERANCE: f64 = 1e-3;
const CONFIG: &str = r#"{"model_type": "bert", "vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2,
    "num_attention_heads": 2, "intermediate_size": 24, "max_position_embeddings": 16}"#;

/// Checks the method's plan for the tiny model. If the method refuses this model, the check says so
/// and has no cases; the contract test counts such refusals.
///
/// # Errors
/// Fails if the tiny model or its values cannot be built.
pub(super) fn checks(
    plugins: &Plugins,
    id: &str,
    given: &[(String, String)],
) -> Result<Vec<Check>> {
    let config = ModelConfig::parse(CONFIG, "the tiny model")?;
    let head = HeadKind::Sequence(2);
    let model_plan = plugins
        .method(id, given)
        .map_err(Into::into)
        .and_then(|method| ModelPlan::new(&config, head, Some(&method), false));
    let model_plan = match model_plan {
        Ok(model_plan) => model_plan,
        Err(why) => {
            let note = format!("not run: {why}");
            return Ok(vec![Check::without_case(COMPOSED, &note)]);
        }
    };
    let sites = progtune_engine::model::description::sites(&config, head);
    let trial = Trial::new(&model_plan)?;
    let (mut composed, mut fused) = (Check::new(COMPOSED), Check::new(FUSED));
    let mut merges = Check::new(MERGES);
    let mut unfused = 0;
    for rewrite in &model_plan.rewrites {
        let Some(site) = sites.iter().find(|site| site.name == rewrite.site) else {
            continue;
        };
        composed.case(&rewrite.site, outcome(trial.composed(rewrite, site)));
        if rewrite.mode == Mode::OUTPUT {
            let ran = trial.fused(rewrite, site);
            unfused += u64::from(matches!(ran, Ok((false, _))));
            fused.case(&rewrite.site, outcome(ran.map(|(_, verdict)| verdict)));
        }
        let graphs = [&rewrite.merge, &rewrite.merge_bias];
        for graph in graphs
            .into_iter()
            .filter_map(|graph| graph.as_ref().into_option())
        {
            merges.case(&rewrite.site, outcome(trial.merge(graph, site)));
        }
    }
    for check in [&mut composed, &mut fused, &mut merges] {
        if check.cases == 0 {
            check.note = "the method has no such graph".into();
        }
    }
    if unfused > 0 {
        fused.note = format!("{unfused} of {} graphs run through candle", fused.cases);
    }
    Ok(vec![trial.initial(&model_plan), composed, fused, merges])
}

const INITIAL: &str = "initial values in this program";
const COMPOSED: &str = "gradients, --kernels composed";
const FUSED: &str = "gradients, --kernels fused";
const MERGES: &str = "merge graphs in this program";

/// Agreement, or the first disagreement in words.
type Verdict = std::result::Result<(), String>;

/// Counts an executor that fails as a failed check.
fn outcome(ran: Result<Verdict>) -> Verdict {
    ran.unwrap_or_else(|error| Err(error.to_string()))
}

/// The parameters and their values, the same for both sides.
struct Trial {
    parameters: Parameters,
    values: Values,
}

impl Trial {
    fn new(model_plan: &ModelPlan) -> Result<Self> {
        let infos = &model_plan.parameters;
        let mut tensors: Vec<Tensor> = Vec::with_capacity(infos.len());
        for info in infos {
            // The values resemble those after some training: trained parameters have moved, and the
            // model's own are not zero.
            tensors.push(match &info.added {
                None => base_value(infos, &info.name)?,
                Some(added) => {
                    let base = |name: &str| base_value(infos, name);
                    let value = initial_value(&added.init, &info.name, 1, &base)?;
                    let start = value.broadcast_as(info.shape.as_slice())?.contiguous()?;
                    if added.trainable {
                        (start + noise(info, 0.2)?)?
                    } else {
                        start
                    }
                }
            });
        }
        let mut values = Values::default();
        for (info, tensor) in infos.iter().zip(&tensors) {
            let table = match info.added {
                Some(_) => &mut values.parameters,
                None => &mut values.base,
            };
            table.insert(info.name.clone(), Array::fixed(&info.shape, &wide(tensor)));
        }
        let mut parameters = Parameters::new(infos.clone(), tensors)?;
        parameters.set_trainable(&model_plan.candidates);
        Ok(Self { parameters, values })
    }

    /// Compares the values of init graphs without random numbers, which both sides must compute
    /// alike.
    fn initial(&self, model_plan: &ModelPlan) -> Check {
        let mut check = Check::new(INITIAL);
        let random = [Op::NORMAL, Op::TRUNCATED_NORMAL, Op::UNIFORM];
        for info in &model_plan.parameters {
            let Some(added) = &info.added else { continue };
            if added
                .init
                .nodes
                .iter()
                .any(|node| random.contains(&node.op))
            {
                continue;
            }
            let base = |name: &str| base_value(&model_plan.parameters, name);
            let run = || -> Result<Verdict> {
                let found = wide(&initial_value(&added.init, &info.name, 1, &base)?.contiguous()?);
                let values = Values {
                    seed: Some(1),
                    parameters: Default::default(),
                    ..self.values.clone()
                };
                Ok(evaluate(&added.init, &values)
                    .map_err(|fault| fault.to_string())
                    .and_then(|wanted| near("the value", &found, &wanted.values)))
            };
            check.case(&info.name, outcome(run()));
        }
        if check.cases == 0 {
            check.note = "no new parameter has an initial value without random numbers".into();
        }
        check
    }

    /// Compares values and gradients of candle's primitives, which run the graph with
    /// `--kernels composed` and on CUDA.
    fn composed(&self, rewrite: &Rewrite, site: &SiteRecord) -> Result<Verdict> {
        let case = Case::new(rewrite, site)?;
        let values = self.reading(&case.inputs);
        let wanted = match evaluate(&rewrite.graph, &values) {
            Ok(wanted) => wanted,
            Err(fault) => return Ok(Err(format!("the reference interpreter failed: {fault}"))),
        };
        let program = Program::new(&rewrite.graph, 0, &self.parameters)?;
        let variable = |(name, array): &(&'static str, Array)| -> Result<(&'static str, Var)> {
            let tensor =
                Tensor::from_vec(array.values.clone(), array.dims.as_slice(), &Device::Cpu)?;
            Ok((
                *name,
                Var::from_tensor(&tensor.to_dtype(candle_core::DType::F32)?)?,
            ))
        };
        let variables: Vec<(&str, Var)> =
            case.inputs.iter().map(variable).collect::<Result<_>>()?;
        let tensors: Vec<(&str, Tensor)> = variables
            .iter()
            .map(|(name, variable)| (*name, variable.as_tensor().clone()))
            .collect();
        let rows = RowContext {
            step: None,
            row_keys: &ROW_KEYS,
        };
        let y = program
            .run(&tensors, &self.parameters, rows)?
            .contiguous()?;
        if let Err(reason) = near("y", &wide(&y), &wanted.values) {
            return Ok(Err(reason));
        }
        let weights = weights(wanted.values.len());
        let d = Tensor::from_vec(weights.clone(), y.dims(), &Device::Cpu)?;
        let store = (y * d.to_dtype(candle_core::DType::F32)?)?
            .sum_all()?
            .backward()?;
        self.compare(&rewrite.graph, &values, &weights, |leaf| {
            let gradient = match leaf {
                Leaf::Input(name) => {
                    let found = variables.iter().find(|(input, _)| input == name);
                    found.and_then(|(_, variable)| store.get(variable.as_tensor()))
                }
                _ => store.get(self.parameters.variable(self.parameters.id(leaf.name())?)),
            };
            Ok(gradient
                .map(|g| g.contiguous())
                .transpose()?
                .map(|g| wide(&g)))
        })
    }

    /// Compares values and gradients of the fused CPU path. Also returns whether the graph has a
    /// fused form there.
    fn fused(&self, rewrite: &Rewrite, site: &SiteRecord) -> Result<(bool, Verdict)> {
        let case = Case::new(rewrite, site)?;
        let values = self.reading(&case.inputs);
        let wanted = match evaluate(&rewrite.graph, &values) {
            Ok(wanted) => wanted,
            Err(fault) => {
                return Ok((
                    true,
                    Err(format!("the reference interpreter failed: {fault}")),
                ));
            }
        };
        let program = Program::new(&rewrite.graph, 0, &self.parameters)?;
        let narrow = |name: &str| -> Vec<f32> {
            let found = case.inputs.iter().find(|(input, _)| *input == name);
            found.map_or(Vec::new(), |(_, array)| {
                array.values.iter().map(|&v| v as f32).collect()
            })
        };
        let inputs = INPUTS.map(narrow);
        let weights = weights(wanted.values.len());
        let d: Vec<f32> = weights.iter().map(|&w| w as f32).collect();
        let ran = run_program(
            &program,
            [&inputs[0], &inputs[1], &inputs[2]],
            &d,
            &ROW_KEYS,
            &self.parameters,
        )?;
        let wide = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
        if let Err(reason) = near("y", &wide(&ran.y), &wanted.values) {
            return Ok((ran.fused, Err(reason)));
        }
        let verdict = self.compare(&rewrite.graph, &values, &weights, |leaf| match leaf {
            Leaf::Input(name) => {
                let at = INPUTS.iter().position(|input| input == name);
                Ok(at.map(|at| wide(&ran.d_inputs[at])))
            }
            _ => {
                let id = self.parameters.id(leaf.name())?;
                let gradient = ran.gradients.tensor(id, &self.parameters)?;
                Ok(gradient
                    .map(|g| g.contiguous())
                    .transpose()?
                    .map(|g| self::wide(&g)))
            }
        })?;
        Ok((ran.fused, verdict))
    }

    /// Compares the values of a merge graph.
    fn merge(&self, graph: &Graph, site: &SiteRecord) -> Result<Verdict> {
        let weight = array(&[site.out_dim, site.in_dim], "w", false)?;
        let bias = array(&[site.out_dim], "b", false)?;
        let reads = |name: &str| graph.names(Op::INPUT).any(|input| input == name);
        let inputs: Vec<(&'static str, Array)> = [("w", weight), ("b", bias)]
            .into_iter()
            .filter(|(name, _)| reads(name))
            .collect();
        let values = self.reading(&inputs);
        let wanted = match evaluate(graph, &values) {
            Ok(wanted) => wanted,
            Err(fault) => return Ok(Err(format!("the reference interpreter failed: {fault}"))),
        };
        let tensors = inputs.iter().map(|(name, array)| {
            let values = array.values.iter().map(|&v| v as f32).collect();
            Ok((
                *name,
                Tensor::from_vec(values, array.dims.as_slice(), &Device::Cpu)?,
            ))
        });
        let tensors: Vec<(&str, Tensor)> = tensors.collect::<Result<_>>()?;
        let rows = RowContext {
            step: None,
            row_keys: &[],
        };
        let program = Program::new(graph, 0, &self.parameters)?;
        let found = program
            .run(&tensors, &self.parameters, rows)?
            .contiguous()?;
        Ok(near("the merged tensor", &wide(&found), &wanted.values))
    }

    /// The values for a graph with these inputs.
    fn reading(&self, inputs: &[(&'static str, Array)]) -> Values {
        let inputs = inputs
            .iter()
            .map(|(name, array)| ((*name).to_owned(), array.clone()));
        Values {
            inputs: inputs.collect(),
            ..self.values.clone()
        }
    }

    /// Compares the gradients of everything trainable that the graph reads with finite differences.
    fn compare(
        &self,
        graph: &Graph,
        values: &Values,
        weights: &[f64],
        gradient: impl Fn(&Leaf) -> Result<Option<Vec<f64>>>,
    ) -> Result<Verdict> {
        for leaf in Leaf::of(graph) {
            let (size, trained) = match &leaf {
                Leaf::Input(name) => (values.inputs.get(name).map_or(0, |a| a.values.len()), true),
                _ => {
                    let id = self.parameters.id(leaf.name())?;
                    let size = self.parameters.infos()[id].size();
                    (size, self.parameters.is_trainable(id))
                }
            };
            if !trained {
                continue;
            }
            let elements: Vec<usize> = (0..size).step_by(size.div_ceil(ELEMENTS).max(1)).collect();
            let wanted = match derivatives(graph, values, weights, &leaf, &elements) {
                Ok(wanted) => wanted,
                Err(fault) => return Ok(Err(format!("the reference interpreter failed: {fault}"))),
            };
            let found = gradient(&leaf)?.unwrap_or_else(|| vec![0.0; size]);
            let found: Vec<f64> = elements.iter().map(|&element| found[element]).collect();
            let what = format!("the gradient of {}", leaf.name());
            if let Err(reason) = near(&what, &found, &wanted) {
                return Ok(Err(reason));
            }
        }
        Ok(Ok(()))
    }
}

const ROW_KEYS: [u64; ROWS] = [0, 1, 2, 3, 4];

/// The inputs that a graph is run on.
struct Case {
    inputs: Vec<(&'static str, Array)>,
}

impl Case {
    fn new(rewrite: &Rewrite, site: &SiteRecord) -> Result<Self> {
        let inputs = match rewrite.mode {
            Mode::OUTPUT => INPUTS
                .into_iter()
                .filter(|name| site.inputs.contains(&RString::from(*name)))
                .map(|name| {
                    let columns = if name == "x" {
                        site.in_dim
                    } else {
                        site.out_dim
                    };
                    Ok((name, array(&[ROWS as u32, columns], name, true)?))
                })
                .collect::<Result<_>>()?,
            Mode::INPUT => vec![("x", array(&[ROWS as u32, site.in_dim], "x", true)?)],
            Mode::WEIGHT => vec![("w", array(&[site.out_dim, site.in_dim], "w", false)?)],
            _ => Vec::new(),
        };
        Ok(Self { inputs })
    }
}

/// Random numbers in [−1, 1) that `f32` represents exactly.
fn numbers(n: usize, purpose: &str) -> Vec<f32> {
    let mut stream = Stream::new(7, purpose);
    (0..n)
        .map(|_| (2.0 * stream.uniform() - 1.0) as f32)
        .collect()
}

fn array(dims: &[u32], purpose: &str, rows: bool) -> Result<Array> {
    let dims: Vec<usize> = dims.iter().map(|&size| size as usize).collect();
    let values = numbers(dims.iter().product(), purpose);
    Ok(Array {
        rows,
        dims,
        values: values.into_iter().map(f64::from).collect(),
    })
}

fn noise(info: &ParameterInfo, size: f64) -> Result<Tensor> {
    let values = numbers(info.size(), &info.name);
    Ok((Tensor::from_vec(values, info.shape.as_slice(), &Device::Cpu)? * size)?)
}

/// The value of a parameter of the tiny model.
fn base_value(infos: &[ParameterInfo], name: &str) -> Result<Tensor> {
    match infos.iter().find(|info| info.name == name) {
        Some(info) => noise(info, 0.5),
        None => Err(progtune_engine::Error::Model(format!(
            "the tiny model has no parameter {name}"
        ))),
    }
}

/// The gradient of the result, random so that every element counts differently.
fn weights(n: usize) -> Vec<f64> {
    numbers(n, "weights").into_iter().map(f64::from).collect()
}

fn wide(tensor: &Tensor) -> Vec<f64> {
    HostSlice::of(tensor)
        .iter()
        .map(|&v| f64::from(v))
        .collect()
}

/// Compares numbers, within the tolerance times the largest of `wanted` (at least 0.01).
fn near(what: &str, found: &[f64], wanted: &[f64]) -> Verdict {
    if found.len() != wanted.len() {
        let (found, wanted) = (found.len(), wanted.len());
        return Err(format!("{what} has {found} numbers, expected {wanted}"));
    }
    let size = wanted
        .iter()
        .fold(1e-2f64, |largest, v| largest.max(v.abs()));
    let apart = |(a, b): (&f64, &f64)| match (a - b).abs() {
        difference if difference.is_nan() => f64::INFINITY,
        difference => difference,
    };
    let distances = found.iter().zip(wanted).map(apart);
    let (at, farthest) =
        distances.enumerate().fold(
            (0, 0.0),
            |worst, here| if here.1 > worst.1 { here } else { worst },
        );
    if farthest <= TOLERANCE * size {
        Ok(())
    } else {
        Err(format!(
            "{what}, element {at}: {:.6}, expected {:.6}",
            found[at], wanted[at]
        ))
    }
}
