//! The operations in which a transformer tower spends its time, forwards and backwards, so that a backend may fuse them.
//!
//! The towers are generic over [`ClipBackend`]. Every backend gets the portable definition in [`portable`] by one line;
//! the CPU backend (Flex) has its own in [`cpu`], because Burn's single operations lose a third to a half of a block's time between
//! the matrix products. A tower that trains is the same tower on `Autodiff<B>` (`autodiff`): its frozen matrices are those of `B`,
//! and each operation's gradient is the `…_backward` of `B`.

mod autodiff;
pub mod cpu;
#[cfg(any(feature = "cuda", feature = "webgpu", feature = "wgpu"))]
mod cube;
pub mod dropout;
pub(crate) mod flex;
pub mod portable;
pub mod self_test;

use std::fmt::Debug;

use burn::tensor::{Int, Tensor, TensorData, backend::Backend};

pub use dropout::Dropout;
pub use flex::PackedWeight;

use super::{Precision, Storage};

/// What follows a linear layer's bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// Nothing.
    Identity,
    /// `x · σ(1.702 x)`, OpenAI's approximation.
    QuickGelu,
    /// `x · Φ(x)`, by the error function.
    Gelu,
}

/// A backend on which the towers run.
pub trait ClipBackend: Backend {
    /// A frozen weight matrix in the form that this backend multiplies by fastest.
    type Matrix: Clone + Debug + Send + Sync + 'static;

    /// Whether the device has whole numbers of 32 bits that overflow and are shifted as [`portable::mask`] needs.
    const MIXES_BITS: bool = false;

    /// Whether towers can compute in this format on this device. Every backend can in f32.
    fn computes_in(precision: Precision, device: &Self::Device) -> bool {
        let _ = device;
        precision == Precision::F32
    }

    /// Whether matrices can lie in memory in this form. Every backend can have them as they come.
    fn stores_in(storage: Storage) -> bool {
        matches!(storage, Storage::Exact | Storage::F32)
    }

    /// Takes a weight `[out, in]` (as checkpoints store it) into that form. Consumes it: never two copies.
    fn matrix(weight: Tensor<Self, 2>) -> Self::Matrix;

    /// The same in a form of memory that [`stores_in`](Self::stores_in) has confirmed.
    fn matrix_in(storage: Storage, weight: Tensor<Self, 2>) -> Self::Matrix {
        let _ = storage;
        Self::matrix(weight)
    }

    /// The weight back as `[out, in]`, equal to the bit to what is stored.
    fn weight(matrix: &Self::Matrix) -> Tensor<Self, 2>;

    /// Some rows of the weight, `[ids, in]`: what an embedding looks up.
    fn rows(matrix: &Self::Matrix, ids: &[u32]) -> Tensor<Self, 2> {
        let weight = Self::weight(matrix);
        let ids = TensorData::new(ids.iter().map(|&id| i64::from(id)).collect::<Vec<_>>(), [ids.len()]);
        let ids = Tensor::<Self, 1, Int>::from_data(ids, &weight.device());
        weight.select(0, ids)
    }

    /// `activation(x · Wᵀ + bias) + residual`: `x` is `[batch, tokens, in]`, the result `[batch, tokens, out]`.
    fn linear(
        x: Tensor<Self, 3>,
        matrix: &Self::Matrix,
        bias: Option<&Tensor<Self, 1>>,
        activation: Activation,
        residual: Option<Tensor<Self, 3>>,
    ) -> Tensor<Self, 3>;

    /// Layer normalisation over the last dimension of `x` `[batch, tokens, width]`.
    fn layer_norm(x: Tensor<Self, 3>, gamma: &Tensor<Self, 1>, beta: &Tensor<Self, 1>, epsilon: f64)
    -> Tensor<Self, 3>;

    /// Softmax attention of every head: `qkv` is `[batch, tokens, 3 · width]` with queries, keys and values side by side
    /// and head `h` in columns `h · width / heads …` of each; the result is `[batch, tokens, width]`. `causal` lets a
    /// token see itself and what stands before it.
    fn attention(qkv: Tensor<Self, 3>, heads: usize, causal: bool) -> Tensor<Self, 3>;

    /// The same at the first token only, `[batch, 1, width]`: every token is attended to, but no other asks.
    fn attention_first(qkv: Tensor<Self, 3>, heads: usize) -> Tensor<Self, 3> {
        portable::attention_first(&qkv, heads)
    }

    /// The activation by itself: `x` `[batch, tokens, width]` → the same shape.
    fn activate(x: Tensor<Self, 3>, activation: Activation) -> Tensor<Self, 3> {
        portable::apply(x, activation)
    }

    /// `dropout(x) · downᵀ`, the first half of low-rank branches: `x` is `[batch, tokens, in]`, `down` is
    /// `[groups · rank, in]`, the result `[batch, tokens, groups · rank]`. Each group of rows of `down` sees `x` through
    /// the mask of its own seed.
    fn low_rank_down(x: &Tensor<Self, 3>, down: &Tensor<Self, 2>, dropout: &Dropout) -> Tensor<Self, 3> {
        portable::low_rank_down(x, down, dropout)
    }

    /// The gradient of [`linear`](Self::linear) by `x`, without its activation: `gradient · W`, from
    /// `[batch, tokens, out]` to `[batch, tokens, in]`.
    fn linear_backward(gradient: Tensor<Self, 3>, matrix: &Self::Matrix) -> Tensor<Self, 3> {
        portable::linear_backward(gradient, Self::weight(matrix))
    }

    /// The gradient of [`activate`](Self::activate) at `x`, times `gradient`; all `[batch, tokens, width]`.
    fn activate_backward(x: Tensor<Self, 3>, activation: Activation, gradient: Tensor<Self, 3>) -> Tensor<Self, 3> {
        portable::activate_backward(x, activation, gradient)
    }

    /// The gradient of [`layer_norm`](Self::layer_norm) by `x`; all `[batch, tokens, width]`, `gamma` `[width]`.
    fn layer_norm_backward(
        x: Tensor<Self, 3>,
        gamma: &Tensor<Self, 1>,
        epsilon: f64,
        gradient: Tensor<Self, 3>,
    ) -> Tensor<Self, 3> {
        portable::layer_norm_backward(x, gamma, epsilon, gradient)
    }

    /// The gradient of [`attention`](Self::attention) by `qkv` `[batch, tokens, 3 · width]`, from `gradient`
    /// `[batch, tokens, width]`. The probabilities are computed again: they are the largest thing that could be kept.
    fn attention_backward(
        qkv: Tensor<Self, 3>,
        heads: usize,
        causal: bool,
        gradient: Tensor<Self, 3>,
    ) -> Tensor<Self, 3> {
        portable::attention_backward(qkv, heads, causal, gradient)
    }

    /// The gradients of [`low_rank_down`](Self::low_rank_down) by `x` and by `down`, from `gradient`
    /// `[batch, tokens, groups · rank]`.
    fn low_rank_down_backward(
        x: &Tensor<Self, 3>,
        down: &Tensor<Self, 2>,
        dropout: &Dropout,
        gradient: Tensor<Self, 3>,
    ) -> (Tensor<Self, 3>, Tensor<Self, 2>) {
        portable::low_rank_down_backward(x, down, dropout, gradient)
    }
}

/// candle has the portable definitions: it is here as an independent check of the arithmetic.
#[cfg(feature = "candle")]
impl ClipBackend for burn_candle::Candle {
    type Matrix = Tensor<Self, 2>;

    fn computes_in(precision: Precision, device: &Self::Device) -> bool {
        // candle has bf16, but no products in it on a processor.
        precision != Precision::Bf16 && Self::supports_dtype(device, precision.dtype().into())
    }

    fn matrix(weight: Tensor<Self, 2>) -> Self::Matrix {
        portable::matrix(weight)
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
        portable::linear(x, matrix, bias, activation, residual)
    }

    fn layer_norm(
        x: Tensor<Self, 3>,
        gamma: &Tensor<Self, 1>,
        beta: &Tensor<Self, 1>,
        epsilon: f64,
    ) -> Tensor<Self, 3> {
        portable::layer_norm(x, gamma, beta, epsilon)
    }

    fn attention(qkv: Tensor<Self, 3>, heads: usize, causal: bool) -> Tensor<Self, 3> {
        portable::attention(qkv, heads, causal)
    }
}
