//! Convolution: a filter is turned once into the form that suits its size.
//!
//! 1 × 1 is a linear layer. 3 × 3 at every place goes by [`winograd`]. What remains (strides, few inputs) gathers the patches of a block
//! of results into rows `[ky][kx][input]` that stay in cache, and multiplies them as a linear layer does.

use super::super::Placement;
use super::winograd;
use crate::clip::kernels::Activation;
use crate::clip::kernels::cpu::gemm::{Block, Packed};
use crate::clip::kernels::cpu::simd::{Instructions, Simd};
use crate::clip::kernels::cpu::tile::{NewOutput, with_scratch, written};
use crate::platform::parallel;

/// Fewer inputs than this are not worth transforming: the products would be too short.
const LEAST_INPUTS: usize = 16;

/// The numbers of pictures or feature maps, `[batch, height, width, channels]`.
#[derive(Clone, Copy)]
pub struct Picture<'a> {
    /// All of them.
    pub values: &'a [f32],
    /// How many.
    pub batch: usize,
    /// Rows of each.
    pub height: usize,
    /// Columns of each.
    pub width: usize,
    /// Numbers at each place.
    pub channels: usize,
}

impl<'a> Picture<'a> {
    /// The channels at a place, counted from where `placement` has a filter begin; nothing where its zeros are.
    #[inline(always)]
    pub fn place(&self, placement: Placement, image: usize, row: usize, column: usize) -> Option<&'a [f32]> {
        let scale = if placement.doubled { 2 } else { 1 };
        let row = row.wrapping_sub(placement.before) / scale;
        let column = column.wrapping_sub(placement.before) / scale;
        // What stands before the first row or column has wrapped round to far behind the last.
        (row < self.height && column < self.width).then(|| {
            let at = ((image * self.height + row) * self.width + column) * self.channels;
            &self.values[at..at + self.channels]
        })
    }
}

/// What is added to the sums: `bias` `[outputs]` and `residual`, which is shaped as the result.
#[derive(Clone, Copy, Default)]
pub struct Ending<'a> {
    /// One number an output.
    pub bias: Option<&'a [f32]>,
    /// One number a result.
    pub residual: Option<&'a [f32]>,
}

impl Ending<'_> {
    /// Adds to the first `columns` lanes of `sum`; they are outputs from `output` on, and lie from `at` on in the result.
    #[inline(always)]
    pub fn add<S: Simd>(&self, simd: S, sum: S::Vector, output: usize, at: usize, columns: usize) -> S::Vector {
        let mut sum = sum;
        if let Some(bias) = self.bias {
            sum = simd.add(sum, simd.read(&bias[output..output + columns]));
        }
        if let Some(residual) = self.residual {
            sum = simd.add(sum, simd.read(&residual[at..at + columns]));
        }
        sum
    }
}

/// A filter in the form that suits its size.
pub enum Filter {
    /// 3 × 3 at every place.
    Winograd(winograd::Filter),
    /// `[outputs, size · size · inputs]`.
    Gathered {
        /// The matrix.
        weights: Packed,
        /// How many rows and columns the filter has.
        size: usize,
    },
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Winograd(filter) => write!(f, "Winograd filter with {} outputs", filter.outputs()),
            Self::Gathered { weights, size } => write!(f, "{size} × {size} filter, {weights:?}"),
        }
    }
}

impl Filter {
    /// Takes `weight` `[outputs, inputs, size, size]`, which will stand at every `stride`th place.
    pub fn new(weight: &[f32], [outputs, inputs, size]: [usize; 3], stride: usize, instructions: Instructions) -> Self {
        if size == 3 && stride == 1 && inputs >= LEAST_INPUTS {
            return Self::Winograd(winograd::Filter::new(weight, outputs, inputs, instructions));
        }
        let depth = size * size * inputs;
        assert_eq!(weight.len(), outputs * depth, "weight is not [{outputs}, {inputs}, {size}, {size}]");
        let mut rows = vec![0.0; weight.len()];
        for (from, to) in weight.chunks(depth.max(1)).zip(rows.chunks_mut(depth.max(1))) {
            for (input, from) in from.chunks(size * size).enumerate() {
                for (place, value) in from.iter().enumerate() {
                    to[place * inputs + input] = *value;
                }
            }
        }
        Self::Gathered { weights: Packed::new(&rows, outputs, depth, instructions), size }
    }

    /// How many outputs.
    pub fn outputs(&self) -> usize {
        match self {
            Self::Winograd(filter) => filter.outputs(),
            Self::Gathered { weights, .. } => weights.shape()[0],
        }
    }

    /// How many rows and columns the filter has.
    pub fn size(&self) -> usize {
        match self {
            Self::Winograd(_) => 3,
            Self::Gathered { size, .. } => *size,
        }
    }

    /// Convolves `picture`, giving `[batch, height', width', outputs]`.
    pub fn convolve(&self, picture: Picture<'_>, placement: Placement, ending: Ending<'_>) -> Vec<f32> {
        match self {
            Self::Winograd(filter) => filter.convolve(picture, placement, ending),
            Self::Gathered { weights, size: 1 } if placement == Placement::padded(0) => {
                let rows = picture.batch * picture.height * picture.width;
                weights.linear(picture.values, ending.bias, Activation::Identity, ending.residual, rows)
            }
            Self::Gathered { weights, size } => gathered(weights, *size, picture, placement, ending),
        }
    }
}

fn gathered(weights: &Packed, size: usize, picture: Picture<'_>, placement: Placement, ending: Ending<'_>) -> Vec<f32> {
    let [outputs, inputs] = weights.shape();
    let [height, width] = [picture.height, picture.width].map(|length| placement.outputs(length, size));
    let places = picture.batch * height * width;
    if places * outputs == 0 {
        return Vec::new();
    }
    let block = weights.rows_in_block(places);
    let blocks = places.div_ceil(block);
    // Where there are too few blocks for the threads, each is gathered for every group of panels anew.
    let wanted = if parallel::threads() == 1 { 1 } else { 4 * parallel::threads() };
    let groups = wanted.div_ceil(blocks).min(weights.shares());
    let fill = |output: &NewOutput<'_>| {
        parallel::for_each(blocks * groups, |task| {
            let (start, group) = (task / groups * block, task % groups);
            let rows = block.min(places - start);
            with_scratch(rows * inputs, |patches| {
                for (index, patch) in patches.chunks_exact_mut(inputs).enumerate() {
                    let place = start + index;
                    let (image, row, column) = (place / (height * width), place / width % height, place % width);
                    gather(picture, placement, [image, row * placement.stride, column * placement.stride], size, patch);
                }
                weights.block(Block {
                    weights,
                    x: patches,
                    bf16: false,
                    bias: ending.bias,
                    activation: Activation::Identity,
                    residual: ending.residual,
                    output,
                    start,
                    rows,
                    panels: weights.share(group, groups),
                });
            });
        })
    };
    // SAFETY: every place belongs to some block, every output to a panel of some group, and a task writes all of both.
    unsafe { written(places * outputs, fill) }
}

/// Writes the patch that begins at a place, `[ky][kx][channel]`.
fn gather(picture: Picture<'_>, placement: Placement, [image, row, column]: [usize; 3], size: usize, to: &mut [f32]) {
    for (index, to) in to.chunks_exact_mut(picture.channels).enumerate() {
        match picture.place(placement, image, row + index / size, column + index % size) {
            Some(place) => to.copy_from_slice(place),
            None => to.fill(0.0),
        }
    }
}
