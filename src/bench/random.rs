//! Random numbers in the place of trained weights. How long a network takes does not depend on what it was taught.

use burn::tensor::{DType, Tensor, TensorData, backend::Backend};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::clip::Parameters;

/// Weights up to this size, so that nothing overflows on its way through a network.
const SCALE: f32 = 0.05;

/// A source of whatever tensors are asked for: the same ones for the same seed and order.
pub struct Random<B: Backend> {
    generator: ChaCha8Rng,
    device: B::Device,
    dtype: DType,
}

impl<B: Backend> Random<B> {
    /// A source of tensors on `device`, of this type.
    pub fn new(seed: u64, dtype: DType, device: &B::Device) -> Self {
        Self { generator: ChaCha8Rng::seed_from_u64(seed), device: device.clone(), dtype }
    }

    /// Numbers between `-scale` and `scale`.
    pub fn numbers<const D: usize>(&mut self, shape: [usize; D], scale: f32) -> Tensor<B, D> {
        let count = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|_| self.generator.random_range(-scale..scale)).collect();
        Tensor::<B, D>::from_data(TensorData::new(values, shape), &self.device).cast(self.dtype)
    }
}

impl<B: Backend> Parameters<B> for Random<B> {
    fn tensor<const D: usize>(&mut self, _name: &str, shape: [usize; D]) -> Tensor<B, D> {
        self.numbers(shape, SCALE)
    }

    fn scalar(&mut self, _name: &str) -> f32 {
        1.0
    }
}
