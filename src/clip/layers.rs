//! The parts that both towers are made of: linear layer, layer norm, pre-norm transformer block.

use burn::tensor::{Tensor, activation::softmax};

use super::{ClipBackend, Parameters, config::TransformerConfig, kernels::Activation};

/// `x · Wᵀ + b`, frozen.
#[derive(Clone, Debug)]
pub struct Linear<B: ClipBackend> {
    matrix: B::Matrix,
    bias: Option<Tensor<B, 1>>,
}

impl<B: ClipBackend> Linear<B> {
    /// From a weight `[out, in]` and a bias `[out]`.
    pub fn new(weight: Tensor<B, 2>, bias: Option<Tensor<B, 1>>) -> Self {
        Self { matrix: B::matrix(weight), bias }
    }

    /// Reads `{name}.weight` and `{name}.bias`.
    pub fn load(parameters: &mut impl Parameters<B>, name: &str, input: usize, output: usize) -> Self {
        let weight = parameters.tensor(&format!("{name}.weight"), [output, input]);
        Self::new(weight, Some(parameters.tensor(&format!("{name}.bias"), [output])))
    }

    /// `[batch, tokens, in]` → `[batch, tokens, out]`, with what follows the product fused into it.
    pub fn forward(&self, x: Tensor<B, 3>, activation: Activation, residual: Option<Tensor<B, 3>>) -> Tensor<B, 3> {
        <B as ClipBackend>::linear(x, &self.matrix, self.bias.as_ref(), activation, residual)
    }
}

/// Layer normalisation over the width.
#[derive(Clone, Debug)]
pub struct LayerNorm<B: ClipBackend> {
    gamma: Tensor<B, 1>,
    beta: Tensor<B, 1>,
    epsilon: f64,
}

impl<B: ClipBackend> LayerNorm<B> {
    /// Reads `{name}.weight` and `{name}.bias`.
    pub fn load(parameters: &mut impl Parameters<B>, name: &str, width: usize, epsilon: f64) -> Self {
        Self {
            gamma: parameters.tensor(&format!("{name}.weight"), [width]),
            beta: parameters.tensor(&format!("{name}.bias"), [width]),
            epsilon,
        }
    }

    /// `[batch, tokens, width]` → the same.
    pub fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        <B as ClipBackend>::layer_norm(x, &self.gamma, &self.beta, self.epsilon)
    }
}

/// A pre-norm block: `x += attention(ln_1 x)`, `x += mlp(ln_2 x)`.
#[derive(Clone, Debug)]
pub struct Block<B: ClipBackend> {
    ln_1: LayerNorm<B>,
    attention_in: Linear<B>,
    attention_out: Linear<B>,
    ln_2: LayerNorm<B>,
    mlp_in: Linear<B>,
    mlp_out: Linear<B>,
    heads: usize,
    activation: Activation,
}

impl<B: ClipBackend> Block<B> {
    fn load(parameters: &mut impl Parameters<B>, name: &str, config: &TransformerConfig) -> Self {
        let width = config.width;
        let attention_in = Linear::new(
            parameters.tensor(&format!("{name}.attn.in_proj_weight"), [3 * width, width]),
            Some(parameters.tensor(&format!("{name}.attn.in_proj_bias"), [3 * width])),
        );
        Self {
            ln_1: LayerNorm::load(parameters, &format!("{name}.ln_1"), width, config.epsilon),
            attention_in,
            attention_out: Linear::load(parameters, &format!("{name}.attn.out_proj"), width, width),
            ln_2: LayerNorm::load(parameters, &format!("{name}.ln_2"), width, config.epsilon),
            mlp_in: Linear::load(parameters, &format!("{name}.mlp.c_fc"), width, config.mlp),
            mlp_out: Linear::load(parameters, &format!("{name}.mlp.c_proj"), config.mlp, width),
            heads: config.heads,
            activation: config.activation,
        }
    }

    /// `[batch, tokens, width]` → the same.
    fn forward(&self, x: Tensor<B, 3>, causal: bool) -> Tensor<B, 3> {
        let qkv = self.attention_in.forward(self.ln_1.forward(x.clone()), Activation::Identity, None);
        let attended = <B as ClipBackend>::attention(qkv, self.heads, causal);
        let x = self.attention_out.forward(attended, Activation::Identity, Some(x));
        self.mlp(x)
    }

    /// The block's output at the first token only, `[batch, 1, width]`: every token is attended to, but nothing is
    /// computed for tokens whose output nobody reads.
    fn forward_first(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let [batch, tokens, width] = x.dims();
        let head = width / self.heads;
        let qkv = self.attention_in.forward(self.ln_1.forward(x.clone()), Activation::Identity, None);
        let part = |index: usize, rows: usize| {
            let part = qkv.clone().slice([0..batch, 0..rows, index * width..(index + 1) * width]);
            part.reshape([batch, rows, self.heads, head]).swap_dims(1, 2)
        };
        let query = part(0, 1).mul_scalar((head as f64).powf(-0.5));
        let scores = softmax(query.matmul(part(1, tokens).transpose()), 3);
        let attended = scores.matmul(part(2, tokens)).swap_dims(1, 2).reshape([batch, 1, width]);
        let first = x.slice([0..batch, 0..1, 0..width]);
        let x = self.attention_out.forward(attended, Activation::Identity, Some(first));
        self.mlp(x)
    }

    fn mlp(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let hidden = self.mlp_in.forward(self.ln_2.forward(x.clone()), self.activation, None);
        self.mlp_out.forward(hidden, Activation::Identity, Some(x))
    }
}

/// The blocks of a tower.
#[derive(Clone, Debug)]
pub struct Transformer<B: ClipBackend> {
    blocks: Vec<Block<B>>,
}

impl<B: ClipBackend> Transformer<B> {
    /// Reads `{name}.resblocks.0` and those that follow.
    pub fn load(parameters: &mut impl Parameters<B>, name: &str, config: &TransformerConfig) -> Self {
        let block = |index| Block::load(parameters, &format!("{name}.resblocks.{index}"), config);
        Self { blocks: (0..config.layers).map(block).collect() }
    }

    /// `[batch, tokens, width]` → the same; with `causal` a token sees only what stands before it.
    pub fn forward(&self, x: Tensor<B, 3>, causal: bool) -> Tensor<B, 3> {
        self.blocks.iter().fold(x, |x, block| block.forward(x, causal))
    }

    /// `[batch, tokens, width]` → the first token after all blocks, `[batch, 1, width]`.
    pub fn forward_first(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let width = x.dims()[2];
        match self.blocks.split_last() {
            Some((last, before)) => last.forward_first(before.iter().fold(x, |x, block| block.forward(x, false))),
            None => x.narrow(1, 0, 1).narrow(2, 0, width),
        }
    }
}
