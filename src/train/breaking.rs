//! The breaking loss: two views of an image that no longer shows its class are told from all other such images.
//!
//! `CE(100 · f² · [f¹; bank]ᵀ, arange(B))` for features f¹, f² of unit length, `[B, D]`, where the bank holds the f¹ of earlier
//! batches: a contrast as in momentum contrast (He and others, "Momentum contrast for unsupervised visual representation learning", 2020,
//! equation 1) without its second encoder. Breaking images never carry a label.

use std::collections::VecDeque;

use burn::tensor::{Tensor, backend::Backend};

use super::objective::{cross_entropy, one_hot};

/// What similarities are multiplied by.
const SCALE: f32 = 100.0;

/// Features of earlier batches, the oldest first.
#[derive(Clone, Debug)]
pub struct Bank<B: Backend> {
    batches: VecDeque<Tensor<B, 2>>,
    size: usize,
}

impl<B: Backend> Bank<B> {
    /// An empty bank for `size` batches.
    pub fn new(size: usize) -> Self {
        Self { batches: VecDeque::new(), size }
    }

    /// Takes in a batch `[B, D]`; the oldest leaves when there are too many.
    pub fn push(&mut self, features: Tensor<B, 2>) {
        self.batches.push_back(features);
        while self.batches.len() > self.size {
            self.batches.pop_front();
        }
    }

    /// The batches, the oldest first.
    pub fn batches(&self) -> impl Iterator<Item = &Tensor<B, 2>> {
        self.batches.iter()
    }
}

/// The loss, one number in nats: `first` and `second` are `[B, D]`, what is in the bank `[any, D]`.
pub fn breaking_loss<B: Backend>(
    first: Tensor<B, 2>,
    second: Tensor<B, 2>,
    bank: impl Iterator<Item = Tensor<B, 2>>,
) -> Tensor<B, 1> {
    let rows: Vec<usize> = (0..first.dims()[0]).collect();
    let candidates = Tensor::cat(std::iter::once(first).chain(bank).collect(), 0);
    let targets = one_hot(&rows, candidates.dims()[0], &candidates.device());
    cross_entropy(second.matmul(candidates.transpose()).mul_scalar(SCALE), targets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::Flex;

    #[test]
    fn the_bank_forgets_the_oldest_batch() {
        let device = Default::default();
        let mut bank = Bank::<Flex>::new(2);
        for value in [1.0, 2.0, 3.0] {
            bank.push(Tensor::full([1, 2], value, &device));
        }
        let held: Vec<f32> = bank.batches().map(|batch| batch.clone().max().into_scalar()).collect();
        assert_eq!(held, [2.0, 3.0]);
    }

    #[test]
    fn each_image_is_told_from_the_others_and_from_the_bank() {
        let device = Default::default();
        let first = Tensor::<Flex, 2>::from_data([[1.0, 0.0], [0.0, 1.0]], &device);
        let bank = Tensor::<Flex, 2>::from_data([[0.999_5, 0.031_618]], &device);
        // By hand: the first row's similarities are 100, 0 and 99.95, so its loss is ln(1 + e^-0.05); the second's 0, 100 and
        // 3.1618, so nothing.
        let loss = breaking_loss(first.clone(), first, std::iter::once(bank)).into_scalar();
        let expected = f32::midpoint((1.0 + (-0.05f32).exp()).ln(), 0.0);
        assert!((loss - expected).abs() < 1e-4, "{loss} {expected}");
    }
}
