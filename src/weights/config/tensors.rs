//! The shape of a model whose files say nothing of it, off its tensors.

use crate::{
    Error, Result,
    clip::{
        ClipConfig,
        config::{EndOfText, ResNetConfig, TextConfig, TransformerConfig, VisionConfig, VitConfig},
        kernels::Activation,
    },
    weights::Checkpoint,
};

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
