//! The results of the contract test, one line per check. `progtune plugins check` prints them, and
//! an author's tests assert on them.

use crate::{
    options::OptionFault,
    records::{ErrorCode, PluginError},
};

/// The maximum number of violations listed per check.
const MAX_VIOLATIONS: usize = 10;

/// One promise, and how often it was tested.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Check {
    /// The promise in a few words: `valid plans`.
    pub name: String,
    /// The number of cases tried.
    pub cases: u64,
    /// The violations, each with its case.
    pub violations: Vec<String>,
    /// A note for the reader, such as the reason why there was no case.
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

    /// A check without any case, and the reason.
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

    /// Records a violation.
    pub fn violation(&mut self, text: String) {
        if self.violations.len() < MAX_VIOLATIONS && !self.violations.contains(&text) {
            self.violations.push(text);
        }
    }

    /// Whether there are no violations.
    pub fn kept(&self) -> bool {
        self.violations.is_empty()
    }
}

/// The results of the contract test.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The number of plans that were made and found valid.
    pub plans: u64,
    /// The number of ordinary runs or models that the entry refused with a proper error: bad option
    /// or unsupported. Refusals of hostile ones, or at the limits of options, are not counted.
    pub refusals: u64,
    /// Every check.
    pub checks: Vec<Check>,
    /// The violations in all checks, each with its check.
    pub violations: Vec<String>,
    /// One refusal, reported for an entry that refuses everything.
    refusal: String,
}

impl Report {
    /// Whether there are no violations.
    pub fn kept(&self) -> bool {
        self.checks.iter().all(Check::kept)
    }

    /// Adds a finished check.
    pub fn push(&mut self, check: Check) {
        let named = |text: &String| format!("{}: {text}", check.name);
        self.violations.extend(check.violations.iter().map(named));
        self.checks.push(check);
    }

    /// Counts an answer. It is acceptable if it is a valid plan or a refusal that a user can
    /// understand.
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

    /// The report on an entry whose given options are invalid.
    pub(super) fn unusable(mut self, fault: &OptionFault) -> Self {
        let mut check = Check::new("the given options");
        check.case(
            &format!("option '{}'", fault.name),
            Err(fault.reason.clone()),
        );
        self.push(check);
        self
    }

    /// Completes the report; `refusals` counts those of ordinary runs and models. An entry that
    /// refuses everything breaks the contract.
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
    /// If there are violations, which it lists.
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
    if proper && !error.message.is_empty() {
        Ok(())
    } else {
        Err(format!("{} error: {error}", error.code))
    }
}
