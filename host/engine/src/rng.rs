//! Seeded random numbers that depend on their purpose, never on the order of calls. Called to
//! initialise parameters and to shuffle.

use progtune_kernels::dropout::mix;

/// A stream of random numbers, determined by the seed and the purpose.
#[derive(Debug, Clone)]
pub struct Stream {
    state: u64,
}

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

impl Stream {
    /// Creates the stream of `seed` for `purpose` (a parameter's name, `shuffle/3`, …).
    pub fn new(seed: u64, purpose: &str) -> Self {
        let mut state = mix(seed.wrapping_add(GOLDEN));
        for byte in purpose.bytes() {
            state = mix(state ^ u64::from(byte)).wrapping_add(GOLDEN);
        }
        Self { state }
    }

    /// The next 64 random bits (splitmix64).
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// A uniform number in [0, 1) with 53 random bits.
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A standard normal number (Box–Muller; the second of each pair is discarded).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (2.0 * std::f64::consts::PI * self.uniform()).cos()
    }

    /// A uniform whole number in 0..n (n > 0).
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }

    /// Shuffles the items (Fisher–Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

/// A random permutation of 0..n that computes each element on its own, for sets whose order would
/// take much memory.
///
/// A Feistel network over the next power of four is applied until the number is below n. Source:
/// Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002.
#[derive(Debug, Clone)]
pub struct Permutation {
    n: u64,
    /// Half the number of bits.
    half: u32,
    keys: [u64; 6],
}

impl Permutation {
    /// Creates the permutation that `stream` determines.
    pub fn new(n: usize, stream: &mut Stream) -> Self {
        let n = n as u64;
        let bits = u64::BITS - n.saturating_sub(1).leading_zeros();
        Self {
            n,
            half: bits.div_ceil(2).max(1),
            keys: std::array::from_fn(|_| stream.bits()),
        }
    }

    /// The element at a position below n.
    pub fn at(&self, place: usize) -> usize {
        let mut number = place as u64;
        loop {
            number = self.network(number);
            if number < self.n {
                return number as usize;
            }
        }
    }

    fn network(&self, number: u64) -> u64 {
        let mask = (1 << self.half) - 1;
        let (mut left, mut right) = (number >> self.half, number & mask);
        for key in self.keys {
            (left, right) = (right, left ^ (mix(right ^ key) & mask));
        }
        left << self.half | right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permutation_has_everything_once_wherever_one_begins() {
        for n in [1, 2, 3, 4, 5, 63, 64, 65, 1000] {
            let permutation = Permutation::new(n, &mut Stream::new(3, "p"));
            let mut all: Vec<usize> = (0..n).rev().map(|place| permutation.at(place)).collect();
            all.sort_unstable();
            assert_eq!(all, (0..n).collect::<Vec<_>>(), "{n}");
        }
    }

    /// Neighbours are far apart and the halves mix, as in a random order.
    #[test]
    fn a_permutation_is_random() {
        let n = 100_000;
        let order = |purpose| {
            let permutation = Permutation::new(n, &mut Stream::new(7, purpose));
            (0..n)
                .map(|place| permutation.at(place))
                .collect::<Vec<_>>()
        };
        let (a, b) = (order("a"), order("b"));
        let same = a.iter().zip(&b).filter(|(a, b)| a == b).count();
        assert!(same < 12, "one is expected: {same}");
        let distance: usize = a.windows(2).map(|pair| pair[0].abs_diff(pair[1])).sum();
        let mean = distance as f64 / n as f64;
        // A third of n; the standard deviation of the mean is about n / 1300.
        assert!((mean - n as f64 / 3.0).abs() < n as f64 / 150.0, "{mean}");
        let low = a[..n / 2].iter().filter(|&&x| x < n / 2).count();
        assert!(low.abs_diff(n / 4) < 700, "{low}");
    }

    #[test]
    fn streams_are_reproducible_and_differ_by_purpose() {
        let take = |seed, purpose| Stream::new(seed, purpose).bits();
        assert_eq!(take(1, "a"), take(1, "a"));
        assert_ne!(take(1, "a"), take(1, "b"));
        assert_ne!(take(1, "a"), take(2, "a"));
    }

    #[test]
    fn moments_are_right() {
        let mut stream = Stream::new(7, "moments");
        let n = 100_000;
        let numbers: Vec<f64> = (0..n).map(|_| stream.normal()).collect();
        let mean = numbers.iter().sum::<f64>() / n as f64;
        let variance = numbers.iter().map(|x| x * x).sum::<f64>() / n as f64;
        assert!(
            mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02,
            "{mean} {variance}"
        );
        let mut items: Vec<usize> = (0..100).collect();
        stream.shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
