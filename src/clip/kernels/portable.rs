//! The kernels in Burn's own operations: right on every backend, and the definition that a fused one is tested against.

use burn::tensor::{Tensor, activation, backend::Backend};

use super::Activation;

/// `[out, in]` → `[in, out]`, the order in which Burn multiplies.
pub fn matrix<B: Backend>(weight: Tensor<B, 2>) -> Tensor<B, 2> {
    weight.transpose()
}

/// The reverse of [`matrix`].
pub fn weight<B: Backend>(matrix: &Tensor<B, 2>) -> Tensor<B, 2> {
    matrix.clone().transpose()
}

/// See [`super::ClipBackend::linear`].
pub fn linear<B: Backend>(
    x: Tensor<B, 3>,
    matrix: &Tensor<B, 2>,
    bias: Option<&Tensor<B, 1>>,
    activation: Activation,
    residual: Option<Tensor<B, 3>>,
) -> Tensor<B, 3> {
    let [batch, tokens, width] = x.dims();
    let mut y = x.reshape([batch * tokens, width]).matmul(matrix.clone());
    if let Some(bias) = bias {
        y = y + bias.clone().unsqueeze();
    }
    let y = apply(y, activation);
    let out = y.dims()[1];
    let y = y.reshape([batch, tokens, out]);
    match residual {
        Some(residual) => residual + y,
        None => y,
    }
}

/// The activation by itself.
pub fn apply<B: Backend, const D: usize>(x: Tensor<B, D>, activation: Activation) -> Tensor<B, D> {
    match activation {
        Activation::Identity => x,
        Activation::QuickGelu => x.clone() * activation::sigmoid(x.mul_scalar(1.702)),
        Activation::Gelu => activation::gelu(x),
    }
}

/// See [`super::ClipBackend::layer_norm`].
pub fn layer_norm<B: Backend>(
    x: Tensor<B, 3>,
    gamma: &Tensor<B, 1>,
    beta: &Tensor<B, 1>,
    epsilon: f64,
) -> Tensor<B, 3> {
    let centred = x.clone() - x.mean_dim(2);
    let variance = centred.clone().powi_scalar(2).mean_dim(2);
    centred / (variance + epsilon).sqrt() * gamma.clone().unsqueeze() + beta.clone().unsqueeze()
}

/// See [`super::ClipBackend::attention`].
pub fn attention<B: Backend>(qkv: Tensor<B, 3>, heads: usize, causal: bool) -> Tensor<B, 3> {
    let [batch, tokens, triple] = qkv.dims();
    let (width, head) = (triple / 3, triple / 3 / heads);
    let split = |index: usize| {
        qkv.clone().narrow(2, index * width, width).reshape([batch, tokens, heads, head]).swap_dims(1, 2)
    };
    let query = split(0).mul_scalar((head as f64).powf(-0.5));
    let mut scores = query.matmul(split(1).transpose());
    if causal {
        let hidden = Tensor::<B, 2, burn::tensor::Bool>::tril_mask([tokens, tokens], 0, &scores.device());
        scores = scores.mask_fill(hidden.unsqueeze(), f32::NEG_INFINITY);
    }
    activation::softmax(scores, 3).matmul(split(2)).swap_dims(1, 2).reshape([batch, tokens, width])
}
