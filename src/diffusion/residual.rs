//! The residual block that the UNet and the autoencoder share (diffusers' `ResnetBlock2D`).

use burn::tensor::Tensor;

use super::{
    kernels::DiffusionBackend,
    layers::{Convolution, GroupNorm, Norm, Pointwise},
};
use crate::clip::{Parameters, kernels::Activation, layers::Linear};

/// `x + conv_2(silu(norm_2(conv_1(silu(norm_1 x)) + time)))`.
#[derive(Clone, Debug)]
pub struct ResidualBlock<B: DiffusionBackend> {
    norm_1: GroupNorm<B>,
    conv_1: Convolution<B>,
    time: Option<Linear<B>>,
    norm_2: GroupNorm<B>,
    conv_2: Convolution<B>,
    shortcut: Option<Pointwise<B>>,
}

impl<B: DiffusionBackend> ResidualBlock<B> {
    /// Reads `{name}.norm1.weight` and the others; `time` is the width of the time embedding, where there is one.
    pub fn load(
        parameters: &mut impl Parameters<B>,
        name: &str,
        [input, output]: [usize; 2],
        time: Option<usize>,
        norm: Norm,
    ) -> Self {
        let part = |part: &str| format!("{name}.{part}");
        Self {
            norm_1: GroupNorm::load(parameters, &part("norm1"), input, norm),
            conv_1: Convolution::load(parameters, &part("conv1"), input, output),
            time: time.map(|time| Linear::load(parameters, &part("time_emb_proj"), time, output)),
            norm_2: GroupNorm::load(parameters, &part("norm2"), output, norm),
            conv_2: Convolution::load(parameters, &part("conv2"), output, output),
            shortcut: (input != output).then(|| Pointwise::load(parameters, &part("conv_shortcut"), input, output)),
        }
    }

    /// `x` `[batch, height, width, in]` → `[batch, height, width, out]`; `time` is SiLU of the time embedding, `[1, 1, width]`.
    pub fn forward(&self, x: Tensor<B, 4>, time: Option<&Tensor<B, 3>>) -> Tensor<B, 4> {
        let hidden = self.norm_1.forward_silu(x.clone());
        let hidden = match (&self.time, time) {
            (Some(layer), Some(time)) => {
                // The same for the whole batch, so it joins the bias.
                let time = layer.forward(time.clone(), Activation::Identity, None).flatten(0, 2);
                self.conv_1.forward_added(hidden, time)
            }
            _ => self.conv_1.forward(hidden, None),
        };
        let hidden = self.norm_2.forward_silu(hidden);
        let around = match &self.shortcut {
            Some(shortcut) => shortcut.forward(x, None),
            None => x,
        };
        self.conv_2.forward(hidden, Some(around))
    }
}
