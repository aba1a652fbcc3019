//! The kernels on GPUs, in CubeCL: one source for WGSL (WebGPU, Vulkan, Metal, DirectX) and CUDA.
//!
//! A transformer block is seven launches, where Burn's operations are some fifty. All statistics and sums are f32, whatever format the
//! tensors have. Numbers are read in fours, so widths that are no multiples of four go the [`portable`] way, as do tensors
//! too large for WebGPU's 65,535 workgroups. What a kernel could be told when it is compiled it mostly reads when it runs: a browser
//! compiles every variant anew. Subgroups are not used, since not every browser has them.

#![allow(clippy::used_underscore_binding, reason = "the macro reads the format that a kernel itself does not")]

mod activation;
mod attention;
mod launch;
mod layer_norm;
mod linear;

use burn::tensor::{DType, FloatDType, Tensor, backend::Backend};
use burn_cubecl::{BoolElement, CubeBackend, CubeRuntime, FloatElement, IntElement};

use self::launch::{MOST_WORKGROUPS, is_float, lay, multiplies_matrices, raise};
use super::{Activation, ClipBackend, portable};
use crate::clip::Precision;

/// Whether kernels can read these rows: of floats, in fours, and any at all.
fn reads<B: Backend>(x: &Tensor<B, 3>) -> bool {
    let [batch, tokens, width] = x.dims();
    is_float(x.dtype()) && batch * tokens * width > 0 && width.is_multiple_of(4)
}

/// Whether attention's kernel can.
fn attends<B: Backend>(qkv: &Tensor<B, 3>, heads: usize) -> bool {
    let [batch, _, triple] = qkv.dims();
    reads(qkv) && (triple / 3 / heads).is_multiple_of(4) && batch.max(heads) <= MOST_WORKGROUPS
}

impl<R, F, I, BT> ClipBackend for CubeBackend<R, F, I, BT>
where
    R: CubeRuntime,
    F: FloatElement,
    I: IntElement,
    BT: BoolElement,
{
    /// `[in, out]`, as it lies in memory.
    type Matrix = Tensor<Self, 2>;

    const MIXES_BITS: bool = true;

    fn computes_in(precision: Precision, device: &Self::Device) -> bool {
        Self::supports_dtype(device, precision.dtype().into())
    }

    fn matrix(weight: Tensor<Self, 2>) -> Self::Matrix {
        raise(lay(portable::matrix(weight)))
    }

    fn weight(matrix: &Self::Matrix) -> Tensor<Self, 2> {
        portable::weight(matrix)
    }

    fn linear(
        x: Tensor<Self, 3>,
        matrix: &Self::Matrix,
        bias: Option<&Tensor<Self, 1>>,
        activation: Activation,
        residual: Option<Tensor<Self, 3>>,
    ) -> Tensor<Self, 3> {
        let [batch, tokens, inputs] = x.dims();
        let outputs = matrix.dims()[1];
        let rows = batch * tokens;
        if !reads(&x) || !outputs.is_multiple_of(4) || outputs == 0 || rows > MOST_WORKGROUPS {
            return portable::linear(x, matrix, bias, activation, residual);
        }
        let bias = bias.map(|bias| lay(bias.clone()));
        // Burn's product of f32 matrices is one of TF32 where there is such hardware: of ten bits, as f16 has them.
        if x.dtype() != DType::F32 && multiplies_matrices::<R>(&x.device()) {
            let product = x.reshape([rows, inputs]).matmul(matrix.clone()).reshape([batch, tokens, outputs]);
            return raise(activation::finish(lay(product), bias, activation, residual.map(lay)));
        }
        raise(linear::forward(lay(x), lay(matrix.clone()), bias, activation, residual.map(lay)))
    }

    fn layer_norm(
        x: Tensor<Self, 3>,
        gamma: &Tensor<Self, 1>,
        beta: &Tensor<Self, 1>,
        epsilon: f64,
    ) -> Tensor<Self, 3> {
        if !reads(&x) {
            return portable::layer_norm(x, gamma, beta, epsilon);
        }
        let [gamma, beta] = [gamma, beta].map(|vector| lay(vector.clone().cast(FloatDType::F32)));
        raise(layer_norm::forward(lay(x), gamma, beta, epsilon))
    }

    fn attention(qkv: Tensor<Self, 3>, heads: usize, causal: bool) -> Tensor<Self, 3> {
        if !attends(&qkv, heads) {
            return portable::attention(qkv, heads, causal);
        }
        let tokens = qkv.dims()[1];
        raise(attention::forward(lay(qkv), tokens, heads, causal))
    }

    fn attention_first(qkv: Tensor<Self, 3>, heads: usize) -> Tensor<Self, 3> {
        if !attends(&qkv, heads) {
            return portable::attention_first(&qkv, heads);
        }
        raise(attention::forward(lay(qkv), 1, heads, false))
    }

    fn activate(x: Tensor<Self, 3>, activation: Activation) -> Tensor<Self, 3> {
        if !reads(&x) {
            return portable::apply(x, activation);
        }
        raise(activation::finish(lay(x), None, activation, None))
    }

    fn activate_backward(x: Tensor<Self, 3>, activation: Activation, gradient: Tensor<Self, 3>) -> Tensor<Self, 3> {
        if !reads(&x) {
            return portable::activate_backward(x, activation, gradient);
        }
        raise(activation::backward(lay(x), activation, lay(gradient)))
    }

    fn layer_norm_backward(
        x: Tensor<Self, 3>,
        gamma: &Tensor<Self, 1>,
        epsilon: f64,
        gradient: Tensor<Self, 3>,
    ) -> Tensor<Self, 3> {
        if !reads(&x) {
            return portable::layer_norm_backward(x, gamma, epsilon, gradient);
        }
        raise(layer_norm::backward(lay(x), lay(gamma.clone().cast(FloatDType::F32)), epsilon, lay(gradient)))
    }
}
