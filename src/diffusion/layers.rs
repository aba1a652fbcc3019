//! The layers that all of Stable Diffusion's networks are made of, on maps `[batch, height, width, channels]`.

use burn::tensor::{Int, Tensor, TensorData};

use super::kernels::{DiffusionBackend, Placement};
use crate::clip::{Parameters, kernels::Activation, layers::Linear};

/// A convolution with filters of 3 × 3.
#[derive(Clone, Debug)]
pub struct Convolution<B: DiffusionBackend> {
    filter: B::Filter,
    bias: Option<Tensor<B, 1>>,
}

impl<B: DiffusionBackend> Convolution<B> {
    /// Reads `{name}.weight` and `{name}.bias` of a convolution that stands at every place.
    pub fn load(parameters: &mut impl Parameters<B>, name: &str, input: usize, output: usize) -> Self {
        Self::load_strided(parameters, name, input, output, 1)
    }

    /// Reads `{name}.weight` and `{name}.bias` of a convolution whose places lie `stride` apart.
    pub fn load_strided(
        parameters: &mut impl Parameters<B>,
        name: &str,
        input: usize,
        output: usize,
        stride: usize,
    ) -> Self {
        let bias = parameters.tensor(&format!("{name}.bias"), [output]);
        Self { bias: Some(bias), ..Self::load_without_bias(parameters, name, input, output, stride) }
    }

    /// Reads `{name}.weight`; the places lie `stride` apart.
    pub fn load_without_bias(
        parameters: &mut impl Parameters<B>,
        name: &str,
        input: usize,
        output: usize,
        stride: usize,
    ) -> Self {
        let weight = parameters.tensor(&format!("{name}.weight"), [output, input, 3, 3]);
        Self { filter: B::filter(weight, stride), bias: None }
    }

    /// Every place, with zeros beyond the edges: `[batch, height, width, in]` → `[batch, height, width, out]`, with `residual` of
    /// the result's shape added.
    pub fn forward(&self, x: Tensor<B, 4>, residual: Option<Tensor<B, 4>>) -> Tensor<B, 4> {
        self.forward_at(x, Placement::padded(1), residual)
    }

    /// The same with `added` `[out]` added to the bias.
    pub fn forward_added(&self, x: Tensor<B, 4>, added: Tensor<B, 1>) -> Tensor<B, 4> {
        let bias = match &self.bias {
            Some(bias) => bias.clone() + added,
            None => added,
        };
        B::convolve(x, &self.filter, Some(&bias), Placement::padded(1), None)
    }

    /// The same at other places.
    pub fn forward_at(&self, x: Tensor<B, 4>, at: Placement, residual: Option<Tensor<B, 4>>) -> Tensor<B, 4> {
        B::convolve(x, &self.filter, self.bias.as_ref(), at, residual)
    }

    /// The map enlarged to `[height, width]`, each place taking its nearest one's values, and then convolved.
    pub fn forward_enlarged(&self, x: Tensor<B, 4>, [height, width]: [usize; 2]) -> Tensor<B, 4> {
        let [_, rows, columns, _] = x.dims();
        if [height, width] == [2 * rows, 2 * columns] {
            return self.forward_at(x, Placement { doubled: true, ..Placement::padded(1) }, None);
        }
        // A map that could not be halved without a rest.
        let nearest = |from: usize, to: usize| {
            let places: Vec<i64> = (0..to).map(|place| (place * from / to) as i64).collect();
            Tensor::<B, 1, Int>::from_data(TensorData::new(places, [to]), &x.device())
        };
        let (rows, columns) = (nearest(rows, height), nearest(columns, width));
        self.forward(x.select(1, rows).select(2, columns), None)
    }
}

/// A convolution with filters of 1 × 1: a linear layer at every place.
#[derive(Clone, Debug)]
pub struct Pointwise<B: DiffusionBackend>(Linear<B>);

impl<B: DiffusionBackend> Pointwise<B> {
    /// Reads `{name}.weight` `[out, in, 1, 1]` and `{name}.bias`.
    pub fn load(parameters: &mut impl Parameters<B>, name: &str, input: usize, output: usize) -> Self {
        let weight = pointwise_weight(parameters, name, input, output);
        Self(Linear::new(weight, Some(parameters.tensor(&format!("{name}.bias"), [output]))))
    }

    /// Reads `{name}.weight`.
    pub fn load_without_bias(parameters: &mut impl Parameters<B>, name: &str, input: usize, output: usize) -> Self {
        Self(Linear::new(pointwise_weight(parameters, name, input, output), None))
    }

    /// `[batch, height, width, in]` → `[batch, height, width, out]`, with `residual` of the result's shape added.
    pub fn forward(&self, x: Tensor<B, 4>, residual: Option<Tensor<B, 4>>) -> Tensor<B, 4> {
        let size = [x.dims()[1], x.dims()[2]];
        map(self.0.forward(tokens(x), Activation::Identity, residual.map(tokens)), size)
    }
}

fn pointwise_weight<B: DiffusionBackend>(
    parameters: &mut impl Parameters<B>,
    name: &str,
    input: usize,
    output: usize,
) -> Tensor<B, 2> {
    // Not reshaped to [out, in]: while loading, nothing is known of the shape.
    parameters.tensor(&format!("{name}.weight"), [output, input, 1, 1]).flatten(1, 3)
}

/// Group normalisation.
#[derive(Clone, Debug)]
pub struct GroupNorm<B: DiffusionBackend> {
    gamma: Tensor<B, 1>,
    beta: Tensor<B, 1>,
    groups: usize,
    epsilon: f64,
}

impl<B: DiffusionBackend> GroupNorm<B> {
    /// Reads `{name}.weight` and `{name}.bias`.
    pub fn load(parameters: &mut impl Parameters<B>, name: &str, width: usize, norm: Norm) -> Self {
        let Norm { groups, epsilon } = norm;
        let gamma = parameters.tensor(&format!("{name}.weight"), [width]);
        Self { gamma, beta: parameters.tensor(&format!("{name}.bias"), [width]), groups, epsilon }
    }

    /// `[batch, height, width, channels]` → the same.
    pub fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        B::group_norm(x, self.groups, &self.gamma, &self.beta, self.epsilon, false)
    }

    /// The same, followed by SiLU.
    pub fn forward_silu(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        B::group_norm(x, self.groups, &self.gamma, &self.beta, self.epsilon, true)
    }
}

/// How a network normalises.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Norm {
    /// Groups of channels.
    pub groups: usize,
    /// What is added to the variance.
    pub epsilon: f64,
}

/// A map as a list of tokens: `[batch, height, width, channels]` → `[batch, height · width, channels]`.
pub fn tokens<B: DiffusionBackend>(x: Tensor<B, 4>) -> Tensor<B, 3> {
    let [batch, height, width, channels] = x.dims();
    x.reshape([batch, height * width, channels])
}

/// The reverse of [`tokens`].
pub fn map<B: DiffusionBackend>(x: Tensor<B, 3>, [height, width]: [usize; 2]) -> Tensor<B, 4> {
    let [batch, _, channels] = x.dims();
    x.reshape([batch, height, width, channels])
}

/// Weights `{name}.{part}.weight` `[out, in]` and, with `bias`, biases, of several linear layers on the same input as one layer whose
/// outputs lie side by side.
pub fn joined<B: DiffusionBackend>(
    parameters: &mut impl Parameters<B>,
    name: &str,
    parts: &[&str],
    [input, output]: [usize; 2],
    bias: bool,
) -> Linear<B> {
    let mut weights = Vec::new();
    let mut biases = Vec::new();
    for part in parts {
        weights.push(parameters.tensor(&format!("{name}.{part}.weight"), [output, input]));
        if bias {
            biases.push(parameters.tensor(&format!("{name}.{part}.bias"), [output]));
        }
    }
    Linear::new(Tensor::cat(weights, 0), bias.then(|| Tensor::cat(biases, 0)))
}
