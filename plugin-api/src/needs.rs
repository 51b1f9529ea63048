//! The features that a plugin needs and a host may lack: operations, modes, signals, critical
//! extensions. This is the negotiation between versions of the interface, before anything is
//! trained.
//!
//! The SDK checks every answer here. A plugin of a later version therefore refuses to run in an
//! earlier host with [`ErrorCode::UNSUPPORTED`](crate::records::ErrorCode::UNSUPPORTED) and names
//! the missing feature. A plugin that can do without the feature reads [`HostRecord`] and adapts.
//! The host checks again, for plugins of other SDKs.

use crate::{
    graph::{Graph, Op},
    names::did_you_mean,
    open::{Attribute, unknown_critical},
    records::{
        HostRecord, MethodPlan, Mode, ModelRecord, PluginError, Rewrite, SchedulePlan,
        ScheduleTraits, SiteRecord,
    },
};
use abi_stable::std_types::RString;

/// The critical extensions of a schedule's traits and plans that this version understands.
pub const SCHEDULE_EXTENSIONS: &[&str] = &["lr_scale.embeddings", "lr_scale.head"];

/// Checks that the host has what a schedule's traits need.
///
/// # Errors
/// [`ErrorCode::UNSUPPORTED`](crate::records::ErrorCode::UNSUPPORTED), naming the signal or the
/// extension.
pub fn of_traits(traits: &ScheduleTraits, host: &HostRecord) -> Result<(), PluginError> {
    extensions(&traits.ext, SCHEDULE_EXTENSIONS, host)?;
    for signal in &traits.signals {
        if !host.signals.contains(signal) {
            let near = did_you_mean(signal, host.signals.iter().map(RString::as_str));
            let offered = listed(&host.signals);
            let reason = format!("the signal '{signal}'; it offers: {offered}{near}");
            return Err(lacking(&reason, host));
        }
    }
    Ok(())
}

/// Checks that the host has what a schedule's plan needs.
///
/// # Errors
/// As for [`of_traits`].
pub fn of_schedule(plan: &SchedulePlan, host: &HostRecord) -> Result<(), PluginError> {
    extensions(&plan.ext, SCHEDULE_EXTENSIONS, host)
}

/// Checks that the host and the model's sites have what a method's plan needs.
///
/// # Errors
/// [`ErrorCode::UNSUPPORTED`](crate::records::ErrorCode::UNSUPPORTED), naming the operation, the
/// mode, the input of a site or the extension.
pub fn of_method(
    plan: &MethodPlan,
    model: &ModelRecord,
    host: &HostRecord,
) -> Result<(), PluginError> {
    extensions(&plan.ext, &host.understands(), host)?;
    let understood = |ext: &[Attribute]| extensions(ext, &[], host);
    for parameter in &plan.parameters {
        understood(&parameter.ext)?;
        operations(&parameter.init, host)?;
    }
    for rewrite in &plan.rewrites {
        understood(&rewrite.ext)?;
        if !host.modes.contains(&rewrite.mode) {
            let (mode, offered) = (rewrite.mode, listed(&host.modes));
            let what = format!("the rewrite mode '{mode}'; it runs: {offered}");
            return Err(lacking(&what, host));
        }
        // A missing site does not depend on the version.
        if let Some(site) = model.site(&rewrite.site) {
            at_site(rewrite, site)?;
        }
        let merges = [&rewrite.merge, &rewrite.merge_bias];
        let merges = merges
            .into_iter()
            .filter_map(|merge| merge.as_ref().into_option());
        for graph in merges.chain([&rewrite.graph]) {
            operations(graph, host)?;
        }
    }
    Ok(())
}

fn at_site(rewrite: &Rewrite, site: &SiteRecord) -> Result<(), PluginError> {
    let (name, mode) = (&site.name, rewrite.mode);
    if !site.accepts(mode) {
        let accepted = listed(&site.modes);
        return Err(PluginError::unsupported(format!(
            "the site '{name}' does not accept the mode '{mode}'; accepted: {accepted}"
        )));
    }
    let lacks = |input: &&str| !site.inputs.iter().any(|known| known == input);
    match rewrite.graph.names(Op::INPUT).find(lacks) {
        Some(input) if [Mode::OUTPUT, Mode::INPUT].contains(&mode) => {
            Err(PluginError::unsupported(format!(
                "the site '{name}' has no input '{input}'; its inputs: {}",
                listed(&site.inputs)
            )))
        }
        _ => Ok(()),
    }
}

fn operations(graph: &Graph, host: &HostRecord) -> Result<(), PluginError> {
    extensions(&graph.ext, &[], host)?;
    match graph.nodes.iter().find(|node| !host.ops.contains(&node.op)) {
        Some(node) => Err(lacking(&format!("the graph operation '{}'", node.op), host)),
        None => Ok(()),
    }
}

fn extensions(ext: &[Attribute], known: &[&str], host: &HostRecord) -> Result<(), PluginError> {
    match unknown_critical(ext, known) {
        Some(key) => Err(lacking(&format!("the extension '!{key}'"), host)),
        None => Ok(()),
    }
}

fn lacking(what: &str, host: &HostRecord) -> PluginError {
    let (name, version, minor) = (&host.name, &host.version, host.abi_minor);
    PluginError::unsupported(format!(
        "{name} {version} (plugin interface 1.{minor}) lacks {what}"
    ))
    .with_help(format!(
        "update {name}, or use a version of the plugin for it"
    ))
}

fn listed(names: &[impl ToString]) -> String {
    if names.is_empty() {
        "none".into()
    } else {
        names
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        contract::{Dimensions, host_record, model_record},
        graph::{GraphBuilder, Op},
        records::{ErrorCode, Mode, Rewrite},
    };

    #[test]
    fn what_is_lacking_is_named() {
        let mut host = host_record();
        host.ops = [Op::INPUT, Op::RELU].to_vec().into();
        host.modes = [Mode::OUTPUT].to_vec().into();
        let model = model_record("bert", 1, Dimensions::of(8, 16));
        let site = model.site("encoder.layer.0.attention.self.query").unwrap();
        let graph = |op| {
            let mut g = GraphBuilder::new();
            let y = g.input("y");
            g.unary(op, y);
            g.finish()
        };
        let refused = |plan: MethodPlan| {
            let error = of_method(&plan, &model, &host).unwrap_err();
            assert_eq!(error.code, ErrorCode::UNSUPPORTED);
            error.to_string()
        };
        let rewriting = |rewrite| MethodPlan {
            rewrites: vec![rewrite].into(),
            ..MethodPlan::default()
        };
        let fine = rewriting(Rewrite::output(site, graph(Op::RELU)));
        assert!(of_method(&fine, &model, &host).is_ok());
        let text = refused(rewriting(Rewrite::output(site, graph(Op::GELU))));
        assert!(
            text.contains("lacks the graph operation 'gelu' (update contract"),
            "{text}"
        );
        let text = refused(rewriting(Rewrite::output(site, graph(Op(4711)))));
        assert!(text.contains("'Op#4711'"), "{text}");
        let text = refused(rewriting(Rewrite::weight(site, graph(Op::RELU))));
        assert!(
            text.contains("the rewrite mode 'weight'; it runs: output"),
            "{text}"
        );
        let mut reading = GraphBuilder::new();
        reading.input("residual");
        let text = refused(rewriting(Rewrite::output(site, reading.finish())));
        assert!(
            text.contains("has no input 'residual'; its inputs: x, y"),
            "{text}"
        );
        let ext = vec![Attribute::new("!later", true)];
        let text = refused(MethodPlan {
            ext: ext.into(),
            ..MethodPlan::default()
        });
        assert!(text.contains("the extension '!later'"), "{text}");
        let wanted = ScheduleTraits::signals(&["block_grad_nrm"]);
        let text = of_traits(&wanted, &host).unwrap_err().to_string();
        assert!(text.contains("did you mean 'block_grad_norm'"), "{text}");
    }
}
