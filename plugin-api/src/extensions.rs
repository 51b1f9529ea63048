//! The additions of minor versions to a method's plan: the keys of its `ext` tail. A plugin learns
//! here which of them a host supports.
//!
//! Plugins write them with the methods here, and the host reads them. All keys are critical
//! (preceded by `!` in the record): a host that does not know one refuses the plan. A plugin that
//! can do without a key should therefore ask [`HostRecord::understands`] first.

use crate::{
    open::{Attribute, Value},
    records::{HostRecord, MethodPlan},
};
use abi_stable::std_types::{RString, RVec};

/// A whole number added to every position id. With a prefix of that many key and value rows,
/// Hugging Face's models see the inputs at these shifted positions. The longest input is shorter by
/// the same number. Named since 1.0; hosts support it since 1.1.
pub const POSITION_SHIFT: &str = "position_shift";

/// Factors on the learning rate of the model's own parameters, by name ([`Value::Record`] of
/// [`Value::Float`]). They correspond to `NewParameter::lr_scale` for added parameters. Names that
/// are not candidates have no effect. Since 1.1.
pub const LR_SCALES: &str = "lr_scales";

/// The key of the list in [`HostRecord`]'s `ext`.
const UNDERSTANDS: &str = "understands";
/// More positions than any model has.
const MAX_SHIFT: i64 = 1 << 31;

/// The attribute in which a host lists the keys that it supports.
pub fn understands(keys: &[&str]) -> Attribute {
    Attribute {
        key: UNDERSTANDS.into(),
        value: Value::Strs(keys.iter().map(|&key| RString::from(key)).collect()),
    }
}

impl HostRecord {
    /// The critical plan keys that this host supports; none for a host of interface 1.0.
    pub fn understands(&self) -> Vec<&str> {
        let list = self.ext.iter().find(|a| a.key == UNDERSTANDS);
        match list.map(|attribute| &attribute.value) {
            Some(Value::Strs(keys)) => keys.iter().map(RString::as_str).collect(),
            _ => Vec::new(),
        }
    }
}

impl MethodPlan {
    /// Adds to every position id; see [`POSITION_SHIFT`].
    #[must_use]
    pub fn with_position_shift(self, positions: u64) -> Self {
        let value = i64::try_from(positions).unwrap_or(i64::MAX);
        self.with_extension(POSITION_SHIFT, Value::Int(value))
    }

    /// Scales the learning rate of the model's own parameters; see [`LR_SCALES`].
    #[must_use]
    pub fn with_lr_scales<'a>(self, scales: impl IntoIterator<Item = (&'a str, f64)>) -> Self {
        let scales: RVec<Attribute> = scales
            .into_iter()
            .map(|(name, scale)| Attribute::new(name, scale))
            .collect();
        if scales.is_empty() {
            self
        } else {
            self.with_extension(LR_SCALES, Value::Record(scales))
        }
    }

    /// The number added to every position id; 0 if the plan gives none, and `None` for an invalid
    /// value.
    pub fn position_shift(&self) -> Option<u32> {
        match self.extension(POSITION_SHIFT) {
            None => Some(0),
            Some(Value::Int(positions @ 0..=MAX_SHIFT)) => u32::try_from(*positions).ok(),
            Some(_) => None,
        }
    }

    /// The factors on the learning rate of the model's own parameters; `None` for an invalid value.
    pub fn lr_scales(&self) -> Option<Vec<(&str, f64)>> {
        let scales = match self.extension(LR_SCALES) {
            None => return Some(Vec::new()),
            Some(Value::Record(scales)) => scales,
            Some(_) => return None,
        };
        let scale = |attribute: &'_ Attribute| match attribute.value {
            Value::Float(scale) if scale.is_finite() && scale >= 0.0 => Some(scale),
            _ => None,
        };
        scales
            .iter()
            .map(|attribute| Some((attribute.key.as_str(), scale(attribute)?)))
            .collect()
    }

    fn with_extension(mut self, key: &str, value: Value) -> Self {
        self.ext.push(Attribute {
            key: format!("!{key}").into(),
            value,
        });
        self
    }

    fn extension(&self, key: &str) -> Option<&Value> {
        let found = self
            .ext
            .iter()
            .find(|attribute| attribute.key.strip_prefix('!') == Some(key));
        found.map(|attribute| &attribute.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        contract::{Dimensions, host_record, model_record},
        validate,
    };

    #[test]
    fn a_host_acts_on_what_it_lists() {
        let model = model_record("bert", 1, Dimensions::of(32, 64));
        let plan = MethodPlan::default()
            .with_position_shift(20)
            .with_lr_scales([("classifier.bias", 16.0)]);
        assert_eq!(plan.position_shift(), Some(20));
        assert_eq!(plan.lr_scales(), Some(vec![("classifier.bias", 16.0)]));
        let mut host = host_record();
        assert_eq!(validate::method_plan(&plan, &model, &host), Ok(()));
        host.ext.clear();
        assert_eq!(host.understands(), [""; 0]);
        let refused = validate::method_plan(&plan, &model, &host).unwrap_err();
        assert!(refused.contains("'!position_shift', which this host does not understand"));
    }

    #[test]
    fn values_that_make_no_sense_are_refused() {
        let model = model_record("bert", 1, Dimensions::of(32, 64));
        let refusal = |plan: MethodPlan| validate::method_plan(&plan, &model, &host_record());
        let plan = |key: &str, value: Value| MethodPlan::default().with_extension(key, value);
        for value in [Value::Int(-1), Value::Int(i64::MAX), Value::Bool(true)] {
            let error = refusal(plan(POSITION_SHIFT, value)).unwrap_err();
            assert!(error.contains("from 0 to 2^31"), "{error}");
        }
        let nan = MethodPlan::default().with_lr_scales([("classifier.bias", f64::NAN)]);
        assert!(refusal(nan).unwrap_err().contains("finite number"));
        let unknown = MethodPlan::default().with_lr_scales([("classifier.bia", 2.0)]);
        let error = refusal(unknown).unwrap_err();
        assert!(error.contains("did you mean 'classifier.bias'"), "{error}");
    }
}
