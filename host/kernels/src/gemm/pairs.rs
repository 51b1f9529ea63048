//! The inner loop of products of bfloat16 operands with f32 sums: like [`super::micro`], with two
//! numbers of k in each step. Called only by [`super`].
//!
//! Processors with AVX512-BF16 have an instruction for it. On others the same arithmetic is done
//! with fused multiply-adds, to the same bits, but not faster than in f32.
#![allow(unsafe_code)]

use super::micro::{NR, Size, Start, Target, check};
use crate::{bf16, simd::Level};

/// A tile: `c (=|+=) a·b` over `k` pairs. The slices are those of [`super::micro::tile`], with
/// pairs in the place of numbers.
///
/// # Panics
/// If a slice is too short.
#[inline]
pub(super) fn tile(level: Level, size: Size, a: &[f32], b: &[f32], to: Target<'_>, ahead: &[f32]) {
    check(size, a, b, &to);
    match level {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level was detected on this machine; the lengths were checked above.
        Level::Avx512Bf16 => unsafe { x86::native(size, a.as_ptr(), b.as_ptr(), to, ahead) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Level::Avx512 => unsafe { x86::avx512(size, a, b, to) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Level::Avx2 => unsafe { x86::avx2(size, a, b, to) },
        _ => emulated(size, a, b, to),
    }
}

/// The same from fused multiply-adds.
#[inline(always)]
fn emulated(size: Size, a: &[f32], b: &[f32], to: Target<'_>) {
    let Size { rows, columns, k } = size;
    for row in 0..rows {
        let c = &mut to.c[row * to.row_stride..][..columns];
        let mut sums = [0f32; NR];
        match to.start {
            Start::Zero => {}
            Start::Bias(bias) => sums[..columns].copy_from_slice(&bias[..columns]),
            Start::Stored => sums[..columns].copy_from_slice(c),
        }
        for (a, b) in a.chunks_exact(rows).zip(b.as_chunks::<NR>().0).take(k) {
            for (sum, &b) in sums.iter_mut().zip(b) {
                *sum = bf16::multiply_add(*sum, a[row], b);
            }
        }
        c.copy_from_slice(&sums[..columns]);
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{
        super::micro::{MR, NR, Size, Start, Target, by_rows},
        emulated,
    };
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
    pub(super) fn avx512(size: Size, a: &[f32], b: &[f32], to: Target<'_>) {
        emulated(size, a, b, to);
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn avx2(size: Size, a: &[f32], b: &[f32], to: Target<'_>) {
        emulated(size, a, b, to);
    }

    /// # Safety
    /// The machine must have AVX512-BF16; `a`, `b` and `c` must be as long as [`super::tile`] says.
    pub(super) unsafe fn native(
        size: Size,
        a: *const f32,
        b: *const f32,
        to: Target<'_>,
        ahead: &[f32],
    ) {
        // SAFETY: passed on from the caller.
        unsafe { by_rows!(native_rows, size.rows, (size, a, b, to, ahead)) }
    }

    /// [`native`] for `R` rows: all sums stay in registers.
    #[target_feature(enable = "avx512f,avx512bf16")]
    unsafe fn native_rows<const R: usize>(
        Size { columns, k, .. }: Size,
        mut a: *const f32,
        mut b: *const f32,
        to: Target<'_>,
        ahead: &[f32],
    ) {
        let (c, row_stride) = (to.c.as_mut_ptr(), to.row_stride);
        let (mut fetch, stride) = (ahead.as_ptr(), size_of_val(ahead).div_ceil(k.max(1)));
        let inside = |columns: usize| -> __mmask16 { ((1u32 << columns.min(16)) - 1) as __mmask16 };
        let masks = [inside(columns), inside(columns.saturating_sub(16))];
        // A vector of pairs, as the instruction takes it.
        let pairs = |v: __m512i| -> __m512bh {
            // SAFETY: both types are 64 bytes of plain data.
            unsafe { std::mem::transmute(v) }
        };
        // SAFETY: masked loads and stores touch only lanes inside `columns`; rows and steps are
        // within the slices whose lengths `tile` checked.
        unsafe {
            let mut sums = [[_mm512_setzero_ps(); 2]; R];
            match to.start {
                Start::Zero => {}
                Start::Bias(bias) => {
                    let low = _mm512_maskz_loadu_ps(masks[0], bias.as_ptr());
                    let high = _mm512_maskz_loadu_ps(masks[1], bias.as_ptr().wrapping_add(16));
                    sums = [[low, high]; R];
                }
                Start::Stored => {
                    for (row, sum) in sums.iter_mut().enumerate() {
                        let c = c.add(row * row_stride);
                        sum[0] = _mm512_maskz_loadu_ps(masks[0], c);
                        sum[1] = _mm512_maskz_loadu_ps(masks[1], c.wrapping_add(16));
                    }
                }
            }
            for _ in 0..k {
                let low = pairs(_mm512_loadu_si512(b.cast()));
                let high = pairs(_mm512_loadu_si512(b.add(16).cast()));
                for (row, sum) in sums.iter_mut().enumerate() {
                    let x = pairs(_mm512_set1_epi32(a.add(row).cast::<i32>().read()));
                    sum[0] = _mm512_dpbf16_ps(sum[0], x, low);
                    sum[1] = _mm512_dpbf16_ps(sum[1], x, high);
                }
                a = a.add(R);
                b = b.add(NR);
                // A prefetch is not an access: past the end of `ahead` it does nothing.
                _mm_prefetch::<_MM_HINT_T1>(fetch.cast());
                fetch = fetch.wrapping_byte_add(stride);
            }
            for (row, sum) in sums.iter().enumerate() {
                let c = c.add(row * row_stride);
                _mm512_mask_storeu_ps(c, masks[0], sum[0]);
                _mm512_mask_storeu_ps(c.wrapping_add(16), masks[1], sum[1]);
            }
        }
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use crate::{dropout::mix, simd::level};

    /// Numbers of every kind: usual ones, any bits at all, and those near the smallest normal one.
    fn number(kind: usize, random: u64) -> f32 {
        let (bits, exponent) = (random as u32 & 0x807f_ffff, (random >> 40) as u32);
        f32::from_bits(match kind {
            0 => bits | (124 + exponent % 6) << 23,
            1 => random as u32,
            2 => bits | (exponent % 90) << 23,
            _ => bits | (97 + exponent % 60) << 23,
        })
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let here = level();
        let mut state = 7u64;
        let mut random = || {
            state = mix(state.wrapping_add(0x9E37_79B9_7F4A_7C15));
            state
        };
        for round in 0..400 {
            let (kind, rows, columns) = (round % 4, 1 + round % 12, 1 + random() as usize % 32);
            let k = random() as usize % 20;
            let mut pairs = |n: usize| -> Vec<f32> {
                let number = |random: u64| number(kind, random);
                (0..n)
                    .map(|_| bf16::pair(number(random()), number(random())))
                    .collect()
            };
            let (a, b) = (pairs(k * rows), pairs(k * NR));
            let c: Vec<f32> = (0..rows * 32).map(|_| number(kind, random())).collect();
            let size = Size { rows, columns, k };
            let product = |level| {
                let mut c = c.clone();
                let to = Target {
                    c: &mut c,
                    row_stride: 32,
                    start: Start::Stored,
                };
                tile(level, size, &a, &b, to, &b);
                c
            };
            let want = product(Level::Portable);
            for level in [Level::Avx2, Level::Avx512, Level::Avx512Bf16] {
                if level > here {
                    continue;
                }
                for (got, want) in product(level).iter().zip(&want) {
                    let is_same = got.to_bits() == want.to_bits();
                    assert!(
                        is_same || (got.is_nan() && want.is_nan()),
                        "{level:?}: {got:e} and {want:e}"
                    );
                }
            }
        }
    }
}
