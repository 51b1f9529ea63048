//! bfloat16 numbers as operands of products: the upper half of an f32, rounded. Called by `gemm`,
//! which multiplies them two at a time.
//!
//! Rounding is that of the processors' own instruction (VCVTNEPS2BF16): to nearest, ties to even,
//! and numbers below the smallest normal one become zero. It is written in integers, so that every
//! machine gives the same bits.
//!
//! A *pair* is two such numbers in the place of one f32, the first in the lower half. Pairs move
//! through memory like f32, and no arithmetic ever reads them as such. Rows that are kept for later
//! products hold one number after the other ([`Bf16`]).
//!
//! ```
//! use progtune_kernels::bf16::{round, value};
//!
//! assert_eq!(value(round(1.0 + 1.0 / 512.0)), 1.0);
//! assert_eq!(value(round(3.0 + 1.0 / 64.0)), 3.015625);
//! ```

#![allow(unsafe_code)]

use crate::simd::{Level, level, simd_fn};

/// The exponent's bits of an f32.
const EXPONENT: u32 = 0x7f80_0000;
/// The sign's bit.
const SIGN: u32 = 0x8000_0000;

/// A bfloat16 number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Bf16(u16);

impl Bf16 {
    /// A quiet NaN.
    pub const NAN: Self = Self(0x7fc0);

    /// The nearest number ([`round`]).
    #[inline(always)]
    pub fn of(x: f32) -> Self {
        Self(round(x))
    }

    /// The number.
    #[inline(always)]
    pub fn get(self) -> f32 {
        value(self.0)
    }
}

/// A number that can be half of a pair.
pub(crate) trait Half: Copy + Send + Sync {
    /// The pairs of neighbours in `from`; the last number of an odd count is paired with zero.
    fn pair_neighbours(to: &mut [f32], from: &[Self]);
    /// The pairs of the numbers of two rows, as many as `to` has room for.
    fn pair_rows(to: &mut [f32], firsts: &[Self], seconds: &[Self]);
    /// The numbers of a row, each paired with zero.
    fn pair_with_zeros(to: &mut [f32], firsts: &[Self]);
}

impl Half for f32 {
    fn pair_neighbours(to: &mut [f32], from: &[Self]) {
        #[cfg(target_arch = "x86_64")]
        if level() == Level::Avx512Bf16 {
            // SAFETY: the level was detected on this machine.
            let done = unsafe { native::pair_neighbours(to, from) };
            return neighbours(&mut to[done..], &from[2 * done..]);
        }
        neighbours(to, from);
    }

    fn pair_rows(to: &mut [f32], firsts: &[Self], seconds: &[Self]) {
        let (firsts, seconds) = (&firsts[..to.len()], &seconds[..to.len()]);
        #[cfg(target_arch = "x86_64")]
        if level() == Level::Avx512Bf16 {
            // SAFETY: the level was detected on this machine; the slices have the same length.
            let done = unsafe { native::pair_rows(to, firsts, seconds) };
            return rows(&mut to[done..], &firsts[done..], &seconds[done..]);
        }
        rows(to, firsts, seconds);
    }

    fn pair_with_zeros(to: &mut [f32], firsts: &[Self]) {
        with_zeros(to, firsts);
    }
}

impl Half for Bf16 {
    fn pair_neighbours(to: &mut [f32], from: &[Self]) {
        join_neighbours(to, from);
    }

    fn pair_rows(to: &mut [f32], firsts: &[Self], seconds: &[Self]) {
        join_rows(to, firsts, seconds);
    }

    fn pair_with_zeros(to: &mut [f32], firsts: &[Self]) {
        widen_bits(to, firsts);
    }
}

/// The nearest bfloat16 number, as its 16 bits.
#[inline(always)]
pub fn round(x: f32) -> u16 {
    let bits = x.to_bits();
    // Adding a little less than half of the last place, or half if the number is odd, carries over
    // where the number is to be rounded up.
    let up = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
    // A NaN stays one, and is quiet.
    let nan = bits | 0x0040_0000;
    let magnitude = bits & !SIGN;
    let normal = if magnitude > EXPONENT { nan } else { up };
    // Numbers that are not normal, and zero.
    let small = bits & SIGN;
    ((if bits & EXPONENT == 0 { small } else { normal }) >> 16) as u16
}

/// The number of these 16 bits.
#[inline(always)]
pub fn value(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// Two numbers, rounded, in the place of one.
#[inline(always)]
pub fn pair(first: f32, second: f32) -> f32 {
    f32::from_bits(u32::from(round(first)) | u32::from(round(second)) << 16)
}

/// The first number of a pair.
#[inline(always)]
pub fn first(pair: f32) -> f32 {
    f32::from_bits(pair.to_bits() << 16)
}

/// The second number of a pair.
#[inline(always)]
pub fn second(pair: f32) -> f32 {
    f32::from_bits(pair.to_bits() & 0xffff_0000)
}

/// Zero, with the sign of `x`, if `x` is below the smallest normal number; else `x`.
#[inline(always)]
pub fn flush(x: f32) -> f32 {
    let bits = x.to_bits();
    f32::from_bits(if bits & EXPONENT == 0 {
        bits & SIGN
    } else {
        bits
    })
}

/// `sum + a₂·b₂ + a₁·b₁` for two pairs, as VDPBF16PS computes it on AMD's and Intel's processors:
/// two fused multiply-adds, the second number of the pairs first, with results that are not normal
/// flushed to zero.
#[inline(always)]
pub fn multiply_add(sum: f32, a: f32, b: f32) -> f32 {
    let sum = flush(second(a).mul_add(second(b), flush(sum)));
    flush(first(a).mul_add(first(b), sum))
}

/// Rounds numbers, as many as `to` has room for.
///
/// # Panics
/// If `from` is shorter than `to`.
pub fn narrow(to: &mut [Bf16], from: &[f32]) {
    let from = &from[..to.len()];
    #[cfg(target_arch = "x86_64")]
    if level() == Level::Avx512Bf16 {
        // SAFETY: the level was detected on this machine; the slices have the same length.
        let done = unsafe { native::narrow(to, from) };
        return round_all(&mut to[done..], &from[done..]);
    }
    round_all(to, from);
}

simd_fn! {
    /// The numbers as f32, as many as both slices have.
    pub fn widen(to: &mut [f32], from: &[Bf16]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = from.get();
        }
    }
}

simd_fn! {
    /// [`narrow`] in integers.
    fn round_all(to: &mut [Bf16], from: &[f32]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = Bf16::of(*from);
        }
    }
}

/// Two numbers in the place of one.
#[inline(always)]
fn join(first: Bf16, second: Bf16) -> f32 {
    f32::from_bits(u32::from(first.0) | u32::from(second.0) << 16)
}

simd_fn! {
    /// [`Half::pair_neighbours`] of numbers that are rounded already.
    fn join_neighbours(to: &mut [f32], from: &[Bf16]) {
        let (pairs, rest) = from.as_chunks::<2>();
        for (to, [first, second]) in to.iter_mut().zip(pairs) {
            *to = join(*first, *second);
        }
        if let [last] = rest {
            to[pairs.len()] = join(*last, Bf16(0));
        }
    }
}

simd_fn! {
    /// [`Half::pair_rows`] of numbers that are rounded already.
    fn join_rows(to: &mut [f32], firsts: &[Bf16], seconds: &[Bf16]) {
        for ((to, first), second) in to.iter_mut().zip(firsts).zip(seconds) {
            *to = join(*first, *second);
        }
    }
}

simd_fn! {
    /// [`Half::pair_with_zeros`] of numbers that are rounded already.
    fn widen_bits(to: &mut [f32], firsts: &[Bf16]) {
        for (to, first) in to.iter_mut().zip(firsts) {
            *to = join(*first, Bf16(0));
        }
    }
}

simd_fn! {
    /// [`Half::pair_neighbours`] in integers.
    fn neighbours(to: &mut [f32], from: &[f32]) {
        let (pairs, rest) = from.as_chunks::<2>();
        for (to, [first, second]) in to.iter_mut().zip(pairs) {
            *to = pair(*first, *second);
        }
        if let [last] = rest {
            to[pairs.len()] = pair(*last, 0.0);
        }
    }
}

simd_fn! {
    /// [`Half::pair_rows`] in integers.
    fn rows(to: &mut [f32], firsts: &[f32], seconds: &[f32]) {
        for ((to, first), second) in to.iter_mut().zip(firsts).zip(seconds) {
            *to = pair(*first, *second);
        }
    }
}

simd_fn! {
    /// The numbers of a row, each paired with zero.
    fn with_zeros(to: &mut [f32], firsts: &[f32]) {
        for (to, first) in to.iter_mut().zip(firsts) {
            *to = pair(*first, 0.0);
        }
    }
}

/// The same by the processor's own instructions, in whole vectors. Each function returns the number
/// of results that it has written.
#[cfg(target_arch = "x86_64")]
mod native {
    use super::Bf16;
    use std::arch::x86_64::*;

    /// # Safety
    /// The machine must have AVX512-BF16, and the slices must have the same length.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) unsafe fn narrow(to: &mut [Bf16], from: &[f32]) -> usize {
        let (to, from) = (to.as_chunks_mut::<32>().0, from.as_chunks::<32>().0);
        for (to, from) in to.iter_mut().zip(from) {
            // SAFETY: a chunk of `from` has two vectors of f32, and one of `to` as many halves.
            unsafe {
                let low = _mm512_loadu_ps(from.as_ptr());
                let high = _mm512_loadu_ps(from.as_ptr().add(16));
                let halves: __m512i = std::mem::transmute(_mm512_cvtne2ps_pbh(high, low));
                _mm512_storeu_si512(to.as_mut_ptr().cast(), halves);
            }
        }
        32 * to.len()
    }

    /// # Safety
    /// The machine must have AVX512-BF16.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) unsafe fn pair_neighbours(to: &mut [f32], from: &[f32]) -> usize {
        let (to, from) = (to.as_chunks_mut::<16>().0, from.as_chunks::<32>().0);
        for (to, from) in to.iter_mut().zip(from) {
            // SAFETY: a chunk of `from` has two vectors, and one of `to` has one.
            unsafe {
                let low = _mm512_loadu_ps(from.as_ptr());
                let high = _mm512_loadu_ps(from.as_ptr().add(16));
                let pairs: __m512i = std::mem::transmute(_mm512_cvtne2ps_pbh(high, low));
                _mm512_storeu_si512(to.as_mut_ptr().cast(), pairs);
            }
        }
        16 * to.len().min(from.len())
    }

    /// # Safety
    /// The machine must have AVX512-BF16, and the slices must have the same length.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) unsafe fn pair_rows(to: &mut [f32], firsts: &[f32], seconds: &[f32]) -> usize {
        let chunks = firsts.as_chunks::<16>().0.iter();
        let chunks = chunks.zip(seconds.as_chunks::<16>().0);
        let to = to.as_chunks_mut::<16>().0;
        for (to, (firsts, seconds)) in to.iter_mut().zip(chunks) {
            // SAFETY: every chunk has one vector; both forms of a vector are plain data.
            unsafe {
                let half = |numbers: &[f32; 16]| -> __m512i {
                    let numbers = _mm512_cvtneps_pbh(_mm512_loadu_ps(numbers.as_ptr()));
                    _mm512_cvtepu16_epi32(std::mem::transmute::<__m256bh, __m256i>(numbers))
                };
                let pairs = _mm512_or_si512(half(firsts), _mm512_slli_epi32::<16>(half(seconds)));
                _mm512_storeu_si512(to.as_mut_ptr().cast(), pairs);
            }
        }
        16 * to.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_to_nearest_even() {
        for (x, want) in [
            (0.0f32, 0x0000u16),
            (-0.0, 0x8000),
            (1.0, 0x3f80),
            (-1.5, 0xbfc0),
            (f32::INFINITY, 0x7f80),
            (f32::MAX, 0x7f80),
            (f32::MIN_POSITIVE, 0x0080),
            (f32::MIN_POSITIVE / 2.0, 0x0000),
            (-f32::MIN_POSITIVE / 2.0, 0x8000),
        ] {
            assert_eq!(round(x), want, "{x}");
        }
        // Just below, at, and just above the middle between two neighbours.
        for (bits, want) in [
            (0x3f80_7fff, 0x3f80),
            (0x3f80_8000, 0x3f80),
            (0x3f80_8001, 0x3f81),
            (0x3f81_8000, 0x3f82),
        ] {
            assert_eq!(round(f32::from_bits(bits)), want, "{bits:x}");
        }
        assert!(value(round(f32::NAN)).is_nan());
        assert!(value(round(f32::from_bits(0x7f80_0001))).is_nan());
    }

    #[test]
    fn the_processor_rounds_in_the_same_way() {
        // Every sign and exponent, with mantissas near the middle between two neighbours.
        let mantissas = [
            0u32, 1, 0x7fff, 0x8000, 0x8001, 0x1_8000, 0x40_0000, 0x7f_ffff,
        ];
        let all = (0..512).flat_map(|top| mantissas.map(|low| f32::from_bits(top << 23 | low)));
        let from: Vec<f32> = all.chain([1.5; 5]).collect();
        let bits =
            |pairs: &[f32]| -> Vec<u32> { pairs.iter().map(|pair| pair.to_bits()).collect() };
        let n = from.len().div_ceil(2);
        let (mut got, mut want) = (vec![0f32; n], vec![0f32; n]);
        Half::pair_neighbours(&mut got, &from);
        neighbours(&mut want, &from);
        assert_eq!(bits(&got), bits(&want));
        let (firsts, seconds) = from.split_at(from.len() / 2);
        let (mut got, mut want) = (vec![0f32; firsts.len()], vec![0f32; firsts.len()]);
        Half::pair_rows(&mut got, firsts, seconds);
        rows(&mut want, firsts, seconds);
        assert_eq!(bits(&got), bits(&want));
        let (mut got, mut want) = (vec![Bf16(0); from.len()], vec![Bf16(0); from.len()]);
        narrow(&mut got, &from);
        round_all(&mut want, &from);
        assert_eq!(got, want);
    }

    #[test]
    fn kept_numbers_make_the_same_pairs() {
        let from: Vec<f32> = (0..101).map(|i| 1.0 + i as f32 / 300.0).collect();
        let mut kept = vec![Bf16::NAN; 101];
        narrow(&mut kept, &from);
        let mut back = vec![f32::NAN; 101];
        widen(&mut back, &kept);
        assert!(
            back.iter()
                .zip(&from)
                .all(|(&back, &x)| back == value(round(x)))
        );
        let pairs = |n, f: &dyn Fn(&mut [f32])| -> Vec<u32> {
            let mut to = vec![0f32; n];
            f(&mut to);
            to.iter().map(|pair| pair.to_bits()).collect()
        };
        assert_eq!(
            pairs(51, &|to| Half::pair_neighbours(to, &kept)),
            pairs(51, &|to| Half::pair_neighbours(to, &from))
        );
        assert_eq!(
            pairs(50, &|to| Half::pair_rows(to, &kept, &kept[51..])),
            pairs(50, &|to| Half::pair_rows(to, &from, &from[51..]))
        );
        assert_eq!(
            pairs(101, &|to| Half::pair_with_zeros(to, &kept)),
            pairs(101, &|to| Half::pair_with_zeros(to, &from))
        );
    }

    #[test]
    fn pairs_hold_two_numbers() {
        let mut to = [f32::NAN; 3];
        Half::pair_neighbours(&mut to, &[1.0, 2.0, 3.0, 4.0, 5.0]);
        let seen: Vec<[f32; 2]> = to.iter().map(|&p| [first(p), second(p)]).collect();
        assert_eq!(seen, [[1.0, 2.0], [3.0, 4.0], [5.0, 0.0]]);
        Half::pair_rows(&mut to, &[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]);
        assert_eq!((first(to[2]), second(to[2])), (3.0, 6.0));
        assert_eq!(multiply_add(0.5, pair(2.0, 3.0), pair(10.0, 100.0)), 320.5);
    }
}
