//! `a · gelu(b)` of the halves of every row (Shazeer, 2020, GEGLU).

use std::mem::MaybeUninit;

use crate::clip::kernels::cpu::exp;
use crate::clip::kernels::cpu::simd::{Instructions, Kernel, Simd};
use crate::clip::kernels::cpu::tile::{NewOutput, written};
use crate::platform::parallel;

/// Numbers of the result a task: enough to be worth handing to a thread.
const CHUNK: usize = 16 * 1024;

/// From `x` `[rows, 2 · width]` to `[rows, width]`.
pub fn gated_gelu(x: &[f32], width: usize, instructions: Instructions) -> Vec<f32> {
    let length = x.len() / 2;
    if length == 0 {
        return Vec::new();
    }
    assert!(x.len().is_multiple_of(2 * width), "x is not [rows, 2 · {width}]");
    let size = CHUNK.div_ceil(width) * width;
    let fill = |output: &NewOutput<'_>| {
        parallel::for_each(length.div_ceil(size), |task| {
            let place = task * size..length.min((task + 1) * size);
            // SAFETY: no other task has these rows.
            let to = unsafe { output.piece(place.start, place.len()) };
            instructions.run(Rows { x: &x[2 * place.start..2 * place.end], width, to });
        })
    };
    // SAFETY: the tasks' rows are all rows, and a task writes all of its own.
    unsafe { written(length, fill) }
}

struct Rows<'a> {
    x: &'a [f32],
    width: usize,
    to: &'a mut [MaybeUninit<f32>],
}

impl Kernel for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for (x, to) in self.x.chunks_exact(2 * self.width).zip(self.to.chunks_exact_mut(self.width)) {
            let (a, b) = x.split_at(self.width);
            for ((a, b), to) in a.chunks(S::LANES).zip(b.chunks(S::LANES)).zip(to.chunks_mut(S::LANES)) {
                simd.write_new(to, simd.mul(simd.read(a), exp::gelu(simd, simd.read(b))));
            }
        }
    }
}
