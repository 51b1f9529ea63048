//! Rows of activations on the device, and the launches on them: one function for each kernel, named
//! after it. The GPU path calls them; `progtune_kernels::cuda` has the kernels' contracts.

use super::{
    arena::{Arena, Room},
    copies::Copies,
    queue::{Address, Queue},
};
use crate::error::Result;
use progtune_kernels::{
    activation::Activation,
    cuda::{
        self, Arguments, Chunked, ColumnSumsArgument, DropoutArgument, Launch, Number, Product,
    },
};
use std::sync::Arc;

/// `[n, columns]` numbers on the device.
pub struct Rows {
    room: Room,
    /// The number of rows.
    pub n: usize,
    /// The number of columns.
    pub columns: usize,
}

impl Rows {
    /// The address of the first number.
    pub fn address(&self) -> Address {
        self.room.address()
    }

    /// The count of numbers.
    pub fn count(&self) -> usize {
        self.n * self.columns
    }

    /// The same numbers as rows of another width.
    pub fn reshaped(mut self, columns: usize) -> Self {
        self.n = self.count() / columns;
        self.columns = columns;
        self
    }
}

/// The place of computation: a queue with its memory, and the number type of activations.
#[derive(Clone)]
pub struct Lane {
    /// The work.
    pub queue: Arc<dyn Queue>,
    /// The memory.
    pub arena: Arena,
    /// The parameters in bf16.
    pub copies: Arc<Copies>,
    /// The number type of activations.
    pub number: Number,
}

impl Lane {
    /// A place for one model, with the number type of its activations.
    pub fn new(queue: Arc<dyn Queue>, number: Number) -> Self {
        Self {
            arena: Arena::new(Arc::clone(&queue)),
            copies: Arc::default(),
            queue,
            number,
        }
    }

    /// The same place for numbers of another type.
    pub fn with(&self, number: Number) -> Self {
        Self {
            number,
            ..self.clone()
        }
    }

    /// Rows with arbitrary numbers.
    pub fn rows(&self, n: usize, columns: usize) -> Result<Rows> {
        let room = self.arena.room(n * columns * self.number.bytes())?;
        Ok(Rows { room, n, columns })
    }

    /// Room for `n` numbers in f32.
    pub fn floats(&self, n: usize) -> Result<Room> {
        self.arena.room(4 * n)
    }

    /// Room with `n` zeros in f32.
    pub fn zeros(&self, n: usize) -> Result<Room> {
        let room = self.floats(n)?;
        self.queue.clear(room.address(), 4 * n)?;
        Ok(room)
    }

    /// Rows of zeros.
    pub fn zero_rows(&self, n: usize, columns: usize) -> Result<Rows> {
        let y = self.rows(n, columns)?;
        let bytes = y.count() * self.number.bytes();
        self.queue.clear(y.address(), bytes)?;
        Ok(y)
    }

    /// A copy of rows.
    pub fn copy(&self, x: &Rows) -> Result<Rows> {
        let y = self.rows(x.n, x.columns)?;
        let bytes = x.count() * self.number.bytes();
        self.queue.copy(y.address(), x.address(), bytes)?;
        Ok(y)
    }

    fn launch(&self, kernel: &str, launch: Launch, arguments: Arguments) -> Result<()> {
        let name = format!("{kernel}_{}", self.number.suffix());
        self.queue.launch(&name, launch, arguments)
    }

    /// `y = x·W (+ bias)`, or `x·Wᵀ` if the weight is transposed; `weight` is `[in, out]`, or
    /// `[out, in]` if it is transposed. Its type and the bias's are those of activations.
    pub fn product(
        &self,
        x: &Rows,
        weight: Address,
        out: usize,
        transposed: bool,
        bias: Address,
    ) -> Result<Rows> {
        let y = self.rows(x.n, out)?;
        self.product_into(&y, x, weight, transposed, bias, false)?;
        Ok(y)
    }

    /// `y (=|+=) x·W (+ bias)`, as [`Lane::product`].
    pub fn product_into(
        &self,
        y: &Rows,
        x: &Rows,
        weight: Address,
        transposed: bool,
        bias: Address,
        accumulate: bool,
    ) -> Result<()> {
        self.queue.product(&Product {
            a: x.address(),
            a_transposed: false,
            b: weight,
            b_transposed: transposed,
            c: y.address(),
            m: x.n,
            n: y.columns,
            k: x.columns,
            operands: self.number,
            result: self.number,
            bias,
            accumulate,
        })
    }

    /// `sum += aᵀ·b`, `[a.columns, b.columns]` in f32: the gradient of a weight.
    pub fn add_weight_gradient(&self, sum: Address, a: &Rows, b: &Rows) -> Result<()> {
        self.queue.product(&Product {
            a: a.address(),
            a_transposed: true,
            b: b.address(),
            b_transposed: false,
            c: sum,
            m: a.columns,
            n: b.columns,
            k: a.n,
            operands: self.number,
            result: Number::F32,
            bias: 0,
            accumulate: true,
        })
    }

    /// `y = f(x)`; `x` is kept.
    pub fn activate(&self, x: &Rows, activation: Activation) -> Result<Rows> {
        let y = self.rows(x.n, x.columns)?;
        self.bias_activation(x, 0, Some(&y), activation)?;
        Ok(y)
    }

    /// Adds a bias to `u`, and writes `y = f(u)` if there is a `y`.
    pub fn bias_activation(
        &self,
        u: &Rows,
        bias: Address,
        y: Option<&Rows>,
        activation: Activation,
    ) -> Result<()> {
        let chunked = cuda::columns(u.n, u.columns, self.number);
        let arguments = Arguments::default()
            .address(u.address())
            .address(bias)
            .address(y.map_or(0, Rows::address))
            .size(u.n)
            .size(u.columns)
            .u32(chunked.rows_per_chunk)
            .u32(cuda::activation_index(activation));
        self.launch("bias_activation_forward", chunked.launch, arguments)
    }

    /// Turns `d`, the gradient of `f(u)`, into that of u, and adds its sum over the rows to
    /// `d_bias`.
    pub fn activation_backward(
        &self,
        d: &Rows,
        u: &Rows,
        d_bias: Option<Address>,
        activation: Activation,
    ) -> Result<()> {
        let chunked = cuda::columns(u.n, u.columns, self.number);
        let partial = self.partial(d_bias, &chunked, u.columns)?;
        let arguments = Arguments::default()
            .address(d.address())
            .address(u.address())
            .address(partial.as_ref().map_or(0, Room::address))
            .size(u.n)
            .size(u.columns)
            .u32(chunked.rows_per_chunk)
            .u32(cuda::activation_index(activation));
        self.launch("bias_activation_backward", chunked.launch, arguments)?;
        self.complete(&[(partial, d_bias)], u.columns, chunked.n_chunks)
    }

    /// `d_bias += Σ_rows d`.
    pub fn bias_gradient(&self, d: &Rows, d_bias: Option<Address>) -> Result<()> {
        let chunked = cuda::columns(d.n, d.columns, self.number);
        let Some(partial) = self.partial(d_bias, &chunked, d.columns)? else {
            return Ok(());
        };
        let arguments = Arguments::default()
            .address(d.address())
            .address(partial.address())
            .size(d.n)
            .size(d.columns)
            .u32(chunked.rows_per_chunk);
        self.launch("bias_gradient", chunked.launch, arguments)?;
        self.complete(&[(Some(partial), d_bias)], d.columns, chunked.n_chunks)
    }

    /// `sum += Σ_rows a ⊙ b`.
    pub fn product_sums(&self, a: &Rows, b: &Rows, sum: Address) -> Result<()> {
        let chunked = cuda::columns(a.n, a.columns, self.number);
        let partial = self.floats(chunked.n_chunks as usize * a.columns)?;
        let arguments = Arguments::default()
            .address(a.address())
            .address(b.address())
            .address(partial.address())
            .size(a.n)
            .size(a.columns)
            .u32(chunked.rows_per_chunk);
        self.launch("product_sums", chunked.launch, arguments)?;
        self.complete(&[(Some(partial), Some(sum))], a.columns, chunked.n_chunks)
    }

    /// Room for the partial sums of a target, if there is one.
    pub fn partial(
        &self,
        target: Option<Address>,
        chunked: &Chunked,
        columns: usize,
    ) -> Result<Option<Room>> {
        let n = chunked.n_chunks as usize * columns;
        target.map(|_| self.floats(n)).transpose()
    }

    /// Adds partial sums of `columns` numbers to their targets.
    pub fn complete(
        &self,
        sums: &[(Option<Room>, Option<Address>)],
        columns: usize,
        n_chunks: u32,
    ) -> Result<()> {
        let pairs = sums.iter().filter_map(|(partial, target)| {
            let partial = partial.as_ref()?;
            target.map(|target| [partial.address(), target])
        });
        let pairs: Vec<[Address; 2]> = pairs.collect();
        for pairs in pairs.chunks(4) {
            let mut argument = ColumnSumsArgument::default();
            argument.pairs[..pairs.len()].copy_from_slice(pairs);
            let arguments = Arguments::default()
                .column_sums(&argument)
                .size(columns)
                .u32(n_chunks);
            let launch = cuda::column_sums(columns, pairs.len());
            self.queue.launch("column_sums", launch, arguments)?;
        }
        Ok(())
    }

    /// `a += factor·b`.
    pub fn add_scaled(&self, a: &Rows, b: &Rows, factor: f32) -> Result<()> {
        let launch = cuda::packs(a.count(), self.number);
        let arguments = Arguments::default()
            .address(a.address())
            .address(b.address())
            .f32(factor)
            .u64(a.count() as u64);
        self.launch("add_scaled", launch, arguments)
    }

    /// `a ⊙= b`.
    pub fn multiply(&self, a: &Rows, b: &Rows) -> Result<()> {
        let launch = cuda::packs(a.count(), self.number);
        let arguments = Arguments::default()
            .address(a.address())
            .address(b.address())
            .u64(a.count() as u64);
        self.launch("multiply", launch, arguments)
    }

    /// `a *= factor`.
    pub fn scale(&self, a: &Rows, factor: f32) -> Result<()> {
        let launch = cuda::packs(a.count(), self.number);
        let arguments = Arguments::default()
            .address(a.address())
            .f32(factor)
            .u64(a.count() as u64);
        self.launch("scale", launch, arguments)
    }

    /// `x += factor·v` in every row; `v` is f32.
    pub fn add_vector(&self, x: &Rows, v: Address, factor: f32) -> Result<()> {
        let chunked = cuda::columns(x.n, x.columns, self.number);
        let arguments = Arguments::default()
            .address(x.address())
            .address(v)
            .f32(factor)
            .size(x.n)
            .size(x.columns)
            .u32(chunked.rows_per_chunk);
        self.launch("add_vector", chunked.launch, arguments)
    }

    /// `x ⊙= v` in every row; `v` is f32.
    pub fn multiply_vector(&self, x: &Rows, v: Address) -> Result<()> {
        let chunked = cuda::columns(x.n, x.columns, self.number);
        let arguments = Arguments::default()
            .address(x.address())
            .address(v)
            .address(x.address())
            .size(x.n)
            .size(x.columns)
            .u32(chunked.rows_per_chunk);
        self.launch("multiply_vector", chunked.launch, arguments)
    }

    /// Each `[n, m]` block of `x`, transposed.
    pub fn swap(&self, x: &Rows, (n, m): (usize, usize)) -> Result<Rows> {
        let y = self.rows(x.n, x.columns)?;
        let arguments = Arguments::default()
            .address(x.address())
            .address(y.address())
            .u64(x.count() as u64)
            .size(n)
            .size(m);
        self.launch("swap", cuda::numbers(x.count()), arguments)?;
        Ok(y)
    }

    /// Multiplies `x` by a mask of dropout.
    pub fn drop_out(&self, x: &Rows, dropout: DropoutArgument) -> Result<()> {
        if dropout.row_keys == 0 {
            return Ok(());
        }
        let chunked = cuda::columns(x.n, x.columns, self.number);
        let arguments = Arguments::default()
            .address(x.address())
            .address(x.address())
            .size(x.n)
            .size(x.columns)
            .u32(chunked.rows_per_chunk)
            .dropout(dropout);
        self.launch("dropout", chunked.launch, arguments)
    }

    /// The rows `ids` of `x`.
    pub fn gather(&self, x: &Rows, ids: Address, n: usize) -> Result<Rows> {
        let y = self.rows(n, x.columns)?;
        self.move_rows("gather_rows", x.address(), ids, &y, n)?;
        Ok(y)
    }

    /// Writes the rows of `x` to the rows `ids` of `y`.
    pub fn scatter(&self, x: &Rows, ids: Address, y: &Rows) -> Result<()> {
        self.move_rows("scatter_rows", x.address(), ids, y, x.n)
    }

    fn move_rows(&self, kernel: &str, x: Address, ids: Address, y: &Rows, n: usize) -> Result<()> {
        let chunked = cuda::columns(n, y.columns, self.number);
        let arguments = Arguments::default()
            .address(x)
            .address(ids)
            .address(y.address())
            .size(n)
            .size(y.columns)
            .u32(chunked.rows_per_chunk);
        self.launch(kernel, chunked.launch, arguments)
    }

    /// `out = x·W`, or `x·Wᵀ` if the weight is transposed, where `x` is read as rows of `k`
    /// numbers.
    pub fn multiply_rows(
        &self,
        out: &Rows,
        x: &Rows,
        k: usize,
        weight: Address,
        transposed: bool,
    ) -> Result<()> {
        self.queue.product(&Product {
            a: x.address(),
            a_transposed: false,
            b: weight,
            b_transposed: transposed,
            c: out.address(),
            m: x.count() / k,
            n: out.columns,
            k,
            operands: self.number,
            result: self.number,
            bias: 0,
            accumulate: false,
        })
    }

    /// These rows in the number type of another lane.
    pub fn converted(&self, rows: &Rows, to: &Self) -> Result<Rows> {
        if self.number == to.number {
            return self.copy(rows);
        }
        let converted = to.rows(rows.n, rows.columns)?;
        to.convert(rows.address(), converted.address(), rows.count())?;
        Ok(converted)
    }

    /// Converts `n` numbers of the other type to this lane's.
    pub fn convert(&self, from: Address, to: Address, n: usize) -> Result<()> {
        let kernel = match self.number {
            Number::F32 => "to_f32",
            Number::Bf16 => "to_bf16",
        };
        let arguments = Arguments::default().address(from).address(to).u64(n as u64);
        self.queue
            .launch(kernel, cuda::packs(n, Number::Bf16), arguments)
    }

    /// A launch of a kernel without a suffix, or of one that has no function here.
    pub fn launch_named(&self, kernel: &str, launch: Launch, arguments: Arguments) -> Result<()> {
        self.queue.launch(kernel, launch, arguments)
    }

    /// A launch of a kernel with the suffix of this lane's type.
    pub fn launch_typed(&self, kernel: &str, launch: Launch, arguments: Arguments) -> Result<()> {
        self.launch(kernel, launch, arguments)
    }
}
