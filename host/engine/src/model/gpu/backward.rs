//! The backward of a Transformer block on the device. Each step names the step of [`super::block`]
//! that it undoes.

use super::{
    block::{BlockTape, EndTape, Normalised, Run},
    linear::{self, InputGradient, Sinks, Wanted},
    pass::Pass,
    program::{self, DerivedSums, Place},
};
use crate::model::lane::{arena::Room, rows::Rows};
use crate::{
    error::Result,
    model::{
        fused::derived_backward_of,
        gradients::Gradients,
        layout::{Block, Linear, Norm, Site},
        step::DropoutSite,
    },
};
use candle_core::Tensor;
use progtune_kernels::cuda::{self, Arguments, DropoutArgument};

/// Adds the gradients of the block's trainable parameters; returns that of its input if the mode
/// asks for it. `d` is the gradient of the block's output.
pub(super) fn backward(
    block: &Block,
    tape: BlockTape,
    d: Rows,
    pass: &Pass<'_>,
    gradients: &mut Gradients,
) -> Result<Option<Rows>> {
    let run = Run {
        block,
        pass,
        mode: tape.mode,
        lane: pass.lane(),
    };
    let mut derived = DerivedSums::default();
    let sinks = &mut Sinks {
        gradients: &mut *gradients,
        derived: &mut derived,
    };
    let d_x = run.backward(&tape, d, sinks)?;
    let sums = derived.downloaded(pass)?;
    if !sums.is_empty() {
        for program in block.sites().flat_map(Site::row_programs) {
            derived_backward_of(program, &sums, pass.parameters, gradients)?;
        }
    }
    Ok(d_x)
}

impl Run<'_> {
    /// Undoes all steps. Returns the gradient of x if the mode asks for it.
    fn backward(&self, tape: &BlockTape, d: Rows, sinks: &mut Sinks<'_>) -> Result<Option<Rows>> {
        let residual = tape.first.as_ref().unwrap_or(&tape.x);
        // Undoes (9), y = programs(y), which may read x.
        let (programs, others) = (&self.block.end.outputs, [Some(residual), None]);
        let Sinks { gradients, derived } = sinks;
        let place = self.computed();
        let (d, [d_residual, _]) =
            program::backward(programs, &tape.end, d, others, place, gradients, derived)?;
        let d = self.feed_forward_backward(tape, d, sinks)?;
        let (d, d_context) = self.attention_output_backward(tape, d, residual, sinks)?;
        if let Some(d_residual) = d_residual {
            self.lane.add_scaled(&d, &d_residual, 1.0)?;
        }
        // Undoes (2), c = attention(q, k, v).
        let d_qkv = self.attention_backward(tape, &d_context, sinks)?;
        drop(d_context);
        self.projections_backward(tape, d_qkv, d, sinks)
    }

    /// Undoes (8) to (5). `d` comes in as the gradient of y; returned is that of h.
    fn feed_forward_backward(
        &self,
        tape: &BlockTape,
        d: Rows,
        sinks: &mut Sinks<'_>,
    ) -> Result<Rows> {
        let (block, lane, computed) = (self.block, self.lane, self.computed());
        let linears = &block.linears;
        let [.., intermediate, output] = &tape.linears;
        let h = self.affine(&tape.attention_end.normalised, block.attention_norm)?;
        // Undoes (8), y = LN(h + programs(dropout(o))).
        let site = DropoutSite::Output(block.number);
        let end = (&block.output_end, block.output_norm, site);
        let bias = unchanged_bias(&linears.output);
        let (d, d_o) = self.end_backward(end, &tape.output_end, d, &h, bias, sinks)?;
        // Undoes (7), o = output(g).
        let g = self.activated(tape, &h)?;
        let wanted = Wanted {
            input: InputGradient::New,
            bias: bias.is_none(),
        };
        let d_g = linear::backward(
            &linears.output,
            output,
            d_o,
            Some(&g),
            wanted,
            computed,
            sinks,
        )?;
        drop(g);
        let Some(d_g) = d_g else { return Ok(d) };
        // Undoes (6), g = programs(activation(u)).
        let Sinks { gradients, derived } = sinks;
        let (programs, others) = (&block.activation.outputs, [Some(&h), None]);
        let tapes = &tape.activation;
        let (d_u, [d_h, _]) =
            program::backward(programs, tapes, d_g, others, computed, gradients, derived)?;
        if let Some(d_h) = d_h {
            lane.add_scaled(&d, &d_h, 1.0)?;
        }
        let bias = unchanged_bias(&linears.intermediate);
        let d_bias = bias.and_then(|id| gradients.address(id));
        lane.activation_backward(&d_u, &tape.u, d_bias, self.pass.config.activation)?;
        // Undoes (5), u = intermediate(h).
        let wanted = Wanted {
            input: InputGradient::AddedTo(&d),
            bias: bias.is_none(),
        };
        let layer = &linears.intermediate;
        linear::backward(layer, intermediate, d_u, Some(&h), wanted, computed, sinks)?;
        Ok(d)
    }

    /// Undoes (4) and (3). `d` comes in as the gradient of h; returned are those of x through the
    /// residual sum, and of c.
    fn attention_output_backward(
        &self,
        tape: &BlockTape,
        d: Rows,
        residual: &Rows,
        sinks: &mut Sinks<'_>,
    ) -> Result<(Rows, Rows)> {
        let block = self.block;
        let layer = &block.linears.attention_dense;
        // Undoes (4), h = LN(x + programs(dropout(a))).
        let site = DropoutSite::AttentionOutput(block.number);
        let end = (&block.attention_end, block.attention_norm, site);
        let bias = unchanged_bias(layer);
        let (d, d_a) = self.end_backward(end, &tape.attention_end, d, residual, bias, sinks)?;
        // Undoes (3), a = attention_dense(c).
        let wanted = Wanted {
            input: InputGradient::New,
            bias: bias.is_none(),
        };
        let (dense, c) = (&tape.linears[3], Some(&tape.context));
        let d_context = linear::backward(layer, dense, d_a, c, wanted, self.computed(), sinks)?;
        match d_context {
            Some(d_context) => Ok((d, d_context)),
            None => unreachable!("the gradient of the input was asked for"),
        }
    }

    /// Undoes (1), q = query(x), k = key(x), v = value(x). `d` is the gradient of x through the
    /// residual sum. Returns the gradient of x if the mode asks for it.
    fn projections_backward(
        &self,
        tape: &BlockTape,
        [d_q, d_k, d_v]: [Rows; 3],
        d: Rows,
        sinks: &mut Sinks<'_>,
    ) -> Result<Option<Rows>> {
        let (linears, lane) = (&self.block.linears, self.lane);
        let [query, key, value, ..] = &tape.linears;
        let everywhere = self.everywhere();
        let is_wanted = self.mode.input_gradient;
        let added_to = |rows| {
            let input = if is_wanted {
                InputGradient::AddedTo(rows)
            } else {
                InputGradient::Unwanted
            };
            Wanted { input, bias: true }
        };
        let residual = Some(tape.first.as_ref().unwrap_or(&tape.x));
        let (x, layer) = (Some(&tape.x), &linears.query);
        linear::backward(
            layer,
            query,
            d_q,
            residual,
            added_to(&d),
            self.computed(),
            sinks,
        )?;
        let (key_layer, value_layer) = (&linears.key, &linears.value);
        if !self.mode.first_only {
            linear::backward(key_layer, key, d_k, x, added_to(&d), everywhere, sinks)?;
            linear::backward(value_layer, value, d_v, x, added_to(&d), everywhere, sinks)?;
            return Ok(is_wanted.then_some(d));
        }
        let d_x = lane.zero_rows(tape.x.n, tape.x.columns)?;
        linear::backward(key_layer, key, d_k, x, added_to(&d_x), everywhere, sinks)?;
        linear::backward(
            value_layer,
            value,
            d_v,
            x,
            added_to(&d_x),
            everywhere,
            sinks,
        )?;
        if !is_wanted {
            return Ok(None);
        }
        // The first tokens' rows also have the gradient of their queries and of the residual.
        let first = lane.gather(&d_x, self.pass.device.offsets, d.n)?;
        lane.add_scaled(&first, &d, 1.0)?;
        lane.scatter(&first, self.pass.device.offsets, &d_x)?;
        Ok(Some(d_x))
    }

    /// The result of a LayerNorm again, from its normalised rows.
    fn affine(&self, normalised: &Normalised, norm: Norm) -> Result<Rows> {
        let (lane, pass, x_hat) = (self.lane, self.pass, &normalised.x_hat);
        let y = lane.rows(x_hat.n, x_hat.columns)?;
        let arguments = Arguments::default()
            .address(x_hat.address())
            .address(pass.value(norm.weight)?)
            .address(pass.value(norm.bias)?)
            .address(y.address())
            .size(x_hat.n)
            .size(x_hat.columns);
        let launch = cuda::rows(x_hat.n, x_hat.columns, lane.number);
        lane.launch_typed("layer_norm_affine", launch, arguments)?;
        Ok(y)
    }

    /// g again, from u.
    fn activated(&self, tape: &BlockTape, h: &Rows) -> Result<Rows> {
        let g = self.lane.activate(&tape.u, self.pass.config.activation)?;
        let place = Place {
            record: false,
            ..self.computed()
        };
        Ok(program::forward(&self.block.activation.outputs, g, [Some(h), None], place)?.0)
    }

    /// Undoes step (4) or (8). `d` is the gradient of the result. Returns the gradients of the
    /// residual and of the dense layer's output, and adds that of the layer's bias, if it is
    /// `plain_bias`.
    fn end_backward(
        &self,
        (site, norm, dropout): (&Site, Norm, DropoutSite),
        tape: &EndTape,
        d: Rows,
        residual: &Rows,
        plain_bias: Option<usize>,
        sinks: &mut Sinks<'_>,
    ) -> Result<(Rows, Rows)> {
        let (lane, pass) = (self.lane, self.pass);
        let Sinks { gradients, derived } = sinks;
        let Normalised { x_hat, rstd } = &tape.normalised;
        let has_programs = !site.outputs.is_empty();
        let mask = if has_programs {
            DropoutArgument::NONE
        } else {
            self.hidden_dropout(dropout)
        };
        let chunked = cuda::row_chunks(d.n, d.columns, lane.number);
        let bias = plain_bias.filter(|_| !has_programs);
        let targets = [Some(norm.weight), Some(norm.bias), bias];
        let targets = targets.map(|id| id.and_then(|id| gradients.address(id)));
        let partial = |target| lane.partial(target, &chunked, d.columns);
        let [gamma, beta, of_bias] = targets;
        let partials = [partial(gamma)?, partial(beta)?, partial(of_bias)?];
        let at = |partial: &Option<Room>| partial.as_ref().map_or(0, Room::address);
        let d_x = lane.rows(d.n, d.columns)?;
        let arguments = Arguments::default()
            .address(d.address())
            .address(x_hat.address())
            .address(rstd.address())
            .address(pass.value(norm.weight)?)
            .address(d.address())
            .address(d_x.address())
            .address(at(&partials[0]))
            .address(at(&partials[1]))
            .address(at(&partials[2]))
            .size(d.n)
            .size(d.columns)
            .u32(chunked.rows_per_chunk)
            .dropout(mask);
        lane.launch_typed("layer_norm_backward", chunked.launch, arguments)?;
        let sums: Vec<_> = partials.into_iter().zip(targets).collect();
        lane.complete(&sums, d.columns, chunked.n_chunks)?;
        if !has_programs {
            return Ok((d, d_x));
        }
        let others = [Some(residual), Some(residual)];
        let (d_x, more) = program::backward(
            &site.outputs,
            &tape.programs,
            d_x,
            others,
            self.computed(),
            gradients,
            derived,
        )?;
        for more in more.into_iter().flatten() {
            lane.add_scaled(&d, &more, 1.0)?;
        }
        lane.drop_out(&d_x, self.hidden_dropout(dropout))?;
        if let Some(id) = plain_bias {
            lane.bias_gradient(&d_x, gradients.address(id))?;
        }
        Ok((d, d_x))
    }

    /// Undoes step (2): the gradients of q, k and v.
    fn attention_backward(
        &self,
        tape: &BlockTape,
        d_context: &Rows,
        sinks: &mut Sinks<'_>,
    ) -> Result<[Rows; 3]> {
        let (lane, pass) = (self.lane, self.pass);
        let prefix = tape.prefix.as_ref();
        let argument = self.attention((&tape.q, &tape.k, &tape.v), prefix);
        let d_q = lane.rows(tape.q.n, tape.q.columns)?;
        let delta = lane.floats(tape.q.n * self.heads())?;
        let arguments = Arguments::default()
            .attention(&argument)
            .address(tape.context.address())
            .address(tape.log_sum_exp.address())
            .address(d_context.address())
            .address(d_q.address())
            .address(delta.address())
            .size(d_q.columns);
        self.launch_attention("attention_backward_queries", self.queries(), arguments)?;
        let (d_k, d_v) = (
            lane.rows(tape.k.n, tape.k.columns)?,
            lane.rows(tape.v.n, tape.v.columns)?,
        );
        let wanted = prefix.filter(|prefix| prefix.tensor.track_op());
        let sequences = pass.batch.sequences();
        let size = wanted.map_or(0, |prefix| prefix.rows.count());
        let d_prefix = wanted.map(|_| lane.floats(sequences * size)).transpose()?;
        let arguments = Arguments::default()
            .attention(&argument)
            .address(tape.log_sum_exp.address())
            .address(d_context.address())
            .address(delta.address())
            .address(d_k.address())
            .address(d_v.address())
            .address(d_prefix.as_ref().map_or(0, Room::address))
            .size(d_k.columns);
        let n_prefix = prefix.map_or(0, |prefix| prefix.rows.n);
        let (heads, head_dim) = (self.heads(), self.head_dim());
        let launch = cuda::attention_keys(
            (n_prefix, pass.device.longest),
            heads,
            sequences,
            head_dim,
            lane.number,
        );
        self.launch_attention("attention_backward_keys", launch, arguments)?;
        if let (Some(prefix), Some(partial)) = (wanted, d_prefix) {
            let sum = lane.floats(size)?;
            lane.queue.clear(sum.address(), 4 * size)?;
            lane.complete(
                &[(Some(partial), Some(sum.address()))],
                size,
                sequences as u32,
            )?;
            let d = pass.floats_at(sum.address(), size)?;
            self.prefix_backward(&prefix.tensor, &d, sinks.gradients)?;
        }
        Ok([d_q, d_k, d_v])
    }

    /// Takes the gradient of the prefix back to the parameters.
    fn prefix_backward(&self, tensor: &Tensor, d: &[f32], gradients: &mut Gradients) -> Result<()> {
        let parameters = self.pass.parameters;
        let d = Tensor::from_slice(d, tensor.dims(), tensor.device())?;
        let store = (tensor * &d)?.sum_all()?.backward()?;
        for id in self.block.key_value.parameters() {
            let trained = parameters.is_trainable(id);
            if let Some(gradient) = store.get(parameters.variable(id)).filter(|_| trained) {
                gradients.add(id, gradient)?;
            }
        }
        Ok(())
    }
}

/// The bias whose gradient is the sum of the rows after dropout, because no program follows it.
fn unchanged_bias(layer: &Linear) -> Option<usize> {
    layer.site.outputs.is_empty().then_some(layer.bias)
}
