//! Between pixels and the latents that are diffused: Stable Diffusion's own autoencoder, or the tiny one that stands in for it.

pub mod coder;
pub mod config;
pub mod tiles;
pub mod tiny;
pub mod tiny_config;
pub mod variational;

use burn::tensor::Tensor;

use super::{kernels::DiffusionBackend, noise::NoiseSource};
use crate::Result;
pub use config::{AutoencoderConfig, Scaling};
pub use tiny::TinyAutoencoder;
pub use tiny_config::TinyConfig;
pub use variational::{Posterior, VariationalAutoencoder};

/// An autoencoder whose latents have the UNet's scale.
#[derive(Clone, Debug)]
pub enum Autoencoder<B: DiffusionBackend> {
    /// `AutoencoderKL`.
    Variational(VariationalAutoencoder<B>),
    /// `AutoencoderTiny` (TAESD).
    Tiny(TinyAutoencoder<B>),
}

impl<B: DiffusionBackend> Autoencoder<B> {
    /// Channels of the latent.
    pub fn channels(&self) -> usize {
        match self {
            Self::Variational(autoencoder) => autoencoder.config.latent,
            Self::Tiny(autoencoder) => autoencoder.config.latent,
        }
    }

    /// How many pixels a place of the latent stands for, in each direction.
    pub fn reduction(&self) -> usize {
        match self {
            Self::Variational(autoencoder) => autoencoder.config.reduction(),
            Self::Tiny(autoencoder) => autoencoder.config.reduction(),
        }
    }

    /// Pixels from −1 to 1 of one picture, `[1, height, width, 3]` → its latent in the UNet's scale. The variational one draws it from
    /// its distribution, with `noise`; the tiny one has but one latent for a picture. `tiled` is for large pictures, see
    /// [`VariationalAutoencoder::encode`]; the tiny one needs no tiles.
    ///
    /// # Errors
    /// The noise is given, and does not fit.
    pub fn encode(&self, pixels: Tensor<B, 4>, tiled: bool, noise: &mut NoiseSource<'_>) -> Result<Tensor<B, 4>> {
        let (latent, scaling) = match self {
            Self::Variational(autoencoder) => {
                let posterior = autoencoder.encode(pixels, tiled);
                let noise = noise.next(posterior.mean.dims(), &posterior.mean.device())?;
                (posterior.sample(noise), autoencoder.config.scaling)
            }
            Self::Tiny(autoencoder) => (autoencoder.encode(pixels), autoencoder.config.scaling),
        };
        Ok(latent.sub_scalar(scaling.shift).mul_scalar(scaling.scale))
    }

    /// A latent in the UNet's scale, `[1, height, width, channels]` → pixels from −1 to 1 (and a little beyond).
    pub fn decode(&self, latent: Tensor<B, 4>, tiled: bool) -> Tensor<B, 4> {
        let unscaled = |scaling: Scaling| latent.div_scalar(scaling.scale).add_scalar(scaling.shift);
        match self {
            Self::Variational(autoencoder) => autoencoder.decode(unscaled(autoencoder.config.scaling), tiled),
            Self::Tiny(autoencoder) => autoencoder.decode(unscaled(autoencoder.config.scaling)),
        }
    }
}
