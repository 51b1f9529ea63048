//! The contract of a method. Its plan is requested twice on many models, with every option at its
//! limits, and on models and hosts that lack features. [`super::behaviour`] then checks the plan's
//! computation. Called by [`super::check_method`].

use super::{
    Subject, behaviour,
    report::{Check, Report},
    synthetic::{Dimensions, host_record, model_record},
    variations::{refused, variations},
};
use crate::{
    needs,
    open::Attribute,
    options::resolve,
    records::{HostRecord, MethodPlan, ModelRecord, PluginError, Role, SiteKind},
    root::MethodObject,
    sdk::into_result,
    validate,
};

/// Creates a method from its options, for a host.
pub type CreateMethod<'a> =
    dyn Fn(&[Attribute], &HostRecord) -> Result<MethodObject, PluginError> + 'a;

/// Runs every check.
pub fn check_method(subject: &Subject<'_, CreateMethod<'_>>) -> Report {
    let mut suite = Suite {
        create: subject.create,
        report: Report::default(),
    };
    let options = match resolve(subject.declared, subject.given) {
        Ok(options) => options,
        Err(fault) => return suite.report.unusable(&fault),
    };
    suite.models(&options);
    suite.behaviour(&options);
    let refusals = suite.report.refusals;
    suite.options(subject);
    suite.hostile_models(&options);
    suite.hosts(&options);
    suite.report.finish(subject.id, refusals)
}

struct Suite<'a> {
    create: &'a CreateMethod<'a>,
    report: Report,
}

impl Suite<'_> {
    fn ask(
        &self,
        options: &[Attribute],
        host: &HostRecord,
        model: &ModelRecord,
    ) -> Result<MethodPlan, PluginError> {
        // A host refuses missing features by name, whatever the plugin's kit does.
        let plan =
            (self.create)(options, host).and_then(|method| into_result(method.plan(model)))?;
        needs::of_method(&plan, model, host).map(|()| plan)
    }

    fn models(&mut self, options: &[Attribute]) {
        let (mut valid, mut same) = (
            Check::new("valid plans"),
            Check::new("same plan when asked again"),
        );
        let (host, small, wide) = (
            host_record(),
            Dimensions::of(32, 64),
            Dimensions::of(48, 40),
        );
        for architecture in ["bert", "roberta"] {
            for (blocks, dimensions) in [(1, small), (3, wide), (12, small)] {
                let model = model_record(architecture, blocks, dimensions);
                let context = format!("{architecture} with {blocks} blocks");
                let (plan, again) = (
                    self.ask(options, &host, &model),
                    self.ask(options, &host, &model),
                );
                let outcome = if plan == again {
                    Ok(())
                } else {
                    Err("a different plan when asked again".into())
                };
                same.case(&context, outcome);
                self.answer(&mut valid, &context, plan, &model, &host);
            }
        }
        self.report.push(valid);
        self.report.push(same);
    }

    fn answer(
        &mut self,
        check: &mut Check,
        context: &str,
        answer: Result<MethodPlan, PluginError>,
        model: &ModelRecord,
        host: &HostRecord,
    ) {
        let valid = |plan: &MethodPlan| validate::method_plan(plan, model, host);
        let plan = self.report.answer(check, context, answer, valid);
        self.report.plans += u64::from(plan.is_some());
    }

    fn behaviour(&mut self, options: &[Attribute]) {
        let (host, model) = (
            host_record(),
            model_record("bert", 2, Dimensions::of(8, 12)),
        );
        let plan = self.ask(options, &host, &model);
        // Errors in the plan itself have already been reported.
        if let Ok(plan) = plan
            && validate::method_plan(&plan, &model, &host).is_ok()
        {
            for check in behaviour::checks(&plan, &model) {
                self.report.push(check);
            }
        }
    }

    fn options(&mut self, subject: &Subject<'_, CreateMethod<'_>>) {
        let mut check = Check::new("options at their limits");
        let host = host_record();
        match variations(subject.declared, subject.given) {
            Err(reason) => check.violation(reason),
            Ok(all) => {
                for variation in all {
                    // The model is narrow, so that a host accepts even the largest rank.
                    for (architecture, blocks) in [("bert", 1), ("roberta", 3)] {
                        let model = model_record(architecture, blocks, Dimensions::of(8, 12));
                        let answer = self.ask(&variation.options, &host, &model);
                        let context = format!("{} on {architecture}", variation.text);
                        self.answer(&mut check, &context, answer, &model, &host);
                    }
                }
            }
        }
        if subject.declared.is_empty() {
            check.note = "it has no options".into();
        }
        self.report.push(check);
        self.report.push(refused(subject.declared));
    }

    fn hostile_models(&mut self, options: &[Attribute]) {
        let mut check = Check::new("hostile models");
        let host = host_record();
        type Change = fn(&mut ModelRecord);
        let changes: [(&str, Change); 10] = [
            ("no biases", without_biases),
            ("other names", renamed),
            ("linear layers without weights", |model| {
                for site in model.sites.iter_mut() {
                    (site.weight, site.bias) = Default::default();
                }
            }),
            ("no sites", |model| model.sites.clear()),
            ("no sites and no parameters", |model| {
                model.sites.clear();
                model.parameters.clear();
            }),
            ("sites that accept no mode", |model| {
                model.sites.iter_mut().for_each(|site| site.modes.clear());
            }),
            ("sites without inputs", |model| {
                model.sites.iter_mut().for_each(|site| site.inputs.clear());
            }),
            ("unknown kinds of site", |model| {
                model
                    .sites
                    .iter_mut()
                    .for_each(|site| site.kind = SiteKind(4711));
            }),
            ("no configuration", |model| model.ext.clear()),
            ("another architecture, quantised weights", |model| {
                model.architecture = "ünknown".into();
                for parameter in model
                    .parameters
                    .iter_mut()
                    .filter(|p| p.role == Role::WEIGHT)
                {
                    parameter.quantised = "int8-rows".into();
                }
            }),
        ];
        for (name, change) in changes {
            let mut model = model_record("bert", 2, Dimensions::of(32, 64));
            change(&mut model);
            let answer = self.ask(options, &host, &model);
            self.answer(&mut check, name, answer, &model, &host);
        }
        for (hidden, inner) in [(1, 1), (7, 13), (30, 50)] {
            let model = model_record("bert", 1, Dimensions::of(hidden, inner));
            let answer = self.ask(options, &host, &model);
            let name = format!("one block of widths {hidden} and {inner}");
            self.answer(&mut check, &name, answer, &model, &host);
        }
        self.report.push(check);
    }

    fn hosts(&mut self, options: &[Attribute]) {
        let mut check = Check::new("a host that offers nothing");
        let model = model_record("bert", 2, Dimensions::of(32, 64));
        let (nothing, mut modes, mut ops) = (super::bare_host(), host_record(), host_record());
        modes.ops.clear();
        ops.modes.clear();
        for (name, host) in [
            ("nothing", nothing),
            ("no operations", modes),
            ("no modes", ops),
        ] {
            let answer = self.ask(options, &host, &model);
            self.answer(&mut check, name, answer, &model, &host);
        }
        self.report.push(check);
    }
}

fn without_biases(model: &mut ModelRecord) {
    model
        .parameters
        .retain(|p| ![Role::BIAS, Role::NORM_BIAS].contains(&p.role));
    model
        .sites
        .iter_mut()
        .for_each(|site| site.bias = Default::default());
}

fn renamed(model: &mut ModelRecord) {
    let other = |name: &str| {
        if name.is_empty() {
            name.into()
        } else {
            format!(
                "x.{}",
                name.replace("attention", "att").replace("query", "q")
            )
            .into()
        }
    };
    for parameter in model.parameters.iter_mut() {
        parameter.name = other(&parameter.name);
    }
    model.parameters.sort_by(|a, b| a.name.cmp(&b.name));
    for site in model.sites.iter_mut() {
        (site.name, site.weight, site.bias) =
            (other(&site.name), other(&site.weight), other(&site.bias));
    }
}
