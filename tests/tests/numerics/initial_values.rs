//! The first values of a model, read again one by one, are the bits that the model was built with,
//! for every method, with and without a head in the checkpoint, and with an initial adapter.

use progtune_engine::{
    Assembly, HeadKind, InitialValues, ModelSource,
    adapter::Adapter,
    model::{Device, Kernels, Precision, weights::HeadPolicy},
    plan::ModelPlan,
    plugin,
};
use progtune_tests::{cases, fixture, max_difference, profile_dir};

/// Builds the BERT fixture, and compares every parameter. Exact: no bit may differ.
fn first_values_are_given_again(method: &str, head: HeadKind, adapter: &str) {
    let plugins = plugin::discover(&[profile_dir()]).expect("the built plugins");
    let source = ModelSource::Directory(fixture("parity/bert").into());
    let config = source.config().expect("config.json");
    let adapter = (!adapter.is_empty()).then(|| {
        Adapter::read(&fixture("parity/bert").join(adapter), &config).expect("an adapter")
    });
    let options = adapter.as_ref().map_or(&[][..], |adapter| &adapter.options);
    let method = (!method.is_empty()).then(|| plugins.method(method, options).expect("a method"));
    let model_plan = ModelPlan::new(&config, head, method.as_ref(), false).expect("a plan");
    let bias = [0.25, -0.5, 0.125];
    let assembly = || Assembly {
        source: &source,
        config: config.clone(),
        head,
        labels: &[],
        model_plan: &model_plan,
        adapter: adapter.as_ref(),
        policy: HeadPolicy::MakeNew,
        head_bias: Some(&bias),
        seed: 7,
        device: Device::Cpu,
        kernels: Kernels::Auto,
        precision: Precision::F32,
    };
    let model = assembly().build().expect("a model");
    let initial = InitialValues::open(assembly()).expect("a checkpoint");
    let mut is_zero = true;
    for (id, info) in model.parameters.infos().iter().enumerate() {
        let value = initial.of(info).expect("a value");
        let difference = max_difference(&value, model.parameters.variable(id));
        assert_eq!(difference, 0.0, "{}", info.name);
        let norm = value.sqr().and_then(|v| v.sum_all()?.to_scalar::<f32>());
        is_zero &= norm.expect("a number") == 0.0;
    }
    assert!(!is_zero);
}

cases! { first_values_are_given_again:
    of_full_fine_tuning("", HeadKind::Sequence(2), "");
    of_a_new_head("", HeadKind::Sequence(3), "");
    of_lora("lora", HeadKind::Sequence(2), "");
    of_dora("dora", HeadKind::Sequence(2), "");
    of_vera("vera", HeadKind::Sequence(2), "");
    of_kron_a("kron-a", HeadKind::Sequence(2), "");
    of_prefix("prefix", HeadKind::Sequence(3), "");
    of_bitfit("bitfit", HeadKind::Sequence(2), "");
    of_bottlenecks("pfeiffer", HeadKind::Token(3), "");
    of_a_continued_adapter("lora", HeadKind::Sequence(2), "lora");
    of_a_continued_neutral_adapter("adapter", HeadKind::Sequence(2), "adapter_houlsby");
}
