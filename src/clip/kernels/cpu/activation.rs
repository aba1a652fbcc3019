//! The activations by themselves, and their derivatives: training needs what comes before an activation too, so there it
//! is not fused into the product.

use std::mem::MaybeUninit;

use super::super::Activation;
use super::exp;
use super::simd::{Instructions, Kernel, Simd};
use super::tile::{NewOutput, written};
use crate::platform::parallel;

/// Numbers a task: enough to be worth handing to a thread.
const CHUNK: usize = 16 * 1024;

/// `activation(x)` of every number.
pub fn activate(x: &[f32], activation: Activation, instructions: Instructions) -> Vec<f32> {
    chunks(x, None, activation, instructions)
}

/// `gradient · activation′(x)` of every number, `x` being what came before the activation.
pub fn activate_backward(x: &[f32], activation: Activation, gradient: &[f32], instructions: Instructions) -> Vec<f32> {
    assert_eq!(x.len(), gradient.len(), "x and gradient have unlike numbers of elements");
    chunks(x, Some(gradient), activation, instructions)
}

fn chunks(x: &[f32], gradient: Option<&[f32]>, activation: Activation, instructions: Instructions) -> Vec<f32> {
    let fill = |output: &NewOutput<'_>| {
        parallel::for_each(x.len().div_ceil(CHUNK), |task| {
            let place = task * CHUNK..x.len().min((task + 1) * CHUNK);
            // SAFETY: no other task has this chunk.
            let output = unsafe { output.piece(place.start, place.len()) };
            let gradient = gradient.map(|gradient| &gradient[place.clone()]);
            instructions.run(Chunk { x: &x[place], gradient, activation, output });
        });
    };
    // SAFETY: the chunks are all of it, and a task writes all of its own.
    unsafe { written(x.len(), fill) }
}

struct Chunk<'a> {
    x: &'a [f32],
    /// Present for the derivative.
    gradient: Option<&'a [f32]>,
    activation: Activation,
    output: &'a mut [MaybeUninit<f32>],
}

impl Kernel for Chunk<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for (index, (x, to)) in self.x.chunks(S::LANES).zip(self.output.chunks_mut(S::LANES)).enumerate() {
            let x = simd.read(x);
            let y = match (self.gradient, self.activation) {
                (None, Activation::Identity) => x,
                (None, Activation::QuickGelu) => exp::quick_gelu(simd, x),
                (None, Activation::Gelu) => exp::gelu(simd, x),
                (Some(gradient), activation) => {
                    let at = index * S::LANES;
                    let gradient = simd.read(&gradient[at..at + to.len()]);
                    match activation {
                        Activation::Identity => gradient,
                        Activation::QuickGelu => simd.mul(gradient, exp::quick_gelu_derivative(simd, x)),
                        Activation::Gelu => simd.mul(gradient, exp::gelu_derivative(simd, x)),
                    }
                }
            };
            simd.write_new(to, y);
        }
    }
}
