//! A method's graphs in the executors of this program, against the reference interpreter: values, and gradients against its
//! finite differences, on a model of two narrow blocks. Called by `plugins check`.

use abi_stable::std_types::RString;
use candle_core::{Device, Tensor, Var};
use progtune_engine::rng::Stream;
use progtune_engine::{
    error::Result,
    model::{
        config::ModelConfig,
        description::{HeadKind, ParameterInfo},
        fused::{INPUTS, run_program},
        graph::{Program, RowContext, initial_value},
        parameters::{HostSlice, Parameters},
    },
    plan::Blueprint,
    plugin::Plugins,
};
use progtune_plugin_api::{
    contract::Check,
    graph::{Graph, Op},
    interpret::{Array, Leaf, Values, derivatives, evaluate},
    records::{Mode, Rewrite, SiteRecord},
};

/// Rows at a site.
const ROWS: usize = 5;
/// How many elements of a tensor are compared with finite differences.
const ELEMENTS: usize = 48;
/// How far `f32` may be from the interpreter, in parts of the largest number.
const TOLERANCE: f64 = 1e-3;
const CONFIG: &str = r#"{"model_type": "bert", "vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2,
    "num_attention_heads": 2, "intermediate_size": 24, "max_position_embeddings": 16}"#;

/// Runs the method's plan for the tiny model; nothing when it refuses that model (which the contract test has counted).
pub fn checks(plugins: &Plugins, id: &str, given: &[(String, String)]) -> Result<Vec<Check>> {
    let config = ModelConfig::parse(CONFIG, "the tiny model")?;
    let head = HeadKind::Sequence(2);
    let blueprint = plugins
        .method(id, given)
        .map_err(Into::into)
        .and_then(|method| Blueprint::new(&config, head, Some(&method), false));
    let blueprint = match blueprint {
        Ok(blueprint) => blueprint,
        Err(why) => {
            let note = format!("not run: {why}");
            return Ok(vec![Check::without_case(COMPOSED, &note)]);
        }
    };
    let sites = progtune_engine::model::description::sites(&config, head);
    let trial = Trial::new(&blueprint)?;
    let (mut composed, mut fused) = (Check::new(COMPOSED), Check::new(FUSED));
    let mut merges = Check::new(MERGES);
    let mut unfused = 0;
    for rewrite in &blueprint.rewrites {
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
    Ok(vec![trial.initial(&blueprint), composed, fused, merges])
}

const INITIAL: &str = "initial values in this program";
const COMPOSED: &str = "gradients, --kernels composed";
const FUSED: &str = "gradients, --kernels fused";
const MERGES: &str = "merge graphs in this program";

/// What was found: agreement, or where not.
type Verdict = std::result::Result<(), String>;

/// An executor that fails has failed the check.
fn outcome(ran: Result<Verdict>) -> Verdict {
    ran.unwrap_or_else(|error| Err(error.to_string()))
}

/// The parameters with numbers, for both sides the same.
struct Trial {
    parameters: Parameters,
    values: Values,
}

impl Trial {
    fn new(blueprint: &Blueprint) -> Result<Self> {
        let infos = &blueprint.parameters;
        let mut tensors: Vec<Tensor> = Vec::with_capacity(infos.len());
        for info in infos {
            // As after some training: what is trained has moved, what the model has is not zero.
            tensors.push(match &info.added {
                None => base_value(infos, &info.name)?,
                Some(added) => {
                    let base = |name: &str| base_value(infos, name);
                    let value = initial_value(&added.init, &info.name, 1, &base)?;
                    let start = value.broadcast_as(info.shape.as_slice())?.contiguous()?;
                    match added.trainable {
                        true => (start + noise(info, 0.2)?)?,
                        false => start,
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
        parameters.set_trainable(&blueprint.candidates);
        Ok(Self { parameters, values })
    }

    /// Init graphs without random numbers: both sides must make the same of them.
    fn initial(&self, blueprint: &Blueprint) -> Check {
        let mut check = Check::new(INITIAL);
        let random = [Op::NORMAL, Op::TRUNCATED_NORMAL, Op::UNIFORM];
        for info in &blueprint.parameters {
            let Some(added) = &info.added else { continue };
            if added
                .init
                .nodes
                .iter()
                .any(|node| random.contains(&node.op))
            {
                continue;
            }
            let base = |name: &str| base_value(&blueprint.parameters, name);
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
            check.note = "none is without random numbers".into();
        }
        check
    }

    /// Values and gradients by candle's primitives, as `--kernels composed` and CUDA run the graph.
    fn composed(&self, rewrite: &Rewrite, site: &SiteRecord) -> Result<Verdict> {
        let case = Case::new(rewrite, site)?;
        let values = self.reading(&case.inputs);
        let wanted = match evaluate(&rewrite.graph, &values) {
            Ok(wanted) => wanted,
            Err(fault) => return Ok(Err(format!("reference: {fault}"))),
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

    /// Values and gradients on the CPU's own path; also whether the graph has a fused form there.
    fn fused(&self, rewrite: &Rewrite, site: &SiteRecord) -> Result<(bool, Verdict)> {
        let case = Case::new(rewrite, site)?;
        let values = self.reading(&case.inputs);
        let wanted = match evaluate(&rewrite.graph, &values) {
            Ok(wanted) => wanted,
            Err(fault) => return Ok((true, Err(format!("reference: {fault}")))),
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

    /// The values of a merge graph.
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
            Err(fault) => return Ok(Err(format!("reference: {fault}"))),
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

    fn reading(&self, inputs: &[(&'static str, Array)]) -> Values {
        let inputs = inputs
            .iter()
            .map(|(name, array)| ((*name).to_owned(), array.clone()));
        Values {
            inputs: inputs.collect(),
            ..self.values.clone()
        }
    }

    /// Gradients of everything the graph reads that has one, against finite differences.
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
                Err(fault) => return Ok(Err(format!("reference: {fault}"))),
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

/// What a graph is run on.
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

/// Numbers in [−1, 1) that `f32` holds exactly.
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

/// What a parameter of the tiny model holds.
fn base_value(infos: &[ParameterInfo], name: &str) -> Result<Tensor> {
    match infos.iter().find(|info| info.name == name) {
        Some(info) => noise(info, 0.5),
        None => Err(progtune_engine::error::Error::Model(format!(
            "the tiny model has no parameter {name}"
        ))),
    }
}

/// The gradient of the result: every element counts, none as another.
fn weights(n: usize) -> Vec<f64> {
    numbers(n, "weights").into_iter().map(f64::from).collect()
}

fn wide(tensor: &Tensor) -> Vec<f64> {
    HostSlice::of(tensor)
        .iter()
        .map(|&v| f64::from(v))
        .collect()
}

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
    match farthest <= TOLERANCE * size {
        true => Ok(()),
        false => Err(format!(
            "{what}, element {at}: {:.6}, expected {:.6}",
            found[at], wanted[at]
        )),
    }
}
