//! A model's shape from `config.json` (Hugging Face), `open_clip_config.json`, or the tensors themselves.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::{Checkpoint, ModelFiles, names::Layout};
use crate::{
    Error, Result,
    clip::{
        ClipConfig,
        config::{EndOfText, ResNetConfig, TextConfig, TransformerConfig, VisionConfig, VitConfig},
        kernels::Activation,
    },
};

/// The config that belongs to the weights' layout; OpenAI's names tell their own shape where there is none.
///
/// # Errors
/// No config beside Hugging Face weights, or one that is wrong.
pub fn find(files: &dyn ModelFiles, checkpoint: &Checkpoint) -> Result<ClipConfig> {
    let file = |name: &str| format!("{}/{name}", files.label());
    match checkpoint.layout {
        Layout::HuggingFace => match files.open("config.json")? {
            Some(bytes) => hugging_face(&file("config.json"), bytes.bytes()),
            None => {
                let why = "it is missing; Hugging Face weights need the config.json that stands beside them on the hub";
                Err(wrong(&file("config.json"), why.into()))
            }
        },
        Layout::OpenAi => match files.open("open_clip_config.json")? {
            Some(bytes) => open_clip(&file("open_clip_config.json"), bytes.bytes()),
            None => inferred(checkpoint),
        },
        Layout::HuggingFaceText | Layout::Diffusers | Layout::OldDiffusers => Err(wrong(
            checkpoint.label(),
            "a diffusion pipeline's component, not a CLIP; give the folder of a CLIP".into(),
        )),
    }
}

/// Reads a Hugging Face `config.json` of a `CLIPModel`. What it leaves out has transformers' default.
///
/// # Errors
/// Not JSON, another kind of model, sizes that make no model.
pub fn hugging_face(file: &str, bytes: &[u8]) -> Result<ClipConfig> {
    check_sizes(file, &parse(file, bytes)?)?;
    let config: HuggingFace = parse(file, bytes)?;
    if config.model_type.as_deref().is_some_and(|kind| kind != "clip") {
        let kind = config.model_type.unwrap_or_default();
        return Err(wrong(file, format!("model_type is '{kind}'; only 'clip' is supported")));
    }
    let vision = config.vision_config;
    let text = config.text_config;
    if vision.num_channels.is_some_and(|channels| channels != 3) {
        return Err(wrong(file, "num_channels must be 3".into()));
    }
    ClipConfig {
        embedding: config.projection_dim.unwrap_or(512),
        vision: VisionConfig::Vit(VitConfig {
            image: vision.image_size.unwrap_or(224),
            patch: vision.patch_size.unwrap_or(32),
            transformer: vision.shape.resolved(file, [12, 768, 12, 3072])?,
        }),
        text: text.resolved(file)?,
    }
    .validated(file)
}

/// Reads a Hugging Face `config.json` of a `CLIPTextModel`, the text tower by itself.
///
/// # Errors
/// As [`hugging_face`].
pub fn hugging_face_text(file: &str, bytes: &[u8]) -> Result<TextConfig> {
    let keys: Value = parse(file, bytes)?;
    check_object(file, "a model's config", &keys)?;
    if let Some(kind) = keys["model_type"].as_str().filter(|kind| *kind != "clip_text_model") {
        return Err(wrong(file, format!("model_type is '{kind}'; only 'clip_text_model' is supported")));
    }
    check_tower_sizes(file, "", &keys)?;
    parse::<HuggingFaceText>(file, bytes)?.resolved(file)?.validated(file)
}

/// Checks the sizes of a Hugging Face config one by one, so that a wrong one is named by the file's own key.
fn check_sizes(file: &str, config: &Value) -> Result<()> {
    check_object(file, "a model's config", config)?;
    check_size(file, "projection_dim", config.get("projection_dim"), 16_384)?;
    for half in ["vision_config", "text_config"] {
        if let Some(keys) = config.get(half) {
            check_object(file, half, keys)?;
            check_tower_sizes(file, &format!("{half}."), keys)?;
        }
    }
    Ok(())
}

fn check_object(file: &str, what: &str, value: &Value) -> Result<()> {
    if value.is_object() {
        Ok(())
    } else {
        Err(wrong(file, format!("{what} must be a JSON object; get the file again")))
    }
}

/// Checks one tower's sizes; `prefix` is what its keys stand under.
fn check_tower_sizes(file: &str, prefix: &str, keys: &Value) -> Result<()> {
    for (key, limit) in [
        ("hidden_size", 16_384),
        ("num_hidden_layers", 256),
        ("num_attention_heads", 1024),
        ("intermediate_size", 131_072),
        ("image_size", 4096),
        ("patch_size", 4096),
        ("vocab_size", 4_000_000),
        ("max_position_embeddings", 65_536),
    ] {
        check_size(file, &format!("{prefix}{key}"), keys.get(key), limit)?;
    }
    Ok(())
}

fn check_size(file: &str, place: &str, value: Option<&Value>, limit: u64) -> Result<()> {
    match value {
        None | Some(Value::Null) => Ok(()),
        Some(value) if value.as_u64().is_some_and(|size| (1..=limit).contains(&size)) => Ok(()),
        Some(value) => Err(wrong(file, format!("{place} is {value}; it must be a whole number from 1 to {limit}"))),
    }
}

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

/// Reads the shape off OpenAI-named tensors, as OpenAI's own loader does: heads are 64 wide, the activation is QuickGELU.
///
/// # Errors
/// A tensor that the shape is read from is missing.
pub fn inferred(checkpoint: &Checkpoint) -> Result<ClipConfig> {
    let file = checkpoint.label();
    let size = |name: &str, dimension: usize| {
        checkpoint.shape(name).and_then(|shape| shape.get(dimension)).copied().ok_or_else(|| Error::Tensors {
            file: file.into(),
            why: format!("missing: {name}, which the model's shape is read from"),
        })
    };
    let count = |prefix: &str| {
        let index = |name: &str| name.strip_prefix(prefix)?.split('.').next()?.parse::<usize>().ok();
        checkpoint.names().filter_map(index).max().map_or(0, |last| last + 1)
    };
    let blocks = |prefix: &str, width: usize| -> Result<TransformerConfig> {
        Ok(TransformerConfig {
            layers: count(prefix),
            width,
            heads: (width / 64).max(1),
            mlp: size(&format!("{prefix}0.mlp.c_fc.weight"), 0)?,
            activation: Activation::QuickGelu,
            epsilon: 1e-5,
        })
    };
    let vision = if checkpoint.shape("visual.layer1.0.conv1.weight").is_some() {
        let width = size("visual.layer1.0.conv1.weight", 0)?;
        let grid = (size("visual.attnpool.positional_embedding", 0)?.saturating_sub(1)).isqrt();
        VisionConfig::ResNet(ResNetConfig {
            image: grid * 32,
            width,
            stages: [1, 2, 3, 4].map(|stage| count(&format!("visual.layer{stage}."))),
            heads: (width * 32 / 64).max(1),
        })
    } else {
        let (width, patch) = (size("visual.conv1.weight", 0)?, size("visual.conv1.weight", 2)?);
        let grid = (size("visual.positional_embedding", 0)?.saturating_sub(1)).isqrt();
        let transformer = blocks("visual.transformer.resblocks.", width)?;
        VisionConfig::Vit(VitConfig { image: grid * patch, patch, transformer })
    };
    ClipConfig {
        embedding: size("text_projection", 1)?,
        vision,
        text: TextConfig {
            vocabulary: size("token_embedding.weight", 0)?,
            context: size("positional_embedding", 0)?,
            end_of_text: EndOfText::LargestId,
            transformer: blocks("transformer.resblocks.", size("ln_final.weight", 0)?)?,
        },
    }
    .validated(file)
}

#[derive(Deserialize)]
struct HuggingFace {
    model_type: Option<String>,
    projection_dim: Option<usize>,
    #[serde(default)]
    vision_config: HuggingFaceVision,
    #[serde(default)]
    text_config: HuggingFaceText,
}

#[derive(Deserialize, Default)]
struct HuggingFaceVision {
    image_size: Option<usize>,
    patch_size: Option<usize>,
    num_channels: Option<usize>,
    #[serde(flatten)]
    shape: HuggingFaceShape,
}

#[derive(Deserialize, Default)]
struct HuggingFaceText {
    vocab_size: Option<usize>,
    max_position_embeddings: Option<usize>,
    eos_token_id: Option<u32>,
    #[serde(flatten)]
    shape: HuggingFaceShape,
}

impl HuggingFaceText {
    fn resolved(self, file: &str) -> Result<TextConfig> {
        Ok(TextConfig {
            vocabulary: self.vocab_size.unwrap_or(49_408),
            context: self.max_position_embeddings.unwrap_or(77),
            end_of_text: match self.eos_token_id.unwrap_or(49_407) {
                2 => EndOfText::LargestId,
                id => EndOfText::Id(id),
            },
            transformer: self.shape.resolved(file, [12, 512, 8, 2048])?,
        })
    }
}

#[derive(Deserialize, Default)]
struct HuggingFaceShape {
    num_hidden_layers: Option<usize>,
    hidden_size: Option<usize>,
    num_attention_heads: Option<usize>,
    intermediate_size: Option<usize>,
    hidden_act: Option<String>,
    layer_norm_eps: Option<f64>,
}

impl HuggingFaceShape {
    fn resolved(self, file: &str, [layers, width, heads, mlp]: [usize; 4]) -> Result<TransformerConfig> {
        let activation = match self.hidden_act.as_deref() {
            None | Some("quick_gelu") => Activation::QuickGelu,
            Some("gelu") => Activation::Gelu,
            Some(other) => {
                return Err(wrong(file, format!("hidden_act '{other}' is not supported; quick_gelu and gelu are")));
            }
        };
        let (width, heads) = (self.hidden_size.unwrap_or(width), self.num_attention_heads.unwrap_or(heads));
        if !width.is_multiple_of(heads) {
            return Err(wrong(file, format!("hidden_size {width} is no multiple of num_attention_heads {heads}")));
        }
        Ok(TransformerConfig {
            layers: self.num_hidden_layers.unwrap_or(layers),
            width,
            heads,
            mlp: self.intermediate_size.unwrap_or(mlp),
            activation,
            epsilon: self.layer_norm_eps.unwrap_or(1e-5),
        })
    }
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

fn parse<T: DeserializeOwned>(file: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| wrong(file, format!("not a model's config: {error}")))
}

fn wrong(file: &str, why: String) -> Error {
    Error::Config { file: file.into(), why }
}
