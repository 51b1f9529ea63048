//! The Mersenne Twister as PyTorch uses it on the CPU. Methods that share random matrices with
//! Hugging Face PEFT by a seed start from it. Called for init graphs, by the host and by
//! [`crate::interpret`].
//!
//! Sources: Matsumoto and Nishimura 1998, MT19937; PyTorch's `at::mt19937` and
//! `at::uniform_real_distribution<float>`.

/// The number of words in the state.
const N: usize = 624;
/// The distance between the words that are combined into a new one.
const M: usize = 397;

/// A generator of the same numbers as `torch.Generator().manual_seed(seed)`.
#[derive(Debug, Clone)]
pub struct MersenneTwister {
    state: [u32; N],
    next: usize,
}

impl MersenneTwister {
    /// The generator for a seed, of which only the low 32 bits are used.
    pub fn new(seed: u64) -> Self {
        let mut state = [seed as u32; N];
        for i in 1..N {
            let before = state[i - 1];
            state[i] = 1_812_433_253u32
                .wrapping_mul(before ^ (before >> 30))
                .wrapping_add(i as u32);
        }
        Self { state, next: N }
    }

    /// The next 32 bits.
    pub fn bits(&mut self) -> u32 {
        if self.next == N {
            self.twist();
        }
        let y = self.state[self.next];
        self.next += 1;
        let y = y ^ (y >> 11);
        let y = y ^ ((y << 7) & 0x9d2c_5680);
        let y = y ^ ((y << 15) & 0xefc6_0000);
        y ^ (y >> 18)
    }

    /// The next number of `torch.empty(…).uniform_(low, high)` in f32: 24 bits, scaled in double
    /// precision.
    pub fn uniform(&mut self, low: f64, high: f64) -> f32 {
        let (low, high) = (low as f32, high as f32);
        let x = f64::from(self.bits() & 0x00ff_ffff) / f64::from(1 << 24);
        (x * f64::from(high - low) + f64::from(low)) as f32
    }

    fn twist(&mut self) {
        for i in 0..N {
            let y = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % N] & 0x7fff_ffff);
            let odd = if y & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + M) % N] ^ (y >> 1) ^ odd;
        }
        self.next = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// torch 2.15:
    /// `torch.empty(700).uniform_(low, high, generator=torch.Generator().manual_seed(seed))`, as
    /// bits.
    #[test]
    fn equals_pytorchs_numbers() {
        for (seed, low, high, at, expected) in CASES {
            let mut twister = MersenneTwister::new(seed);
            for _ in 0..at {
                twister.bits();
            }
            let found: Vec<u32> = (0..4)
                .map(|_| twister.uniform(low, high).to_bits())
                .collect();
            assert_eq!(found, expected, "seed {seed} from {at}");
        }
    }

    /// Seed, bounds, the count of preceding numbers, the next four numbers.
    type Case = (u64, f64, f64, usize, [u32; 4]);
    const CASES: [Case; 4] = [
        (
            0,
            -1.0,
            1.0,
            0,
            [0xbbf55400, 0x3f09545e, 0xbf52b316, 0xbf3c6680],
        ),
        (
            7,
            -0.3,
            0.3,
            61,
            [0x3d07492a, 0x3da73358, 0xbe70ca64, 0xbdd04e47],
        ),
        (
            4294967301,
            -0.4330127018922193,
            0.4330127018922193,
            622,
            [0x3dd4e5a1, 0xbcba284b, 0x3e8be8aa, 0x3e8f0805],
        ),
        (
            123,
            0.0,
            1.0,
            8,
            [0x3e3c794c, 0x3f39f86a, 0x3ea168f6, 0x3f2fe639],
        ),
    ];
}
