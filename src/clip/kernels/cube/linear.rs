//! A linear layer as one kernel, where a device has no units for matrices: the product with bias, activation and residual.
//!
//! A workgroup computes a tile of 64 columns; a unit several rows of four columns each, whose sums stay in registers. Of what it
//! multiplies, `DEPTH` numbers a row and column lie in workgroup memory (6 KiB), in f32.

use burn::tensor::TensorMetadata;
use burn_cubecl::{
    CubeRuntime,
    cubecl::{self, prelude::*},
    tensor::CubeTensor,
};

use super::{
    activation::{activated, number},
    launch::{Four, empty, owned, rows},
};
use crate::clip::kernels::Activation;

/// Units of a workgroup across columns, each with four of them.
const ACROSS: usize = 16;
/// Units of a workgroup down the rows.
const DOWN: usize = 4;
/// Units of a workgroup.
const UNITS: usize = ACROSS * DOWN;
/// How deep a tile is, in fours.
const DEPTH: usize = 4;
/// Rows of a unit, and where there are few (class tokens).
const ROWS: usize = 8;
/// So few rows that a tile of one row a unit is better.
const FEW: usize = 16;

#[cube(launch_unchecked)]
fn linear_kernel<E: Float>(
    x: &Array<Four<E>>,
    weight: &Array<Four<E>>,
    bias: &Array<Four<E>>,
    out: &mut Array<Four<E>>,
    rows: u32,
    inputs: u32,
    outputs: u32,
    activation: u32,
    has_bias: u32,
    adds: u32,
    #[comptime] unit_rows: usize,
    #[define(E)] _format: StorageType,
) {
    let (rows, inputs, outputs) = (rows as usize, inputs as usize, outputs as usize);
    let tile_rows = comptime!(unit_rows * DOWN);
    let unit = UNIT_POS as usize;
    let (across, down) = (unit % ACROSS, unit / ACROSS);
    let first_row = CUBE_POS_Y as usize * tile_rows;
    let first_column = CUBE_POS_X as usize * ACROSS;
    let column = first_column + across;

    let mut left = SharedMemory::<Four<f32>>::new(comptime!(tile_rows * DEPTH));
    let mut right = SharedMemory::<Four<f32>>::new(comptime!(DEPTH * 4 * ACROSS));
    let mut sums = Array::<Four<f32>>::new(unit_rows);
    #[unroll]
    for r in 0..unit_rows {
        sums[r] = Four::<f32>::new(0.0f32);
    }

    for start in range_stepped(0usize, inputs, DEPTH) {
        // Rows and columns beyond the last read the last, and are not written; what is deeper than the matrices is 0.
        #[unroll]
        for turn in 0..comptime!((tile_rows * DEPTH).div_ceil(UNITS)) {
            let place = turn * UNITS + unit;
            let depth = start + place % DEPTH;
            let row = min(first_row + place / DEPTH, rows - 1);
            let mut four = Four::<f32>::new(0.0f32);
            if depth < inputs {
                four = Four::<f32>::cast_from(x[row * inputs + depth]);
            }
            if place < tile_rows * DEPTH {
                left[place] = four;
            }
        }
        #[unroll]
        for turn in 0..comptime!(DEPTH * 4 * ACROSS / UNITS) {
            let place = turn * UNITS + unit;
            let depth = start * 4 + place / ACROSS;
            let from = min(first_column + place % ACROSS, outputs - 1);
            let mut four = Four::<f32>::new(0.0f32);
            if depth < inputs * 4 {
                four = Four::<f32>::cast_from(weight[depth * outputs + from]);
            }
            right[place] = four;
        }
        sync_cube();
        for depth in 0..DEPTH {
            let mut some = Array::<Four<f32>>::new(4usize);
            #[unroll]
            for k in 0..4usize {
                some[k] = right[(depth * 4 + k) * ACROSS + across];
            }
            #[unroll]
            for r in 0..unit_rows {
                let one = left[(down * unit_rows + r) * DEPTH + depth];
                #[unroll]
                for k in 0..4usize {
                    sums[r] += Four::<f32>::new(one[k]) * some[k];
                }
            }
        }
        sync_cube();
    }

    if column < outputs {
        let mut shift = Four::<f32>::new(0.0f32);
        if has_bias == 1u32 {
            shift = Four::<f32>::cast_from(bias[column]);
        }
        #[unroll]
        for r in 0..unit_rows {
            let row = first_row + down * unit_rows + r;
            if row < rows {
                let mut value = activated(sums[r] + shift, activation);
                if adds == 1u32 {
                    value += Four::<f32>::cast_from(out[row * outputs + column]);
                }
                out[row * outputs + column] = Four::<E>::cast_from(value);
            }
        }
    }
}

/// See [`super::super::ClipBackend::linear`]: `x` is `[batch, tokens, in]`, `weight` `[in, out]`, both without gaps. The result is
/// written over the residual.
pub(super) fn forward<R: CubeRuntime>(
    x: CubeTensor<R>,
    weight: CubeTensor<R>,
    bias: Option<CubeTensor<R>>,
    activation: Activation,
    residual: Option<CubeTensor<R>>,
) -> CubeTensor<R> {
    let [batch, tokens, inputs] = x.shape().dims();
    let [_, outputs] = weight.shape().dims();
    let (rows, client, format) = (rows(&x), x.client.clone(), x.dtype);
    let (has_bias, adds) = (bias.is_some(), residual.is_some());
    let bias = bias.unwrap_or_else(|| empty(&x, [4]));
    let out = residual.map_or_else(|| empty(&x, [batch, tokens, outputs]), owned);
    let unit_rows = if rows <= FEW { 1 } else { ROWS };
    // SAFETY: places of `x` and `weight` are held within their rows, columns and depth, and `out` is compared with them.
    unsafe {
        linear_kernel::launch_unchecked(
            &client,
            CubeCount::Static(outputs.div_ceil(4 * ACROSS) as u32, rows.div_ceil(unit_rows * DOWN) as u32, 1),
            CubeDim::new_1d(UNITS as u32),
            x.into_array_arg(),
            weight.into_array_arg(),
            bias.into_array_arg(),
            out.clone().into_array_arg(),
            rows as u32,
            (inputs / 4) as u32,
            (outputs / 4) as u32,
            number(activation),
            u32::from(has_bias),
            u32::from(adds),
            unit_rows,
            format.into(),
        );
    }
    out
}
