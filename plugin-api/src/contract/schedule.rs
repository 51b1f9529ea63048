//! The contract of a schedule. It is asked for every epoch of many runs, twice in different orders,
//! and with every option at its limits. Some runs and hosts lack features. Called by
//! [`super::check_schedule`].

use super::{
    Subject,
    report::{Check, Report},
    synthetic::{host_record, run_record, synthetic_history},
    variations::{refused, variations},
};
use crate::{
    needs,
    open::Attribute,
    options::resolve,
    records::{DecisionRecord, HostRecord, Part, PluginError, RunRecord, SchedulePlan},
    root::ScheduleObject,
    sdk::into_result,
    validate,
};

/// Creates a schedule from its options, for a host and a run.
pub type CreateSchedule<'a> =
    dyn Fn(&[Attribute], &HostRecord, &RunRecord) -> Result<ScheduleObject, PluginError> + 'a;

/// The values of L and T for which schedules are asked.
const BLOCKS: [u32; 7] = [1, 2, 3, 5, 6, 12, 24];
const EPOCHS: [u32; 9] = [1, 2, 3, 4, 5, 7, 12, 25, 30];

/// Runs every check.
pub fn check_schedule(subject: &Subject<'_, CreateSchedule<'_>>) -> Report {
    let mut suite = Suite {
        create: subject.create,
        report: Report::default(),
    };
    let options = match resolve(subject.declared, subject.given) {
        Ok(options) => options,
        Err(fault) => return suite.report.unusable(&fault),
    };
    suite.runs(&options);
    let refusals = suite.report.refusals;
    suite.options(subject);
    suite.hostile_runs(&options);
    suite.bare_host(&options);
    suite.report.finish(subject.id, refusals)
}

struct Suite<'a> {
    create: &'a CreateSchedule<'a>,
    report: Report,
}

impl Suite<'_> {
    fn runs(&mut self, options: &[Attribute]) {
        let (mut valid, mut same) = (
            Check::new("valid plans"),
            Check::new("same plan when asked again"),
        );
        for (method, embeddings) in [("", true), ("", false), ("bitfit", true), ("bitfit", false)] {
            for blocks in BLOCKS {
                for epochs in EPOCHS {
                    let run = run_record(blocks, epochs, method, embeddings);
                    let context =
                        format!("L={blocks} T={epochs} method='{method}' embeddings={embeddings}");
                    self.run(
                        &mut valid,
                        Some(&mut same),
                        &context,
                        options,
                        &host_record(),
                        &run,
                    );
                }
            }
        }
        self.report.push(valid);
        self.report.push(same);
    }

    /// Every epoch of one run (only the first and last ones if there are many).
    fn run(
        &mut self,
        valid: &mut Check,
        same: Option<&mut Check>,
        context: &str,
        options: &[Attribute],
        host: &HostRecord,
        run: &RunRecord,
    ) {
        let create = || (self.create)(options, host, run);
        let created = create().and_then(|first| {
            let traits = into_result(first.traits())?;
            needs::of_traits(&traits, host)?;
            Ok((first, create()?, traits))
        });
        let checked = self
            .report
            .answer(valid, context, created, |(_, _, traits)| {
                validate::schedule_traits(traits, host)
            });
        let Some((first, second, traits)) = checked else {
            return;
        };
        let decision = |epoch: u32| DecisionRecord {
            global_step: u64::from(epoch - 1).saturating_mul(run.steps_per_epoch),
            history: synthetic_history(&traits, run, epoch.min(40)),
            ..DecisionRecord::epoch(epoch)
        };
        let last = run.epochs.saturating_sub(15).max(15) + 1..=run.epochs;
        let epochs: Vec<u32> = (1..=run.epochs.min(15)).chain(last).collect();
        let ask = |schedule: &ScheduleObject, epoch| into_result(schedule.plan(&decision(epoch)));
        let forwards: Vec<_> = epochs.iter().map(|&epoch| ask(&first, epoch)).collect();
        let backwards: Vec<_> = epochs
            .iter()
            .rev()
            .map(|&epoch| ask(&second, epoch))
            .collect();
        if let Some(same) = same {
            for ((epoch, plan), again) in epochs.iter().zip(&forwards).zip(backwards.iter().rev()) {
                let outcome = if plan == again {
                    Ok(())
                } else {
                    Err("a different plan when asked again in a different order".into())
                };
                same.case(&format!("{context} t={epoch}"), outcome);
            }
        }
        for (epoch, plan) in epochs.iter().zip(forwards) {
            let context = format!("{context} t={epoch}");
            let valid_plan = |plan: &SchedulePlan| validate::schedule_plan(plan, run);
            let plan = self.report.answer(valid, &context, plan, valid_plan);
            self.report.plans += u64::from(plan.is_some());
        }
    }

    fn options(&mut self, subject: &Subject<'_, CreateSchedule<'_>>) {
        let mut check = Check::new("options at their limits");
        match variations(subject.declared, subject.given) {
            Err(reason) => check.violation(reason),
            Ok(all) => {
                for variation in all {
                    for (blocks, epochs) in [(1, 1), (6, 3), (5, 30)] {
                        let run = run_record(blocks, epochs, "", true);
                        let context = format!("{} L={blocks} T={epochs}", variation.text);
                        self.run(
                            &mut check,
                            None,
                            &context,
                            &variation.options,
                            &host_record(),
                            &run,
                        );
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

    fn hostile_runs(&mut self, options: &[Attribute]) {
        let mut check = Check::new("hostile runs");
        let usual = || run_record(3, 4, "", true);
        type Change = fn(&mut RunRecord);
        let changes: [(&str, Change); 8] = [
            ("no candidate", |run| run.candidates.clear()),
            ("only the head", |run| {
                run.candidates.retain(|p| p.part == Part::HEAD)
            }),
            ("no head", |run| {
                run.candidates.retain(|p| p.part != Part::HEAD)
            }),
            ("no block", |run| {
                run.candidates.retain(|p| p.part != Part::BLOCK)
            }),
            ("unknown parts", |run| {
                for candidate in run.candidates.iter_mut() {
                    (candidate.part, candidate.block) = (Part(4711), -1);
                }
            }),
            ("other names", |run| {
                for candidate in run.candidates.iter_mut() {
                    candidate.name = format!("ünknown.{}", candidate.name).into();
                }
            }),
            ("steps not known", |run| run.steps_per_epoch = 0),
            ("many steps and epochs", |run| {
                (run.steps_per_epoch, run.epochs, run.seed) = (1 << 40, 100_000, !0);
            }),
        ];
        let host = host_record();
        for (name, change) in changes {
            let mut run = usual();
            change(&mut run);
            self.run(&mut check, None, name, options, &host, &run);
        }
        self.odd_decisions(&mut check, options, &host, &usual());
        self.report.push(check);
    }

    /// Epochs outside the run, and histories with gaps.
    fn odd_decisions(
        &mut self,
        check: &mut Check,
        options: &[Attribute],
        host: &HostRecord,
        run: &RunRecord,
    ) {
        let Ok(schedule) = (self.create)(options, host, run) else {
            return;
        };
        let traits = into_result(schedule.traits()).unwrap_or_default();
        let mut decisions = vec![
            ("epoch 0", DecisionRecord::epoch(0)),
            (
                "the epoch after the last",
                DecisionRecord::epoch(run.epochs + 1),
            ),
            ("no history", DecisionRecord::epoch(run.epochs)),
        ];
        let whole = DecisionRecord {
            step_in_epoch: u64::MAX,
            global_step: u64::MAX,
            history: synthetic_history(&traits, run, run.epochs),
            ..DecisionRecord::epoch(run.epochs)
        };
        let changed = |change: fn(f64) -> Option<f64>| {
            let mut decision = whole.clone();
            for signal in decision.history.iter_mut() {
                signal.values = signal
                    .values
                    .iter()
                    .filter_map(|&value| change(value))
                    .collect();
            }
            decision
        };
        decisions.extend([
            ("a history of NaN", changed(|_| Some(f64::NAN))),
            ("a history of infinities", changed(|_| Some(f64::INFINITY))),
            ("a history of zeros", changed(|_| Some(0.0))),
            ("a history without values", changed(|_| None)),
        ]);
        for (name, decision) in decisions {
            let answer = into_result(schedule.plan(&decision));
            self.report.answer(check, name, answer, |plan| {
                validate::schedule_plan(plan, run)
            });
        }
    }

    fn bare_host(&mut self, options: &[Attribute]) {
        let mut check = Check::new("a host that offers nothing");
        let run = run_record(4, 3, "", true);
        self.run(
            &mut check,
            None,
            "no signals",
            options,
            &super::bare_host(),
            &run,
        );
        self.report.push(check);
    }
}
