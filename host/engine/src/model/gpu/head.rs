//! The head on the device: from the rows that it reads to logits and loss, and back. It computes in
//! f32, whatever the type of activations is. Each layer has three steps: (1) dropout, (2) the
//! linear layer, (3) tanh.

use super::{
    linear::{self, InputGradient, LinearTape, Sinks, Wanted},
    pass::Pass,
    program::{DerivedSums, Place},
};
use crate::model::lane::rows::{Lane, Rows};
use crate::{
    batch::Labels,
    error::{Error, Result},
    model::{
        fused::derived_backward_of,
        gradients::Gradients,
        layout::{Head, Site},
        step::DropoutSite,
    },
};
use progtune_kernels::{
    activation::Activation,
    cuda::{self, Arguments, DropoutArgument, Number},
};

/// The values that the backward of a layer needs.
struct LayerTape {
    /// The layer's input, after dropout.
    x: Rows,
    /// The layer's output, where tanh follows.
    z: Option<Rows>,
    linear: LinearTape,
}

/// Logits, `[rows, outputs]`, for the rows that the head reads.
pub(super) fn logits(head: &Head, hidden: &Rows, pass: &Pass<'_>) -> Result<Vec<f32>> {
    let lane = pass.lane().with(Number::F32);
    let (logits, _) = forward(head, hidden, pass, &lane, false)?;
    pass.floats_at(logits.address(), logits.count())
}

/// Adds the loss (Σ over the examples / `denominator`) and the gradients of the head's trainable
/// parameters. Returns the gradient of `hidden`, if `below` says that it is wanted.
pub(super) fn train(
    head: &Head,
    hidden: &Rows,
    pass: &Pass<'_>,
    denominator: f64,
    below: bool,
    gradients: &mut Gradients,
) -> Result<Option<Rows>> {
    let lane = pass.lane().with(Number::F32);
    let (logits, tapes) = forward(head, hidden, pass, &lane, true)?;
    add_loss(&logits, pass, &lane, denominator, gradients)?;
    // The gradient of the logits has taken their place.
    let d = backward(head, &tapes, logits, pass, &lane, below, gradients)?;
    d.map(|d| lane.converted(&d, pass.lane())).transpose()
}

fn place<'a>(head: &Head, pass: &'a Pass<'a>, lane: &'a Lane, record: bool) -> Place<'a> {
    Place {
        pass,
        keys: pass.head_row_keys(head),
        drop: true,
        record,
        lane,
    }
}

fn dropout(pass: &Pass<'_>, layer: usize, place: Place<'_>) -> DropoutArgument {
    let p = pass.config.classifier_dropout;
    pass.dropout(p, DropoutSite::Head(layer), place.keys.0, true)
}

fn forward(
    head: &Head,
    hidden: &Rows,
    pass: &Pass<'_>,
    lane: &Lane,
    record: bool,
) -> Result<(Rows, Vec<LayerTape>)> {
    let place = place(head, pass, lane, record);
    let mut tapes = Vec::with_capacity(head.layers.len());
    let mut y = pass.lane().converted(hidden, lane)?;
    for (number, layer) in head.layers.iter().enumerate() {
        let x = y;
        // (1)
        if layer.drops_out {
            lane.drop_out(&x, dropout(pass, number, place))?;
        }
        // (2)
        let (z, linear) = linear::forward(&layer.linear, &x, true, place)?;
        // (3)
        let z = if layer.tanh {
            y = lane.activate(&z, Activation::Tanh)?;
            Some(z)
        } else {
            y = z;
            None
        };
        tapes.push(LayerTape { x, z, linear });
    }
    Ok((y, tapes))
}

/// Goes down from the gradient of the logits; returns that of the head's input, if it is wanted.
fn backward(
    head: &Head,
    tapes: &[LayerTape],
    d_logits: Rows,
    pass: &Pass<'_>,
    lane: &Lane,
    below: bool,
    gradients: &mut Gradients,
) -> Result<Option<Rows>> {
    let place = place(head, pass, lane, false);
    let mut derived = DerivedSums::default();
    let mut d = Some(d_logits);
    for (number, (layer, tape)) in head.layers.iter().zip(tapes).enumerate().rev() {
        let Some(d_y) = d.take() else { break };
        // Undoes (3).
        if let Some(z) = &tape.z {
            lane.activation_backward(&d_y, z, None, Activation::Tanh)?;
        }
        // Undoes (2).
        let wanted = if number > 0 || below {
            InputGradient::New
        } else {
            InputGradient::Unwanted
        };
        let sinks = &mut Sinks {
            gradients: &mut *gradients,
            derived: &mut derived,
        };
        let x = Some(&tape.x);
        let (linear, wanted) = (
            &layer.linear,
            Wanted {
                input: wanted,
                bias: true,
            },
        );
        d = linear::backward(linear, &tape.linear, d_y, x, wanted, place, sinks)?;
        // Undoes (1).
        if let (Some(d_x), true) = (&d, layer.drops_out) {
            lane.drop_out(d_x, dropout(pass, number, place))?;
        }
    }
    let sums = derived.downloaded(pass)?;
    for program in head
        .layers
        .iter()
        .flat_map(|layer| Site::row_programs(&layer.linear.site))
    {
        derived_backward_of(program, &sums, pass.parameters, gradients)?;
    }
    Ok(d)
}

/// Adds the loss to that of the step; the logits become its gradient.
fn add_loss(
    logits: &Rows,
    pass: &Pass<'_>,
    lane: &Lane,
    denominator: f64,
    gradients: &Gradients,
) -> Result<()> {
    let (batch, labels, at) = (pass.batch, pass.device.labels, logits.address());
    let weights = pass.device.loss_weights;
    let n_losses = match batch.labels {
        Labels::Spans(_) => 2 * batch.sequences(),
        _ => logits.n,
    };
    let losses = lane.floats(n_losses)?;
    let start = Arguments::default()
        .address(at)
        .address(at)
        .address(losses.address());
    let (kernel, launch, arguments) = match &batch.labels {
        Labels::Classes(_) | Labels::Tags(_) => (
            "cross_entropy",
            cuda::warps(logits.n),
            start
                .address(labels)
                .address(weights)
                .f32(pass.weighting.label_smoothing)
                .f32(denominator as f32)
                .size(logits.n)
                .size(logits.columns),
        ),
        Labels::Sets(_) => (
            "binary_cross_entropy",
            cuda::warps(logits.n),
            start
                .address(labels)
                .address(weights)
                .f32(denominator as f32)
                .size(logits.n)
                .size(logits.columns),
        ),
        Labels::Scores(_) => (
            "mean_squared_error",
            cuda::numbers(logits.n),
            start.address(labels).f32(denominator as f32).size(logits.n),
        ),
        Labels::Spans(_) => (
            "span_cross_entropy",
            cuda::warps(n_losses),
            start
                .address(pass.device.offsets)
                .address(labels)
                .f32(denominator as f32)
                .size(batch.sequences()),
        ),
        Labels::None => {
            return Err(Error::Training(
                "the batch has examples without a label".into(),
            ));
        }
    };
    lane.launch_typed(kernel, launch, arguments)?;
    let Some(figures) = gradients.figures() else {
        unreachable!("the gradients of the GPU path are on the device")
    };
    let arguments = Arguments::default()
        .address(losses.address())
        .address(figures.loss())
        .f64(denominator)
        .size(n_losses);
    lane.launch_named("loss_sum", cuda::ONE_BLOCK, arguments)
}
