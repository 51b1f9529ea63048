//! What the contract test saw: one line a check. Printed by `progtune plugins check`, asserted on by an author's tests.

use crate::{
    options::OptionFault,
    records::{ErrorCode, PluginError},
};

/// After so many violations of one check the rest is not listed.
const MAX_VIOLATIONS: usize = 10;

/// One promise, and how often it was put to the test.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Check {
    /// The promise in a few words: `valid plans`.
    pub name: String,
    /// How many cases were tried.
    pub cases: u64,
    /// What was wrong, each with its case.
    pub violations: Vec<String>,
    /// What a reader should know, such as why there was no case.
    pub note: String,
}

impl Check {
    /// A check without cases yet.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// A check of which there is no case, and why.
    pub fn without_case(name: &str, why: &str) -> Self {
        Self {
            note: why.into(),
            ..Self::new(name)
        }
    }

    /// Counts a case.
    pub fn case(&mut self, context: &str, outcome: Result<(), String>) {
        self.cases += 1;
        if let Err(reason) = outcome {
            self.violation(format!("{context}: {reason}"));
        }
    }

    /// Notes a violation.
    pub fn violation(&mut self, text: String) {
        if self.violations.len() < MAX_VIOLATIONS && !self.violations.contains(&text) {
            self.violations.push(text);
        }
    }

    /// Whether nothing was wrong.
    pub fn kept(&self) -> bool {
        self.violations.is_empty()
    }
}

/// What the contract test saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Plans that were made and found in order.
    pub plans: u64,
    /// Usual runs or models that the entry refused with a proper error: bad option or unsupported. What it refuses of
    /// hostile ones, or at the limits of its options, is not counted.
    pub refusals: u64,
    /// Every check.
    pub checks: Vec<Check>,
    /// What was wrong in all of them, each with its check.
    pub violations: Vec<String>,
    /// A refusal, for the entry that has nothing else to say.
    refusal: String,
}

impl Report {
    /// Whether nothing was wrong.
    pub fn kept(&self) -> bool {
        self.checks.iter().all(Check::kept)
    }

    /// Adds a finished check.
    pub fn push(&mut self, check: Check) {
        let named = |text: &String| format!("{}: {text}", check.name);
        self.violations.extend(check.violations.iter().map(named));
        self.checks.push(check);
    }

    /// Counts an answer, which is in order when it is a valid plan or a refusal that a user can understand.
    pub(super) fn answer<T>(
        &mut self,
        check: &mut Check,
        context: &str,
        answer: Result<T, PluginError>,
        valid: impl FnOnce(&T) -> Result<(), String>,
    ) -> Option<T> {
        match answer {
            Ok(plan) => {
                let outcome = valid(&plan);
                let kept = outcome.is_ok();
                check.case(context, outcome);
                kept.then_some(plan)
            }
            Err(error) => {
                check.case(context, proper(&error));
                if proper(&error).is_ok() {
                    self.refusals += 1;
                    self.refusal = format!("{context}: {error}");
                }
                None
            }
        }
    }

    /// The report on an entry whose given options are wrong.
    pub(super) fn unusable(mut self, fault: &OptionFault) -> Self {
        let mut check = Check::new("the given options");
        check.case(
            &format!("option '{}'", fault.name),
            Err(fault.reason.clone()),
        );
        self.push(check);
        self
    }

    /// The whole report; `refusals` are those of usual runs and models. An entry that refuses everything keeps no contract.
    pub(super) fn finish(mut self, what: &str, refusals: u64) -> Self {
        self.refusals = refusals;
        if self.plans == 0 && self.violations.is_empty() {
            let mut check = Check::new("plans at all");
            let refusal = &self.refusal;
            check.case(
                what,
                Err(format!(
                    "refused every run it was asked for; the last: {refusal}"
                )),
            );
            self.push(check);
        }
        self
    }

    /// # Panics
    /// When there are violations; it lists them.
    #[track_caller]
    pub(super) fn assert(self, what: &str) -> Self {
        assert!(
            self.violations.is_empty(),
            "{what} breaks the contract:\n  {}",
            self.violations.join("\n  ")
        );
        self
    }
}

/// Whether a refusal is one that a user can understand.
fn proper(error: &PluginError) -> Result<(), String> {
    let proper = [ErrorCode::BAD_OPTION, ErrorCode::UNSUPPORTED].contains(&error.code);
    match proper && !error.message.is_empty() {
        true => Ok(()),
        false => Err(format!("{} error: {error}", error.code)),
    }
}
