//! Networks in another precision than their files. Latents, schedules and text states stay in single precision.

use burn::tensor::{DType, Tensor, backend::Backend};

use crate::clip::Parameters;

/// Parameters in another precision than their source gives.
pub(super) struct InPrecision<'a, P>(pub(super) &'a mut P, pub(super) DType);

impl<B: Backend, P: Parameters<B>> Parameters<B> for InPrecision<'_, P> {
    fn tensor<const D: usize>(&mut self, name: &str, shape: [usize; D]) -> Tensor<B, D> {
        self.0.tensor(name, shape).cast(self.1)
    }

    fn scalar(&mut self, name: &str) -> f32 {
        self.0.scalar(name)
    }
}
