//! Hugging Face's `config.json`: what it leaves out has transformers' default.

use serde::Deserialize;
use serde_json::Value;

use super::{parse, wrong};
use crate::{
    Result,
    clip::{
        ClipConfig,
        config::{EndOfText, TextConfig, TransformerConfig, VisionConfig, VitConfig},
        kernels::Activation,
    },
};

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
