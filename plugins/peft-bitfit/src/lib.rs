//! The method `bitfit` trains every parameter of the model named `bias`, including those of the
//! LayerNorms, the embeddings and the pooler, and adds nothing. (The host trains the classifier
//! under every method.)
//!
//! Ben Zaken et al. 2021, arXiv:2106.10199. Loaded by the host; see `progtune-plugin-api` for the
//! interface.

use progtune_plugin_api::prelude::*;

struct BitFit;

impl Method for BitFit {
    fn plan(&self, model: &ModelRecord) -> Result<MethodPlan, PluginError> {
        let biases = model
            .parameters
            .iter()
            .filter(|p| p.name.ends_with(".bias") && p.tied_to.is_empty());
        let plan = MethodPlan {
            unfreeze: biases.map(|parameter| parameter.name.clone()).collect(),
            identity_at_init: true,
            ..MethodPlan::default()
        };
        if plan.unfreeze.is_empty() {
            Err(PluginError::unsupported(
                "the model has no parameter named bias, so there is nothing to train",
            ))
        } else {
            Ok(plan.with_suggested_lr(2e-3))
        }
    }
}

export_plugin! {
    methods: [
        {
            id: "bitfit",
            summary: "trains the biases only (BitFit)",
            options: [],
            create: |_, _| Ok(BitFit),
        },
    ],
}

#[cfg(test)]
mod tests {
    use super::*;
    use progtune_plugin_api::contract::{self, Dimensions, model_record, plan_method};

    #[test]
    fn keeps_the_contract() {
        contract::assert_kept(&PLUGIN);
    }

    /// Ben Zaken et al. count these parameters without the classifier.
    #[test]
    fn selects_the_papers_parameters() {
        let count = |architecture, dimensions| -> u64 {
            let model = model_record(architecture, 12, dimensions);
            let plan = plan_method(&PLUGIN, "bitfit", &[], &model).unwrap();
            let encoder = plan
                .unfreeze
                .iter()
                .filter(|name| !name.starts_with("classifier"));
            encoder
                .map(|name| model.parameter(name).unwrap().elements())
                .sum()
        };
        assert_eq!(count("bert", Dimensions::BERT_BASE), 102_912);
        assert_eq!(count("roberta", Dimensions::ROBERTA_BASE), 102_144);
    }
}
