//! The device that `--device` names, and a model's part on a GPU. The assembly and every command
//! that computes call it.

use crate::{
    error::{Error, Result},
    model::{Model, device::Device as DeviceChoice, device::Precision},
};
use candle_core::Device;
use std::sync::{Mutex, PoisonError};

/// The reason why a GPU cannot be used and the remedy, from candle's words.
fn cuda_fault(said: &str) -> String {
    let known = [
        (
            "CUDA_ERROR_STUB_LIBRARY",
            "no CUDA driver (libcuda.so.1) was found; install NVIDIA's driver",
        ),
        (
            "CUDA_ERROR_NO_DEVICE",
            "no NVIDIA GPU was found; check `nvidia-smi`",
        ),
        (
            "CUDA_ERROR_INVALID_DEVICE",
            "there is no GPU of this number; choose one that `nvidia-smi` lists",
        ),
        (
            "CUDA_ERROR_INSUFFICIENT_DRIVER",
            "the driver is older than CUDA 13.0; install driver 580 or a later one",
        ),
        (
            "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
            "the driver and its library have different versions; restart the machine",
        ),
        (
            "CUBLAS_STATUS_NOT_INITIALIZED",
            "cuBLAS (libcublas.so.13) was not found; install CUDA 13's libraries and name their directory in LD_LIBRARY_PATH",
        ),
        (
            "CURAND_STATUS_INITIALIZATION_FAILED",
            "cuRAND (libcurand.so.10) was not found; install CUDA 13's libraries and name their directory in LD_LIBRARY_PATH",
        ),
    ];
    let known = known.iter().find(|(name, _)| said.contains(name));
    known.map_or_else(
        || {
            format!(
                "{}; check the GPU and its driver",
                said.lines().next().unwrap_or_default()
            )
        },
        |(_, words)| (*words).to_owned(),
    )
}

/// The device that `--device` names. A GPU is opened once, so that models share their tensors.
///
/// # Errors
/// When it is a GPU and there is none, or this build cannot use it.
pub fn open_device(choice: DeviceChoice) -> Result<Device> {
    static OPENED: Mutex<Vec<(usize, Device)>> = Mutex::new(Vec::new());
    let number = match choice {
        DeviceChoice::Cpu => return Ok(Device::Cpu),
        DeviceChoice::Cuda(number) => number,
    };
    if !candle_core::utils::cuda_is_available() {
        return Err(Error::Usage(format!(
            "--device cuda:{number}: this build of progtune has no CUDA support; use --device cpu, or build with \
             `--features cuda` on a machine with an NVIDIA GPU"
        )));
    }
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, device)) = opened.iter().find(|(known, _)| *known == number) {
        return Ok(device.clone());
    }
    let device = Device::new_cuda(number).map_err(|error| {
        let reason = cuda_fault(&error.to_string());
        Error::Usage(format!(
            "--device cuda:{number}: {reason}, or use --device cpu"
        ))
    })?;
    opened.push((number, device.clone()));
    Ok(device)
}

/// Lets the project's CUDA kernels compute a model whose parameters are on `device`.
///
/// # Errors
/// If the model is larger than the kernels take, or CUDA's libraries are not there.
#[cfg(feature = "cuda")]
pub(super) fn put_on(model: &mut Model, device: &Device, precision: Precision) -> Result<()> {
    use crate::model::lane;
    use progtune_kernels::cuda::{Number, attention_head, max_row_columns};

    let number = match precision {
        Precision::Bf16 => Number::Bf16,
        Precision::Auto | Precision::F32 | Precision::Tf32 => Number::F32,
    };
    let encoder = &model.config.encoder;
    let (hidden, heads) = (encoder.hidden_size, encoder.num_attention_heads);
    // Parameters and the head are f32 in any case.
    let most = max_row_columns(Number::F32);
    if hidden > most || attention_head(hidden / heads.max(1)).is_none() {
        return Err(Error::Model(format!(
            "the kernels for GPUs take at most {most} columns in heads of at most 128, and this model has {hidden} in heads of \
             {}; use --kernels composed, or --device cpu",
            hidden / heads.max(1)
        )));
    }
    let is_tf32 = precision == Precision::Tf32;
    let lane = lane::cuda::lane(device.as_cuda_device()?, number, is_tf32);
    model.set_lane(lane?);
    Ok(())
}

/// Never called: without the feature `cuda` no GPU is opened.
#[cfg(not(feature = "cuda"))]
pub(super) fn put_on(_: &mut Model, _: &Device, _: Precision) -> Result<()> {
    Ok(())
}
