//! The method `prefix`: rows of keys and values that each block's attention reads before the
//! sequence's own (prefix tuning). The rows are learned directly, as
//! `[num_virtual_tokens, 2·hidden]` per block. With `prefix_projection` a small network generates
//! them: E `[num_virtual_tokens, hidden]`, then W_b·tanh(W·E + c) + c_b. The blocks share the
//! network except for their parts of its last layer. Position ids are shifted by the number of
//! rows, as in Hugging Face's models when PEFT puts the rows into their cache.
//!
//! Li and Liang 2021, arXiv:2101.00190; without the network: P-tuning v2, Liu et al. 2021,
//! arXiv:2110.07602. Options and initialisation are those of Hugging Face PEFT
//! (`PrefixTuningConfig`). PEFT keeps all blocks' rows in one parameter, which the host splits and
//! reassembles. The method cannot be merged. Loaded by the host; see `progtune-plugin-api` for the
//! interface.

use progtune_plugin_api::{extensions::POSITION_SHIFT, prelude::*};

const EMBEDDING: &str = "prefix_encoder.embedding.weight";
const WEIGHT: &str = "prefix_encoder.transform.0.weight";
const BIAS: &str = "prefix_encoder.transform.0.bias";

struct Prefix {
    num_virtual_tokens: u64,
    projection: bool,
    /// 0 means the model's hidden size.
    encoder_hidden_size: u64,
    zero: bool,
}

impl Prefix {
    fn create(options: &Options, host: &HostRecord) -> Result<Self, PluginError> {
        let runs = host.modes.contains(&Mode::KV_PREFIX);
        if !runs || !host.understands().contains(&POSITION_SHIFT) {
            return Err(PluginError::unsupported(
                "prefix tuning needs a host that runs rewrites of the mode 'kv prefix' and shifts position ids",
            )
            .with_help("use a progtune of interface 1.1 or later"));
        }
        Ok(Self {
            num_virtual_tokens: options.size("num_virtual_tokens")?,
            projection: options.bool("prefix_projection")?,
            encoder_hidden_size: options.size("encoder_hidden_size")?,
            zero: options.str("init_weights")? == "zero",
        })
    }

    /// The rows themselves.
    fn flat(&self, plan: &mut MethodPlan, site: &SiteRecord) {
        let (name, shape) = (
            format!("{}.prefix", site.name),
            [self.num_virtual_tokens, u64::from(site.out_dim)],
        );
        let mut g = GraphBuilder::new();
        g.parameter(&name);
        plan.rewrites.push(Rewrite::kv_prefix(site, g.finish()));
        let init = if self.zero {
            Graph::filled(0.0, &shape)
        } else {
            Graph::normal(1.0, &shape)
        };
        plan.parameters
            .push(NewParameter::at(site, name, &shape, init));
    }

    /// The part of the network that the blocks share.
    fn encoder(&self, plan: &mut MethodPlan, hidden: u64, inner: u64) {
        let bound = 1.0 / (hidden as f64).sqrt();
        let (embedding, weight, bias) =
            ([self.num_virtual_tokens, hidden], [inner, hidden], [inner]);
        let shared =
            |name, shape: &[u64], init| NewParameter::trained(name, shape, init, -1).shared();
        plan.parameters.extend([
            shared(EMBEDDING, &embedding, Graph::normal(1.0, &embedding)),
            shared(WEIGHT, &weight, Graph::uniform(bound, &weight)),
            shared(BIAS, &bias, Graph::uniform(bound, &bias)).bias(),
        ]);
    }

    /// A block's part of the network's last layer.
    fn projected(&self, plan: &mut MethodPlan, site: &SiteRecord, inner: u64) {
        let columns = u64::from(site.out_dim);
        let name = |end: &str| format!("{}.prefix_transform.{end}", site.name);
        let (weight, bias) = (name("weight"), name("bias"));
        let mut g = GraphBuilder::new();
        let (mut rows, layers) = (g.parameter(EMBEDDING), [(WEIGHT, BIAS), (&weight, &bias)]);
        for (number, (weight, bias)) in layers.into_iter().enumerate() {
            if number > 0 {
                rows = g.unary(Op::TANH, rows);
            }
            let (weight, bias) = (g.parameter(weight), g.parameter(bias));
            let product = g.linear(rows, weight);
            rows = g.add(product, bias);
        }
        plan.rewrites.push(Rewrite::kv_prefix(site, g.finish()));
        let bound = 1.0 / (inner as f64).sqrt();
        let init = |shape: &[u64]| {
            if self.zero {
                Graph::filled(0.0, shape)
            } else {
                Graph::uniform(bound, shape)
            }
        };
        let shape = [columns, inner];
        plan.parameters.extend([
            NewParameter::at(site, weight, &shape, init(&shape)),
            NewParameter::at(site, bias, &shape[..1], init(&shape[..1])).bias(),
        ]);
    }
}

impl Method for Prefix {
    fn plan(&self, model: &ModelRecord) -> Result<MethodPlan, PluginError> {
        let mut plan = MethodPlan::default()
            .with_suggested_lr(1e-2)
            .with_position_shift(self.num_virtual_tokens);
        let sites = model.sites_of(&[SiteKind::KEY_VALUE])?;
        let hidden = u64::from(model.hidden_size);
        let inner = match self.encoder_hidden_size {
            0 => hidden,
            chosen => chosen,
        };
        if self.projection {
            self.encoder(&mut plan, hidden, inner);
        }
        for site in sites {
            if self.projection {
                self.projected(&mut plan, site, inner)
            } else {
                self.flat(&mut plan, site)
            }
        }
        Ok(plan)
    }
}

export_plugin! {
    methods: [
        {
            id: "prefix",
            summary: "learned keys and values before every block's own (prefix tuning)",
            options: [
                {
                    name: "num_virtual_tokens", kind: Int, default: 20, min: 1, max: 4096,
                    help: "number of rows per block; the longest input is shorter by as many tokens"
                },
                {
                    name: "prefix_projection", kind: Bool, default: false,
                    help: "generate the rows with a network that the blocks share; it is trained in every epoch, and only its rows are saved"
                },
                {
                    name: "encoder_hidden_size", kind: Int, default: 0, min: 0, max: 65536,
                    help: "width of that network; 0: the model's hidden size"
                },
                {
                    name: "init_weights", kind: Str, default: "random", choices: ["random", "zero"],
                    help: "initial rows: normal random numbers (with the network, its output for them), or zeros"
                },
            ],
            create: Prefix::create,
        },
    ],
}

#[cfg(test)]
mod tests {
    use super::*;
    use progtune_plugin_api::contract::{self, Dimensions, model_record, plan_method};

    fn count(plan: &MethodPlan, wanted: impl Fn(&NewParameter) -> bool) -> u64 {
        let found = plan.parameters.iter().filter(|p| wanted(p));
        found.map(|p| p.shape.iter().product::<u64>()).sum()
    }

    #[test]
    fn keeps_the_contract() {
        contract::assert_kept(&PLUGIN);
        for (projection, init) in [("true", "random"), ("true", "zero"), ("false", "zero")] {
            let options = [
                ("num_virtual_tokens", "3"),
                ("prefix_projection", projection),
                ("encoder_hidden_size", "5"),
                ("init_weights", init),
            ];
            contract::assert_method(&PLUGIN, "prefix", &options);
        }
    }

    /// PEFT on BERT-base: 20 tokens × 12 layers × 2 × 768 = 368 640.
    #[test]
    fn adds_pefts_parameters() {
        let model = model_record("bert", 12, Dimensions::BERT_BASE);
        let plan = plan_method(&PLUGIN, "prefix", &[], &model).unwrap();
        assert_eq!(count(&plan, |p| p.part == Part::BLOCK), 368_640);
        assert_eq!(plan.position_shift(), Some(20));
        let options = [("prefix_projection", "true"), ("encoder_hidden_size", "64")];
        let plan = plan_method(&PLUGIN, "prefix", &options, &model).unwrap();
        assert_eq!(
            count(&plan, |p| p.part == Part::SHARED),
            20 * 768 + 64 * 768 + 64
        );
        assert_eq!(count(&plan, |p| p.part == Part::BLOCK), 12 * 1536 * 65);
    }

    #[test]
    fn the_projected_graph_is_the_equation() {
        let model = model_record("bert", 1, Dimensions::of(32, 64));
        let plan = plan_method(&PLUGIN, "prefix", &[("prefix_projection", "true")], &model);
        let site = "encoder.layer.0.attention.self";
        let expected = [
            "%0 = parameter name=prefix_encoder.embedding.weight".to_string(),
            "%1 = parameter name=prefix_encoder.transform.0.weight".into(),
            "%2 = parameter name=prefix_encoder.transform.0.bias".into(),
            "%3 = transpose %1".into(),
            "%4 = matmul %0 %3".into(),
            "%5 = add %4 %2".into(),
            "%6 = tanh %5".into(),
            format!("%7 = parameter name={site}.prefix_transform.weight"),
            format!("%8 = parameter name={site}.prefix_transform.bias"),
            "%9 = transpose %7".into(),
            "%10 = matmul %6 %9".into(),
            "%11 = add %10 %8".into(),
        ];
        let plan = plan.unwrap();
        assert_eq!(plan.rewrites[0].graph.to_string(), expected.join("\n"));
        assert_eq!(plan.rewrites[0].mode, Mode::KV_PREFIX);
    }
}
