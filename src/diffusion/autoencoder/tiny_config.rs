//! The tiny autoencoder's shape, from diffusers' `config.json` or from the names in its author's two files.

use serde_json::json;

use super::{
    super::json::{Config, MOST_LAYERS},
    Scaling,
};
use crate::{Error, Result, weights::Checkpoint};

/// The shape of a tiny autoencoder.
#[derive(Clone, Debug, PartialEq)]
pub struct TinyConfig {
    /// Channels of the latent.
    pub latent: usize,
    /// Channels and blocks of the encoder's stages; each but the first begins by halving the map.
    pub encoder: Vec<TinyStage>,
    /// Channels and blocks of the decoder's; each but the last ends by doubling it.
    pub decoder: Vec<TinyStage>,
    /// What takes its latents to the UNet's scale: for TAESD nothing.
    pub scaling: Scaling,
    /// How the tensors are named.
    pub naming: TinyNaming,
}

/// Blocks on maps of the same size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TinyStage {
    /// Channels.
    pub width: usize,
    /// How many blocks.
    pub blocks: usize,
    /// Whether each block begins with a normalised branch of four times the width (TAEF2's coarsest map).
    pub normalised: bool,
}

/// Whose names the tensors have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TinyNaming {
    /// diffusers', both halves in one file.
    Diffusers,
    /// The author's, a file for each half. The decoder's layers are counted from its clamp on.
    Original,
}

impl TinyConfig {
    /// Reads a `config.json` of an `AutoencoderTiny`; what it leaves out has diffusers' default.
    ///
    /// # Errors
    /// Not JSON, sizes that make no network, or a part that is not built here, by its key.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self> {
        let config = Config::parse(file, bytes)?;
        config.check_class("AutoencoderTiny")?;
        config.refuse_others(&[
            ("act_fn", &[json!("relu")]),
            ("in_channels", &[json!(3)]),
            ("out_channels", &[json!(3)]),
            ("upsample_fn", &[json!("nearest")]),
            ("upsampling_scaling_factor", &[json!(2)]),
        ])?;
        let stages = |half: &str, blocks: &[usize]| -> Result<Vec<TinyStage>> {
            let key = format!("num_{half}_blocks");
            let widths = config.sizes(&format!("{half}_block_out_channels"), &[64; 4])?;
            let blocks = config.sizes(&key, blocks)?;
            config.check_count(&key, blocks.len(), widths.len())?;
            if let Some(many) = blocks.iter().find(|blocks| **blocks > MOST_LAYERS) {
                return Err(config.wrong(format!("{key} has {many}; it must be from 1 to {MOST_LAYERS}")));
            }
            let stage = |(width, blocks)| TinyStage { width, blocks, normalised: false };
            // diffusers halves and doubles without a change of width.
            if widths.windows(2).any(|pair| pair[0] != pair[1]) {
                return Err(config.wrong(format!("{half}_block_out_channels must all be the same")));
            }
            Ok(widths.into_iter().zip(blocks).map(stage).collect())
        };
        let (encoder, decoder) = (stages("encoder", &[1, 3, 3, 3])?, stages("decoder", &[3, 3, 3, 1])?);
        if encoder.len() != decoder.len() || encoder.len() > 8 {
            return Err(config.wrong("num_encoder_blocks and num_decoder_blocks must be of the same length, up to 8"));
        }
        let scaling =
            Scaling { scale: config.positive("scaling_factor", 1.0)?, shift: config.number("shift_factor", 0.0)? };
        let latent = config.size("latent_channels", 4)?;
        Ok(Self { latent, encoder, decoder, scaling, naming: TinyNaming::Diffusers })
    }

    /// The shape that the author's files have, which come without a config: that of TAESD with as many channels as there are, and with
    /// normalised blocks where their tensors are.
    ///
    /// # Errors
    /// These are other files.
    pub fn from_tensors(encoder: &Checkpoint, decoder: &Checkpoint) -> Result<Self> {
        let shape = |checkpoint: &Checkpoint, name: &str| {
            let shape = checkpoint.shape(name).and_then(|shape| <[usize; 4]>::try_from(shape).ok());
            shape.ok_or_else(|| Error::Tensors {
                file: checkpoint.label().into(),
                why: format!("no tiny autoencoder of the layout of TAESD: there is no '{name}' of four dimensions"),
            })
        };
        let [width, ..] = shape(encoder, "0.weight")?;
        let [decoder_width, latent, ..] = shape(decoder, "1.weight")?;
        // Where a stage's first block stands, and what stands between two stages: a convolution, in the decoder behind a doubling.
        let stages = |checkpoint: &Checkpoint, width: usize, counts: [usize; 4], first: usize, between: usize| {
            let mut layer = first;
            let stage = counts.map(|blocks| {
                let normalised = checkpoint.shape(&format!("{layer}.pool.0.weight")).is_some();
                layer += blocks + between;
                TinyStage { width, blocks, normalised }
            });
            stage.to_vec()
        };
        Ok(Self {
            latent,
            encoder: stages(encoder, width, [1, 3, 3, 3], 1, 1),
            decoder: stages(decoder, decoder_width, [3, 3, 3, 1], 3, 2),
            scaling: Scaling { scale: 1.0, shift: 0.0 },
            naming: TinyNaming::Original,
        })
    }

    /// How many pixels a place of the latent stands for, in each direction.
    pub fn reduction(&self) -> usize {
        1 << (self.encoder.len() - 1)
    }
}
