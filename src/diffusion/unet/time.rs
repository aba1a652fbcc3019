//! When in the diffusion a step is, as a vector: sines and cosines through a small MLP.

use burn::tensor::{DType, Tensor, TensorData};

use super::{super::kernels::DiffusionBackend, config::TimeConfig};
use crate::clip::{Parameters, kernels::Activation, layers::Linear};

/// The longest wave, in timesteps over 2π.
const LONGEST: f32 = 10_000.0;

/// The MLP.
#[derive(Clone, Debug)]
pub struct TimeEmbedding<B: DiffusionBackend> {
    input: Linear<B>,
    guidance: Option<Linear<B>>,
    output: Linear<B>,
    config: TimeConfig,
}

impl<B: DiffusionBackend> TimeEmbedding<B> {
    pub(super) fn load(parameters: &mut impl Parameters<B>, name: &str, config: &TimeConfig) -> Self {
        let guidance = config.guidance.map(|width| {
            Linear::new(parameters.tensor(&format!("{name}.cond_proj.weight"), [config.waves, width]), None)
        });
        Self {
            input: Linear::load(parameters, &format!("{name}.linear_1"), config.waves, config.width),
            guidance,
            output: Linear::load(parameters, &format!("{name}.linear_2"), config.width, config.width),
            config: config.clone(),
        }
    }

    /// SiLU of the embedding, as every residual block takes it, `[1, 1, width]`, in the weights' precision `dtype`. `guidance` is
    /// for models that were distilled to follow it; others ignore it.
    pub(super) fn forward(&self, timestep: f64, guidance: f64, device: &B::Device, dtype: DType) -> Tensor<B, 3> {
        let row = |values: Vec<f32>| {
            let width = values.len();
            Tensor::<B, 3>::from_data(TensorData::new(values, [1, 1, width]), device).cast(dtype)
        };
        let TimeConfig { waves, cosines_first, frequency_shift, .. } = self.config;
        let mut x = row(time_waves(timestep as f32, waves, cosines_first, frequency_shift as f32));
        if let Some(layer) = &self.guidance {
            let seen = row(guidance_waves(guidance as f32, self.config.guidance.unwrap_or_default()));
            x = layer.forward(seen, Activation::Identity, Some(x));
        }
        let silu = burn::tensor::activation::silu::<3, B>;
        silu(self.output.forward(silu(self.input.forward(x, Activation::Identity, None)), Activation::Identity, None))
    }
}

/// Ho et al. (2020) by way of Vaswani et al. (2017, section 3.5), in the single precision that the weights were trained with.
fn time_waves(timestep: f32, count: usize, cosines_first: bool, shift: f32) -> Vec<f32> {
    let half = count / 2;
    let angle = |index: usize| timestep * (-LONGEST.ln() * index as f32 / (half as f32 - shift)).exp();
    let sines = (0..half).map(|index| angle(index).sin());
    let cosines = (0..half).map(|index| angle(index).cos());
    if cosines_first { cosines.chain(sines).collect() } else { sines.chain(cosines).collect() }
}

/// The embedding of `guidance − 1` that latent consistency models were distilled with (Luo et al., 2023).
fn guidance_waves(guidance: f32, count: usize) -> Vec<f32> {
    let half = count / 2;
    let scale = LONGEST.ln() / (half as f32 - 1.0);
    let angle = |index: usize| (guidance - 1.0) * 1000.0 * (index as f32 * -scale).exp();
    let sines = (0..half).map(|index| angle(index).sin());
    let cosines = (0..half).map(|index| angle(index).cos());
    sines.chain(cosines).chain(std::iter::repeat_n(0.0, count % 2)).collect()
}
