//! Bottleneck adapters: the methods `adapter` (`houlsby`), `pfeiffer` and `parallel`
//! (`feed_forward`). Loaded by the host; see `progtune-plugin-api` for the interface.

mod bottleneck;
mod feed_forward;
mod houlsby;

use feed_forward::FeedForwardAdapter;
use houlsby::Adapter;
use progtune_plugin_api::prelude::*;

export_plugin! {
    methods: [
        {
            id: "adapter",
            summary: "bottleneck adapters after attention and feed-forward (Houlsby)",
            options: [
                {
                    name: "preset", kind: Str, default: "adapterhub", choices: ["adapterhub", "houlsby"],
                    help: "adapterhub: hidden/16 wide, swish, normal 0.02, LayerNorms frozen; houlsby: 64 wide, GELU, truncated normal 1e-3, LayerNorms trained"
                },
                {
                    name: "bottleneck", kind: Int, default: 0, min: 0, max: 65536,
                    help: "width of the bottleneck; 0: the preset's"
                },
                {
                    name: "non_linearity", kind: Str, default: "auto", choices: ["auto", "silu", "gelu", "relu"],
                    help: "activation inside the bottleneck; auto: the preset's"
                },
            ],
            create: Adapter::create,
        },
        {
            id: "pfeiffer",
            summary: "a bottleneck adapter after each feed-forward part (Pfeiffer)",
            options: [
                {
                    name: "reduction_factor", kind: Int, default: 16, min: 1, max: 65536,
                    help: "hidden size divided by the width of the bottleneck"
                },
                {
                    name: "non_linearity", kind: Str, default: "relu", choices: ["relu", "gelu", "silu"],
                    help: "activation inside the bottleneck"
                },
                { name: "scaling", kind: Float, default: 1, help: "factor on the output of the bottleneck" },
            ],
            create: FeedForwardAdapter::pfeiffer,
        },
        {
            id: "parallel",
            summary: "a bottleneck adapter beside each feed-forward part (He)",
            options: [
                {
                    name: "reduction_factor", kind: Int, default: 2, min: 1, max: 65536,
                    help: "hidden size divided by the width of the bottleneck"
                },
                {
                    name: "non_linearity", kind: Str, default: "relu", choices: ["relu", "gelu", "silu"],
                    help: "activation inside the bottleneck"
                },
                { name: "scaling", kind: Float, default: 4, help: "factor on the output of the bottleneck" },
            ],
            create: FeedForwardAdapter::parallel,
        },
    ],
}

#[cfg(test)]
mod tests {
    use super::*;
    use progtune_plugin_api::contract::{self, Dimensions, model_record, plan_method};

    #[test]
    fn keeps_the_contract() {
        for preset in ["adapterhub", "houlsby"] {
            for (bottleneck, activation) in [("0", "auto"), ("5", "relu")] {
                let options = [
                    ("preset", preset),
                    ("bottleneck", bottleneck),
                    ("non_linearity", activation),
                ];
                contract::assert_method(&PLUGIN, "adapter", &options);
            }
        }
    }

    #[test]
    fn keeps_the_contract_at_the_feed_forward_part() {
        contract::assert_kept(&PLUGIN);
        for id in ["pfeiffer", "parallel"] {
            let options = [
                ("reduction_factor", "100"),
                ("non_linearity", "silu"),
                ("scaling", "0.5"),
            ];
            contract::assert_method(&PLUGIN, id, &options);
        }
    }

    /// On BERT-base a bottleneck has w·(2·768 + 1) + 768 numbers; `seq_bn` is 48 wide, `par_bn`
    /// 384.
    #[test]
    fn counts_at_the_feed_forward_part_are_adapterhubs() {
        let model = model_record("bert", 12, Dimensions::BERT_BASE);
        for (id, width) in [("pfeiffer", 48), ("parallel", 384)] {
            let plan = plan_method(&PLUGIN, id, &[], &model).unwrap();
            let sizes = plan
                .parameters
                .iter()
                .map(|p| p.shape.iter().product::<u64>());
            assert_eq!(
                sizes.sum::<u64>(),
                12 * (width * (2 * 768 + 1) + 768),
                "{id}"
            );
        }
    }

    #[test]
    fn the_graphs_at_the_feed_forward_part_are_the_equations() {
        let model = model_record("bert", 1, Dimensions::of(32, 64));
        let graph = |id: &str| {
            let plan = plan_method(&PLUGIN, id, &[], &model).unwrap();
            plan.rewrites[0].graph.to_string()
        };
        let site = "encoder.layer.0.output";
        // A bottleneck on %x whose first node is %n, and the nodes that follow it.
        let bottleneck = |x: usize, n: usize| {
            [
                format!("%{n} = parameter name={site}.adapter_down.weight"),
                format!("%{} = parameter name={site}.adapter_down.bias", n + 1),
                format!("%{} = transpose %{n}", n + 2),
                format!("%{} = matmul %{x} %{}", n + 3, n + 2),
                format!("%{} = add %{} %{}", n + 4, n + 3, n + 1),
                format!("%{} = relu %{}", n + 5, n + 4),
                format!("%{} = parameter name={site}.adapter_up.weight", n + 6),
                format!("%{} = parameter name={site}.adapter_up.bias", n + 7),
                format!("%{} = transpose %{}", n + 8, n + 6),
                format!("%{} = matmul %{} %{}", n + 9, n + 5, n + 8),
                format!("%{} = add %{} %{}", n + 10, n + 9, n + 7),
            ]
        };
        let pfeiffer = [
            "%0 = input name=y".to_string(),
            "%1 = input name=residual".into(),
            "%2 = add %0 %1".into(),
            "%3 = layer_norm %2 eps=0.000000000001".into(),
            format!("%4 = base name={site}.LayerNorm.weight"),
            format!("%5 = base name={site}.LayerNorm.bias"),
            "%6 = mul %3 %4".into(),
            "%7 = add %6 %5".into(),
        ];
        let expected = [
            &pfeiffer[..],
            &bottleneck(7, 8),
            &["%19 = add %0 %18".to_string()],
        ];
        assert_eq!(graph("pfeiffer"), expected.concat().join("\n"));
        let inputs = ["%0 = input name=y".to_string(), "%1 = input name=x".into()];
        let end = [
            "%13 = scale %12 by=4".to_string(),
            "%14 = add %0 %13".into(),
        ];
        let expected = [&inputs[..], &bottleneck(1, 2), &end];
        assert_eq!(graph("parallel"), expected.concat().join("\n"));
    }

    /// Added and unfrozen parameters on BERT-base; the counts are those of the presets' libraries.
    #[test]
    fn counts_are_the_presets() {
        let model = model_record("bert", 12, Dimensions::BERT_BASE);
        let counts = |options: &[(&str, &str)]| -> (u64, u64) {
            let plan = plan_method(&PLUGIN, "adapter", options, &model).unwrap();
            let added = plan
                .parameters
                .iter()
                .map(|p| p.shape.iter().product::<u64>())
                .sum();
            (
                added,
                plan.unfreeze
                    .iter()
                    .map(|name| model.parameter(name).unwrap().elements())
                    .sum(),
            )
        };
        assert_eq!(counts(&[]), (1_789_056, 0));
        assert_eq!(counts(&[("preset", "houlsby")]), (2_379_264, 38_400));
    }

    #[test]
    fn the_graph_is_the_equation() {
        let model = model_record("bert", 1, Dimensions::of(32, 64));
        let plan = plan_method(&PLUGIN, "adapter", &[], &model).unwrap();
        let site = "encoder.layer.0.attention.output";
        let expected = [
            "%0 = input name=y".to_string(),
            format!("%1 = parameter name={site}.adapter_down.weight"),
            format!("%2 = parameter name={site}.adapter_down.bias"),
            "%3 = transpose %1".into(),
            "%4 = matmul %0 %3".into(),
            "%5 = add %4 %2".into(),
            "%6 = silu %5".into(),
            format!("%7 = parameter name={site}.adapter_up.weight"),
            format!("%8 = parameter name={site}.adapter_up.bias"),
            "%9 = transpose %7".into(),
            "%10 = matmul %6 %9".into(),
            "%11 = add %10 %8".into(),
            "%12 = add %0 %11".into(),
        ];
        assert_eq!(plan.rewrites[0].graph.to_string(), expected.join("\n"));
    }
}
