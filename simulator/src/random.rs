//! Chance, from one seed: everything that the model leaves open is drawn here, in a fixed order.
//!
//! xoshiro256** (Blackman and Vigna, 2018), seeded through SplitMix64 as its authors advise. Small
//! enough to be read, and the same on every machine.

use std::time::Duration;

/// A stream of numbers that follows from its seed.
#[derive(Debug, Clone)]
pub(crate) struct Random {
    state: [u64; 4],
}

impl Random {
    /// The stream of this seed.
    pub(crate) fn new(seed: u64) -> Self {
        let mut mixed = seed;
        let state = std::array::from_fn(|_| {
            mixed = mixed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut bits = mixed;
            bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            bits ^ bits >> 31
        });
        Self { state }
    }

    /// The next 64 bits.
    pub(crate) const fn next(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let drawn = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let (c, d) = (c ^ a, d ^ b);
        self.state = [a ^ d, b ^ c, c ^ b << 17, d.rotate_left(45)];
        drawn
    }

    /// 32 bytes, for a key.
    pub(crate) fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for part in bytes.chunks_mut(8) {
            part.copy_from_slice(&self.next().to_le_bytes());
        }
        bytes
    }

    /// A number below `bound`; zero when there is none.
    pub(crate) const fn below(&mut self, bound: u64) -> u64 {
        // The bias of the remainder is far below anything that a scenario could notice.
        if bound == 0 { 0 } else { self.next() % bound }
    }

    /// True in so many of a hundred cases.
    pub(crate) const fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A span from `shortest` to `longest`, in whole microseconds.
    pub(crate) fn between(&mut self, shortest: Duration, longest: Duration) -> Duration {
        let range = longest.saturating_sub(shortest).as_micros();
        let range = u64::try_from(range).unwrap_or(u64::MAX);
        shortest + Duration::from_micros(self.below(range.saturating_add(1)))
    }

    /// A span from `shortest` to `longest` milliseconds.
    pub(crate) fn millis(&mut self, shortest: u64, longest: u64) -> Duration {
        self.between(Duration::from_millis(shortest), Duration::from_millis(longest))
    }

    /// One of these, if there are any.
    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        let length = u64::try_from(from.len()).unwrap_or(u64::MAX);
        from.get(usize::try_from(self.below(length)).unwrap_or(0)).copied()
    }

    /// Up to `count` different numbers below `bound`, none of them `but`.
    pub(crate) fn others(&mut self, bound: usize, but: usize, count: usize) -> Vec<usize> {
        let wanted = count.min(bound.saturating_sub(1));
        let mut drawn = Vec::with_capacity(wanted);
        while drawn.len() < wanted {
            let next = self.below(u64::try_from(bound).unwrap_or(u64::MAX));
            let next = usize::try_from(next).unwrap_or(0);
            if next != but && !drawn.contains(&next) {
                drawn.push(next);
            }
        }
        drawn
    }

    /// Up to `count` different ones of these.
    pub(crate) fn some<T: Copy>(&mut self, from: &[T], count: usize) -> Vec<T> {
        let mut left = from.to_vec();
        let mut drawn = Vec::new();
        while drawn.len() < count && !left.is_empty() {
            let length = u64::try_from(left.len()).unwrap_or(u64::MAX);
            drawn.push(left.remove(usize::try_from(self.below(length)).unwrap_or(0)));
        }
        drawn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_stream_and_another_seed_another() {
        let stream = |seed| {
            let mut random = Random::new(seed);
            [random.next(), random.next(), random.next()]
        };
        assert_eq!(stream(7), stream(7));
        assert_ne!(stream(7), stream(8));
        assert_ne!(stream(0), [0; 3]);
    }

    #[test]
    fn draws_stay_within_their_bounds() {
        let mut random = Random::new(1);
        for _ in 0..1_000 {
            assert!(random.below(7) < 7);
            let span = random.millis(5, 9);
            assert!((Duration::from_millis(5)..=Duration::from_millis(9)).contains(&span));
        }
        assert_eq!(random.some(&[1, 2, 3], 9).len(), 3);
        let mut others = random.others(4, 2, 9);
        others.sort_unstable();
        assert_eq!(others, [0, 1, 3]);
        assert!(random.others(1, 0, 3).is_empty());
        assert_eq!(random.pick::<u8>(&[]), None);
    }
}
