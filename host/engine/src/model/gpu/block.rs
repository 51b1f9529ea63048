//! One Transformer block on the device. The steps are those of [`crate::model::fused`]'s blocks and
//! have the same numbers, (1) to (9); each step of the backward names the step that it undoes.

use super::{
    arena::Room,
    linear::{self, InputGradient, LinearTape, Sinks},
    pass::Pass,
    program::{self, DerivedSums, Place, SiteTape},
    queue::Address,
    rows::{Lane, Rows},
};
use crate::{
    error::Result,
    model::{
        fused::derived_backward_of,
        gradients::Gradients,
        key_value_prefix::key_value_prefix_of,
        layout::{Block, Linear, Norm, Site},
        pass::BlockMode,
        step::DropoutSite,
    },
};
use candle_core::Tensor;
use progtune_kernels::cuda::{self, Arguments, AttentionArgument, DropoutArgument};

/// The values that a LayerNorm leaves behind: its normalised rows and their reciprocal deviations.
struct Normalised {
    x_hat: Rows,
    rstd: Room,
}

/// The values that a sub-layer's end leaves behind.
struct EndTape {
    normalised: Normalised,
    programs: Vec<SiteTape>,
}

/// Everything that the backward of a block needs.
pub struct BlockTape {
    mode: BlockMode,
    x: Rows,
    /// The first token's row of each sequence, in a block that computes no other.
    first: Option<Rows>,
    q: Rows,
    k: Rows,
    v: Rows,
    prefix: Option<Prefix>,
    log_sum_exp: Room,
    context: Rows,
    attention_end: EndTape,
    u: Rows,
    output_end: EndTape,
    linears: [LinearTape; 6],
    activation: Vec<SiteTape>,
    end: Vec<SiteTape>,
}

/// The key/value prefix of a block: the tensor that candle made, and its rows as activations.
struct Prefix {
    tensor: Tensor,
    rows: Rows,
}

/// A block in one pass.
struct Run<'a> {
    block: &'a Block,
    pass: &'a Pass<'a>,
    mode: BlockMode,
    lane: &'a Lane,
}

/// The block's output, `[rows, hidden]`, for its input `x`, `[T, hidden]`; with `mode.record` with
/// the tape for [`backward`].
pub fn forward(
    block: &Block,
    x: Rows,
    pass: &Pass<'_>,
    mode: BlockMode,
) -> Result<(Rows, Option<BlockTape>)> {
    let run = Run {
        block,
        pass,
        mode,
        lane: pass.lane(),
    };
    run.forward(x)
}

/// Adds the gradients of the block's trainable parameters; returns that of its input if the mode
/// asks for it. `d` is the gradient of the block's output.
pub fn backward(
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
    let d_x = run.backward(&tape, d, gradients, &mut derived)?;
    let sums = derived.downloaded(pass)?;
    if !sums.is_empty() {
        for program in block.sites().flat_map(Site::row_programs) {
            derived_backward_of(program, &sums, pass.parameters, gradients)?;
        }
    }
    Ok(d_x)
}

impl<'a> Run<'a> {
    /// The place of rows that are computed for all tokens.
    fn everywhere(&self) -> Place<'a> {
        self.place((self.pass.device.row_keys, &self.pass.batch.row_keys))
    }

    /// The place of the computed rows.
    fn computed(&self) -> Place<'a> {
        self.place(self.pass.row_keys(self.mode))
    }

    fn place(&self, keys: (Address, &'a [u64])) -> Place<'a> {
        Place {
            pass: self.pass,
            keys,
            drop: self.mode.dropout,
            record: self.mode.record,
            lane: self.lane,
        }
    }

    fn forward(&self, x: Rows) -> Result<(Rows, Option<BlockTape>)> {
        let (block, pass, lane, mode) = (self.block, self.pass, self.lane, self.mode);
        let linears = &block.linears;
        let first = if mode.first_only {
            let n = pass.batch.sequences();
            Some(lane.gather(&x, pass.device.offsets, n)?)
        } else {
            None
        };
        let residual = first.as_ref().unwrap_or(&x);
        // (1) q = query(x), k = key(x), v = value(x)
        let (q, query) = linear::forward(&linears.query, residual, true, self.computed())?;
        let (k, key) = linear::forward(&linears.key, &x, true, self.everywhere())?;
        let (v, value) = linear::forward(&linears.value, &x, true, self.everywhere())?;
        // (2) c = attention(q, k, v)
        let prefix = self.prefix()?;
        let context = lane.rows(q.n, q.columns)?;
        let log_sum_exp = lane.floats(q.n * self.heads())?;
        let argument = self.attention((&q, &k, &v), prefix.as_ref());
        let arguments = Arguments::default()
            .attention(&argument)
            .address(context.address())
            .address(log_sum_exp.address());
        self.launch_attention("attention_forward", self.queries(), arguments)?;
        // (3) a = attention_dense(c)
        let (a, dense) =
            linear::forward(&linears.attention_dense, &context, true, self.computed())?;
        // (4) h = LN(x + programs(dropout(a)))
        let site = DropoutSite::AttentionOutput(block.number);
        let end = (&block.attention_end, block.attention_norm, site);
        let (h, attention_end) = self.end(end, a, residual)?;
        // (5) u = intermediate(h), whose bias (6) adds unless programs read it
        let is_plain = linears.intermediate.site.outputs.is_empty();
        let (u, intermediate) =
            linear::forward(&linears.intermediate, &h, !is_plain, self.computed())?;
        // (6) g = programs(activation(u))
        let bias = if is_plain {
            pass.value(linears.intermediate.bias)?
        } else {
            0
        };
        let g = lane.rows(u.n, u.columns)?;
        lane.bias_activation(&u, bias, Some(&g), pass.config.activation)?;
        let others = [Some(&h), None];
        let (g, activation) =
            program::forward(&block.activation.outputs, g, others, self.computed())?;
        // (7) o = output(g)
        let (o, output) = linear::forward(&linears.output, &g, true, self.computed())?;
        // (8) y = LN(h + programs(dropout(o)))
        let site = DropoutSite::Output(block.number);
        let (y, output_end) = self.end((&block.output_end, block.output_norm, site), o, &h)?;
        // (9) y = programs(y)
        let (y, end) = program::forward(
            &block.end.outputs,
            y,
            [Some(residual), None],
            self.computed(),
        )?;
        let tape = BlockTape {
            mode,
            first,
            x,
            q,
            k,
            v,
            prefix,
            log_sum_exp,
            context,
            attention_end,
            u,
            output_end,
            linears: [query, key, value, dense, intermediate, output],
            activation,
            end,
        };
        Ok((y, mode.record.then_some(tape)))
    }

    /// The end of a sub-layer, steps (4) and (8): `LN(residual + programs(dropout(x)))`.
    fn end(
        &self,
        (site, norm, dropout): (&Site, Norm, DropoutSite),
        x: Rows,
        residual: &Rows,
    ) -> Result<(Rows, EndTape)> {
        let (lane, pass) = (self.lane, self.pass);
        let mut mask = self.hidden_dropout(dropout);
        let (mut x, mut tapes) = (x, Vec::new());
        if !site.outputs.is_empty() {
            // The programs see the rows after dropout, so it cannot be fused with the sum here.
            lane.drop_out(&x, mask)?;
            mask = DropoutArgument::NONE;
            let others = [Some(residual), Some(residual)];
            (x, tapes) = program::forward(&site.outputs, x, others, self.computed())?;
        }
        let (y, rstd) = (lane.rows(x.n, x.columns)?, lane.floats(x.n)?);
        let arguments = Arguments::default()
            .address(x.address())
            .address(residual.address())
            .address(pass.value(norm.weight)?)
            .address(pass.value(norm.bias)?)
            .address(y.address())
            .address(x.address())
            .address(rstd.address())
            .size(x.n)
            .size(x.columns)
            .f32(pass.config.encoder.layer_norm_eps as f32)
            .dropout(mask);
        let launch = cuda::rows(x.n, x.columns, lane.number);
        lane.launch_typed("layer_norm_forward", launch, arguments)?;
        let normalised = Normalised { x_hat: x, rstd };
        let tape = EndTape {
            normalised,
            programs: tapes,
        };
        Ok((y, tape))
    }

    fn hidden_dropout(&self, site: DropoutSite) -> DropoutArgument {
        let keys = self.pass.row_keys(self.mode).0;
        let p = self.pass.config.encoder.hidden_dropout_prob;
        self.pass.dropout(p, site, keys, self.mode.dropout)
    }

    fn heads(&self) -> usize {
        self.pass.config.encoder.num_attention_heads
    }

    fn head_dim(&self) -> usize {
        self.pass.config.encoder.hidden_size / self.heads()
    }

    fn prefix(&self) -> Result<Option<Prefix>> {
        let tensor = key_value_prefix_of(&self.block.key_value, self.pass.parameters)?;
        let prefix = tensor.map(|tensor| {
            let rows = self.pass.rows_of(&tensor, self.lane)?;
            Ok(Prefix { tensor, rows })
        });
        prefix.transpose()
    }

    /// The rows that attention reads.
    fn attention(
        &self,
        (q, k, v): (&Rows, &Rows, &Rows),
        prefix: Option<&Prefix>,
    ) -> AttentionArgument {
        let (pass, device) = (self.pass, &self.pass.device);
        let keys = pass.row_keys(self.mode).0;
        let site = DropoutSite::Attention(self.block.number);
        AttentionArgument {
            q: q.address(),
            k: k.address(),
            v: v.address(),
            prefix: prefix.map_or(0, |prefix| prefix.rows.address()),
            query_offsets: if self.mode.first_only {
                device.first_offsets
            } else {
                device.offsets
            },
            key_offsets: device.offsets,
            q_stride: q.columns as u32,
            kv_stride: k.columns as u32,
            n_prefix: prefix.map_or(0, |prefix| prefix.rows.n as u32),
            head_dim: self.head_dim() as u32,
            window: -1,
            unused: 0,
            dropout: pass.dropout(pass.config.attention_dropout, site, keys, self.mode.dropout),
        }
    }

    /// The launch of attention over queries.
    fn queries(&self) -> cuda::Launch {
        let longest = if self.mode.first_only {
            1
        } else {
            self.pass.device.longest
        };
        let sequences = self.pass.batch.sequences();
        let (heads, size) = (self.heads(), self.head_dim());
        cuda::attention_queries(longest, heads, sequences, size, self.lane.number)
    }

    /// Launches a kernel of attention, whose name ends in the size of its heads.
    fn launch_attention(
        &self,
        kernel: &str,
        launch: cuda::Launch,
        arguments: Arguments,
    ) -> Result<()> {
        let size = cuda::attention_head(self.head_dim()).unwrap_or(128);
        let name = format!("{kernel}_{}_{size}", self.lane.number.suffix());
        self.lane.launch_named(&name, launch, arguments)
    }

    /// Undoes all steps. Returns the gradient of x if the mode asks for it.
    fn backward(
        &self,
        tape: &BlockTape,
        d: Rows,
        gradients: &mut Gradients,
        derived: &mut DerivedSums,
    ) -> Result<Option<Rows>> {
        let (block, lane, pass) = (self.block, self.lane, self.pass);
        let linears = &block.linears;
        let computed = self.computed();
        let [query, key, value, dense, intermediate, output] = &tape.linears;
        let residual = tape.first.as_ref().unwrap_or(&tape.x);
        // Undoes (9), y = programs(y), which may read x.
        let others = [Some(residual), None];
        let programs = &block.end.outputs;
        let (d, [d_residual, _]) =
            program::backward(programs, &tape.end, d, others, computed, gradients, derived)?;
        let h = self.affine(&tape.attention_end.normalised, block.attention_norm)?;
        // Undoes (8), y = LN(h + programs(dropout(o))). `d` is then the gradient of h.
        let end = (
            &block.output_end,
            block.output_norm,
            DropoutSite::Output(block.number),
        );
        let plain_bias = unchanged_bias(&linears.output);
        let (d, d_o) =
            self.end_backward(end, &tape.output_end, d, &h, plain_bias, gradients, derived)?;
        // Undoes (7), o = output(g).
        let g = self.activated(tape, &h)?;
        let sinks = &mut Sinks { gradients, derived };
        let wanted = InputGradient::New;
        let adds_bias = plain_bias.is_none();
        let d_g = linear::backward(
            &linears.output,
            output,
            d_o,
            Some(&g),
            wanted,
            adds_bias,
            computed,
            sinks,
        )?;
        let Some(d_g) = d_g else { return Ok(None) };
        drop(g);
        // Undoes (6), g = programs(activation(u)).
        let Sinks { gradients, derived } = sinks;
        let others = [Some(&h), None];
        let (d_u, [d_h, _]) = program::backward(
            &block.activation.outputs,
            &tape.activation,
            d_g,
            others,
            computed,
            gradients,
            derived,
        )?;
        if let Some(d_h) = d_h {
            lane.add_scaled(&d, &d_h, 1.0)?;
        }
        let bias = unchanged_bias(&linears.intermediate);
        let d_bias = bias.and_then(|id| gradients.address(id));
        lane.activation_backward(&d_u, &tape.u, d_bias, pass.config.activation)?;
        // Undoes (5), u = intermediate(h).
        let sinks = &mut Sinks { gradients, derived };
        let wanted = InputGradient::AddedTo(&d);
        linear::backward(
            &linears.intermediate,
            intermediate,
            d_u,
            Some(&h),
            wanted,
            bias.is_none(),
            computed,
            sinks,
        )?;
        drop(h);
        // Undoes (4), h = LN(x + programs(dropout(a))). `d` is then the gradient of x through the
        // residual sum.
        let Sinks { gradients, derived } = sinks;
        let site = DropoutSite::AttentionOutput(block.number);
        let end = (&block.attention_end, block.attention_norm, site);
        let plain = unchanged_bias(&linears.attention_dense);
        let (d, d_a) = self.end_backward(
            end,
            &tape.attention_end,
            d,
            residual,
            plain,
            gradients,
            derived,
        )?;
        if let Some(d_residual) = d_residual {
            lane.add_scaled(&d, &d_residual, 1.0)?;
        }
        // Undoes (3), a = attention_dense(c).
        let sinks = &mut Sinks { gradients, derived };
        let (layer, context) = (&linears.attention_dense, Some(&tape.context));
        let d_context = linear::backward(
            layer,
            dense,
            d_a,
            context,
            InputGradient::New,
            plain.is_none(),
            computed,
            sinks,
        )?;
        let Some(d_context) = d_context else {
            return Ok(None);
        };
        // Undoes (2), c = attention(q, k, v).
        let [d_q, d_k, d_v] = self.attention_backward(tape, &d_context, sinks)?;
        drop(d_context);
        // Undoes (1), q = query(x), k = key(x), v = value(x).
        let everywhere = self.everywhere();
        let wants = |rows| {
            if self.mode.input_gradient {
                InputGradient::AddedTo(rows)
            } else {
                InputGradient::Unwanted
            }
        };
        linear::backward(
            &linears.query,
            query,
            d_q,
            Some(residual),
            wants(&d),
            true,
            computed,
            sinks,
        )?;
        if !self.mode.first_only {
            linear::backward(
                &linears.key,
                key,
                d_k,
                Some(&tape.x),
                wants(&d),
                true,
                everywhere,
                sinks,
            )?;
            linear::backward(
                &linears.value,
                value,
                d_v,
                Some(&tape.x),
                wants(&d),
                true,
                everywhere,
                sinks,
            )?;
            return Ok(self.mode.input_gradient.then_some(d));
        }
        let wanted = if self.mode.input_gradient {
            InputGradient::New
        } else {
            InputGradient::Unwanted
        };
        let d_x = linear::backward(
            &linears.key,
            key,
            d_k,
            Some(&tape.x),
            wanted,
            true,
            everywhere,
            sinks,
        )?;
        let wanted = d_x
            .as_ref()
            .map_or(InputGradient::Unwanted, InputGradient::AddedTo);
        linear::backward(
            &linears.value,
            value,
            d_v,
            Some(&tape.x),
            wanted,
            true,
            everywhere,
            sinks,
        )?;
        let Some(d_x) = d_x else { return Ok(None) };
        // The first tokens' rows also have the gradient of their queries and of the residual.
        let first = lane.gather(&d_x, pass.device.offsets, d.n)?;
        lane.add_scaled(&first, &d, 1.0)?;
        lane.scatter(&first, pass.device.offsets, &d_x)?;
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
        gradients: &mut Gradients,
        derived: &mut DerivedSums,
    ) -> Result<(Rows, Rows)> {
        let (lane, pass) = (self.lane, self.pass);
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
        let size = wanted.map_or(0, |prefix| prefix.rows.len());
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
