//! The autoencoder's shape from diffusers' `vae/config.json`.

use serde_json::json;

use super::super::{json::Config, layers::Norm};
use crate::Result;

/// diffusers' autoencoders add this to variances, whatever the config says.
const EPSILON: f64 = 1e-6;

/// The shape of an autoencoder.
#[derive(Clone, Debug, PartialEq)]
pub struct AutoencoderConfig {
    /// Channels of the latent.
    pub latent: usize,
    /// Channels of each stage, from the finest map on; each stage but the last halves the map.
    pub widths: Vec<usize>,
    /// Residual blocks a stage on the way to the latent; there is one more on the way back.
    pub layers: usize,
    /// Normalisation.
    pub norm: Norm,
    /// Whether the places of the coarsest map attend to each other.
    pub attention: bool,
    /// Whether a convolution of 1 × 1 follows the encoder.
    pub encoder_output: bool,
    /// Whether one stands before the decoder.
    pub decoder_input: bool,
    /// The latent's scale, which the UNet works with: the encoder's less `shift`, times `scale`.
    pub scaling: Scaling,
    /// Side of the largest picture, in pixels, that is not cut into tiles where large ones are.
    pub tile: usize,
}

/// What takes an autoencoder's latents to a variance of about 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scaling {
    /// What they are multiplied by.
    pub scale: f64,
    /// What is taken from them before.
    pub shift: f64,
}

impl AutoencoderConfig {
    /// Reads a `config.json` of an `AutoencoderKL`; what it leaves out has diffusers' default.
    ///
    /// # Errors
    /// Not JSON, sizes that make no network, or a part that is not built here, by its key.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self> {
        let config = Config::parse(file, bytes)?;
        config.check_class("AutoencoderKL")?;
        config.refuse_others(&[
            ("act_fn", &[json!("silu"), json!("swish")]),
            ("in_channels", &[json!(3)]),
            ("latents_mean", &[]),
            ("latents_std", &[]),
            ("out_channels", &[json!(3)]),
        ])?;
        let widths = config.sizes("block_out_channels", &[64])?;
        for (key, kind) in [("down_block_types", "DownEncoderBlock2D"), ("up_block_types", "UpDecoderBlock2D")] {
            let kinds = config.names(key, &[kind])?;
            config.check_count(key, kinds.len(), widths.len())?;
            if let Some(other) = kinds.iter().find(|found| *found != kind) {
                return Err(config.wrong(format!("{key} has {other}, which is not supported; {kind} is")));
            }
        }
        let norm = Norm { groups: config.size("norm_num_groups", 32)?, epsilon: EPSILON };
        widths.iter().try_for_each(|width| config.check_divides("norm_num_groups", norm.groups, *width))?;
        if widths.len() > 8 {
            return Err(config.wrong("block_out_channels has more than 8 entries; download the file again"));
        }
        // Some are stored as a pair.
        let tile = match config.get("sample_size") {
            Some(serde_json::Value::Array(_)) => config.sizes("sample_size", &[])?[0],
            _ => config.size("sample_size", 32)?,
        };
        let shift = config.number("shift_factor", 0.0)?;
        Ok(Self {
            latent: config.size("latent_channels", 4)?,
            layers: config.layers("layers_per_block", 1)?,
            norm,
            attention: config.flag("mid_block_add_attention", true)?,
            encoder_output: config.flag("use_quant_conv", true)?,
            decoder_input: config.flag("use_post_quant_conv", true)?,
            scaling: Scaling { scale: config.positive("scaling_factor", 0.18215)?, shift },
            tile,
            widths,
        })
    }

    /// How many pixels a place of the latent stands for, in each direction.
    pub fn reduction(&self) -> usize {
        1 << (self.widths.len() - 1)
    }
}
