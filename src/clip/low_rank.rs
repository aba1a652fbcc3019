//! The branch that LoRA puts beside a linear layer: `scale · dropout(x) · Aᵀ · Bᵀ`.

use burn::tensor::Tensor;

use super::{ClipBackend, kernels::Dropout};

/// A low-rank branch, for as many of a layer's outputs (queries, keys, values) as have one. Never the dense `B · A`.
#[derive(Clone, Debug)]
pub struct LowRank<B: ClipBackend> {
    /// The groups' `A`, one below the other: `[groups · rank, in]`.
    down: Tensor<B, 2>,
    /// The groups' `B`, times the scale, each in the rows of its outputs and in the columns of its `A`; zeros elsewhere:
    /// `[out, groups · rank]`.
    up: Tensor<B, 2>,
    dropout: Dropout,
}

impl<B: ClipBackend> LowRank<B> {
    /// A branch for some of the `parts` equal parts that a layer's outputs have. A group is the number of its part, its
    /// `A` `[rank, in]` and its `B` `[out / parts, rank]`; there is at least one, and a seed for each in `dropout`.
    pub fn new(groups: &[(usize, Tensor<B, 2>, Tensor<B, 2>)], parts: usize, scale: f64, dropout: Dropout) -> Self {
        let down = Tensor::cat(groups.iter().map(|(_, down, _)| down.clone()).collect(), 0);
        let columns = down.dims()[0];
        let [outputs, rank] = groups[0].2.dims();
        let device = down.device();
        let rows = (0..parts).map(|part| match groups.iter().position(|(of, ..)| *of == part) {
            None => Tensor::zeros([outputs, columns], &device),
            Some(at) => {
                // CUDA refuses to fill what has no numbers.
                let blank = |width: usize| (width > 0).then(|| Tensor::zeros([outputs, width], &device));
                let own = groups[at].2.clone().mul_scalar(scale);
                let pieces = [blank(at * rank), Some(own), blank(columns - (at + 1) * rank)];
                Tensor::cat(pieces.into_iter().flatten().collect(), 1)
            }
        });
        Self { down, up: Tensor::cat(rows.collect(), 0), dropout }
    }

    /// `[batch, tokens, in]` → what is to be added to the layer's output, `[batch, tokens, out]`.
    pub fn forward(&self, x: &Tensor<B, 3>) -> Tensor<B, 3> {
        let [batch, tokens, _] = x.dims();
        let [outputs, columns] = self.up.dims();
        let seen = B::low_rank_down(x, &self.down, &self.dropout).reshape([batch * tokens, columns]);
        seen.matmul(self.up.clone().transpose()).reshape([batch, tokens, outputs])
    }

    /// `scale · B · A` `[out, in]`, what merging adds to the layer's weight.
    pub fn product(&self) -> Tensor<B, 2> {
        self.up.clone().matmul(self.down.clone())
    }
}
