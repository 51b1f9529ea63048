//! A device whose memory is that of this process. Every access is checked against the pieces that
//! are reserved, except for those of kernels, whose own tests check them.
#![allow(unsafe_code)]

use crate::library;
use progtune_kernels::{
    bf16,
    cuda::{Arguments, Launch, Number, Product},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The reserved pieces: their addresses and sizes.
type Pieces = BTreeMap<u64, usize>;

/// The device.
#[derive(Default, Clone)]
pub struct Device(Arc<Mutex<Pieces>>);

/// A reserved piece, which is free again when it is dropped.
pub struct Piece {
    memory: Vec<[u128; 16]>,
    device: Device,
}

impl Drop for Piece {
    fn drop(&mut self) {
        let address = self.address();
        self.device.pieces().remove(&address);
    }
}

impl Piece {
    /// The address, a multiple of 16.
    pub fn address(&self) -> u64 {
        self.memory.as_ptr() as u64
    }
}

impl Device {
    fn pieces(&self) -> MutexGuard<'_, Pieces> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves memory. It is full of NaN.
    pub fn allocate(&self, bytes: usize) -> Piece {
        let memory = vec![[u128::MAX; 16]; bytes.div_ceil(256).max(1)];
        let piece = Piece {
            memory,
            device: self.clone(),
        };
        self.pieces().insert(piece.address(), bytes);
        piece
    }

    /// Makes numbers of the process part of the device's memory, for as long as they live. Kernels
    /// may write to them.
    pub fn lend(&self, values: &[f32]) -> u64 {
        let address = values.as_ptr() as u64;
        self.pieces().insert(address, size_of_val(values));
        address
    }

    /// Checks that bytes are inside a piece.
    #[track_caller]
    fn check(&self, at: u64, bytes: usize) {
        let pieces = self.pieces();
        let piece = pieces.range(..=at).next_back();
        let is_inside =
            piece.is_some_and(|(&start, &size)| at + bytes as u64 <= start + size as u64);
        assert!(
            is_inside,
            "{bytes} bytes at {at:x} are not in a reserved piece"
        );
    }

    /// Copies bytes to the device.
    #[track_caller]
    pub fn write(&self, to: u64, bytes: &[u8]) {
        self.check(to, bytes.len());
        // SAFETY: the bytes are inside a piece, and tests use a device from one thread.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to as *mut u8, bytes.len()) };
    }

    /// Copies bytes from the device.
    #[track_caller]
    pub fn read(&self, from: u64, bytes: &mut [u8]) {
        self.check(from, bytes.len());
        // SAFETY: as above.
        unsafe {
            std::ptr::copy_nonoverlapping(from as *const u8, bytes.as_mut_ptr(), bytes.len())
        };
    }

    /// Numbers at an address, as f32.
    #[track_caller]
    fn numbers(&self, at: u64, n: usize, number: Number) -> Vec<f32> {
        let mut bytes = vec![0u8; n * number.bytes()];
        self.read(at, &mut bytes);
        match number {
            Number::F32 => {
                let words = bytes.as_chunks::<4>().0.iter().copied();
                words.map(f32::from_ne_bytes).collect()
            }
            Number::Bf16 => {
                let halves = bytes.as_chunks::<2>().0.iter().copied();
                halves
                    .map(|half| bf16::value(u16::from_ne_bytes(half)))
                    .collect()
            }
        }
    }

    /// Computes a product by its definition, with sums in f32.
    #[track_caller]
    pub fn product(&self, p: &Product) {
        let (m, n, k) = (p.m, p.n, p.k);
        let a = self.numbers(p.a, m * k, p.operands);
        let b = self.numbers(p.b, k * n, p.operands);
        let mut c = if p.accumulate {
            self.numbers(p.c, m * n, p.result)
        } else {
            vec![0.0; m * n]
        };
        let bias = if p.bias == 0 {
            Vec::new()
        } else {
            self.numbers(p.bias, n, p.result)
        };
        for i in 0..m {
            for l in 0..k {
                let x = a[if p.a_transposed { l * m + i } else { i * k + l }];
                for j in 0..n {
                    c[i * n + j] += x * b[if p.b_transposed { j * k + l } else { l * n + j }];
                }
            }
            for (c, bias) in c[i * n..(i + 1) * n].iter_mut().zip(&bias) {
                *c += bias;
            }
        }
        let bytes: Vec<u8> = match p.result {
            Number::F32 => c.iter().flat_map(|c| c.to_ne_bytes()).collect(),
            Number::Bf16 => c
                .iter()
                .flat_map(|&c| bf16::round(c).to_ne_bytes())
                .collect(),
        };
        self.write(p.c, &bytes);
    }

    /// Runs a kernel.
    ///
    /// # Errors
    /// If there is no such kernel, or it has a fault that the shim notices.
    pub fn launch(
        &self,
        kernel: &str,
        launch: Launch,
        mut arguments: Arguments,
    ) -> Result<(), String> {
        let file = library::file_of(kernel).ok_or(format!("there is no kernel {kernel}"))?;
        let pointers = arguments.pointers();
        // SAFETY: the shim checks the number of arguments. That they are the kernel's, and the
        // pieces large enough, is for the code under test to ensure; the kernels' own tests guard
        // theirs.
        unsafe { library::launch(file, kernel, launch, 0, &pointers) }
    }
}
