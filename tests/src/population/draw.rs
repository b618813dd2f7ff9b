//! Chance that is the same on every machine and in every version: SplitMix64.

/// A source of chance.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The source that a seed and a place in the population give. Two places are independent.
    #[must_use]
    pub fn new(seed: u64, place: u64) -> Chance {
        Chance(mix(seed ^ mix(place.wrapping_add(0x9e37_79b9_7f4a_7c15))))
    }

    /// 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `n`; 0 if `n` is 0.
    pub fn below(&mut self, n: u32) -> u32 {
        (((self.bits() >> 32) * u64::from(n)) >> 32) as u32
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: i32, high: i32) -> i32 {
        low + self.below((high - low).max(0) as u32 + 1) as i32
    }

    /// A number in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True this often.
    pub fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Near the normal distribution: the sum of four even draws, scaled to deviation 1.
    pub fn normal(&mut self) -> f64 {
        let sum: f64 = (0..4).map(|_| self.unit()).sum();
        (sum - 2.0) * 3f64.sqrt()
    }

    /// Poisson for small means, normal for large ones.
    pub fn poisson(&mut self, mean: f64) -> u64 {
        if mean > 50.0 {
            return (mean + mean.sqrt() * self.normal()).round().max(0.0) as u64;
        }
        let (limit, mut product, mut count) = ((-mean).exp(), self.unit(), 0);
        while product > limit {
            product *= self.unit();
            count += 1;
        }
        count
    }

    /// One of them.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u32) as usize]
    }
}

/// The finaliser of SplitMix64: a bijection that scatters its input.
#[must_use]
pub fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Things to draw by weight.
#[derive(Clone, Debug)]
pub struct Weighted<T> {
    items: Vec<T>,
    /// Weight of each item and all before it.
    sums: Vec<f64>,
}

impl<T: Copy> Weighted<T> {
    /// From things with their weights; there must be one at least.
    pub fn new(items: impl IntoIterator<Item = (T, f64)>) -> Weighted<T> {
        let mut table = Weighted { items: Vec::new(), sums: Vec::new() };
        let mut sum = 0.0;
        for (item, weight) in items {
            sum += weight;
            table.items.push(item);
            table.sums.push(sum);
        }
        table
    }

    /// Draws one.
    pub fn draw(&self, chance: &mut Chance) -> T {
        let total = self.sums.last().copied().unwrap_or_default();
        let point = chance.unit() * total;
        let at = self.sums.partition_point(|sum| *sum <= point);
        self.items[at.min(self.items.len() - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_follow_the_weights_and_the_seed() {
        let table = Weighted::new([('a', 3.0), ('b', 1.0)]);
        let draw = |seed| -> Vec<char> {
            let mut chance = Chance::new(seed, 0);
            (0..4000).map(|_| table.draw(&mut chance)).collect()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let share = draw(1).iter().filter(|c| **c == 'a').count();
        assert!((2850..3150).contains(&share), "{share}");
    }

    #[test]
    fn poisson_has_its_mean() {
        let mut chance = Chance::new(7, 7);
        for mean in [0.3, 4.0, 80.0] {
            let sum: u64 = (0..4000).map(|_| chance.poisson(mean)).sum();
            let found = sum as f64 / 4000.0;
            assert!((found - mean).abs() < 0.05 * mean + 0.05, "{found} for {mean}");
        }
    }
}
