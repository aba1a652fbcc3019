//! The UNet's shape from diffusers' `unet/config.json`, resolved to each of its layers.

use serde_json::{Value, json};

use super::super::{
    json::{Config, MOST, MOST_LAYERS},
    layers::Norm,
};
use crate::{Error, Result};

/// The shape of a UNet.
#[derive(Clone, Debug, PartialEq)]
pub struct UnetConfig {
    /// Channels of the latent.
    pub input: usize,
    /// Channels of the prediction.
    pub output: usize,
    /// Stages on the way down, from the finest map on; each but the last halves the map.
    pub down: Vec<Stage>,
    /// What stands between: a residual block, then, where there is one, a transformer and another residual block.
    pub middle: Option<Middle>,
    /// Stages on the way up, from the coarsest map on; each but the last doubles the map.
    pub up: Vec<Stage>,
    /// The time embedding.
    pub time: TimeConfig,
    /// Width of the text's tokens.
    pub context: usize,
    /// Normalisation of the residual blocks.
    pub norm: Norm,
    /// Whether the transformers' projections are stored as linear layers rather than as convolutions of 1 × 1.
    pub linear_projection: bool,
    /// Whether halving pads on both sides, or (the other way of diffusers) below and to the right only.
    pub symmetric: bool,
    /// Whether the input is taken from 0…1 to −1…1 first.
    pub centred: bool,
}

/// Layers on maps of the same size.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// A residual block and, where there is one, the transformer behind it.
    pub layers: Vec<Layer>,
    /// Channels that come out.
    pub width: usize,
    /// Whether the map is halved (on the way down) or doubled (up) afterwards.
    pub resampled: bool,
}

/// A residual block, and the transformer behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Channels in, those that came over from the way down included.
    pub input: usize,
    /// The transformer.
    pub transformer: Option<TransformerConfig>,
}

/// What stands between the way down and the way up.
#[derive(Clone, Debug, PartialEq)]
pub struct Middle {
    /// Channels.
    pub width: usize,
    /// The transformer between the two residual blocks; without it there is one residual block.
    pub transformer: Option<TransformerConfig>,
}

/// The shape of a transformer on a map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TransformerConfig {
    /// Attention heads.
    pub heads: usize,
    /// Blocks of self-attention, attention to the text, and MLP.
    pub blocks: usize,
    /// Width of the text's tokens.
    pub context: usize,
}

/// The shape of the time embedding.
#[derive(Clone, Debug, PartialEq)]
pub struct TimeConfig {
    /// Numbers of sines and cosines.
    pub waves: usize,
    /// Width of the embedding.
    pub width: usize,
    /// Whether cosines stand before sines.
    pub cosines_first: bool,
    /// What the number of frequencies is lessened by.
    pub frequency_shift: f64,
    /// Width of the guidance's embedding, which models have that were distilled to follow it (LCM).
    pub guidance: Option<usize>,
}

impl UnetConfig {
    /// Reads a `config.json` of a `UNet2DConditionModel`; what it leaves out has diffusers' default.
    ///
    /// # Errors
    /// Not JSON, sizes that make no network, or a part that is not built here, by its key.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self> {
        let config = Config::parse(file, bytes)?;
        config.check_class("UNet2DConditionModel")?;
        refuse_unsupported(&config)?;
        let shape = Shape::read(&config)?;
        Ok(Self {
            input: config.size("in_channels", 4)?,
            output: config.size("out_channels", 4)?,
            down: shape.down()?,
            middle: shape.middle()?,
            up: shape.up()?,
            time: shape.time()?,
            context: shape.context,
            norm: shape.norm,
            linear_projection: config.flag("use_linear_projection", false)?,
            symmetric: match config.number("downsample_padding", 1.0)? {
                1.0 => true,
                0.0 => false,
                other => return Err(config.wrong(format!("downsample_padding is {other}; it must be 0 or 1"))),
            },
            centred: config.flag("center_input_sample", false)?,
        })
    }
}

/// What a config says of each of the blocks on the way down, which the way up mirrors.
struct Shape<'a> {
    config: &'a Config,
    widths: Vec<usize>,
    layers: Vec<usize>,
    heads: Vec<usize>,
    blocks: Blocks,
    context: usize,
    norm: Norm,
}

impl<'a> Shape<'a> {
    fn read(config: &'a Config) -> Result<Self> {
        let widths = config.sizes("block_out_channels", &[320, 640, 1280, 1280])?;
        let count = widths.len();
        let norm = Norm { groups: config.size("norm_num_groups", 32)?, epsilon: config.positive("norm_eps", 1e-5)? };
        let layers = config.size_each("layers_per_block", 2, count)?;
        if let Some(many) = layers.iter().find(|layers| **layers > MOST_LAYERS) {
            return Err(config.wrong(format!("layers_per_block has {many}; it must be from 1 to {MOST_LAYERS}")));
        }
        // The key's name is diffusers' mistake: it has always been the number of heads.
        let heads = config.size_each("attention_head_dim", 8, count)?;
        let contexts = config.size_each("cross_attention_dim", 1280, count)?;
        let context = contexts[0];
        if contexts.iter().any(|width| *width != context) {
            return Err(config.wrong("cross_attention_dim differs between blocks, which is not supported"));
        }
        for (width, heads) in widths.iter().zip(&heads) {
            config.check_divides("norm_num_groups", norm.groups, *width)?;
            config.check_divides("attention_head_dim (the number of heads)", *heads, *width)?;
        }
        Ok(Self { config, layers, heads, blocks: Blocks::read(config, count)?, context, norm, widths })
    }

    fn down(&self) -> Result<Vec<Stage>> {
        let default = ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"];
        let attends = self.attends("down_block_types", &default, ["DownBlock2D", "CrossAttnDownBlock2D"])?;
        let stage = |(block, attends): (usize, bool)| {
            let (width, before) = (self.widths[block], self.widths[block.saturating_sub(1)]);
            let layer = |layer: usize| {
                let blocks = if attends { Some(self.blocks.down(self.config, block, layer)?) } else { None };
                let input = if layer == 0 { before } else { width };
                Ok(Layer { input, transformer: blocks.map(|blocks| self.transformer(block, blocks)) })
            };
            let layers = (0..self.layers[block]).map(layer).collect::<Result<_>>()?;
            Ok(Stage { layers, width, resampled: block + 1 < self.widths.len() })
        };
        attends.into_iter().enumerate().map(stage).collect()
    }

    fn up(&self) -> Result<Vec<Stage>> {
        let default = ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"];
        let attends = self.attends("up_block_types", &default, ["UpBlock2D", "CrossAttnUpBlock2D"])?;
        let last = self.widths.len() - 1;
        let stage = |(place, attends): (usize, bool)| {
            // One layer more than on the way down, because the map before each stage comes over too.
            let block = last - place;
            let (width, finer) = (self.widths[block], self.widths[block.saturating_sub(1)]);
            let coarser = self.widths[(block + 1).min(last)];
            let layer = |layer: usize| {
                let below = if layer == 0 { coarser } else { width };
                let over = if layer == self.layers[block] { finer } else { width };
                self.config.check_divides("norm_num_groups", self.norm.groups, below + over)?;
                let blocks = if attends { Some(self.blocks.up(self.config, place, layer)?) } else { None };
                Ok(Layer { input: below + over, transformer: blocks.map(|blocks| self.transformer(block, blocks)) })
            };
            let layers = (0..=self.layers[block]).map(layer).collect::<Result<_>>()?;
            Ok(Stage { layers, width, resampled: place < last })
        };
        attends.into_iter().enumerate().map(stage).collect()
    }

    fn middle(&self) -> Result<Option<Middle>> {
        let last = self.widths.len() - 1;
        let width = self.widths[last];
        // Null means that there is nothing, a missing key the default.
        match self.config.raw("mid_block_type").map_or(Some("UNetMidBlock2DCrossAttn"), Value::as_str) {
            Some("UNetMidBlock2D") => Ok(Some(Middle { width, transformer: None })),
            Some("UNetMidBlock2DCrossAttn") => {
                let blocks = self.blocks.down(self.config, last, 0)?;
                Ok(Some(Middle { width, transformer: Some(self.transformer(last, blocks)) }))
            }
            Some(other) => Err(self.unknown("mid_block_type", other, "UNetMidBlock2DCrossAttn and UNetMidBlock2D")),
            None => Ok(None),
        }
    }

    fn time(&self) -> Result<TimeConfig> {
        let (config, first) = (self.config, self.widths[0]);
        let time = TimeConfig {
            waves: first,
            width: config.size("time_embedding_dim", 4 * first)?,
            cosines_first: config.flag("flip_sin_to_cos", true)?,
            frequency_shift: config.number("freq_shift", 0.0)?,
            guidance: config.get("time_cond_proj_dim").map(|_| config.size("time_cond_proj_dim", 0)).transpose()?,
        };
        if !first.is_multiple_of(2) || first as f64 / 2.0 <= time.frequency_shift {
            return Err(config.wrong("block_out_channels must begin with an even number above 2 · freq_shift"));
        }
        Ok(time)
    }

    fn transformer(&self, block: usize, blocks: usize) -> TransformerConfig {
        TransformerConfig { heads: self.heads[block], blocks, context: self.context }
    }

    /// Which blocks attend to the text.
    fn attends(&self, key: &str, default: &[&str], [plain, cross]: [&str; 2]) -> Result<Vec<bool>> {
        let kinds = self.config.names(key, default)?;
        self.config.check_count(key, kinds.len(), self.widths.len())?;
        let attends = |kind: &String| match kind.as_str() {
            kind if kind == plain => Ok(false),
            kind if kind == cross => Ok(true),
            other => Err(self.unknown(key, other, &format!("{plain} and {cross}"))),
        };
        kinds.iter().map(attends).collect()
    }

    fn unknown(&self, key: &str, found: &str, known: &str) -> Error {
        self.config.wrong(format!("{key} has {found}, which is not supported; {known} are"))
    }
}

/// How many blocks the transformers have.
struct Blocks {
    down: Vec<Value>,
    up: Vec<Value>,
}

impl Blocks {
    fn read(config: &Config, count: usize) -> Result<Self> {
        let key = "transformer_layers_per_block";
        let down = match config.get(key) {
            None => vec![json!(1); count],
            Some(Value::Array(entries)) => entries.clone(),
            Some(entry) => vec![entry.clone(); count],
        };
        config.check_count(key, down.len(), count)?;
        let key = "reverse_transformer_layers_per_block";
        let up = match config.get(key) {
            None => down.iter().rev().cloned().collect(),
            Some(Value::Array(entries)) => entries.clone(),
            Some(other) => return Err(config.wrong(format!("{key} is {other}; it must be a list"))),
        };
        config.check_count(key, up.len(), count)?;
        Ok(Self { down, up })
    }

    fn down(&self, config: &Config, block: usize, layer: usize) -> Result<usize> {
        Self::entry(config, "transformer_layers_per_block", &self.down[block], layer)
    }

    fn up(&self, config: &Config, place: usize, layer: usize) -> Result<usize> {
        Self::entry(config, "reverse_transformer_layers_per_block", &self.up[place], layer)
    }

    /// A stage's entry is a number for all of its layers, or a list with one for each.
    fn entry(config: &Config, key: &str, entry: &Value, layer: usize) -> Result<usize> {
        match entry {
            Value::Array(layers) => {
                let entry = layers.get(layer).ok_or_else(|| {
                    config.wrong(format!("{key} has {} entries for more layers; download the file again", layers.len()))
                })?;
                config.as_size(key, entry, MOST_LAYERS)
            }
            entry => config.as_size(key, entry, MOST_LAYERS),
        }
    }
}

/// What diffusers' UNet can also be, and Stable Diffusion's never is.
fn refuse_unsupported(config: &Config) -> Result<()> {
    let (no, one) = ([json!(false)], [json!(1), json!(1.0)]);
    if config.get("addition_embed_type").is_some_and(|kind| kind == "text_time") {
        return Err(config.wrong(
            "addition_embed_type is \"text_time\": this is the UNet of Stable Diffusion XL, which is not supported; use a Stable \
             Diffusion 1, 2 or Turbo model",
        ));
    }
    config.refuse_others(&[
        ("act_fn", &[json!("silu"), json!("swish")]),
        ("addition_embed_type", &[]),
        ("attention_type", &[json!("default")]),
        ("class_embed_type", &[]),
        ("class_embeddings_concat", &no),
        ("conv_in_kernel", &[json!(3)]),
        ("conv_out_kernel", &[json!(3)]),
        ("cross_attention_norm", &[]),
        ("dual_cross_attention", &no),
        ("encoder_hid_dim", &[]),
        ("encoder_hid_dim_type", &[]),
        ("mid_block_only_cross_attention", &no),
        ("mid_block_scale_factor", &one),
        ("num_attention_heads", &[]),
        ("num_class_embeds", &[]),
        ("only_cross_attention", &no),
        ("resnet_out_scale_factor", &one),
        ("resnet_skip_time_act", &no),
        ("resnet_time_scale_shift", &[json!("default")]),
        ("time_embedding_act_fn", &[]),
        ("time_embedding_type", &[json!("positional")]),
        ("timestep_post_act", &[]),
    ])?;
    match config.raw("norm_num_groups") {
        Some(Value::Null) => Err(config.wrong(format!("norm_num_groups is null; it must be from 1 to {MOST}"))),
        _ => Ok(()),
    }
}
