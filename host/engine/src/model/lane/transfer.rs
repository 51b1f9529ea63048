//! Numbers on their way to a device and back. The GPU path and the starts of forwards use it.

use super::{
    arena::Room,
    queue::Address,
    rows::{Lane, Rows},
};
use crate::{error::Result, model::parameters::HostSlice};
use candle_core::{Device, Tensor};
use progtune_kernels::cuda::{self, Arguments, Number};

fn bytes_of(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|x| x.to_ne_bytes()).collect()
}

impl Lane {
    /// Room with these bytes.
    pub fn bytes(&self, bytes: &[u8]) -> Result<Room> {
        let room = self.arena.room(bytes.len())?;
        self.queue.upload(room.address(), bytes)?;
        Ok(room)
    }

    /// `n` numbers in f32, copied from the device.
    pub fn floats_at(&self, address: Address, n: usize) -> Result<Vec<f32>> {
        let mut bytes = vec![0u8; 4 * n];
        self.queue.download(address, &mut bytes)?;
        let numbers = bytes.as_chunks::<4>().0.iter().copied();
        Ok(numbers.map(f32::from_ne_bytes).collect())
    }

    /// Adds a tensor to numbers in f32.
    pub fn add_tensor(&self, sum: Address, tensor: &Tensor) -> Result<()> {
        let tensor = tensor.to_device(&Device::Cpu)?.contiguous()?;
        let values = HostSlice::of(&tensor);
        let room = self.bytes(&bytes_of(&values))?;
        let arguments = Arguments::default()
            .address(sum)
            .address(room.address())
            .f32(1.0)
            .u64(values.len() as u64);
        let launch = cuda::packs(values.len(), Number::F32);
        self.queue.launch("add_scaled_f32", launch, arguments)
    }

    /// `n` rows with these numbers, rounded to the type of this lane.
    pub fn rows_with(&self, numbers: &[f32], n: usize) -> Result<Rows> {
        let f32 = self.with(Number::F32);
        let rows = f32.rows(n, numbers.len() / n.max(1))?;
        self.queue.upload(rows.address(), &bytes_of(numbers))?;
        match self.number {
            Number::F32 => Ok(rows),
            Number::Bf16 => f32.converted(&rows, self),
        }
    }

    /// The rows of a tensor, rounded to the type of this lane.
    pub fn rows_of(&self, tensor: &Tensor) -> Result<Rows> {
        let here = tensor.to_device(&Device::Cpu)?.contiguous()?;
        self.rows_with(&HostSlice::of(&here), tensor.dim(0)?)
    }

    /// The numbers of rows of this lane, copied from the device.
    pub fn numbers(&self, rows: &Rows) -> Result<Vec<f32>> {
        if self.number == Number::F32 {
            return self.floats_at(rows.address(), rows.count());
        }
        let converted = self.converted(rows, &self.with(Number::F32))?;
        self.floats_at(converted.address(), rows.count())
    }

    /// The numbers of rows of this lane as a tensor.
    pub fn tensor_of(&self, rows: &Rows, device: &Device) -> Result<Tensor> {
        let numbers = self.numbers(rows)?;
        Ok(Tensor::from_vec(numbers, (rows.n, rows.columns), device)?)
    }
}
