//! Where the towers get their tensors from.

use burn::tensor::{Tensor, backend::Backend};

use super::Storage;

/// A source of named tensors.
///
/// The towers ask by OpenAI's names (`visual.transformer.resblocks.0.attn.in_proj_weight`), which cover both image towers
/// and have queries, keys and values in one matrix, as the kernels want them; `weights::names` translates other layouts.
///
/// Asking never fails: a source notes what is missing or wrongly shaped, returns a placeholder of one element, and its owner
/// reports all of it at once afterwards. So the list of tensors is written once, in the towers themselves, which must not
/// count on a shape while they load.
pub trait Parameters<B: Backend> {
    /// The tensor `name`, which must have this shape.
    fn tensor<const D: usize>(&mut self, name: &str, shape: [usize; D]) -> Tensor<B, D>;

    /// The form in which matrices made of its tensors are to lie in memory.
    fn storage(&self) -> Storage {
        Storage::Exact
    }

    /// The zero-dimensional tensor `name`.
    fn scalar(&mut self, name: &str) -> f32;
}
