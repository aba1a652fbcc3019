//! Layer normalisation and its gradient. Sixteen units take a row: each sums what it sees, the partial sums meet in workgroup memory,
//! and every unit adds them up for itself, which needs one barrier where a tree would need four.

use burn::tensor::TensorMetadata;
use burn_cubecl::{
    CubeRuntime,
    cubecl::{self, prelude::*, server::CubeCountSelection},
    tensor::CubeTensor,
};

use super::launch::{Four, empty, rows};

/// Units that share a row.
const UNITS: usize = 16;
/// Rows of a workgroup.
const ROWS: usize = 4;

/// The sum of what the units of a row have, in each of them. Every unit of the workgroup must come here; `shared` is used once.
#[cube]
fn sum(shared: &mut SharedMemory<Four<f32>>, value: Four<f32>) -> f32 {
    let row = UNIT_POS_Y as usize * UNITS;
    shared[row + UNIT_POS_X as usize] = value;
    sync_cube();
    let mut all = Four::<f32>::new(0.0f32);
    for unit in 0..UNITS {
        all += shared[row + unit];
    }
    all[0] + all[1] + all[2] + all[3]
}

/// Mean and 1 / √(variance + ε) of a row of `width` fours that begins at `start`. The variance is that of the centred values: the
/// difference of two means would lose digits.
#[cube]
fn statistics<E: Float>(x: &Array<Four<E>>, start: usize, width: usize, epsilon: f32) -> (f32, f32) {
    let count = f32::cast_from(width as u32 * 4);
    let mut sums = SharedMemory::<Four<f32>>::new(comptime!(UNITS * ROWS));
    let mut squares = SharedMemory::<Four<f32>>::new(comptime!(UNITS * ROWS));
    let mut value = Four::<f32>::new(0.0f32);
    for place in range_stepped(UNIT_POS_X as usize, width, UNITS) {
        value += Four::<f32>::cast_from(x[start + place]);
    }
    let mean = sum(&mut sums, value) / count;
    let centre = Four::<f32>::new(mean);
    let mut value = Four::<f32>::new(0.0f32);
    for place in range_stepped(UNIT_POS_X as usize, width, UNITS) {
        let off = Four::<f32>::cast_from(x[start + place]) - centre;
        value += off * off;
    }
    let variance = sum(&mut squares, value) / count;
    (mean, 1.0f32 / f32::sqrt(variance + epsilon))
}

#[cube(launch_unchecked)]
fn forward_kernel<E: Float>(
    x: &Array<Four<E>>,
    gamma: &Array<Four<f32>>,
    beta: &Array<Four<f32>>,
    out: &mut Array<Four<E>>,
    rows: u32,
    width: u32,
    epsilon: f32,
    #[define(E)] _format: StorageType,
) {
    let width = width as usize;
    let row = CUBE_POS * ROWS + UNIT_POS_Y as usize;
    // Units without a row read the last one, because they have to come to the barriers.
    let start = min(row, rows as usize - 1) * width;
    let (mean, scale) = statistics(x, start, width, epsilon);
    if row < rows as usize {
        let (centre, scale) = (Four::<f32>::new(mean), Four::<f32>::new(scale));
        for place in range_stepped(UNIT_POS_X as usize, width, UNITS) {
            let normal = (Four::<f32>::cast_from(x[start + place]) - centre) * scale;
            out[start + place] = Four::<E>::cast_from(normal * gamma[place] + beta[place]);
        }
    }
}

#[cube(launch_unchecked)]
fn backward_kernel<E: Float>(
    x: &Array<Four<E>>,
    gamma: &Array<Four<f32>>,
    gradient: &Array<Four<E>>,
    out: &mut Array<Four<E>>,
    rows: u32,
    width: u32,
    epsilon: f32,
    #[define(E)] _format: StorageType,
) {
    let width = width as usize;
    let row = CUBE_POS * ROWS + UNIT_POS_Y as usize;
    let start = min(row, rows as usize - 1) * width;
    let (mean, scale) = statistics(x, start, width, epsilon);
    let (centre, scale) = (Four::<f32>::new(mean), Four::<f32>::new(scale));
    let mut plain = SharedMemory::<Four<f32>>::new(comptime!(UNITS * ROWS));
    let mut along = SharedMemory::<Four<f32>>::new(comptime!(UNITS * ROWS));
    let mut value = Four::<f32>::new(0.0f32);
    let mut product = Four::<f32>::new(0.0f32);
    for place in range_stepped(UNIT_POS_X as usize, width, UNITS) {
        let gradient = Four::<f32>::cast_from(gradient[start + place]) * gamma[place];
        value += gradient;
        product += gradient * (Four::<f32>::cast_from(x[start + place]) - centre) * scale;
    }
    let count = f32::cast_from(width as u32 * 4);
    let plain = Four::<f32>::new(sum(&mut plain, value) / count);
    let along = Four::<f32>::new(sum(&mut along, product) / count);
    if row < rows as usize {
        for place in range_stepped(UNIT_POS_X as usize, width, UNITS) {
            let normal = (Four::<f32>::cast_from(x[start + place]) - centre) * scale;
            let gradient = Four::<f32>::cast_from(gradient[start + place]) * gamma[place];
            out[start + place] = Four::<E>::cast_from((gradient - plain - normal * along) * scale);
        }
    }
}

/// Workgroups for so many rows.
fn groups<R: CubeRuntime>(x: &CubeTensor<R>, rows: usize) -> CubeCount {
    CubeCountSelection::new(&x.client, rows.div_ceil(ROWS) as u32).cube_count()
}

/// See [`super::super::ClipBackend::layer_norm`]; all without gaps, `gamma` and `beta` in f32.
pub(super) fn forward<R: CubeRuntime>(
    x: CubeTensor<R>,
    gamma: CubeTensor<R>,
    beta: CubeTensor<R>,
    epsilon: f64,
) -> CubeTensor<R> {
    let (rows, width, client, format) = (rows(&x), gamma.shape()[0], x.client.clone(), x.dtype);
    let out = empty(&x, x.shape().dims::<3>());
    let groups = groups(&x, rows);
    // SAFETY: `x` and `out` have `rows` rows of `width`, and the kernel goes no further.
    unsafe {
        forward_kernel::launch_unchecked(
            &client,
            groups,
            CubeDim::new_2d(UNITS as u32, ROWS as u32),
            x.into_array_arg(),
            gamma.into_array_arg(),
            beta.into_array_arg(),
            out.clone().into_array_arg(),
            rows as u32,
            (width / 4) as u32,
            epsilon as f32,
            format.into(),
        );
    }
    out
}

/// See [`super::super::ClipBackend::layer_norm_backward`]; all without gaps, `gamma` in f32.
pub(super) fn backward<R: CubeRuntime>(
    x: CubeTensor<R>,
    gamma: CubeTensor<R>,
    epsilon: f64,
    gradient: CubeTensor<R>,
) -> CubeTensor<R> {
    let (rows, width, client, format) = (rows(&x), gamma.shape()[0], x.client.clone(), x.dtype);
    let out = empty(&x, x.shape().dims::<3>());
    let groups = groups(&x, rows);
    // SAFETY: as in `forward`, and `gradient` is as large as `x`.
    unsafe {
        backward_kernel::launch_unchecked(
            &client,
            groups,
            CubeDim::new_2d(UNITS as u32, ROWS as u32),
            x.into_array_arg(),
            gamma.into_array_arg(),
            gradient.into_array_arg(),
            out.clone().into_array_arg(),
            rows as u32,
            (width / 4) as u32,
            epsilon as f32,
            format.into(),
        );
    }
    out
}
