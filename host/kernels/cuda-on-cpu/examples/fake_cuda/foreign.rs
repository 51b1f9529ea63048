//! candle's own kernels that a run still launches: those of tensors that a method derives from its
//! parameters (DoRA's factors, prefixes, merged weights), once a pass and not for every row.
//!
//! The arguments are those of candle-kernels 0.11: a count, the number of dimensions, an array of
//! the dimensions and the strides of each operand (null if all are contiguous), and addresses.

use crate::driver::DEVICE;
use std::ffi::c_void;

/// The arguments of a launch.
struct Launched(*mut *mut c_void);

impl Launched {
    /// An argument of 64 bits.
    fn word(&self, at: usize) -> u64 {
        // SAFETY: the caller of `launch` promises the arguments of the kernel.
        unsafe { (*self.0.add(at)).cast::<u64>().read() }
    }

    fn size(&self, at: usize) -> usize {
        self.word(at) as usize
    }

    /// A number in f32.
    fn f32(&self, at: usize) -> f32 {
        // SAFETY: as above.
        unsafe { (*self.0.add(at)).cast::<f32>().read() }
    }

    /// A number of 32 bits.
    fn u32(&self, at: usize) -> u32 {
        // SAFETY: as above.
        unsafe { (*self.0.add(at)).cast::<u32>().read() }
    }

    /// The places of the elements of the first `N` operands, in the order of the result.
    fn places<const N: usize>(&self, count: usize) -> Vec<[usize; N]> {
        let (n_dims, info) = (self.size(1), self.word(2));
        if info == 0 {
            return (0..count).map(|i| [i; N]).collect();
        }
        let info = sizes(info, n_dims * (1 + N));
        let (dims, strides) = info.split_at(n_dims);
        let place = |i: usize| {
            let (mut rest, mut place) = (i, [0; N]);
            for d in (0..n_dims).rev() {
                let index = rest % dims[d];
                rest /= dims[d];
                for (operand, place) in place.iter_mut().enumerate() {
                    *place += index * strides[operand * n_dims + d];
                }
            }
            place
        };
        (0..count).map(place).collect()
    }
}

/// Adds up `terms` numbers for each of `count` results. Sums take the number of terms as their
/// second argument.
fn sum(launched: &Launched, count: usize, terms: usize) {
    // SAFETY: the arguments after the first one are those of an element-wise kernel.
    let shifted = Launched(unsafe { launched.0.add(1) });
    let places = shifted.places::<1>(count * terms);
    let source = values(launched.word(4), places.as_flattened());
    let sums = source.chunks(terms.max(1));
    let sums = sums.map(|terms| terms.iter().sum::<f32>());
    store(launched.word(5), sums.collect());
}

fn sizes(at: u64, n: usize) -> Vec<usize> {
    let mut bytes = vec![0u8; 8 * n];
    DEVICE.read(at, &mut bytes);
    let words = bytes.as_chunks::<8>().0.iter();
    words
        .map(|word| u64::from_ne_bytes(*word) as usize)
        .collect()
}

/// The numbers at places behind an address.
fn values(at: u64, places: &[usize]) -> Vec<f32> {
    let value = |&place: &usize| {
        let mut bytes = [0; 4];
        DEVICE.read(at + 4 * place as u64, &mut bytes);
        f32::from_ne_bytes(bytes)
    };
    places.iter().map(value).collect()
}

fn store(at: u64, numbers: Vec<f32>) {
    let bytes: Vec<u8> = numbers
        .iter()
        .flat_map(|number| number.to_ne_bytes())
        .collect();
    DEVICE.write(at, &bytes);
}

/// `f` of each element.
fn unary(launched: &Launched, f: impl Fn(f32) -> f32) {
    let places = launched.places::<1>(launched.size(0));
    let numbers = values(launched.word(3), places.as_flattened());
    store(launched.word(4), numbers.into_iter().map(f).collect());
}

/// `f` of each pair of elements.
fn pairs(launched: &Launched, f: impl Fn(f32, f32) -> f32) -> Vec<f32> {
    let places = launched.places::<2>(launched.size(0));
    let operand = |at: usize| {
        let places: Vec<usize> = places.iter().map(|place| place[at]).collect();
        values(launched.word(3 + at), &places)
    };
    let (left, right) = (operand(0), operand(1));
    left.into_iter().zip(right).map(|(a, b)| f(a, b)).collect()
}

fn binary(launched: &Launched, f: impl Fn(f32, f32) -> f32) {
    store(launched.word(5), pairs(launched, f));
}

/// Runs a kernel of candle.
///
/// # Safety
/// The parameters are the kernel's.
///
/// # Errors
/// If it has no form here.
pub(crate) unsafe fn launch(name: &str, parameters: *mut *mut c_void) -> Result<(), String> {
    let launched = Launched(parameters);
    match name {
        "ucopy_f32" => unary(&launched, |x| x),
        "usqr_f32" => unary(&launched, |x| x * x),
        "usqrt_f32" => unary(&launched, f32::sqrt),
        "affine_f32" => {
            let (factor, term) = (launched.f32(5), launched.f32(6));
            unary(&launched, |x| x * factor + term);
        }
        "badd_f32" => binary(&launched, |a, b| a + b),
        "bsub_f32" => binary(&launched, |a, b| a - b),
        "bmul_f32" => binary(&launched, |a, b| a * b),
        "bdiv_f32" => binary(&launched, |a, b| a / b),
        "eq_f32" => {
            let equal = pairs(&launched, |a, b| f32::from(a == b));
            let bytes: Vec<u8> = equal.iter().map(|&equal| equal as u8).collect();
            DEVICE.write(launched.word(5), &bytes);
        }
        "cast_u8_f32" => {
            let places = launched.places::<1>(launched.size(0));
            let number = |&place: &usize| {
                let mut byte = [0; 1];
                DEVICE.read(launched.word(3) + place as u64, &mut byte);
                f32::from(byte[0])
            };
            let numbers = places.as_flattened().iter().map(number);
            store(launched.word(4), numbers.collect());
        }
        "const_set_f32" => {
            for [place] in launched.places::<1>(launched.size(0)) {
                store(launched.word(4) + 4 * place as u64, vec![launched.f32(3)]);
            }
        }
        "copy2d_f32" => {
            let [rows, columns, from_stride, to_stride] =
                [2, 3, 4, 5].map(|at| launched.u32(at) as usize);
            for row in 0..rows {
                let from: Vec<usize> = (0..columns).map(|i| row * from_stride + i).collect();
                let numbers = values(launched.word(0), &from);
                store(launched.word(1) + 4 * (row * to_stride) as u64, numbers);
            }
        }
        "fast_sum_small_f32" => {
            let (count, terms) = (launched.size(0), launched.size(1));
            sum(&launched, count, terms);
        }
        "fast_sum_f32" => {
            let (all, terms) = (launched.size(0), launched.size(1));
            sum(&launched, all / terms.max(1), terms);
        }
        other => return Err(format!("candle's kernel {other} has no form on the CPU")),
    }
    Ok(())
}
