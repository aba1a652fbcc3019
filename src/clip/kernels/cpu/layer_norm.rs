//! Layer normalisation (Ba, Kiros and Hinton, 2016, equation 4): a row is read once from memory and stays in the
//! first-level cache for its mean, its variance and its result.

use std::mem::MaybeUninit;

use super::simd::{Instructions, Kernel, Simd};
use super::tile::{NewOutput, written};
use crate::platform::parallel;

/// Rows a task: enough to be worth handing to a thread.
pub(super) const ROWS: usize = 16;

/// `(x − mean) / √(variance + epsilon) · gamma + beta` in every row of `x` `[rows, width]`, `gamma` and `beta` being
/// `[width]`; the variance is the biased one.
pub fn layer_norm(x: &[f32], gamma: &[f32], beta: &[f32], epsilon: f32, instructions: Instructions) -> Vec<f32> {
    let width = gamma.len();
    assert!(beta.len() == width, "gamma has {width} numbers, beta {}", beta.len());
    if x.is_empty() {
        return Vec::new();
    }
    assert!(x.len().is_multiple_of(width), "x is not [rows, {width}]");
    let size = ROWS * width;
    let fill = |output: &NewOutput<'_>| {
        parallel::for_each(x.len().div_ceil(size), |task| {
            let start = task * size;
            let x = &x[start..x.len().min(start + size)];
            // SAFETY: no other task has these rows.
            let output = unsafe { output.piece(start, x.len()) };
            instructions.run(Rows { x, gamma, beta, epsilon, output });
        });
    };
    // SAFETY: the tasks' rows are all rows, and a task writes all of its own.
    unsafe { written(x.len(), fill) }
}

struct Rows<'a> {
    x: &'a [f32],
    gamma: &'a [f32],
    beta: &'a [f32],
    epsilon: f32,
    output: &'a mut [MaybeUninit<f32>],
}

impl Kernel for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let width = self.gamma.len();
        for (x, output) in self.x.chunks_exact(width).zip(self.output.chunks_exact_mut(width)) {
            let (mean, scale) = moments(simd, x, self.epsilon);
            let (means, scale) = (simd.splat(mean), simd.splat(scale));
            for (index, to) in output.chunks_mut(S::LANES).enumerate() {
                let at = index * S::LANES..index * S::LANES + to.len();
                let centred = simd.sub(simd.read(&x[at.clone()]), means);
                let gamma = simd.read(&self.gamma[at.clone()]);
                simd.write_new(to, simd.mul_add(simd.mul(centred, scale), gamma, simd.read(&self.beta[at])));
            }
        }
    }
}

/// A row's mean and `1 / √(variance + epsilon)`.
#[inline(always)]
pub(super) fn moments<S: Simd>(simd: S, x: &[f32], epsilon: f32) -> (f32, f32) {
    let width = x.len();
    // What is left over of a row after the last whole vector.
    let rest = &x[width / S::LANES * S::LANES..];
    let mut sums = simd.splat(0.0);
    for lanes in x.chunks_exact(S::LANES) {
        sums = simd.add(sums, simd.read(lanes));
    }
    let mean = (simd.sum(sums) + rest.iter().sum::<f32>()) / width as f32;
    let means = simd.splat(mean);
    let mut squares = simd.splat(0.0);
    for lanes in x.chunks_exact(S::LANES) {
        let centred = simd.sub(simd.read(lanes), means);
        squares = simd.mul_add(centred, centred, squares);
    }
    let tail: f32 = rest.iter().map(|x| (x - mean) * (x - mean)).sum();
    let variance = (simd.sum(squares) + tail) / width as f32;
    (mean, 1.0 / (variance + epsilon).sqrt())
}
