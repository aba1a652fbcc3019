//! The operations that Stable Diffusion's networks have beside those of CLIP's towers, so that a backend may fuse them.
//!
//! Every backend gets the portable definition in [`portable`] by one line; the CPU backend (Flex) has its own in [`cpu`].

pub mod cpu;
mod flex;
pub mod portable;

use std::fmt::Debug;

use burn::tensor::Tensor;

pub use flex::PackedFilter;

use crate::clip::ClipBackend;

/// Where a filter stands on a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// How far its places lie apart, in rows and in columns.
    pub stride: usize,
    /// Rows of zeros above the picture and columns of zeros to its left.
    pub before: usize,
    /// Rows of zeros below the picture and columns of zeros to its right.
    pub after: usize,
    /// The picture is doubled first, each place standing for four.
    pub doubled: bool,
}

impl Placement {
    /// Every place, with `padding` zeros on each side.
    pub const fn padded(padding: usize) -> Self {
        Self { stride: 1, before: padding, after: padding, doubled: false }
    }

    /// How many places a side of `length` has, for a filter of `size`.
    pub const fn outputs(self, length: usize, size: usize) -> usize {
        let length = if self.doubled { 2 * length } else { length };
        (length + self.before + self.after - size) / self.stride + 1
    }
}

/// A backend on which Stable Diffusion runs.
pub trait DiffusionBackend: ClipBackend {
    /// A frozen filter in the form that this backend convolves by fastest.
    type Filter: Clone + Debug + Send + Sync + 'static;

    /// Takes a filter `[out, in, size, size]` (as checkpoints store it) into that form; its places will lie `stride` apart. Consumes it:
    /// never two copies.
    fn filter(weight: Tensor<Self, 4>, stride: usize) -> Self::Filter;

    /// The convolution of `x` `[batch, height, width, in]`, with `bias` `[out]` and `residual` `[batch, height', width', out]` added;
    /// the result is `[batch, height', width', out]`. `placement.stride` is what the filter was made for.
    fn convolve(
        x: Tensor<Self, 4>,
        filter: &Self::Filter,
        bias: Option<&Tensor<Self, 1>>,
        placement: Placement,
        residual: Option<Tensor<Self, 4>>,
    ) -> Tensor<Self, 4>;

    /// Group normalisation (Wu and He, 2018) of `x` `[batch, height, width, channels]`, followed by SiLU, `y · σ(y)`, if `silu`;
    /// `gamma` and `beta` are `[channels]`.
    fn group_norm(
        x: Tensor<Self, 4>,
        groups: usize,
        gamma: &Tensor<Self, 1>,
        beta: &Tensor<Self, 1>,
        epsilon: f64,
        silu: bool,
    ) -> Tensor<Self, 4>;

    /// Softmax attention of every head between the tokens of a picture. `qkv` is `[batch, tokens, 3 · width]` with queries, keys and
    /// values side by side and head `h` in columns `h · width / heads …` of each; the result is `[batch, tokens, width]`. The scores
    /// of all tokens with all are never in memory at once.
    fn self_attention(qkv: Tensor<Self, 3>, heads: usize) -> Tensor<Self, 3>;

    /// Softmax attention of every head from a picture's tokens to others: `query` is `[batch, tokens, width]`, `key_value`
    /// `[batch, others, 2 · width]` with keys and values side by side; the result is `[batch, tokens, width]`.
    fn cross_attention(query: Tensor<Self, 3>, key_value: Tensor<Self, 3>, heads: usize) -> Tensor<Self, 3>;

    /// `a · gelu(b)` for `x` `[batch, tokens, 2 · width]`, `a` and `b` being its halves (Shazeer, 2020, GEGLU); the result is
    /// `[batch, tokens, width]`.
    fn gated_gelu(x: Tensor<Self, 3>) -> Tensor<Self, 3>;
}

/// Gives a backend the portable definitions.
#[cfg(any(feature = "candle", feature = "cuda", feature = "wgpu"))]
macro_rules! use_portable_kernels {
    ($backend:ty) => {
        impl DiffusionBackend for $backend {
            type Filter = Tensor<Self, 4>;

            fn filter(weight: Tensor<Self, 4>, _stride: usize) -> Self::Filter {
                weight
            }

            fn convolve(
                x: Tensor<Self, 4>,
                filter: &Self::Filter,
                bias: Option<&Tensor<Self, 1>>,
                placement: Placement,
                residual: Option<Tensor<Self, 4>>,
            ) -> Tensor<Self, 4> {
                portable::convolve(x, filter, bias, placement, residual)
            }

            fn group_norm(
                x: Tensor<Self, 4>,
                groups: usize,
                gamma: &Tensor<Self, 1>,
                beta: &Tensor<Self, 1>,
                epsilon: f64,
                silu: bool,
            ) -> Tensor<Self, 4> {
                portable::group_norm(x, groups, gamma, beta, epsilon, silu)
            }

            fn self_attention(qkv: Tensor<Self, 3>, heads: usize) -> Tensor<Self, 3> {
                portable::self_attention(qkv, heads)
            }

            fn cross_attention(query: Tensor<Self, 3>, key_value: Tensor<Self, 3>, heads: usize) -> Tensor<Self, 3> {
                portable::cross_attention(query, key_value, heads)
            }

            fn gated_gelu(x: Tensor<Self, 3>) -> Tensor<Self, 3> {
                portable::gated_gelu(x)
            }
        }
    };
}

#[cfg(feature = "candle")]
use_portable_kernels!(burn_candle::Candle);
#[cfg(feature = "cuda")]
use_portable_kernels!(burn_cuda::Cuda);
#[cfg(feature = "wgpu")]
use_portable_kernels!(burn_wgpu::Wgpu);
