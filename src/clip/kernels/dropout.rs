//! Dropout (Srivastava et al., 2014) whose mask is a function of a seed and a position.
//!
//! Nothing has to be stored between the forward and the backward pass: both compute the mask again. And as it is made of
//! whole numbers only, every backend and every number of threads drops the same elements.

/// Dropout of one input that several groups of rows see, each through a mask of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Dropout {
    /// How likely an element is dropped, from 0 (none) to below 1.
    pub probability: f32,
    /// One seed a group.
    pub seeds: Vec<u32>,
}

impl Dropout {
    /// Drops nothing in any of `groups` groups.
    pub fn none(groups: usize) -> Self {
        Self { probability: 0.0, seeds: vec![0; groups] }
    }

    /// How many groups have a mask.
    pub fn groups(&self) -> usize {
        self.seeds.len()
    }

    /// Whether no mask drops anything, so that none need be computed.
    pub fn is_none(&self) -> bool {
        self.threshold() == 0
    }

    /// Whether `group` sees element `index` = `row · width + column` of an input `[rows, width]`.
    pub fn keeps(&self, group: usize, index: u32) -> bool {
        hash(self.seeds[group], index) >= self.threshold()
    }

    /// What an element that is kept is multiplied by, `1 / (1 − probability)`: the expected value stays as it was.
    pub fn scale(&self) -> f32 {
        if self.probability < 1.0 { 1.0 / (1.0 - self.probability.max(0.0)) } else { 0.0 }
    }

    /// The factors of a group, [`Dropout::scale`] or 0, for an input `[rows, width]`.
    pub fn mask(&self, group: usize, rows: usize, width: usize) -> Vec<f32> {
        let scale = self.scale();
        (0..rows * width).map(|index| if self.keeps(group, index as u32) { scale } else { 0.0 }).collect()
    }

    /// Elements are kept whose hash is at least this: `probability · 2³²`, to the nearest whole number.
    pub(super) fn threshold(&self) -> u32 {
        // The conversion saturates, and takes NaN for 0.
        (f64::from(self.probability) * 4_294_967_296.0).round() as u32
    }
}

/// Neighbouring indices come to lie this far apart: 2³² over the golden ratio.
pub(super) const STRIDE: u32 = 0x9E37_79B9;

/// The multipliers of the two rounds, and the shifts before, between and after them: found by Wellons' search for
/// mixes of low bias ("Hash Prospector", 2018, and its later best).
pub(super) const MULTIPLIERS: [u32; 2] = [0x21F0_AAAD, 0x735A_2D97];
pub(super) const SHIFTS: [u32; 3] = [16, 15, 15];

/// 32 bits that look random in every position.
fn hash(seed: u32, index: u32) -> u32 {
    let [first, second] = seed_terms(seed);
    let bits = index.wrapping_mul(STRIDE).wrapping_add(first);
    let bits = (bits ^ bits >> SHIFTS[0]).wrapping_mul(MULTIPLIERS[0]);
    let bits = (bits ^ bits >> SHIFTS[1]).wrapping_add(second).wrapping_mul(MULTIPLIERS[1]);
    bits ^ bits >> SHIFTS[2]
}

/// What a seed adds before the first and before the second round. Without the second term, two seeds would give the same
/// sequence at different starts, and masks could repeat one another further on.
pub(super) fn seed_terms(seed: u32) -> [u32; 2] {
    let bits = (seed ^ seed >> SHIFTS[0]).wrapping_mul(MULTIPLIERS[1]);
    [seed, bits ^ bits >> SHIFTS[1]]
}

#[cfg(test)]
mod tests {
    use burn_flex::{Flex, FlexDevice};

    use super::*;
    use crate::clip::kernels::portable;

    const COUNT: usize = 1 << 20;

    /// The masks of two seeds that differ in one bit, and of one unlike both.
    fn dropout(probability: f32) -> Dropout {
        Dropout { probability, seeds: vec![1, 0, 0xDEAD_BEEF] }
    }

    fn kept(dropout: &Dropout, group: usize) -> Vec<f64> {
        (0..COUNT).map(|index| f64::from(u8::from(dropout.keeps(group, index as u32)))).collect()
    }

    fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
        let count = values.len() as f64;
        values.sum::<f64>() / count
    }

    /// The correlation of two masks that keep with the given probability.
    fn correlation(a: &[f64], b: &[f64], keep: f64) -> f64 {
        mean(a.iter().zip(b).map(|(a, b)| (a - keep) * (b - keep))) / (keep * (1.0 - keep))
    }

    #[test]
    fn as_many_are_dropped_as_asked_for() {
        for probability in [0.0, 0.05, 0.25, 0.5, 0.9] {
            let dropout = dropout(probability);
            let keep = 1.0 - f64::from(probability);
            // Five standard errors.
            let tolerance = 5.0 * (keep * (1.0 - keep) / COUNT as f64).sqrt();
            for group in 0..3 {
                let share = mean(kept(&dropout, group).into_iter());
                assert!((share - keep).abs() <= tolerance, "group {group} keeps {share} at {probability}");
            }
        }
    }

    #[test]
    fn neighbours_rows_and_groups_are_independent() {
        let dropout = dropout(0.25);
        let tolerance = 5.0 / (COUNT as f64).sqrt();
        let masks: Vec<Vec<f64>> = (0..3).map(|group| kept(&dropout, group)).collect();
        for (group, mask) in masks.iter().enumerate() {
            for distance in [1, 2, 3, 4, 8, 16, 64, 512, 768, 1024, 3072] {
                let found = correlation(&mask[distance..], mask, 0.75);
                assert!(found.abs() <= tolerance, "group {group}, {distance} apart: {found}");
            }
            for (other, others) in masks.iter().enumerate().skip(group + 1) {
                let found = correlation(mask, others, 0.75);
                assert!(found.abs() <= tolerance, "groups {group} and {other}: {found}");
            }
        }
    }

    #[test]
    fn every_bit_of_the_hash_is_even() {
        for seed in [0, 1, 77, 0x8000_0000] {
            for bit in 0..32 {
                let share = mean((0..COUNT).map(|index| f64::from(hash(seed, index as u32) >> bit & 1)));
                assert!((share - 0.5).abs() <= 2.5 / (COUNT as f64).sqrt(), "seed {seed}, bit {bit}: {share}");
            }
        }
    }

    #[test]
    fn a_backend_computes_the_same_mask_itself() {
        for (probability, seed, shape) in [(0.25, 0, [7, 9]), (0.5, 0xDEAD_BEEF, [300, 512]), (0.999, 77, [64, 33])] {
            let dropout = Dropout { probability, seeds: vec![1, seed] };
            let found = portable::mask::<Flex>(&dropout, 1, shape, &FlexDevice).into_data().to_vec::<f32>().unwrap();
            assert_eq!(found, dropout.mask(1, shape[0], shape[1]), "probability {probability}, seed {seed}");
        }
    }

    #[test]
    fn mask_holds_the_factors() {
        let dropout = dropout(0.25);
        let mask = dropout.mask(2, 7, 9);
        assert_eq!(mask.len(), 63);
        for (index, factor) in mask.into_iter().enumerate() {
            assert_eq!(factor, if dropout.keeps(2, index as u32) { 1.0 / 0.75 } else { 0.0 });
        }
        assert!(Dropout::none(2).mask(1, 3, 4).iter().all(|&factor| factor == 1.0));
        assert!(Dropout::none(2).is_none() && !dropout.is_none());
        // Everything dropped is not a division by zero.
        let all = Dropout { probability: 1.0, seeds: vec![3] };
        assert!(all.mask(0, 10, 10).iter().all(|&factor| factor == 0.0));
    }
}
