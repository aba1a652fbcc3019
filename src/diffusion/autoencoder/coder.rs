//! The two halves of an autoencoder: from pixels to a latent's mean and variance, and from a latent to pixels.

use burn::tensor::Tensor;

use super::{
    super::{
        kernels::{DiffusionBackend, Placement},
        layers::{Convolution, GroupNorm, Norm, Pointwise, joined, map, tokens},
        residual::ResidualBlock,
    },
    config::AutoencoderConfig,
};
use crate::clip::{Parameters, kernels::Activation, layers::Linear};

/// Halving pads below and to the right only.
const HALVING: Placement = Placement { stride: 2, before: 0, after: 1, doubled: false };

/// From pixels to a latent's distribution.
#[derive(Clone, Debug)]
pub struct Encoder<B: DiffusionBackend> {
    input: Convolution<B>,
    stages: Vec<Stage<B>>,
    middle: Middle<B>,
    norm: GroupNorm<B>,
    output: Convolution<B>,
    last: Option<Pointwise<B>>,
}

impl<B: DiffusionBackend> Encoder<B> {
    /// Reads `encoder.conv_in.weight` and the others.
    pub(super) fn load(parameters: &mut impl Parameters<B>, config: &AutoencoderConfig) -> Self {
        let AutoencoderConfig { widths, norm, latent, .. } = config;
        let (first, last) = (widths[0], widths[widths.len() - 1]);
        let mut stages = Vec::new();
        for (index, width) in widths.iter().enumerate() {
            let input = widths[index.saturating_sub(1)];
            let shape = StageShape { layers: config.layers, input, width: *width, resampled: index + 1 < widths.len() };
            stages.push(Stage::load(parameters, &format!("encoder.down_blocks.{index}"), "downsamplers", shape, *norm));
        }
        Self {
            input: Convolution::load(parameters, "encoder.conv_in", 3, first),
            stages,
            middle: Middle::load(parameters, "encoder.mid_block", last, config),
            norm: GroupNorm::load(parameters, "encoder.conv_norm_out", last, *norm),
            output: Convolution::load(parameters, "encoder.conv_out", last, 2 * latent),
            last: config.encoder_output.then(|| Pointwise::load(parameters, "quant_conv", 2 * latent, 2 * latent)),
        }
    }

    /// Pixels `[batch, height, width, 3]` → means and logarithms of variances side by side,
    /// `[batch, height / reduction, width / reduction, 2 · latent]`.
    pub(super) fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let mut x = self.input.forward(x, None);
        for stage in &self.stages {
            x = stage.forward(x);
            if let Some(halve) = &stage.resample {
                x = halve.forward_at(x, HALVING, None);
            }
        }
        let x = self.output.forward(self.norm.forward_silu(self.middle.forward(x)), None);
        match &self.last {
            Some(last) => last.forward(x, None),
            None => x,
        }
    }
}

/// From a latent to pixels.
#[derive(Clone, Debug)]
pub struct Decoder<B: DiffusionBackend> {
    first: Option<Pointwise<B>>,
    input: Convolution<B>,
    middle: Middle<B>,
    stages: Vec<Stage<B>>,
    norm: GroupNorm<B>,
    output: Convolution<B>,
}

impl<B: DiffusionBackend> Decoder<B> {
    /// Reads `decoder.conv_in.weight` and the others.
    pub(super) fn load(parameters: &mut impl Parameters<B>, config: &AutoencoderConfig) -> Self {
        let AutoencoderConfig { widths, norm, latent, .. } = config;
        let (finest, coarsest) = (widths[0], widths[widths.len() - 1]);
        let mut stages = Vec::new();
        for (index, width) in widths.iter().rev().enumerate() {
            let input = widths[(widths.len() - index).min(widths.len() - 1)];
            let shape =
                StageShape { layers: config.layers + 1, input, width: *width, resampled: index + 1 < widths.len() };
            stages.push(Stage::load(parameters, &format!("decoder.up_blocks.{index}"), "upsamplers", shape, *norm));
        }
        Self {
            first: config.decoder_input.then(|| Pointwise::load(parameters, "post_quant_conv", *latent, *latent)),
            input: Convolution::load(parameters, "decoder.conv_in", *latent, coarsest),
            middle: Middle::load(parameters, "decoder.mid_block", coarsest, config),
            stages,
            norm: GroupNorm::load(parameters, "decoder.conv_norm_out", finest, *norm),
            output: Convolution::load(parameters, "decoder.conv_out", finest, 3),
        }
    }

    /// Latents `[batch, height, width, latent]` → pixels `[batch, height · reduction, width · reduction, 3]`.
    pub(super) fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let x = match &self.first {
            Some(first) => first.forward(x, None),
            None => x,
        };
        let mut x = self.middle.forward(self.input.forward(x, None));
        for stage in &self.stages {
            x = stage.forward(x);
            if let Some(double) = &stage.resample {
                let [_, height, width, _] = x.dims();
                x = double.forward_enlarged(x, [2 * height, 2 * width]);
            }
        }
        self.output.forward(self.norm.forward_silu(x), None)
    }
}

/// Residual blocks on maps of the same size.
#[derive(Clone, Debug)]
struct Stage<B: DiffusionBackend> {
    layers: Vec<ResidualBlock<B>>,
    resample: Option<Convolution<B>>,
}

struct StageShape {
    layers: usize,
    input: usize,
    width: usize,
    resampled: bool,
}

impl<B: DiffusionBackend> Stage<B> {
    fn load(
        parameters: &mut impl Parameters<B>,
        name: &str,
        resampler: &str,
        StageShape { layers, input, width, resampled }: StageShape,
        norm: Norm,
    ) -> Self {
        let layer = |index: usize| {
            let input = if index == 0 { input } else { width };
            ResidualBlock::load(parameters, &format!("{name}.resnets.{index}"), [input, width], None, norm)
        };
        let layers = (0..layers).map(layer).collect();
        let stride = if resampler == "downsamplers" { 2 } else { 1 };
        let resampler = format!("{name}.{resampler}.0.conv");
        let resample = resampled.then(|| Convolution::load_strided(parameters, &resampler, width, width, stride));
        Self { layers, resample }
    }

    fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        self.layers.iter().fold(x, |x, layer| layer.forward(x, None))
    }
}

/// Residual blocks on the coarsest map, with attention between its places.
#[derive(Clone, Debug)]
struct Middle<B: DiffusionBackend> {
    first: ResidualBlock<B>,
    attention: Option<Attention<B>>,
    last: ResidualBlock<B>,
}

impl<B: DiffusionBackend> Middle<B> {
    fn load(parameters: &mut impl Parameters<B>, name: &str, width: usize, config: &AutoencoderConfig) -> Self {
        let mut residual =
            |index| ResidualBlock::load(parameters, &format!("{name}.resnets.{index}"), [width; 2], None, config.norm);
        let (first, last) = (residual(0), residual(1));
        let attention = format!("{name}.attentions.0");
        let attention = config.attention.then(|| Attention::load(parameters, &attention, width, config.norm));
        Self { first, attention, last }
    }

    fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let mut x = self.first.forward(x, None);
        if let Some(attention) = &self.attention {
            x = attention.forward(x);
        }
        self.last.forward(x, None)
    }
}

/// `x + attention(norm x)` with one head.
#[derive(Clone, Debug)]
struct Attention<B: DiffusionBackend> {
    norm: GroupNorm<B>,
    input: Linear<B>,
    output: Linear<B>,
}

impl<B: DiffusionBackend> Attention<B> {
    fn load(parameters: &mut impl Parameters<B>, name: &str, width: usize, norm: Norm) -> Self {
        Self {
            norm: GroupNorm::load(parameters, &format!("{name}.group_norm"), width, norm),
            input: joined(parameters, name, &["to_q", "to_k", "to_v"], [width, width], true),
            output: Linear::load(parameters, &format!("{name}.to_out.0"), width, width),
        }
    }

    fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let size = [x.dims()[1], x.dims()[2]];
        let qkv = self.input.forward(tokens(self.norm.forward(x.clone())), Activation::Identity, None);
        map(self.output.forward(B::self_attention(qkv, 1), Activation::Identity, Some(tokens(x))), size)
    }
}
