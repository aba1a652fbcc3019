//! The parts that both towers are made of: linear layer, layer norm, pre-norm transformer block.

use burn::tensor::Tensor;

use super::{
    ClipBackend, Parameters, Storage,
    attention::Attention,
    config::TransformerConfig,
    kernels::Activation,
    precision::Conversion,
    walk::{Place, Tower, Visitor},
};

/// `x · Wᵀ + b`, with a frozen weight.
#[derive(Clone, Debug)]
pub struct Linear<B: ClipBackend> {
    matrix: B::Matrix,
    pub(super) bias: Option<Tensor<B, 1>>,
}

impl<B: ClipBackend> Linear<B> {
    /// From a weight `[out, in]` and a bias `[out]`.
    pub fn new(weight: Tensor<B, 2>, bias: Option<Tensor<B, 1>>) -> Self {
        Self { matrix: B::matrix(weight), bias }
    }

    /// The same with the weight in one form of memory.
    pub fn new_in(storage: Storage, weight: Tensor<B, 2>, bias: Option<Tensor<B, 1>>) -> Self {
        Self { matrix: B::matrix_in(storage, weight), bias }
    }

    /// Reads `{name}.weight` and `{name}.bias`.
    pub fn load(parameters: &mut impl Parameters<B>, name: &str, input: usize, output: usize) -> Self {
        let weight = parameters.tensor(&format!("{name}.weight"), [output, input]);
        let bias = parameters.tensor(&format!("{name}.bias"), [output]);
        Self::new_in(parameters.storage(), weight, Some(bias))
    }

    /// `[batch, tokens, in]` → `[batch, tokens, out]`, with what follows the product fused into it.
    pub fn forward(&self, x: Tensor<B, 3>, activation: Activation, residual: Option<Tensor<B, 3>>) -> Tensor<B, 3> {
        <B as ClipBackend>::linear(x, &self.matrix, self.bias.as_ref(), activation, residual)
    }

    /// Adds `difference` `[out, in]` to the weight, which then lies in whatever form loses nothing of the sum.
    pub fn add(&mut self, difference: Tensor<B, 2>) {
        self.matrix = B::matrix(B::weight(&self.matrix) + difference);
    }

    pub(super) fn convert<C: ClipBackend>(&self, to: &impl Conversion<B, C>) -> Linear<C> {
        Linear { matrix: to.matrix(&self.matrix), bias: self.bias.as_ref().map(|bias| to.tensor(bias)) }
    }

    pub(super) fn walk(&mut self, name: &str, visitor: &mut impl Visitor<B>) {
        if let Some(bias) = &mut self.bias {
            visitor.bias(&format!("{name}.bias"), bias);
        }
    }
}

/// Layer normalisation over the width; its vectors are f32 in every tower.
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

    pub(super) fn convert<C: ClipBackend>(&self, to: &impl Conversion<B, C>) -> LayerNorm<C> {
        LayerNorm { gamma: to.vector(&self.gamma), beta: to.vector(&self.beta), epsilon: self.epsilon }
    }

    pub(super) fn walk(&mut self, name: &str, visitor: &mut impl Visitor<B>) {
        visitor.bias(&format!("{name}.bias"), &mut self.beta);
    }
}

/// A pre-norm block: `x += attention(ln_1 x)`, `x += mlp(ln_2 x)`.
#[derive(Clone, Debug)]
pub struct Block<B: ClipBackend> {
    ln_1: LayerNorm<B>,
    attention: Attention<B>,
    ln_2: LayerNorm<B>,
    mlp_in: Linear<B>,
    mlp_out: Linear<B>,
    activation: Activation,
}

impl<B: ClipBackend> Block<B> {
    fn load(parameters: &mut impl Parameters<B>, name: &str, config: &TransformerConfig) -> Self {
        let width = config.width;
        Self {
            ln_1: LayerNorm::load(parameters, &format!("{name}.ln_1"), width, config.epsilon),
            attention: Attention::load(parameters, name, width, config.heads),
            ln_2: LayerNorm::load(parameters, &format!("{name}.ln_2"), width, config.epsilon),
            mlp_in: Linear::load(parameters, &format!("{name}.mlp.c_fc"), width, config.mlp),
            mlp_out: Linear::load(parameters, &format!("{name}.mlp.c_proj"), config.mlp, width),
            activation: config.activation,
        }
    }

    /// `[batch, tokens, width]` → the same.
    fn forward(&self, x: Tensor<B, 3>, causal: bool) -> Tensor<B, 3> {
        let normal = self.ln_1.forward(x.clone());
        self.mlp(self.attention.forward(normal, causal, x))
    }

    /// The block's output at the first token only, `[batch, 1, width]`.
    fn forward_first(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let normal = self.ln_1.forward(x.clone());
        self.mlp(self.attention.forward_first(normal, x.narrow(1, 0, 1)))
    }

    fn mlp(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let hidden = self.mlp_in.forward(self.ln_2.forward(x.clone()), self.activation, None);
        self.mlp_out.forward(hidden, Activation::Identity, Some(x))
    }

    fn convert<C: ClipBackend>(&self, to: &impl Conversion<B, C>) -> Block<C> {
        Block {
            ln_1: self.ln_1.convert(to),
            attention: self.attention.convert(to),
            ln_2: self.ln_2.convert(to),
            mlp_in: self.mlp_in.convert(to),
            mlp_out: self.mlp_out.convert(to),
            activation: self.activation,
        }
    }

    fn walk(&mut self, name: &str, place: Place, visitor: &mut impl Visitor<B>) {
        self.ln_1.walk(&format!("{name}.ln_1"), visitor);
        self.attention.walk(name, place, visitor);
        self.ln_2.walk(&format!("{name}.ln_2"), visitor);
        self.mlp_in.walk(&format!("{name}.mlp.c_fc"), visitor);
        self.mlp_out.walk(&format!("{name}.mlp.c_proj"), visitor);
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

    /// How many blocks there are.
    pub fn layers(&self) -> usize {
        self.blocks.len()
    }

    /// One block: `[batch, tokens, width]` → the same; with `causal` a token sees only what stands before it.
    pub fn block(&self, index: usize, x: Tensor<B, 3>, causal: bool) -> Tensor<B, 3> {
        self.blocks[index].forward(x, causal)
    }

    /// One block without what only other tokens than the first would need: `[batch, tokens, width]` →
    /// `[batch, 1, width]`.
    pub fn block_first(&self, index: usize, x: Tensor<B, 3>) -> Tensor<B, 3> {
        self.blocks[index].forward_first(x)
    }

    /// How much the first token attends to each in one block, `[batch, heads, 1, tokens]`.
    pub fn first_attention(&self, index: usize, x: Tensor<B, 3>) -> Tensor<B, 4> {
        let block = &self.blocks[index];
        block.attention.first_attention(block.ln_1.forward(x))
    }

    pub(super) fn convert<C: ClipBackend>(&self, to: &impl Conversion<B, C>) -> Transformer<C> {
        Transformer { blocks: self.blocks.iter().map(|block| block.convert(to)).collect() }
    }

    pub(super) fn walk(&mut self, name: &str, tower: Tower, visitor: &mut impl Visitor<B>) {
        let layers = self.blocks.len();
        for (layer, block) in self.blocks.iter_mut().enumerate() {
            block.walk(&format!("{name}.resblocks.{layer}"), Place { tower, layer, layers }, visitor);
        }
    }
}
