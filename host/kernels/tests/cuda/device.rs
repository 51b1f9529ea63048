//! A device's memory in this process, and launches on it. Every test of a kernel goes through it.
#![allow(unsafe_code)]

use crate::numbers::{from_bf16, to_bf16};
use progtune_cuda_on_cpu::library;
use progtune_kernels::cuda::{DropoutArgument, Launch, Number};
use std::{ffi::c_void, path::Path};

/// The greatest error of a result in f32, relative to the largest number beside it.
pub(crate) const F32: f32 = 5e-6;
/// The same for activations in bf16, whose eight bits round by up to 1/512 once or twice.
pub(crate) const BF16: f32 = 8e-3;

/// Bytes before and behind each buffer that no kernel may change. Read as numbers they are NaN, and
/// so are buffers that nothing has been written to.
const GUARD: usize = 64;
const UNWRITTEN: u8 = 0xFF;

/// A buffer of a [`Device`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct At(usize);

/// One argument of a kernel.
#[derive(Clone)]
pub(crate) enum Argument {
    /// The address of a buffer.
    Buffer(At),
    /// A null pointer.
    Null,
    /// A number or a structure, in the bytes of the machine.
    Value(Vec<u8>),
}

impl From<At> for Argument {
    fn from(at: At) -> Self {
        Self::Buffer(at)
    }
}

impl From<Option<At>> for Argument {
    fn from(at: Option<At>) -> Self {
        at.map_or(Self::Null, Self::Buffer)
    }
}

/// A number or a `repr(C)` structure of numbers as an argument.
pub(crate) fn value<V: Copy>(value: V) -> Argument {
    Argument::Value(bytes_of(&[value]).to_vec())
}

/// The bytes of numbers.
fn bytes_of<V: Copy>(values: &[V]) -> &[u8] {
    // SAFETY: the tests pass numbers, and structures of numbers without padding; all of their bytes
    // are initialised.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

/// Memory, and the number type of its activations.
pub(crate) struct Device {
    pub number: Number,
    buffers: Vec<Buffer>,
}

struct Buffer {
    /// Chunks of 16 bytes, so that the memory is aligned.
    memory: Vec<u128>,
    bytes: usize,
}

impl Buffer {
    fn all(&self) -> &[u8] {
        &bytes_of(&self.memory)[..self.bytes + 2 * GUARD]
    }

    fn content(&self) -> &[u8] {
        &self.all()[GUARD..GUARD + self.bytes]
    }

    fn address(&self) -> u64 {
        self.memory.as_ptr() as u64 + GUARD as u64
    }
}

impl Device {
    pub(crate) fn new(number: Number) -> Self {
        Self {
            number,
            buffers: Vec::new(),
        }
    }

    /// A buffer with these numbers, of any type.
    pub(crate) fn put<V: Copy>(&mut self, values: &[V]) -> At {
        let bytes = bytes_of(values);
        let at = self.room(bytes.len());
        let memory = self.memory_mut(at);
        memory[GUARD..GUARD + bytes.len()].copy_from_slice(bytes);
        at
    }

    /// A buffer of activations, rounded if they are in bf16.
    pub(crate) fn activations(&mut self, values: &[f32]) -> At {
        match self.number {
            Number::F32 => self.put(values),
            Number::Bf16 => self.put(&values.iter().map(|&v| to_bf16(v)).collect::<Vec<u16>>()),
        }
    }

    /// A buffer of activations that nothing has been written to.
    pub(crate) fn unwritten(&mut self, n: usize) -> At {
        self.room(n * self.number.bytes())
    }

    /// A buffer of `n` numbers of type `V` that nothing has been written to.
    pub(crate) fn unwritten_as<V>(&mut self, n: usize) -> At {
        self.room(n * size_of::<V>())
    }

    fn room(&mut self, bytes: usize) -> At {
        let fill = u128::from_ne_bytes([UNWRITTEN; 16]);
        self.buffers.push(Buffer {
            memory: vec![fill; (bytes + 2 * GUARD).div_ceil(16)],
            bytes,
        });
        At(self.buffers.len() - 1)
    }

    fn memory_mut(&mut self, at: At) -> &mut [u8] {
        let memory = &mut self.buffers[at.0].memory;
        // SAFETY: every pattern of bytes is a u128, and the slice borrows the memory.
        unsafe {
            std::slice::from_raw_parts_mut(memory.as_mut_ptr().cast(), size_of_val(&**memory))
        }
    }

    /// Replaces the first numbers of a buffer.
    pub(crate) fn overwrite<V: Copy>(&mut self, at: At, values: &[V]) {
        let bytes = bytes_of(values);
        assert!(bytes.len() <= self.buffers[at.0].bytes);
        self.memory_mut(at)[GUARD..GUARD + bytes.len()].copy_from_slice(bytes);
    }

    /// The address of a buffer, for structures.
    pub(crate) fn address(&self, at: At) -> u64 {
        self.buffers[at.0].address()
    }

    /// The numbers of a buffer.
    pub(crate) fn get<V: Copy>(&self, at: At) -> Vec<V> {
        let content = self.buffers[at.0].content();
        assert_eq!(content.len() % size_of::<V>(), 0);
        content
            .chunks_exact(size_of::<V>())
            // SAFETY: the chunk has the size of V, whose every pattern of bytes is a number.
            .map(|chunk| unsafe { chunk.as_ptr().cast::<V>().read_unaligned() })
            .collect()
    }

    /// The activations of a buffer.
    pub(crate) fn read(&self, at: At) -> Vec<f32> {
        match self.number {
            Number::F32 => self.get(at),
            Number::Bf16 => self.get::<u16>(at).into_iter().map(from_bf16).collect(),
        }
    }

    /// Row keys and probability as an argument; `p` = 0 means no dropout.
    pub(crate) fn dropout(&mut self, p: f32, site_key: u64, row_keys: &[u64]) -> DropoutArgument {
        if p == 0.0 {
            return DropoutArgument::NONE;
        }
        let keys = self.put(row_keys);
        DropoutArgument::new(p, site_key, self.address(keys))
    }

    /// Runs `kernel` with the suffix of the activations' type.
    pub(crate) fn run(&mut self, file: &str, kernel: &str, launch: Launch, arguments: &[Argument]) {
        let kernel = format!("{kernel}_{}", self.number.suffix());
        self.run_plain(file, &kernel, launch, arguments);
    }

    /// Runs a kernel with threads and blocks in ascending, descending and random order, from the
    /// same memory each time. The three must leave the same bits, and no byte outside the buffers
    /// may change.
    pub(crate) fn run_plain(
        &mut self,
        file: &str,
        kernel: &str,
        launch: Launch,
        arguments: &[Argument],
    ) {
        if let Err(message) = self.try_run(Path::new(file), kernel, launch, arguments) {
            panic!("{kernel}: {message}");
        }
    }

    /// [`Device::run_plain`], with a fault as an error.
    pub(crate) fn try_run(
        &mut self,
        file: &Path,
        kernel: &str,
        launch: Launch,
        arguments: &[Argument],
    ) -> Result<(), String> {
        let before = self.contents();
        let mut after: Option<Vec<Vec<u8>>> = None;
        for (name, order) in [("ascending", 0), ("descending", 1), ("random", 0x5EED)] {
            self.restore(&before);
            self.launch(file, kernel, launch, order, arguments)?;
            self.check_guards()?;
            let Some(first) = &after else {
                after = Some(self.contents());
                continue;
            };
            for (i, (first, now)) in first.iter().zip(self.contents()).enumerate() {
                if let Some(byte) = first.iter().zip(&now).position(|(a, b)| a != b) {
                    return Err(format!(
                        "with its threads in {name} order it leaves another byte {byte} in buffer {i}: a barrier is missing"
                    ));
                }
            }
        }
        Ok(())
    }

    fn launch(
        &mut self,
        file: &Path,
        kernel: &str,
        launch: Launch,
        order: u64,
        arguments: &[Argument],
    ) -> Result<(), String> {
        // Every argument in memory of its own, aligned for all types.
        let mut values: Vec<Vec<u64>> = arguments
            .iter()
            .map(|argument| match argument {
                Argument::Buffer(at) => vec![self.address(*at)],
                Argument::Null => vec![0],
                Argument::Value(bytes) => {
                    let words = bytes.chunks(8).map(|chunk| {
                        let mut word = [0; 8];
                        word[..chunk.len()].copy_from_slice(chunk);
                        u64::from_ne_bytes(word)
                    });
                    words.collect()
                }
            })
            .collect();
        let pointers: Vec<*mut c_void> = values.iter_mut().map(|v| v.as_mut_ptr().cast()).collect();
        // SAFETY: the shim checks the number of arguments. That they are the kernel's, and the
        // buffers large enough, is for the tests to say and for the guards to notice.
        unsafe { library::launch(file, kernel, launch, order, &pointers) }
    }

    fn contents(&self) -> Vec<Vec<u8>> {
        self.buffers.iter().map(|b| b.content().to_vec()).collect()
    }

    fn restore(&mut self, contents: &[Vec<u8>]) {
        for (i, content) in contents.iter().enumerate() {
            self.memory_mut(At(i))[GUARD..GUARD + content.len()].copy_from_slice(content);
        }
    }

    fn check_guards(&self) -> Result<(), String> {
        for (i, buffer) in self.buffers.iter().enumerate() {
            let (head, tail) = buffer.all().split_at(GUARD);
            let guards = head.iter().chain(&tail[buffer.bytes..]);
            if guards.copied().any(|byte| byte != UNWRITTEN) {
                return Err(format!("it writes outside buffer {i}"));
            }
        }
        Ok(())
    }
}
