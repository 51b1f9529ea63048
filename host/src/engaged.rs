//! The effect of a run's training on each part of the model: the steps that trained it, and the
//! change of its parameters. Counted by the recipe, measured at its end, shown by the report.
//!
//! The first values are read again at the end, tensor by tensor ([`InitialValues`]), so no second
//! model is held. The counts are plain numbers in the run's state.

use candle_core::{Device, Tensor};
use progtune_engine::{
    InitialValues, Result,
    model::{HostSlice, Parameters, description::ParameterInfo},
    plan::{ModelPlan, Stage},
};
use progtune_plugin_api::{records::Part, stage::block_ranges};
use serde_json::{Value, json};

/// A part of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The embeddings.
    Embeddings,
    /// A block.
    Block(usize),
    /// Everything above the last block.
    Head,
    /// The parameters that a method shares between parts.
    Shared,
}

impl Place {
    /// The part of a parameter.
    fn of(info: &ParameterInfo) -> Self {
        match (info.block, info.part) {
            (Some(block), _) => Self::Block(block),
            (None, Part::EMBEDDINGS) => Self::Embeddings,
            (None, Part::SHARED) => Self::Shared,
            (None, _) => Self::Head,
        }
    }

    /// The index in a list of all parts of a model with `blocks` blocks: embeddings, blocks, head,
    /// shared parameters.
    fn index(self, blocks: usize) -> usize {
        match self {
            Self::Embeddings => 0,
            Self::Block(block) => 1 + block,
            Self::Head => 1 + blocks,
            Self::Shared => 2 + blocks,
        }
    }

    fn at(index: usize, blocks: usize) -> Self {
        match index {
            0 => Self::Embeddings,
            index if index <= blocks => Self::Block(index - 1),
            index if index == blocks + 1 => Self::Head,
            _ => Self::Shared,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Embeddings => "embeddings",
            Self::Block(_) => "block",
            Self::Head => "head",
            Self::Shared => "shared",
        }
    }
}

/// Counts one optimizer step of `stage` for every part that it trains. `steps` has an entry per
/// part: embeddings, blocks, head, shared parameters; it is made here if it is empty.
pub(crate) fn count_step(steps: &mut Vec<u64>, stage: &Stage, model_plan: &ModelPlan) {
    let blocks = model_plan.blocks;
    steps.resize(blocks + 3, 0);
    let mut is_trained = vec![false; steps.len()];
    for &id in &stage.trainable {
        is_trained[Place::of(&model_plan.parameters[id]).index(blocks)] = true;
    }
    for (steps, is_trained) in steps.iter_mut().zip(is_trained) {
        *steps += u64::from(is_trained);
    }
}

/// The effect of training on a part of the model.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Engagement {
    /// The part.
    pub place: Place,
    /// Number of steps that trained it.
    pub steps: u64,
    /// Number of its parameters that the run may train.
    pub parameters: u64,
    /// The L2 norm of the change of these parameters.
    pub change: f64,
    /// The L2 norm of their first values; `None` if the part was never trained.
    pub initial_norm: Option<f64>,
}

impl Engagement {
    /// The change relative to the first norm; `None` if that is zero or was not measured.
    pub(crate) fn relative_change(&self) -> Option<f64> {
        let norm = self.initial_norm.filter(|norm| *norm > 0.0)?;
        Some(self.change / norm)
    }

    /// Whether the part was trained and is still as it was.
    fn is_unmoved(&self) -> bool {
        self.steps > 0 && self.parameters > 0 && self.change == 0.0
    }
}

/// The effect of training on each part of the model.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Engaged {
    parts: Vec<Engagement>,
    /// Whether the result is that of an earlier epoch, so that what was trained later is unmoved.
    is_of_earlier_epoch: bool,
}

impl Engaged {
    /// Compares the result with its first values. `steps` are the counts of [`count_step`].
    ///
    /// # Errors
    /// Fails if the first values cannot be read again.
    pub(crate) fn measure(
        model_plan: &ModelPlan,
        parameters: &Parameters,
        initial: &InitialValues<'_>,
        steps: &[u64],
        is_of_earlier_epoch: bool,
    ) -> Result<Self> {
        let blocks = model_plan.blocks;
        let place = |index| Engagement {
            place: Place::at(index, blocks),
            steps: steps.get(index).copied().unwrap_or(0),
            parameters: 0,
            change: 0.0,
            initial_norm: None,
        };
        let mut parts: Vec<Engagement> = (0..blocks + 3).map(place).collect();
        let mut squares = vec![(0.0, 0.0); parts.len()];
        for &id in &model_plan.candidates {
            let info = &model_plan.parameters[id];
            let index = Place::of(info).index(blocks);
            parts[index].parameters += info.size() as u64;
            if parts[index].steps > 0 {
                let before = initial.of(info)?;
                let (change, norm) = squared(&before, parameters.variable(id))?;
                squares[index].0 += change;
                squares[index].1 += norm;
            }
        }
        for (part, (change, norm)) in parts.iter_mut().zip(squares) {
            if part.steps > 0 {
                part.change = f64::sqrt(change);
                part.initial_norm = Some(f64::sqrt(norm));
            }
        }
        parts.retain(|part| part.place != Place::Shared || part.parameters > 0);
        Ok(Self {
            parts,
            is_of_earlier_epoch,
        })
    }

    /// The entry `engaged` of `all_results.json`.
    pub(crate) fn to_json(&self) -> Value {
        let entry = |part: &Engagement| {
            let mut entry = json!({ "part": part.place.name() });
            if let Place::Block(block) = part.place {
                entry["block"] = json!(block);
            }
            entry["steps"] = json!(part.steps);
            entry["parameters"] = json!(part.parameters);
            entry["change"] = json!(part.change);
            entry["initial_norm"] = json!(part.initial_norm);
            entry["relative_change"] = json!(part.relative_change());
            entry
        };
        Value::Array(self.parts.iter().map(entry).collect())
    }

    /// The changes in words: `embeddings 0.2 %, blocks 1.3 to 4.1 %, head 62.0 % of their initial
    /// norm`.
    pub(crate) fn describe(&self) -> String {
        let trained = |part: &&Engagement| part.steps > 0 && part.parameters > 0;
        let parts = || self.parts.iter().filter(trained);
        let (mut relative, mut from_zero) = (Vec::new(), Vec::new());
        let mut say = |name: &str, parts: &[&Engagement]| {
            let shares: Vec<f64> = parts.iter().filter_map(|p| p.relative_change()).collect();
            if shares.is_empty() {
                let most = parts.iter().map(|part| part.change).fold(0.0, f64::max);
                from_zero.push(format!("{name} {most:.3} from zero"));
            } else {
                relative.push(format!("{name} {}", range(&shares)));
            }
        };
        for place in [
            Place::Embeddings,
            Place::Block(0),
            Place::Head,
            Place::Shared,
        ] {
            let name = place.name();
            let of_place: Vec<_> = parts().filter(|part| part.place.name() == name).collect();
            let name = if of_place.len() > 1 { "blocks" } else { name };
            if !of_place.is_empty() {
                say(name, &of_place);
            }
        }
        if !relative.is_empty() {
            relative = vec![format!("{} of their initial norm", relative.join(", "))];
        }
        relative.append(&mut from_zero);
        match relative.len() {
            0 => "nothing was trained".into(),
            _ => relative.join("; "),
        }
    }

    /// The warning about parts that were trained and did not move; `None` if there are none.
    pub(crate) fn warning(&self) -> Option<String> {
        let unmoved = || self.parts.iter().filter(|part| part.is_unmoved());
        if self.is_of_earlier_epoch || unmoved().next().is_none() {
            return None;
        }
        let blocks: Vec<u32> = unmoved()
            .filter_map(|part| match part.place {
                Place::Block(block) => Some(block as u32),
                _ => None,
            })
            .collect();
        let mut names: Vec<String> = unmoved()
            .filter(|part| !matches!(part.place, Place::Block(_)))
            .map(|part| format!("the {}", part.place.name()))
            .collect();
        if !blocks.is_empty() {
            let noun = if blocks.len() == 1 { "block" } else { "blocks" };
            names.insert(0, format!("{noun} {}", block_ranges(blocks)));
        }
        let steps = unmoved().map(|part| part.steps).max().unwrap_or(0);
        Some(format!(
            "{}: trained for up to {steps} steps, but no parameter changed; check --lr, --warmup and the options of the method",
            names.join(", ")
        ))
    }
}

/// The least and the largest share, in percent.
fn range(shares: &[f64]) -> String {
    let least = percent(shares.iter().copied().fold(f64::INFINITY, f64::min));
    let most = percent(shares.iter().copied().fold(0.0, f64::max));
    if least == most {
        format!("{least} %")
    } else {
        format!("{least} to {most} %")
    }
}

/// A share in percent, with enough digits to tell a small change from none.
fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    match percent {
        0.05.. | 0.0 => format!("{percent:.1}"),
        0.005..0.05 => format!("{percent:.2}"),
        _ => format!("{percent:.0e}"),
    }
}

/// The sums of squares of the change and of the first values.
fn squared(before: &Tensor, after: &Tensor) -> Result<(f64, f64)> {
    let after = after.to_device(&Device::Cpu)?;
    let (before, after) = (HostSlice::of(before), HostSlice::of(&after));
    let (mut change, mut norm) = (0.0, 0.0);
    for (&before, &after) in before.iter().zip(after.iter()) {
        let (before, after) = (f64::from(before), f64::from(after));
        change += (after - before) * (after - before);
        norm += before * before;
    }
    Ok((change, norm))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(place: Place, steps: u64, change: f64, norm: f64) -> Engagement {
        Engagement {
            place,
            steps,
            parameters: 10,
            change,
            initial_norm: (steps > 0).then_some(norm),
        }
    }

    fn engaged(parts: Vec<Engagement>) -> Engaged {
        Engaged {
            parts,
            is_of_earlier_epoch: false,
        }
    }

    #[test]
    fn changes_are_relative_where_there_is_a_norm() {
        let engaged = engaged(vec![
            part(Place::Embeddings, 0, 0.0, 0.0),
            part(Place::Block(0), 4, 0.5, 10.0),
            part(Place::Block(1), 4, 0.2, 20.0),
            part(Place::Head, 4, 0.25, 0.0),
        ]);
        assert_eq!(
            engaged.describe(),
            "blocks 1.0 to 5.0 % of their initial norm; head 0.250 from zero"
        );
        assert_eq!(engaged.warning(), None);
        let json = engaged.to_json();
        assert_eq!(json[1]["relative_change"], 0.05);
        assert_eq!(json[3]["relative_change"], Value::Null);
        assert_eq!(json[2]["block"], 1);
        assert_eq!(json[0]["steps"], 0);
    }

    #[test]
    fn small_changes_have_more_digits() {
        let shown = [0.0, 4e-6, 4e-4, 5e-4, 0.62].map(percent);
        assert_eq!(shown, ["0.0", "4e-4", "0.04", "0.1", "62.0"]);
    }

    #[test]
    fn parts_that_were_trained_in_vain_are_named() {
        let parts = vec![
            part(Place::Block(0), 0, 0.0, 0.0),
            part(Place::Block(1), 3, 0.0, 1.0),
            part(Place::Block(2), 3, 0.0, 1.0),
            part(Place::Head, 5, 0.0, 1.0),
        ];
        let mut engaged = engaged(parts);
        assert_eq!(
            engaged.warning().unwrap(),
            "blocks 1-2, the head: trained for up to 5 steps, but no parameter changed; check --lr, --warmup and the options of \
             the method"
        );
        engaged.is_of_earlier_epoch = true;
        assert_eq!(engaged.warning(), None);
    }

    #[test]
    fn small_changes_do_not_look_like_none() {
        assert_eq!(percent(0.0), "0.0");
        assert_eq!(percent(0.0123), "1.2");
        assert_eq!(percent(0.000_02), "2e-3");
    }
}
