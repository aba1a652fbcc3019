//! Multi-head attention as in CLIP's blocks: queries, keys and values from one matrix, heads side by side.

use burn::tensor::Tensor;

use super::{
    ClipBackend, Parameters,
    kernels::{Activation, portable::first_probabilities},
    layers::Linear,
    low_rank::LowRank,
    precision::Conversion,
    walk::{Place, Visitor},
};

/// Self-attention. `tokens` see one another, or with `causal` only what stands before them.
#[derive(Clone, Debug)]
pub struct Attention<B: ClipBackend> {
    /// Queries, keys and values: `[width]` → `[3 · width]`.
    pub input: Linear<B>,
    /// `[width]` → `[width]`.
    pub output: Linear<B>,
    /// LoRA beside `input`.
    pub input_branch: Option<LowRank<B>>,
    /// LoRA beside `output`.
    pub output_branch: Option<LowRank<B>>,
    heads: usize,
}

impl<B: ClipBackend> Attention<B> {
    /// Reads `{name}.attn.in_proj_weight` and the others.
    pub(super) fn load(parameters: &mut impl Parameters<B>, name: &str, width: usize, heads: usize) -> Self {
        let weight = parameters.tensor(&format!("{name}.attn.in_proj_weight"), [3 * width, width]);
        let bias = parameters.tensor(&format!("{name}.attn.in_proj_bias"), [3 * width]);
        Self {
            input: Linear::new_in(parameters.storage(), weight, Some(bias)),
            output: Linear::load(parameters, &format!("{name}.attn.out_proj"), width, width),
            input_branch: None,
            output_branch: None,
            heads,
        }
    }

    /// `residual + attention(x)`, both `[batch, tokens, width]`.
    pub(super) fn forward(&self, x: Tensor<B, 3>, causal: bool, residual: Tensor<B, 3>) -> Tensor<B, 3> {
        let attended = <B as ClipBackend>::attention(self.project(x), self.heads, causal);
        self.finish(attended, residual)
    }

    /// The same at the first token only, `[batch, 1, width]`: every token is attended to, but nothing is computed for
    /// tokens whose output nobody reads. `residual` is `[batch, 1, width]`.
    pub(super) fn forward_first(&self, x: Tensor<B, 3>, residual: Tensor<B, 3>) -> Tensor<B, 3> {
        let attended = <B as ClipBackend>::attention_first(self.project(x), self.heads);
        self.finish(attended, residual)
    }

    /// How much the first token attends to each, `[batch, heads, 1, tokens]`, from `x` `[batch, tokens, width]`.
    pub fn first_attention(&self, x: Tensor<B, 3>) -> Tensor<B, 4> {
        first_probabilities(&self.project(x), self.heads)
    }

    fn project(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let branch = self.input_branch.as_ref().map(|branch| branch.forward(&x));
        self.input.forward(x, Activation::Identity, branch)
    }

    fn finish(&self, attended: Tensor<B, 3>, residual: Tensor<B, 3>) -> Tensor<B, 3> {
        let residual = match &self.output_branch {
            Some(branch) => residual + branch.forward(&attended),
            None => residual,
        };
        self.output.forward(attended, Activation::Identity, Some(residual))
    }

    /// Width of its tokens.
    pub fn width(&self) -> usize {
        self.output.bias.as_ref().map_or(0, |bias| bias.dims()[0])
    }

    /// Adds the branches to the weights and drops them: the same outputs without their cost.
    pub fn merge(&mut self) {
        for (layer, branch) in
            [(&mut self.input, self.input_branch.take()), (&mut self.output, self.output_branch.take())]
        {
            if let Some(branch) = branch {
                layer.add(branch.product());
            }
        }
    }

    /// Without its branches, which are put beside whatever it becomes.
    pub(super) fn convert<C: ClipBackend>(&self, to: &impl Conversion<B, C>) -> Attention<C> {
        Attention {
            input: self.input.convert(to),
            output: self.output.convert(to),
            input_branch: None,
            output_branch: None,
            heads: self.heads,
        }
    }

    pub(super) fn walk(&mut self, block: &str, place: Place, visitor: &mut impl Visitor<B>) {
        if let Some(bias) = &mut self.input.bias {
            visitor.bias(&format!("{block}.attn.in_proj_bias"), bias);
        }
        self.output.walk(&format!("{block}.attn.out_proj"), visitor);
        visitor.attention(block, place, self);
    }
}
