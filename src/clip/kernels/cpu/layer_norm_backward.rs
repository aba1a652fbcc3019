//! The gradient of layer normalisation by its input: mean and variance are computed again from the row, which is cheaper
//! than to keep them apart.

use std::mem::MaybeUninit;

use super::layer_norm::ROWS;
use super::simd::{Instructions, Kernel, Simd};
use super::tile::{NewOutput, written};
use crate::platform::parallel;

/// The gradient by `x` `[rows, width]` of [`super::layer_norm::layer_norm`], whose result's gradient is `gradient`
/// `[rows, width]`: with `n = (x − mean) / σ` and `g = gradient · gamma` it is `(g − mean(g) − n · mean(g n)) / σ`, where
/// `σ = √(variance + epsilon)`.
pub fn layer_norm_backward(
    x: &[f32],
    gamma: &[f32],
    epsilon: f32,
    gradient: &[f32],
    instructions: Instructions,
) -> Vec<f32> {
    let width = gamma.len();
    assert_eq!(x.len(), gradient.len(), "x and gradient have unlike numbers of elements");
    if x.is_empty() {
        return Vec::new();
    }
    assert!(x.len().is_multiple_of(width), "x is not [rows, {width}]");
    let size = ROWS * width;
    let fill = |output: &NewOutput<'_>| {
        parallel::for_each(x.len().div_ceil(size), |task| {
            let place = task * size..x.len().min((task + 1) * size);
            // SAFETY: no other task has these rows.
            let output = unsafe { output.piece(place.start, place.len()) };
            instructions.run(Rows { x: &x[place.clone()], gamma, epsilon, gradient: &gradient[place], output });
        });
    };
    // SAFETY: the tasks' rows are all rows, and a task writes all of its own.
    unsafe { written(x.len(), fill) }
}

struct Rows<'a> {
    x: &'a [f32],
    gamma: &'a [f32],
    epsilon: f32,
    gradient: &'a [f32],
    output: &'a mut [MaybeUninit<f32>],
}

impl Kernel for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (width, gamma) = (self.gamma.len(), self.gamma);
        let rows = self.x.chunks_exact(width).zip(self.gradient.chunks_exact(width));
        for ((x, gradient), output) in rows.zip(self.output.chunks_exact_mut(width)) {
            let (mean, scale) = super::layer_norm::moments(simd, x, self.epsilon);
            let (means, scales) = (simd.splat(mean), simd.splat(scale));
            // mean(g) and mean(g n); vectors that end after the row are filled with zeros, and add none.
            let (mut sum, mut product) = (simd.splat(0.0), simd.splat(0.0));
            for ((x, gradient), gamma) in x.chunks(S::LANES).zip(gradient.chunks(S::LANES)).zip(gamma.chunks(S::LANES))
            {
                let g = simd.mul(simd.read(gradient), simd.read(gamma));
                let n = simd.mul(simd.sub(simd.read(x), means), scales);
                sum = simd.add(sum, g);
                product = simd.mul_add(g, n, product);
            }
            let sum = simd.splat(simd.sum(sum) / width as f32);
            let product = simd.splat(simd.sum(product) / width as f32);
            for (index, to) in output.chunks_mut(S::LANES).enumerate() {
                let at = index * S::LANES..index * S::LANES + to.len();
                let g = simd.mul(simd.read(&gradient[at.clone()]), simd.read(&gamma[at.clone()]));
                let n = simd.mul(simd.sub(simd.read(&x[at]), means), scales);
                let rest = simd.sub(simd.sub(g, sum), simd.mul(n, product));
                simd.write_new(to, simd.mul(rest, scales));
            }
        }
    }
}
