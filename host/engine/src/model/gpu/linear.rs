//! A linear layer on the device, with the method's programs at its site, and its backward.

use super::{
    pass::Pass,
    program::{self, DerivedSums, Place, SiteTape},
};
use crate::model::lane::{
    queue::Address,
    rows::{Lane, Rows},
};
use crate::{
    error::Result,
    model::{fused::RewrittenWeight, gradients::Gradients, layout::Linear},
};

/// The values that the backward of a layer needs besides its input.
#[derive(Default)]
pub(super) struct LinearTape {
    rewritten: Option<RewrittenWeight>,
    inputs: Vec<SiteTape>,
    outputs: Vec<SiteTape>,
}

/// The address of a layer's weight for the rows of a lane, and what keeps it there.
struct Weight {
    address: Address,
    _rooms: Vec<crate::model::lane::arena::Room>,
}

impl Weight {
    fn of(
        layer: &Linear,
        rewritten: Option<&RewrittenWeight>,
        pass: &Pass<'_>,
        lane: &Lane,
    ) -> Result<Self> {
        let Some(rewritten) = rewritten else {
            let address = pass.operand_as(layer.weight, lane.number)?;
            return Ok(Self {
                address,
                _rooms: Vec::new(),
            });
        };
        let n = layer.in_dim * layer.out_dim;
        let value = lane.queue.address_of(rewritten.value())?;
        let (address, room) = pass.converted(value, n, lane)?;
        Ok(Self {
            address,
            _rooms: room.into_iter().collect(),
        })
    }
}

/// `y = x·Wᵀ (+ b)` and the programs. Without `with_bias`, the caller adds the bias, and the layer
/// has no programs on its output.
pub(super) fn forward(
    layer: &Linear,
    x: &Rows,
    with_bias: bool,
    place: Place<'_>,
) -> Result<(Rows, LinearTape)> {
    let (pass, lane) = (place.pass, place.lane);
    let rows = pass.row_context(place.keys.1, place.drop);
    let rewritten = RewrittenWeight::of_parameters(layer, pass.parameters, rows, place.record)?;
    let (changed, inputs) = rewrite_input(layer, x, place)?;
    let weight = Weight::of(layer, rewritten.as_ref(), pass, lane)?;
    let bias = if with_bias {
        pass.operand_as(layer.bias, lane.number)?
    } else {
        0
    };
    let x = changed.last().unwrap_or(x);
    let y = lane.product(x, weight.address, layer.out_dim, true, bias)?;
    let (y, outputs) = program::forward(&layer.site.outputs, y, [Some(x), None], place)?;
    let tape = LinearTape {
        rewritten,
        inputs,
        outputs,
    };
    Ok((y, tape))
}

/// The result of each of the programs on the input, and their tapes.
fn rewrite_input(layer: &Linear, x: &Rows, place: Place<'_>) -> Result<(Vec<Rows>, Vec<SiteTape>)> {
    let (mut changed, mut tapes) = (Vec::<Rows>::new(), Vec::new());
    for at in 0..layer.site.inputs.len() {
        let before = changed.last().unwrap_or(x);
        let after = place.lane.copy(before)?;
        let programs = std::slice::from_ref(&layer.site.inputs[at]);
        let (after, tape) = program::forward(programs, after, [Some(before), None], place)?;
        tapes.extend(tape);
        changed.push(after);
    }
    Ok((changed, tapes))
}

/// The gradient of a layer's input, and where it is added.
pub(super) enum InputGradient<'r> {
    /// Nobody reads it.
    Unwanted,
    /// It is returned.
    New,
    /// It is added to these rows.
    AddedTo(&'r Rows),
}

/// The gradients that the backward of a layer computes besides those of weight and programs.
pub(super) struct Wanted<'r> {
    /// That of the input.
    pub input: InputGradient<'r>,
    /// Whether that of the bias is added.
    pub bias: bool,
}

/// Everything that the backward of a layer reads and writes besides its rows.
pub(super) struct Sinks<'g> {
    /// The gradients of parameters.
    pub gradients: &'g mut Gradients,
    /// The gradients of values that programs derive from parameters.
    pub derived: &'g mut DerivedSums,
}

/// Adds the gradients of weight, bias and programs; `d` is the gradient of the result, and `x` the
/// layer's input, if something reads it. Returns the gradient of `x` if it is wanted as new rows.
pub(super) fn backward(
    layer: &Linear,
    tape: &LinearTape,
    d: Rows,
    x: Option<&Rows>,
    Wanted {
        input: wanted,
        bias: adds_bias,
    }: Wanted<'_>,
    place: Place<'_>,
    sinks: &mut Sinks<'_>,
) -> Result<Option<Rows>> {
    let (pass, lane) = (place.pass, place.lane);
    // The same numbers again, because dropout masks are those of the forward.
    let changed = match x {
        Some(x) => rewrite_input(layer, x, place)?.0,
        None => Vec::new(),
    };
    let multiplied = changed.last().or(x);
    let others = [multiplied, None];
    let (gradients, derived) = (&mut *sinks.gradients, &mut *sinks.derived);
    let outputs = &layer.site.outputs;
    let (d, [from_programs, _]) =
        program::backward(outputs, &tape.outputs, d, others, place, gradients, derived)?;
    if adds_bias {
        lane.bias_gradient(&d, gradients.address(layer.bias))?;
    }
    if let Some(multiplied) = multiplied {
        weight_gradient(layer, tape, &d, multiplied, pass, lane, gradients)?;
    }
    let has_programs = !layer.site.inputs.is_empty();
    if matches!(wanted, InputGradient::Unwanted) && !has_programs {
        return Ok(None);
    }
    let weight = Weight::of(layer, tape.rewritten.as_ref(), pass, lane)?;
    if let (InputGradient::AddedTo(sum), false) = (&wanted, has_programs) {
        lane.product_into(sum, &d, weight.address, false, 0, true)?;
        if let Some(more) = from_programs {
            lane.add_scaled(sum, &more, 1.0)?;
        }
        return Ok(None);
    }
    let mut d_x = lane.product(&d, weight.address, layer.in_dim, false, 0)?;
    if let Some(more) = from_programs {
        lane.add_scaled(&d_x, &more, 1.0)?;
    }
    for at in (0..layer.site.inputs.len()).rev() {
        let before = at.checked_sub(1).map(|previous| &changed[previous]).or(x);
        let programs = std::slice::from_ref(&layer.site.inputs[at]);
        let tapes = std::slice::from_ref(&tape.inputs[at]);
        let (gradients, derived) = (&mut *sinks.gradients, &mut *sinks.derived);
        let others = [before, None];
        let (d_y, [d_before, _]) =
            program::backward(programs, tapes, d_x, others, place, gradients, derived)?;
        // The program's `y` is a copy of `x`, which it only overwrites.
        d_x = match d_before {
            Some(d_before) => d_before,
            None => {
                lane.scale(&d_y, 0.0)?;
                d_y
            }
        };
    }
    match wanted {
        InputGradient::Unwanted => Ok(None),
        InputGradient::New => Ok(Some(d_x)),
        InputGradient::AddedTo(sum) => lane.add_scaled(sum, &d_x, 1.0).map(|()| None),
    }
}

/// Adds `dᵀ·x` to the gradient of the weight, if it is trained or the method computes it.
fn weight_gradient(
    layer: &Linear,
    tape: &LinearTape,
    d: &Rows,
    x: &Rows,
    pass: &Pass<'_>,
    lane: &Lane,
    gradients: &mut Gradients,
) -> Result<()> {
    if !layer.trains_weight(pass.parameters) {
        return Ok(());
    }
    let Some(rewritten) = &tape.rewritten else {
        if let Some(sum) = gradients.address(layer.weight) {
            lane.add_weight_gradient(sum, d, x)?;
        }
        return Ok(());
    };
    let n = layer.in_dim * layer.out_dim;
    let sum = lane.floats(n)?;
    lane.queue.clear(sum.address(), 4 * n)?;
    lane.add_weight_gradient(sum.address(), d, x)?;
    let numbers = pass.floats_at(sum.address(), n)?;
    rewritten.backward_of(layer, &numbers, pass.parameters, gradients)
}
