//! The kernels in Burn's own operations: right on every backend, and the definition that a fused one is tested against.

use burn::tensor::{
    FloatDType, Tensor, activation,
    backend::Backend,
    module::conv2d,
    ops::{ConvOptions, PadMode},
};

use super::Placement;
use crate::clip::kernels::portable::{in_f32, softmax};

/// Scores that may be in memory at once, in numbers: 128 MiB where the softmax is computed.
const MOST_SCORES: usize = 32 << 20;

/// See [`super::DiffusionBackend::convolve`]; `filter` is `[out, in, size, size]`.
pub fn convolve<B: Backend>(
    x: Tensor<B, 4>,
    filter: &Tensor<B, 4>,
    bias: Option<&Tensor<B, 1>>,
    placement: Placement,
    residual: Option<Tensor<B, 4>>,
) -> Tensor<B, 4> {
    let Placement { stride, before, after, doubled } = placement;
    let mut x = x.permute([0, 3, 1, 2]);
    if doubled {
        let [batch, channels, height, width] = x.dims();
        let each: Tensor<B, 6> = x.reshape([batch, channels, height, 1, width, 1]);
        x = each.expand([batch, channels, height, 2, width, 2]).reshape([batch, channels, 2 * height, 2 * width]);
    }
    let mut padding = [before; 2];
    if before != after {
        x = x.pad((before, after, before, after), PadMode::Constant(0.0));
        padding = [0; 2];
    }
    let options = ConvOptions::new([stride; 2], padding, [1; 2], 1);
    let y = conv2d(x, filter.clone(), bias.cloned(), options).permute([0, 2, 3, 1]);
    match residual {
        Some(residual) => y + residual,
        None => y,
    }
}

/// See [`super::DiffusionBackend::group_norm`].
pub fn group_norm<B: Backend>(
    x: Tensor<B, 4>,
    groups: usize,
    gamma: &Tensor<B, 1>,
    beta: &Tensor<B, 1>,
    epsilon: f64,
    silu: bool,
) -> Tensor<B, 4> {
    let [batch, height, width, channels] = x.dims();
    let [gamma, beta] = [gamma, beta].map(|vector| vector.clone().cast(FloatDType::F32).unsqueeze());
    in_f32(x, |x| {
        let grouped = x.reshape([batch, height * width, groups, channels / groups]);
        let mean = grouped.clone().mean_dim(1).mean_dim(3);
        let centred = grouped - mean;
        let variance = centred.clone().powi_scalar(2).mean_dim(1).mean_dim(3);
        let normal = (centred / (variance + epsilon).sqrt()).reshape([batch, height, width, channels]);
        let y = normal * gamma + beta;
        if silu { activation::silu(y) } else { y }
    })
}

/// See [`super::DiffusionBackend::self_attention`].
pub fn self_attention<B: Backend>(qkv: Tensor<B, 3>, heads: usize) -> Tensor<B, 3> {
    let width = qkv.dims()[2] / 3;
    let query = qkv.clone().narrow(2, 0, width);
    cross_attention(query, qkv.narrow(2, width, 2 * width), heads)
}

/// See [`super::DiffusionBackend::cross_attention`].
pub fn cross_attention<B: Backend>(query: Tensor<B, 3>, key_value: Tensor<B, 3>, heads: usize) -> Tensor<B, 3> {
    let ([batch, tokens, width], others) = (query.dims(), key_value.dims()[1]);
    let head = width / heads;
    let heads_of = |x: Tensor<B, 3>, tokens| x.reshape([batch, tokens, heads, head]).swap_dims(1, 2);
    let query = heads_of(query, tokens).mul_scalar((head as f64).powf(-0.5));
    let key = heads_of(key_value.clone().narrow(2, 0, width), others).transpose();
    let value = heads_of(key_value.narrow(2, width, width), others);
    let rows = (MOST_SCORES / (batch * heads * others)).clamp(1, tokens);
    let slices = (0..tokens).step_by(rows).map(|start| {
        let query = query.clone().narrow(2, start, rows.min(tokens - start));
        softmax(query.matmul(key.clone())).matmul(value.clone())
    });
    Tensor::cat(slices.collect(), 2).swap_dims(1, 2).reshape([batch, tokens, width])
}

/// See [`super::DiffusionBackend::gated_gelu`].
pub fn gated_gelu<B: Backend>(x: Tensor<B, 3>) -> Tensor<B, 3> {
    let width = x.dims()[2] / 2;
    x.clone().narrow(2, 0, width) * in_f32(x.narrow(2, width, width), activation::gelu)
}
