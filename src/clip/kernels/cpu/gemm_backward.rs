//! `gradient · W` with the weights as the forward product has them.
//!
//! The forward panels hold a column for each output; this product needs one for each input. To keep a second packing
//! would double the memory of a frozen tower. So the panels are turned round for one product and forgotten: that reads
//! every weight once, a few hundredths of the work at a training step's number of rows. (To turn them panel by panel
//! inside the tasks saves the passing copy, but then a task must take all rows at once, which leave the cache: slower.)

use super::super::Activation;
use super::gemm::Packed;
use super::panels::Panels;
use super::simd::{Kernel, Simd};
use super::tile::{Aligned, LINE, Output, with_scratch};
use crate::platform::parallel;

impl Packed {
    /// The gradient by `x` of `x · Wᵀ`: `gradient` is `[rows, outputs]`, the result `[rows, inputs]`.
    pub fn linear_backward(&self, gradient: &[f32], rows: usize) -> Vec<f32> {
        assert_eq!(gradient.len(), rows * self.outputs, "gradient is not [{rows}, {}]", self.outputs);
        if rows == 0 {
            return Vec::new();
        }
        self.turned().linear(gradient, None, Activation::Identity, None, rows)
    }

    /// `Wᵀ` in panels.
    fn turned(&self) -> Self {
        let Self { outputs, inputs, width, instructions, .. } = *self;
        let (count, size) = (inputs.div_ceil(width), outputs * width);
        let mut panels = Aligned::zeros(count * size);
        let output = Output::new(panels.as_mut_slice());
        parallel::for_each(count, |panel| {
            // SAFETY: no other task has this panel.
            let turned = unsafe { output.piece(panel * size, size) };
            with_scratch(width * width, |scratch| {
                instructions.run(Turn { weights: self, panel, turned, scratch });
            });
        });
        let panels = Panels::F32(panels);
        Self {
            // What is multiplied by its scale has other bits than before.
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            parts: if self.panels.scales().is_some() { panels.parts() } else { self.parts },
            panels,
            outputs: inputs,
            inputs: outputs,
            width,
            instructions,
        }
    }
}

/// One panel of the turned weights, `[output][input]`.
struct Turn<'a> {
    weights: &'a Packed,
    panel: usize,
    turned: &'a mut [f32],
    /// Room for a square.
    scratch: &'a mut [f32],
}

impl Kernel for Turn<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Packed { width, inputs, .. } = *self.weights;
        assert!(width.is_multiple_of(S::LANES), "weights were packed for other instructions");
        let first = self.panel * width;
        let columns = width.min(inputs - first);
        for (panel, turned) in self.turned.chunks_mut(width * width).enumerate() {
            // So many inputs of one panel lie together.
            let start = (panel * inputs + first) * width;
            let square = self.weights.panels.read(simd, start, columns * width, self.scratch);
            // A line of the cache at a time: what is written stays close.
            for (block, square) in square.chunks(LINE * width).enumerate() {
                for (column, turned) in turned.chunks_exact_mut(width).enumerate() {
                    for (to, input) in turned[block * LINE..].iter_mut().zip(square.chunks_exact(width)) {
                        *to = input[column];
                    }
                }
            }
            // What was a column is a row now.
            if let Some(scales) = self.weights.panels.scales() {
                for (row, scale) in turned.chunks_exact_mut(width).zip(&scales[panel * width..]) {
                    for vector in row.chunks_exact_mut(S::LANES) {
                        simd.write(vector, simd.mul(simd.read(vector), simd.splat(*scale)));
                    }
                }
            }
        }
    }
}
