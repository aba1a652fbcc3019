//! The variational autoencoder between pixels and the latents that are diffused (diffusers' `AutoencoderKL`; Kingma and Welling,
//! 2014; Esser et al., 2021).

use burn::tensor::{DType, Tensor};

use super::{
    super::kernels::DiffusionBackend,
    coder::{Decoder, Encoder},
    config::AutoencoderConfig,
    tiles::Tiles,
};
use crate::clip::Parameters;

/// Logarithms of variances are kept within these.
const LOG_VARIANCE: (f32, f32) = (-30.0, 20.0);

/// The autoencoder.
#[derive(Clone, Debug)]
pub struct VariationalAutoencoder<B: DiffusionBackend> {
    encoder: Encoder<B>,
    decoder: Decoder<B>,
    /// Its shape.
    pub config: AutoencoderConfig,
    dtype: DType,
}

/// What the encoder says of a picture's latent: independent normal distributions.
#[derive(Clone, Debug)]
pub struct Posterior<B: DiffusionBackend> {
    /// Means, `[batch, height, width, latent]`.
    pub mean: Tensor<B, 4>,
    /// Logarithms of variances, of the same shape.
    pub log_variance: Tensor<B, 4>,
}

impl<B: DiffusionBackend> Posterior<B> {
    /// A sample: the mean with `noise`, of its shape and of unit variance, in its proportion.
    pub fn sample(self, noise: Tensor<B, 4>) -> Tensor<B, 4> {
        self.mean + self.log_variance.mul_scalar(0.5).exp() * noise
    }
}

impl<B: DiffusionBackend> VariationalAutoencoder<B> {
    /// Reads the network by diffusers' names; its tensors are of `dtype`.
    pub fn load(parameters: &mut impl Parameters<B>, config: &AutoencoderConfig, dtype: DType) -> Self {
        let (encoder, decoder) = (Encoder::load(parameters, config), Decoder::load(parameters, config));
        Self { encoder, decoder, config: config.clone(), dtype }
    }

    /// Pixels from −1 to 1, `[batch, height, width, 3]` with sides that are multiples of the reduction → the distribution of their
    /// latent, not yet scaled. With `tiled`, pictures larger than [`AutoencoderConfig::tile`] are encoded in parts.
    pub fn encode(&self, pixels: Tensor<B, 4>, tiled: bool) -> Posterior<B> {
        let given = pixels.dtype();
        let encode = |pixels: Tensor<B, 4>| self.encoder.forward(pixels.cast(self.dtype)).cast(given);
        let [_, height, width, _] = pixels.dims();
        let tiles = Tiles::encoding(&self.config);
        let moments = if tiled && tiles.are_needed(height, width) { tiles.run(pixels, encode) } else { encode(pixels) };
        let half = |first: usize| moments.clone().narrow(3, first, self.config.latent);
        Posterior { mean: half(0), log_variance: half(self.config.latent).clamp(LOG_VARIANCE.0, LOG_VARIANCE.1) }
    }

    /// A latent that is not scaled, `[batch, height, width, latent]` → pixels from −1 to 1 (and a little beyond),
    /// `[batch, height · reduction, width · reduction, 3]`. With `tiled`, large ones are decoded in parts.
    pub fn decode(&self, latent: Tensor<B, 4>, tiled: bool) -> Tensor<B, 4> {
        let given = latent.dtype();
        let decode = |latent: Tensor<B, 4>| self.decoder.forward(latent.cast(self.dtype)).cast(given);
        let [_, height, width, _] = latent.dims();
        let tiles = Tiles::decoding(&self.config);
        if tiled && tiles.are_needed(height, width) { tiles.run(latent, decode) } else { decode(latent) }
    }
}
