//! `a · gelu(b)` of the halves of every row (Shazeer, 2020, GEGLU).

use crate::clip::kernels::cpu::exp;
use crate::clip::kernels::cpu::simd::{Instructions, Kernel, Simd};
use crate::clip::kernels::cpu::tile::Output;
use crate::platform::parallel;

/// Numbers of the result a task: enough to be worth handing to a thread.
const CHUNK: usize = 16 * 1024;

/// From `x` `[rows, 2 · width]` to `[rows, width]`.
pub fn gated_gelu(x: &[f32], width: usize, instructions: Instructions) -> Vec<f32> {
    let mut result = vec![0.0; x.len() / 2];
    if result.is_empty() {
        return result;
    }
    assert!(x.len().is_multiple_of(2 * width), "x is not [rows, 2 · {width}]");
    let size = CHUNK.div_ceil(width) * width;
    let length = result.len();
    let output = Output::new(&mut result);
    parallel::for_each(length.div_ceil(size), |task| {
        let place = task * size..length.min((task + 1) * size);
        // SAFETY: no other task has these rows.
        let to = unsafe { output.piece(place.start, place.len()) };
        instructions.run(Rows { x: &x[2 * place.start..2 * place.end], width, to });
    });
    result
}

struct Rows<'a> {
    x: &'a [f32],
    width: usize,
    to: &'a mut [f32],
}

impl Kernel for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for (x, to) in self.x.chunks_exact(2 * self.width).zip(self.to.chunks_exact_mut(self.width)) {
            let (a, b) = x.split_at(self.width);
            for ((a, b), to) in a.chunks(S::LANES).zip(b.chunks(S::LANES)).zip(to.chunks_mut(S::LANES)) {
                simd.write(to, simd.mul(simd.read(a), exp::gelu(simd, simd.read(b))));
            }
        }
    }
}
