//! The attention of a class's text over its shots, and the gate: everything that Meta-Adapter computes.

use burn::{
    backend::Autodiff,
    tensor::{
        Tensor,
        activation::{sigmoid, softmax},
        backend::Backend,
    },
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::adapter::few_shot::{indices, matrix};

/// What Meta-Adapter learns. As [`crate::train::optimise::Descent`] wants them: all matrices.
#[derive(Clone, Debug)]
pub struct Parameters<B: Backend> {
    /// Wq `[D, D]`, applied as `q · Wqᵀ`.
    pub query: Tensor<B, 2>,
    /// Wk `[D, D]`, applied as `V · Wkᵀ`.
    pub key: Tensor<B, 2>,
    /// w `[1, D]`.
    pub gate_weight: Tensor<B, 2>,
    /// b `[1, 1]`.
    pub gate_bias: Tensor<B, 2>,
}

impl<B: Backend> Parameters<B> {
    /// Wq and Wk Xavier-uniform (Glorot and Bengio 2010, equation 16); w uniform in ±1/√D, as PyTorch starts a linear
    /// layer; b 1, so that the gate begins mostly open.
    pub fn new(width: usize, random: &mut ChaCha8Rng, device: &B::Device) -> Self {
        let mut uniform = |rows: usize, bound: f32| {
            let values = (0..rows * width).map(|_| random.random_range(-bound..=bound)).collect();
            matrix(values, [rows, width], device)
        };
        let xavier = (6.0 / (2 * width) as f32).sqrt();
        Self {
            query: uniform(width, xavier),
            key: uniform(width, xavier),
            gate_weight: uniform(1, 1.0 / (width as f32).sqrt()),
            gate_bias: matrix(vec![1.0], [1, 1], device),
        }
    }

    /// `2D² + D + 1`.
    pub fn count(&self) -> usize {
        [&self.query, &self.key, &self.gate_weight, &self.gate_bias]
            .map(|p| p.dims().iter().product::<usize>())
            .iter()
            .sum()
    }

    /// As a list, for an optimiser.
    pub fn into_vec(self) -> Vec<Tensor<B, 2>> {
        vec![self.query, self.key, self.gate_weight, self.gate_bias]
    }

    /// The inverse of [`Self::into_vec`].
    pub fn from_slice(parameters: &[Tensor<B, 2>]) -> Self {
        let [query, key, gate_weight, gate_bias] = [0, 1, 2, 3].map(|i| parameters[i].clone());
        Self { query, key, gate_weight, gate_bias }
    }
}

/// Each class's shots, side by side.
#[derive(Clone, Debug)]
pub struct Support<B: Backend> {
    /// `[C, K, D]`, zeros where a class has fewer than the `K` of the largest; nothing where there is no shot at all.
    shots: Option<Tensor<B, 3>>,
    /// Added to the attention's scores, `[C, 1, K + 1]`: 0 for tokens, a large negative number for padding.
    mask: Tensor<B, 3>,
}

impl<B: Backend> Support<B> {
    /// From shots `[n, D]` with the class of each; `classes` is `C`.
    pub fn new(features: &Tensor<B, 2>, labels: &[usize], classes: usize) -> Self {
        let device = features.device();
        let width = features.dims()[1];
        let mut shots = vec![Vec::new(); classes];
        for (row, &label) in labels.iter().enumerate() {
            shots[label].push(row);
        }
        let largest = shots.iter().map(Vec::len).max().unwrap_or(0);
        let padded = |row: &[usize], position: usize| position >= row.len();
        let mask = shots
            .iter()
            .flat_map(|row| (0..=largest).map(move |i| if i > 0 && padded(row, i - 1) { -1e9 } else { 0.0 }));
        let mask = matrix(mask.collect(), [classes, largest + 1], &device).unsqueeze_dim(1);
        let shots = (largest > 0).then(|| {
            // Padding selects some row and is then set to zero, so that no class ever holds another's features.
            let rows: Vec<usize> =
                shots.iter().flat_map(|row| (0..largest).map(move |i| row.get(i).copied().unwrap_or(0))).collect();
            let kept = shots.iter().flat_map(|row| (0..largest).map(move |i| if padded(row, i) { 0.0 } else { 1.0 }));
            let kept = matrix::<B>(kept.collect(), [classes * largest, 1], &device);
            (features.clone().select(0, indices(&rows, &device)) * kept).reshape([classes, largest, width])
        });
        Self { shots, mask }
    }

    /// The same where gradients can be recorded.
    pub fn tracked(&self) -> Support<Autodiff<B>> {
        Support { shots: self.shots.clone().map(Tensor::from_inner), mask: Tensor::from_inner(self.mask.clone()) }
    }

    /// The classifier ŵ of texts `[C, D]`: `[C, D]`, of unit length.
    pub fn classifier(&self, text: &Tensor<B, 2>, parameters: &Parameters<B>, dropout: &mut Dropout) -> Tensor<B, 2> {
        let text_tokens = text.clone().unsqueeze_dim::<3>(1);
        let tokens = match &self.shots {
            Some(shots) => Tensor::cat(vec![text_tokens, shots.clone()], 1),
            None => text_tokens,
        };
        let [classes, count, width] = tokens.dims();
        let queries = dropout.apply(text.clone().matmul(parameters.query.clone().transpose()));
        let flat = tokens.clone().reshape([classes * count, width]);
        let keys = dropout.apply(flat.matmul(parameters.key.clone().transpose())).reshape([classes, count, width]);
        let scores = queries.unsqueeze_dim::<3>(1).matmul(keys.swap_dims(1, 2)).div_scalar((width as f64).sqrt());
        let attention = softmax(scores + self.mask.clone(), 2);
        let seen = attention.matmul(tokens).reshape([classes, width]);
        let gate =
            sigmoid(text.clone().matmul(parameters.gate_weight.clone().transpose()) + parameters.gate_bias.clone());
        normalize(text.clone() + gate * seen)
    }
}

/// Rows `[n, D]` divided by their lengths.
pub fn normalize<B: Backend>(rows: Tensor<B, 2>) -> Tensor<B, 2> {
    let lengths = rows.clone().powi_scalar(2).sum_dim(1).sqrt().clamp_min(1e-12);
    rows / lengths
}

/// Inverted dropout whose masks are drawn on the host, so that they are the same on every device.
pub struct Dropout {
    probability: f64,
    random: ChaCha8Rng,
}

impl Dropout {
    /// Drops nothing.
    pub fn none() -> Self {
        Self { probability: 0.0, random: ChaCha8Rng::seed_from_u64(0) }
    }

    /// Drops entries with a probability in [0, 1), drawn by `random`.
    pub fn new(probability: f64, random: ChaCha8Rng) -> Self {
        Self { probability, random }
    }

    /// `x` with entries dropped.
    pub fn apply<B: Backend>(&mut self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        if self.probability == 0.0 {
            return x;
        }
        let shape = x.dims();
        let kept = (1.0 / (1.0 - self.probability)) as f32;
        let mask = (0..shape[0] * shape[1])
            .map(|_| if self.random.random_bool(self.probability) { 0.0 } else { kept })
            .collect();
        let mask = matrix(mask, shape, &x.device());
        x * mask
    }
}
