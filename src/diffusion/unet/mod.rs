//! The network that is asked, step by step, what of a noisy latent is noise (diffusers' `UNet2DConditionModel`).
//!
//! Rombach et al. (2022): residual blocks on ever coarser maps and back, maps of the way down joined to those of the way up, with
//! transformers in between that look at the text.

pub mod config;
pub mod time;
pub mod transformer;

use burn::tensor::{DType, Tensor};

use super::{
    kernels::{DiffusionBackend, Placement},
    layers::{Convolution, GroupNorm, Norm},
    residual::ResidualBlock,
};
use crate::clip::Parameters;
pub use config::UnetConfig;
use config::{Layer as LayerConfig, Stage as StageConfig, TransformerConfig};
use time::TimeEmbedding;
use transformer::Transformer;

/// The UNet.
#[derive(Clone, Debug)]
pub struct Unet<B: DiffusionBackend> {
    time: TimeEmbedding<B>,
    input: Convolution<B>,
    down: Vec<Stage<B>>,
    middle: Option<Middle<B>>,
    up: Vec<Stage<B>>,
    norm: GroupNorm<B>,
    output: Convolution<B>,
    halving: Placement,
    centred: bool,
    dtype: DType,
}

/// A text as every transformer of the UNet reads it: computed once, used at each step.
#[derive(Clone, Debug)]
pub struct Reading<B: DiffusionBackend>(Vec<Tensor<B, 3>>);

impl<B: DiffusionBackend> Unet<B> {
    /// Reads the network by diffusers' names; its tensors are of `dtype`.
    pub fn load(parameters: &mut impl Parameters<B>, config: &UnetConfig, dtype: DType) -> Self {
        let first = config.down[0].layers[0].input;
        let last = config.up[config.up.len() - 1].width;
        let parts = Parts { config };
        Self {
            time: TimeEmbedding::load(parameters, "time_embedding", &config.time),
            input: Convolution::load(parameters, "conv_in", config.input, first),
            down: parts.stages(parameters, "down_blocks", "downsamplers", &config.down),
            middle: config.middle.as_ref().map(|middle| {
                let width = middle.width;
                let first = parts.residual(parameters, "mid_block.resnets.0", [width; 2]);
                let rest = middle.transformer.map(|transformer| {
                    let transformer = parts.transformer(parameters, "mid_block.attentions.0", width, transformer);
                    (transformer, parts.residual(parameters, "mid_block.resnets.1", [width; 2]))
                });
                Middle { first, rest }
            }),
            up: parts.stages(parameters, "up_blocks", "upsamplers", &config.up),
            norm: GroupNorm::load(parameters, "conv_norm_out", last, config.norm),
            output: Convolution::load(parameters, "conv_out", last, config.output),
            halving: Placement { stride: 2, before: usize::from(config.symmetric), ..Placement::padded(1) },
            centred: config.centred,
            dtype,
        }
    }

    /// Reads a text, given as tokens `[batch, tokens, context]`.
    pub fn read(&self, text: Tensor<B, 3>) -> Reading<B> {
        let text = text.cast(self.dtype);
        let mut reading = Vec::new();
        // In the order in which they are used.
        let of = |stage: &Stage<B>, into: &mut Vec<_>| {
            stage
                .layers
                .iter()
                .filter_map(|(_, transformer)| transformer.as_ref())
                .for_each(|one| one.read(&text, into));
        };
        self.down.iter().for_each(|stage| of(stage, &mut reading));
        if let Some(Middle { rest: Some((transformer, _)), .. }) = &self.middle {
            transformer.read(&text, &mut reading);
        }
        self.up.iter().for_each(|stage| of(stage, &mut reading));
        Reading(reading)
    }

    /// The prediction for a noisy latent `x` `[batch, height, width, channels]` at `timestep`, of the same height and width.
    /// `guidance` is for models that were distilled to follow it; others ignore it.
    pub fn forward(&self, x: Tensor<B, 4>, timestep: f64, guidance: f64, text: &Reading<B>) -> Tensor<B, 4> {
        let given = x.dtype();
        let mut x = x.cast(self.dtype);
        if self.centred {
            x = x.mul_scalar(2.0).sub_scalar(1.0);
        }
        let time = self.time.forward(timestep, guidance, &x.device(), self.dtype);
        let mut text = text.0.iter();
        let mut x = self.input.forward(x, None);
        let mut kept = vec![x.clone()];
        for stage in &self.down {
            for layer in &stage.layers {
                x = forward_layer(layer, x, &time, &mut text);
                kept.push(x.clone());
            }
            if let Some(halve) = &stage.resample {
                x = halve.forward_at(x, self.halving, None);
                kept.push(x.clone());
            }
        }
        if let Some(Middle { first, rest }) = &self.middle {
            x = first.forward(x, Some(&time));
            if let Some((transformer, last)) = rest {
                x = last.forward(transformer.forward(x, &mut text), Some(&time));
            }
        }
        for stage in &self.up {
            for layer in &stage.layers {
                let joined = [Some(x), kept.pop()].into_iter().flatten().collect();
                x = forward_layer(layer, Tensor::cat(joined, 3), &time, &mut text);
            }
            if let (Some(double), Some(next)) = (&stage.resample, kept.last()) {
                x = double.forward_enlarged(x, [next.dims()[1], next.dims()[2]]);
            }
        }
        self.output.forward(self.norm.forward_silu(x), None).cast(given)
    }
}

/// What stands between the way down and the way up.
#[derive(Clone, Debug)]
struct Middle<B: DiffusionBackend> {
    first: ResidualBlock<B>,
    rest: Option<(Transformer<B>, ResidualBlock<B>)>,
}

/// Layers on maps of the same size.
#[derive(Clone, Debug)]
struct Stage<B: DiffusionBackend> {
    layers: Vec<Layer<B>>,
    resample: Option<Convolution<B>>,
}

type Layer<B> = (ResidualBlock<B>, Option<Transformer<B>>);

fn forward_layer<'a, B: DiffusionBackend>(
    (residual, transformer): &Layer<B>,
    x: Tensor<B, 4>,
    time: &Tensor<B, 3>,
    text: &mut impl Iterator<Item = &'a Tensor<B, 3>>,
) -> Tensor<B, 4> {
    let x = residual.forward(x, Some(time));
    match transformer {
        Some(transformer) => transformer.forward(x, text),
        None => x,
    }
}

/// Loads the parts that occur many times.
struct Parts<'a> {
    config: &'a UnetConfig,
}

impl Parts<'_> {
    fn stages<B: DiffusionBackend>(
        &self,
        parameters: &mut impl Parameters<B>,
        name: &str,
        resampler: &str,
        stages: &[StageConfig],
    ) -> Vec<Stage<B>> {
        let mut loaded = Vec::new();
        for (index, stage) in stages.iter().enumerate() {
            let width = stage.width;
            let mut layer = |(layer, LayerConfig { input, transformer }): (usize, &LayerConfig)| {
                let residual = format!("{name}.{index}.resnets.{layer}");
                let attention = format!("{name}.{index}.attentions.{layer}");
                (
                    self.residual(parameters, &residual, [*input, width]),
                    transformer.map(|config| self.transformer(parameters, &attention, width, config)),
                )
            };
            let layers = stage.layers.iter().enumerate().map(&mut layer).collect();
            let stride = if resampler == "downsamplers" { 2 } else { 1 };
            let resampler = format!("{name}.{index}.{resampler}.0.conv");
            let resample =
                stage.resampled.then(|| Convolution::load_strided(parameters, &resampler, width, width, stride));
            loaded.push(Stage { layers, resample });
        }
        loaded
    }

    fn residual<B: DiffusionBackend>(
        &self,
        parameters: &mut impl Parameters<B>,
        name: &str,
        widths: [usize; 2],
    ) -> ResidualBlock<B> {
        ResidualBlock::load(parameters, name, widths, Some(self.config.time.width), self.config.norm)
    }

    fn transformer<B: DiffusionBackend>(
        &self,
        parameters: &mut impl Parameters<B>,
        name: &str,
        width: usize,
        transformer: TransformerConfig,
    ) -> Transformer<B> {
        let Norm { groups, .. } = self.config.norm;
        Transformer::load(parameters, name, width, groups, self.config.linear_projection, transformer)
    }
}
