//! The place where a model computes: the CPU or a GPU, and the form of its products. The assembly
//! sets it; records and caches name it.

use super::{Model, gpu::Gpu, lane::Lane, scratch::Scratch};
use progtune_kernels::gemm::Operands;

impl Model {
    /// Computes on a device from now on, with the kernels of [`super::gpu`].
    pub fn set_lane(&mut self, lane: Lane) {
        self.gpu = Some(Gpu { lane });
    }

    /// Makes the products of the blocks round their operands to bfloat16, or not. Sums,
    /// activations, parameters and the head stay in f32. The composed path computes in f32 only.
    pub fn set_operands(&mut self, operands: Operands) {
        let weights = self.layout.blocks.iter();
        let weights = weights.flat_map(|block| block.linears.each());
        let n_packed = weights.map(|(_, layer)| layer.in_dim * layer.out_dim).sum();
        self.scratch = Scratch::for_weights(n_packed, operands);
    }

    /// The device, for the keys of caches.
    pub(super) fn place(&self) -> String {
        match &self.gpu {
            Some(gpu) => format!("{} {}", gpu.lane.queue.card(), gpu.lane.queue.form()),
            None if self.parameters.device().is_cpu() => "Cpu".into(),
            None => "Cuda".into(),
        }
    }

    /// The free bytes of the GPU whose kernels compute, if they do.
    pub fn free_gpu_memory(&self) -> Option<u64> {
        self.gpu.as_ref()?.lane.queue.free_bytes()
    }

    /// The name of the GPU whose kernels compute, if they do.
    pub fn card(&self) -> Option<&str> {
        self.gpu.as_ref().map(|gpu| gpu.lane.queue.card())
    }

    /// The device, for records: `cpu`, or the name of a GPU.
    pub fn device_name(&self) -> String {
        match self.card() {
            Some(card) => card.to_owned(),
            None => self.place().to_lowercase(),
        }
    }

    /// Whether the CPU kernels compute, for which no row depends on the others in its batch.
    pub fn is_fused(&self) -> bool {
        self.fused
    }
}
