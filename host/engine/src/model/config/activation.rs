//! The names of activations in `config.json`: transformers' `ACT2FN` (5.24.0). They are resolved
//! when a configuration is parsed.

use progtune_kernels::activation::Activation;

/// Every name that this program computes.
const NAMES: [(&str, Activation); 22] = [
    ("gelu", Activation::Gelu),
    ("gelu_10", Activation::GeluClipped),
    ("gelu_accurate", Activation::GeluTanh),
    ("gelu_fast", Activation::GeluTanh),
    ("gelu_new", Activation::GeluTanh),
    ("gelu_python", Activation::Gelu),
    ("gelu_python_tanh", Activation::GeluTanh),
    ("gelu_pytorch_tanh", Activation::GeluTanh),
    ("hardswish", Activation::HardSwish),
    ("laplace", Activation::Laplace),
    ("leaky_relu", Activation::LeakyRelu),
    ("linear", Activation::Linear),
    ("mish", Activation::Mish),
    ("quick_gelu", Activation::QuickGelu),
    ("relu", Activation::Relu),
    ("relu2", Activation::ReluSquared),
    ("relu6", Activation::Relu6),
    ("sigmoid", Activation::Sigmoid),
    ("silu", Activation::Silu),
    ("sqrtsoftplus", Activation::SqrtSoftplus),
    ("swish", Activation::Silu),
    ("tanh", Activation::Tanh),
];

/// The names in `ACT2FN` whose activations have parameters of their own, which a checkpoint would
/// have to contain.
const WITH_PARAMETERS: [&str; 2] = ["prelu", "xielu"];

/// The activation of this name.
///
/// # Errors
/// The expected names, and the reason why this is none of them.
pub(super) fn by_name(name: &str) -> Result<Activation, String> {
    if let Some((_, activation)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Ok(*activation);
    }
    let known = NAMES.map(|(name, _)| name).join(", ");
    Err(if WITH_PARAMETERS.contains(&name) {
        format!("one of {known} (`{name}` has parameters of its own, which are not supported)")
    } else {
        format!("one of {known}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_names_are_refused_with_the_list() {
        assert_eq!(by_name("swish"), Ok(Activation::Silu));
        let expected = by_name("prelu").unwrap_err();
        assert!(expected.contains("`prelu` has parameters"), "{expected}");
        // transformers' names are case-sensitive.
        assert!(
            by_name("GELU")
                .unwrap_err()
                .starts_with("one of gelu, gelu_10, ")
        );
    }
}
