//! The weights of one direction in Pillow's fixed point.

use std::ops::Range;

use super::Filter;

/// Bits after the point in a weight: 32 less 8 for the pixel and 2 for filters whose weights overshoot 1.
pub const PRECISION: u32 = 32 - 8 - 2;

/// The weights of one direction in fixed point: for each output pixel the first input pixel and a run of weights.
pub struct Weights {
    /// First input pixel and end of the run in `values`, for each output pixel; a run starts where the last one ended.
    pub runs: Vec<(usize, usize)>,
    values: Vec<i32>,
}

impl Weights {
    /// Weights for `count` output pixels from `first`, of `output` in all, over `input` pixels.
    pub fn new(input: u32, output: u64, first: u64, count: u32, filter: Filter) -> Self {
        let mut weights = Self { runs: Vec::with_capacity(count as usize), values: Vec::new() };
        if u64::from(input) == output {
            // No pass at all in Pillow; one weight of 1 gives the same bytes.
            weights.runs.extend((0..count as usize).map(|index| (first as usize + index, index + 1)));
            weights.values.resize(count as usize, 1 << PRECISION);
            return weights;
        }
        let scale = f64::from(input) / output as f64;
        let stretch = scale.max(1.0);
        let support = filter.support() * stretch;
        let inverse = 1.0 / stretch;
        let mut exact = Vec::new();
        for index in first..first + u64::from(count) {
            let centre = (index as f64 + 0.5) * scale;
            let start = ((centre - support + 0.5) as i64).max(0);
            let end = ((centre + support + 0.5) as i64).min(i64::from(input));
            exact.clear();
            exact.extend((start..end).map(|pixel| filter.weight((pixel as f64 - centre + 0.5) * inverse)));
            let sum: f64 = exact.iter().sum();
            let fixed = |weight: &f64| {
                let weight = if sum == 0.0 { *weight } else { weight / sum };
                (f64::from(1 << PRECISION) * weight + 0.5_f64.copysign(weight)) as i32
            };
            weights.values.extend(exact.iter().map(fixed));
            weights.runs.push((start as usize, weights.values.len()));
        }
        weights
    }

    /// First input pixel and weights of an output pixel.
    #[inline(always)]
    pub fn run(&self, index: usize) -> (usize, &[i32]) {
        let begin = if index == 0 { 0 } else { self.runs[index - 1].1 };
        let (first, end) = self.runs[index];
        (first, &self.values[begin..end])
    }

    /// The input pixels that any output pixel needs; both ends grow with the output pixel.
    pub fn span(&self) -> Range<usize> {
        let Some(last) = self.runs.len().checked_sub(1) else { return 0..0 };
        let (first, weights) = self.run(last);
        self.runs[0].0..first + weights.len()
    }
}
