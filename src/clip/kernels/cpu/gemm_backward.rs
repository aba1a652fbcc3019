//! `gradient · W` with the weights as the forward product has them.
//!
//! The forward panels hold a column for each output; this product needs one for each input. A second packed copy would
//! double the memory of a frozen tower, so every task turns its part of the panels round as it goes: `width` inputs of one
//! panel are a square that lies together, and turning it costs little beside the rows that it is then multiplied by.

use super::gemm::{DEPTH_BLOCK, Packed};
use super::parallel;
use super::simd::{Kernel, Simd};
use super::tile::{Aligned, LINE, Left, Output, ROWS, multiply_few};

/// Rows that are worth turning the weights round for once more.
const LEAST_ROWS: usize = 192;

impl Packed {
    /// The gradient by `x` of `x · Wᵀ`: `gradient` is `[rows, outputs]`, the result `[rows, inputs]`.
    pub fn linear_backward(&self, gradient: &[f32], rows: usize) -> Vec<f32> {
        assert_eq!(gradient.len(), rows * self.outputs, "gradient is not [{rows}, {}]", self.outputs);
        let mut result = vec![0.0; rows * self.inputs];
        if result.is_empty() || self.outputs == 0 {
            return result;
        }
        let panels = self.inputs.div_ceil(self.width);
        // All rows, unless the threads would lack tasks.
        let parts = (4 * parallel::threads()).div_ceil(panels).min(rows.div_ceil(LEAST_ROWS));
        let block = rows.div_ceil(parts).next_multiple_of(ROWS);
        let output = Output::new(&mut result);
        parallel::for_each(rows.div_ceil(block) * panels, |task| {
            let (start, panel) = (task / panels * block, task % panels);
            let rows = block.min(rows - start);
            let gradient = &gradient[start * self.outputs..];
            self.instructions.run(Task { weights: self, gradient, output: &output, start, rows, panel });
        });
        result
    }
}

/// A block of rows times one panel of inputs.
struct Task<'a> {
    weights: &'a Packed,
    gradient: &'a [f32],
    output: &'a Output<'a>,
    start: usize,
    rows: usize,
    panel: usize,
}

impl Kernel for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match S::COLUMNS {
            4 => self.product::<S, 4>(simd),
            2 => self.product::<S, 2>(simd),
            columns => unreachable!("no microkernel is {columns} vectors wide"),
        }
    }
}

impl Task<'_> {
    #[inline(always)]
    fn product<S: Simd, const COLUMNS: usize>(&self, simd: S) {
        let Packed { outputs, inputs, .. } = *self.weights;
        let width = COLUMNS * S::LANES;
        assert_eq!(width, self.weights.width, "weights were packed for other instructions");
        let first = self.panel * width;
        let columns = width.min(inputs - first);
        let mut turned = Aligned::zeros(DEPTH_BLOCK.min(outputs.next_multiple_of(width)) * width);
        let turned = turned.as_mut_slice();
        let mut sums = Aligned::zeros(self.rows * width);
        let sums = sums.as_mut_slice();
        for from in (0..outputs).step_by(DEPTH_BLOCK) {
            let depth = DEPTH_BLOCK.min(outputs - from);
            for (index, turned) in
                turned[..depth.next_multiple_of(width) * width].chunks_exact_mut(width * width).enumerate()
            {
                let panel = from / width + index;
                let square = &self.weights.panels.as_slice()[(panel * inputs + first) * width..][..columns * width];
                turn::<S>(square, turned, width);
            }
            for row in (0..self.rows).step_by(ROWS) {
                let rows = ROWS.min(self.rows - row);
                let a = Left { values: &self.gradient[row * outputs + from..], row: outputs, step: 1 };
                let sums = &mut sums[row * width..][..rows * width];
                multiply_few::<S, COLUMNS>(simd, rows, depth, a, turned, &[], sums, from > 0);
                if from + depth == outputs {
                    for (index, sums) in sums.chunks_exact(width).enumerate() {
                        let at = (self.start + row + index) * inputs + first;
                        // SAFETY: no other task has these rows of this panel.
                        unsafe { self.output.piece(at, columns) }.copy_from_slice(&sums[..columns]);
                    }
                }
            }
        }
    }
}

/// Writes `square` `[inputs, width]`, at most `width` inputs, as `turned` `[width, width]` with the inputs as columns.
#[inline(always)]
fn turn<S: Simd>(square: &[f32], turned: &mut [f32], width: usize) {
    /// A vector's worth of columns at a time: what is written stays within few lines of the cache.
    const BLOCK: usize = LINE;
    for (block, inputs) in square.chunks(BLOCK * width).enumerate() {
        for (column, row) in turned.chunks_exact_mut(width).enumerate() {
            let row = &mut row[block * BLOCK..];
            for (to, input) in row.iter_mut().zip(inputs.chunks_exact(width)) {
                *to = input[column];
            }
        }
    }
}
