//! The shim itself: it notices what a GPU would answer with wrong numbers.

use crate::device::{Argument, Device, value};
use progtune_kernels::cuda::{Launch, Number};
use std::path::Path;

/// Kernels with a fault each.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cuda/faulty.cu");

fn run(kernel: &str, threads: u32, more: &[Argument]) -> Result<Vec<f32>, String> {
    let device = &mut Device::new(Number::F32);
    let n = threads as usize;
    let x = device.put(&(0..n).map(|i| i as f32).collect::<Vec<f32>>());
    let y = device.unwritten(n);
    let arguments = [&[x.into(), y.into()], more].concat();
    let launch = Launch {
        grid: [1, 1, 1],
        block: [threads, 1, 1],
    };
    device.try_run(Path::new(FILE), kernel, launch, &arguments)?;
    Ok(device.read(y))
}

#[track_caller]
fn assert_fault(result: Result<Vec<f32>, String>, part: &str) {
    let message = result.expect_err("a fault");
    assert!(message.contains(part), "{message}");
}

#[test]
fn a_missing_barrier_is_noticed() {
    let turned: Vec<f32> = (0..64).rev().map(|i| i as f32).collect();
    assert_eq!(run("turned", 64, &[]), Ok(turned.clone()));
    assert_fault(
        run("turned_without_barrier", 64, &[]),
        "a barrier is missing",
    );
    let turned: Vec<f32> = (0..32).rev().map(|i| i as f32).collect();
    assert_eq!(run("turned_in_warp", 32, &[]), Ok(turned));
    assert_fault(
        run("turned_in_warp_without_barrier", 32, &[]),
        "a barrier is missing",
    );
}

#[test]
fn a_barrier_that_some_threads_miss_is_noticed() {
    assert_fault(run("half_at_barrier", 64, &[]), "wait at __syncthreads");
    assert_fault(run("half_in_shuffle", 32, &[]), "wait for their warp");
}

#[test]
fn wrong_accesses_are_noticed() {
    assert_fault(run("misaligned", 32, &[]), "not aligned");
    assert_fault(run("beyond", 32, &[]), "writes outside buffer 1");
    let unwritten = run("unwritten_shared", 32, &[]).expect("no fault");
    assert!(unwritten.iter().all(|v| v.is_nan()));
}

#[test]
fn wrong_launches_are_noticed() {
    assert_fault(
        run("turned", 64, &[value(1u32)]),
        "takes 2 arguments, not 3",
    );
    assert_fault(run("turned", 33, &[]), "a block has 32, 64");
}
