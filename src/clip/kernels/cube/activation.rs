//! Activations: inside of other kernels, by themselves, after a product that was not computed here, and their gradient.

use std::f32::consts::{FRAC_1_SQRT_2, PI};

use burn::tensor::TensorMetadata;
use burn_cubecl::{
    CubeRuntime,
    cubecl::{self, calculate_cube_count_elemwise, prelude::*},
    tensor::CubeTensor,
};

use super::launch::{Four, empty, owned};
use crate::clip::kernels::Activation;

/// The activation's number in kernels. It is read when they run, because each shader costs a browser a good part of a second.
pub(super) fn number(activation: Activation) -> u32 {
    match activation {
        Activation::Identity => 0,
        Activation::QuickGelu => 1,
        Activation::Gelu => 2,
    }
}

/// The activation of four numbers.
#[cube]
pub(super) fn activated(x: Four<f32>, activation: u32) -> Four<f32> {
    let mut y = x;
    if activation == 1u32 {
        y = x / (Four::<f32>::new(1.0f32) + Four::<f32>::exp(x * Four::<f32>::new(-1.702f32)));
    } else if activation == 2u32 {
        y = x * below(x);
    }
    y
}

/// Φ, the normal distribution's function.
#[cube]
fn below(x: Four<f32>) -> Four<f32> {
    Four::<f32>::new(0.5f32) * (Four::<f32>::new(1.0f32) + Four::<f32>::erf(x * Four::<f32>::new(FRAC_1_SQRT_2)))
}

/// The activation's derivative.
#[cube]
fn slope(x: Four<f32>, activation: u32) -> Four<f32> {
    let one = Four::<f32>::new(1.0f32);
    let mut y = one;
    if activation == 1u32 {
        // σ(1.702 x) (1 + 1.702 x (1 − σ(1.702 x)))
        let scaled = x * Four::<f32>::new(1.702f32);
        // Not `-scaled`, which CubeCL writes down for CUDA as it is, where vectors have no sign.
        let gate = one / (one + Four::<f32>::exp(x * Four::<f32>::new(-1.702f32)));
        y = gate * (one + scaled * (one - gate));
    } else if activation == 2u32 {
        // Φ(x) + x φ(x)
        let density =
            Four::<f32>::exp(x * x * Four::<f32>::new(-0.5f32)) * Four::<f32>::new(comptime!(1.0 / (2.0 * PI).sqrt()));
        y = below(x) + x * density;
    }
    y
}

/// `values` become `activation(values + bias) + residual`; `width` is a row's length in fours.
#[cube(launch_unchecked)]
fn finish_kernel<E: Float>(
    values: &mut Array<Four<E>>,
    bias: &Array<Four<E>>,
    residual: &Array<Four<E>>,
    count: u32,
    width: u32,
    activation: u32,
    #[comptime] has_bias: bool,
    #[comptime] has_residual: bool,
    #[define(E)] _format: StorageType,
) {
    if ABSOLUTE_POS < count as usize {
        let mut value = Four::<f32>::cast_from(values[ABSOLUTE_POS]);
        if has_bias {
            value += Four::<f32>::cast_from(bias[ABSOLUTE_POS % width as usize]);
        }
        value = activated(value, activation);
        if has_residual {
            value += Four::<f32>::cast_from(residual[ABSOLUTE_POS]);
        }
        values[ABSOLUTE_POS] = Four::<E>::cast_from(value);
    }
}

/// `gradient · activation'(x)`.
#[cube(launch_unchecked)]
fn backward_kernel<E: Float>(
    x: &Array<Four<E>>,
    gradient: &mut Array<Four<E>>,
    count: u32,
    activation: u32,
    #[define(E)] _format: StorageType,
) {
    if ABSOLUTE_POS < count as usize {
        let slope = slope(Four::<f32>::cast_from(x[ABSOLUTE_POS]), activation);
        gradient[ABSOLUTE_POS] = Four::<E>::cast_from(Four::<f32>::cast_from(gradient[ABSOLUTE_POS]) * slope);
    }
}

/// See [`super::super::ClipBackend::linear`], what follows its product: `values` `[…, width]` without gaps.
pub(super) fn finish<R: CubeRuntime>(
    values: CubeTensor<R>,
    bias: Option<CubeTensor<R>>,
    activation: Activation,
    residual: Option<CubeTensor<R>>,
) -> CubeTensor<R> {
    let values = owned(values);
    let shape = values.shape();
    let (count, width) = (shape.num_elements() / 4, shape[shape.num_dims() - 1] / 4);
    let (client, format) = (values.client.clone(), values.dtype);
    let units = CubeDim::new(&client, count);
    let groups = calculate_cube_count_elemwise(&client, count, units);
    let absent = || empty(&values, [4]);
    let (has_bias, has_residual) = (bias.is_some(), residual.is_some());
    // SAFETY: the kernel compares each place with `count`, and the bias has `width` fours.
    unsafe {
        finish_kernel::launch_unchecked(
            &client,
            groups,
            units,
            values.clone().into_array_arg(),
            bias.unwrap_or_else(absent).into_array_arg(),
            residual.unwrap_or_else(absent).into_array_arg(),
            count as u32,
            width as u32,
            number(activation),
            has_bias,
            has_residual,
            format.into(),
        );
    }
    values
}

/// See [`super::super::ClipBackend::activate_backward`].
pub(super) fn backward<R: CubeRuntime>(
    x: CubeTensor<R>,
    activation: Activation,
    gradient: CubeTensor<R>,
) -> CubeTensor<R> {
    let gradient = owned(gradient);
    let count = gradient.shape().num_elements() / 4;
    let (client, format) = (gradient.client.clone(), gradient.dtype);
    let units = CubeDim::new(&client, count);
    let groups = calculate_cube_count_elemwise(&client, count, units);
    // SAFETY: the kernel compares each place with `count`, the length of both.
    unsafe {
        backward_kernel::launch_unchecked(
            &client,
            groups,
            units,
            x.into_array_arg(),
            gradient.clone().into_array_arg(),
            count as u32,
            number(activation),
            format.into(),
        );
    }
    gradient
}
