//! What the schedulers have in common: how one steps, whatever it remembers of earlier steps.

use burn::prelude::Backend;
use burn::tensor::Tensor;

use super::level::{Level, weighted};

/// A scheduler on its way. Steps are counted as the schedule's timesteps are; all tensors have one shape.
pub(super) trait Solver<B: Backend>: Send {
    /// A clean sample with as much noise as there is before step `at`.
    fn add_noise(&self, at: usize, clean: Tensor<B, 4>, noise: Tensor<B, 4>) -> Tensor<B, 4>;

    /// The sample before step `at` as the network wants to see it.
    fn scale_input(&self, _at: usize, x: Tensor<B, 4>) -> Tensor<B, 4> {
        x
    }

    /// Whether step `at` adds fresh noise.
    fn needs_noise(&self, _at: usize) -> bool {
        false
    }

    /// The sample after step `at`, from the one before it and what the network says to that.
    fn step(&mut self, at: usize, output: Tensor<B, 4>, x: Tensor<B, 4>, noise: Option<Tensor<B, 4>>) -> Tensor<B, 4>;
}

/// `√ᾱ · clean + √(1 − ᾱ) · noise`.
pub(super) fn add_noise<B: Backend>(level: Level, clean: Tensor<B, 4>, noise: Tensor<B, 4>) -> Tensor<B, 4> {
    weighted(&[(level.signal, &clean), (level.noise, &noise)])
}
