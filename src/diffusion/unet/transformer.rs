//! The transformer on a map: its places attend to each other and to the text (diffusers' `Transformer2DModel`).

use burn::tensor::Tensor;

use super::{
    super::{
        kernels::DiffusionBackend,
        layers::{GroupNorm, Norm, joined, map, tokens},
    },
    config::TransformerConfig,
};
use crate::clip::{
    Parameters,
    kernels::Activation,
    layers::{LayerNorm, Linear},
};

/// What diffusers' transformers add to variances, whatever the config says of the residual blocks'.
const GROUP_EPSILON: f64 = 1e-6;
const LAYER_EPSILON: f64 = 1e-5;

/// Normalisation, a projection, blocks, and a projection back, beside the identity.
#[derive(Clone, Debug)]
pub struct Transformer<B: DiffusionBackend> {
    norm: GroupNorm<B>,
    input: Linear<B>,
    blocks: Vec<Block<B>>,
    output: Linear<B>,
}

impl<B: DiffusionBackend> Transformer<B> {
    /// Reads `{name}.proj_in.weight` and the others; `linear` says how the projections are stored.
    pub(super) fn load(
        parameters: &mut impl Parameters<B>,
        name: &str,
        width: usize,
        groups: usize,
        linear: bool,
        config: TransformerConfig,
    ) -> Self {
        let mut projection = |part: &str| {
            let name = format!("{name}.{part}");
            if linear {
                return Linear::load(parameters, &name, width, width);
            }
            let weight = parameters.tensor(&format!("{name}.weight"), [width, width, 1, 1]).flatten(1, 3);
            Linear::new(weight, Some(parameters.tensor(&format!("{name}.bias"), [width])))
        };
        let (input, output) = (projection("proj_in"), projection("proj_out"));
        let block = |index| Block::load(parameters, &format!("{name}.transformer_blocks.{index}"), width, config);
        let blocks = (0..config.blocks).map(block).collect();
        let norm = Norm { groups, epsilon: GROUP_EPSILON };
        Self { norm: GroupNorm::load(parameters, &format!("{name}.norm"), width, norm), input, blocks, output }
    }

    /// The text's keys and values in each block, from its tokens `[batch, tokens, context]`.
    pub(super) fn read(&self, text: &Tensor<B, 3>, into: &mut Vec<Tensor<B, 3>>) {
        into.extend(self.blocks.iter().map(|block| block.text.forward(text.clone(), Activation::Identity, None)));
    }

    /// `[batch, height, width, channels]` → the same; `text` gives what [`read`](Self::read) took in.
    pub(super) fn forward<'a>(
        &self,
        x: Tensor<B, 4>,
        text: &mut impl Iterator<Item = &'a Tensor<B, 3>>,
    ) -> Tensor<B, 4> {
        let size = [x.dims()[1], x.dims()[2]];
        let inside = self.input.forward(tokens(self.norm.forward(x.clone())), Activation::Identity, None);
        let inside = self.blocks.iter().zip(text).fold(inside, |x, (block, text)| block.forward(x, text));
        map(self.output.forward(inside, Activation::Identity, Some(tokens(x))), size)
    }
}

/// `x += attention(norm1 x)`, `x += attention(norm2 x, text)`, `x += mlp(norm3 x)`.
#[derive(Clone, Debug)]
struct Block<B: DiffusionBackend> {
    norm_1: LayerNorm<B>,
    /// Queries, keys and values of the map's places, side by side.
    own: Linear<B>,
    own_output: Linear<B>,
    norm_2: LayerNorm<B>,
    query: Linear<B>,
    /// The text's keys and values, side by side.
    text: Linear<B>,
    text_output: Linear<B>,
    norm_3: LayerNorm<B>,
    mlp_input: Linear<B>,
    mlp_output: Linear<B>,
    heads: usize,
}

impl<B: DiffusionBackend> Block<B> {
    fn load(parameters: &mut impl Parameters<B>, name: &str, width: usize, config: TransformerConfig) -> Self {
        let TransformerConfig { heads, context, .. } = config;
        let part = |part: &str| format!("{name}.{part}");
        Self {
            norm_1: LayerNorm::load(parameters, &part("norm1"), width, LAYER_EPSILON),
            own: joined(parameters, &part("attn1"), &["to_q", "to_k", "to_v"], [width, width], false),
            own_output: Linear::load(parameters, &part("attn1.to_out.0"), width, width),
            norm_2: LayerNorm::load(parameters, &part("norm2"), width, LAYER_EPSILON),
            query: joined(parameters, &part("attn2"), &["to_q"], [width, width], false),
            text: joined(parameters, &part("attn2"), &["to_k", "to_v"], [context, width], false),
            text_output: Linear::load(parameters, &part("attn2.to_out.0"), width, width),
            norm_3: LayerNorm::load(parameters, &part("norm3"), width, LAYER_EPSILON),
            mlp_input: Linear::load(parameters, &part("ff.net.0.proj"), width, 8 * width),
            mlp_output: Linear::load(parameters, &part("ff.net.2"), 4 * width, width),
            heads,
        }
    }

    /// `x` is `[batch, places, width]`, `text` `[batch, tokens, 2 · width]`.
    fn forward(&self, x: Tensor<B, 3>, text: &Tensor<B, 3>) -> Tensor<B, 3> {
        let plain = Activation::Identity;
        let own = self.own.forward(self.norm_1.forward(x.clone()), plain, None);
        let x = self.own_output.forward(B::self_attention(own, self.heads), plain, Some(x));
        let query = self.query.forward(self.norm_2.forward(x.clone()), plain, None);
        let seen = B::cross_attention(query, text.clone(), self.heads);
        let x = self.text_output.forward(seen, plain, Some(x));
        let gated = B::gated_gelu(self.mlp_input.forward(self.norm_3.forward(x.clone()), plain, None));
        self.mlp_output.forward(gated, plain, Some(x))
    }
}
