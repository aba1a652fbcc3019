//! OpenCLIP's `open_clip_config.json`.

use serde::Deserialize;
use serde_json::Value;

use super::{parse, wrong};
use crate::{
    Result,
    clip::{
        ClipConfig,
        config::{EndOfText, ResNetConfig, TextConfig, TransformerConfig, VisionConfig, VitConfig},
        kernels::Activation,
    },
};

/// Reads an `open_clip_config.json`.
///
/// # Errors
/// Not JSON, a tower that is not CLIP's own (timm, Hugging Face text models), sizes that make no model.
pub fn open_clip(file: &str, bytes: &[u8]) -> Result<ClipConfig> {
    let config: Value = parse(file, bytes)?;
    let model = config.get("model_cfg").unwrap_or(&config).clone();
    let known = |part: &Value, known: &[&str]| {
        let unknown = part.as_object().and_then(|keys| keys.iter().find(|(key, _)| !known.contains(&key.as_str())));
        unknown.filter(|(_, value)| !matches!(value, Value::Null | Value::Bool(false))).map_or(Ok(()), |(key, _)| {
            Err(wrong(file, format!("'{key}' is not supported; only OpenAI's ViT, ResNet and text towers are")))
        })
    };
    known(&model, &["embed_dim", "quick_gelu", "vision_cfg", "text_cfg", "init_logit_scale"])?;
    let vision_keys = ["image_size", "layers", "width", "head_width", "patch_size", "mlp_ratio"];
    known(&model["vision_cfg"], &vision_keys)?;
    known(&model["text_cfg"], &["context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio"])?;
    let model: OpenClip =
        serde_json::from_value(model).map_err(|error| wrong(file, format!("not an OpenCLIP config: {error}")))?;
    let activation = if model.quick_gelu { Activation::QuickGelu } else { Activation::Gelu };
    let OpenClip { embed_dim, vision_cfg: vision, text_cfg: text, .. } = model;
    let blocks = |layers, width, heads, ratio: f64| TransformerConfig {
        layers,
        width,
        heads,
        mlp: (width as f64 * ratio) as usize,
        activation,
        epsilon: 1e-5,
    };
    if vision.head_width == 0 {
        return Err(wrong(file, "head_width must be at least 1".into()));
    }
    let tower = match vision.layers {
        OpenClipLayers::Blocks(layers) => VisionConfig::Vit(VitConfig {
            image: vision.image_size,
            patch: vision.patch_size.unwrap_or(16),
            transformer: blocks(layers, vision.width, vision.width / vision.head_width, vision.mlp_ratio),
        }),
        OpenClipLayers::Stages(stages) => VisionConfig::ResNet(ResNetConfig {
            image: vision.image_size,
            width: vision.width,
            stages,
            heads: vision.width * 32 / vision.head_width,
        }),
    };
    ClipConfig {
        embedding: embed_dim,
        vision: tower,
        text: TextConfig {
            vocabulary: text.vocab_size,
            context: text.context_length,
            end_of_text: EndOfText::LargestId,
            transformer: blocks(text.layers, text.width, text.heads, text.mlp_ratio),
        },
    }
    .validated(file)
}

#[derive(Deserialize)]
struct OpenClip {
    embed_dim: usize,
    #[serde(default)]
    quick_gelu: bool,
    vision_cfg: OpenClipVision,
    text_cfg: OpenClipText,
}

#[derive(Deserialize)]
struct OpenClipVision {
    image_size: usize,
    layers: OpenClipLayers,
    width: usize,
    patch_size: Option<usize>,
    #[serde(default = "head_width")]
    head_width: usize,
    #[serde(default = "mlp_ratio")]
    mlp_ratio: f64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OpenClipLayers {
    Blocks(usize),
    Stages([usize; 4]),
}

#[derive(Deserialize)]
struct OpenClipText {
    #[serde(default = "context_length")]
    context_length: usize,
    #[serde(default = "vocabulary")]
    vocab_size: usize,
    width: usize,
    heads: usize,
    layers: usize,
    #[serde(default = "mlp_ratio")]
    mlp_ratio: f64,
}

fn head_width() -> usize {
    64
}

fn mlp_ratio() -> f64 {
    4.0
}

fn context_length() -> usize {
    77
}

fn vocabulary() -> usize {
    49_408
}
