//! The three operations in which a transformer tower spends its time, so that a backend may fuse them.
//!
//! The towers are generic over [`ClipBackend`]. Every backend gets the portable definition in [`portable`] by one line;
//! the CPU backend (Flex) has its own in [`cpu`], because Burn's single operations lose a third to a half of a block's time between
//! the matrix products.

pub mod cpu;
pub mod dropout;
mod flex;
pub mod portable;

use std::fmt::Debug;

use burn::tensor::{Tensor, backend::Backend};

pub use dropout::Dropout;
pub use flex::PackedWeight;

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

    /// Takes a weight `[out, in]` (as checkpoints store it) into that form. Consumes it: never two copies.
    fn matrix(weight: Tensor<Self, 2>) -> Self::Matrix;

    /// The weight back as `[out, in]`, equal to the bit.
    fn weight(matrix: &Self::Matrix) -> Tensor<Self, 2>;

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
}

/// Gives a backend the portable definitions.
#[cfg(feature = "candle")]
macro_rules! use_portable_kernels {
    ($backend:ty) => {
        impl ClipBackend for $backend {
            type Matrix = Tensor<Self, 2>;

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
    };
}

#[cfg(feature = "candle")]
use_portable_kernels!(burn_candle::Candle);
