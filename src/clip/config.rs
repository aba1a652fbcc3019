//! What a CLIP looks like: sizes from a `config.json`, never from a model's name.

use super::kernels::Activation;
use crate::{Error, Result};

/// The shape of a CLIP.
#[derive(Clone, Debug, PartialEq)]
pub struct ClipConfig {
    /// Width of the common embedding.
    pub embedding: usize,
    /// The image tower.
    pub vision: VisionConfig,
    /// The text tower.
    pub text: TextConfig,
}

/// The shape of an image tower.
#[derive(Clone, Debug, PartialEq)]
pub enum VisionConfig {
    /// A vision transformer.
    Vit(VitConfig),
    /// OpenAI's ModifiedResNet.
    ResNet(ResNetConfig),
}

/// The shape of a vision transformer.
#[derive(Clone, Debug, PartialEq)]
pub struct VitConfig {
    /// Side of the square input, in pixels.
    pub image: usize,
    /// Side of a square patch, in pixels.
    pub patch: usize,
    /// The blocks.
    pub transformer: TransformerConfig,
}

/// The shape of a ModifiedResNet.
#[derive(Clone, Debug, PartialEq)]
pub struct ResNetConfig {
    /// Side of the square input, in pixels.
    pub image: usize,
    /// Channels after the stem; the last stage has 32 times as many.
    pub width: usize,
    /// Bottleneck blocks of each stage.
    pub stages: [usize; 4],
    /// Heads of the attention pooling.
    pub heads: usize,
}

/// The shape of a text tower.
#[derive(Clone, Debug, PartialEq)]
pub struct TextConfig {
    /// Number of token ids.
    pub vocabulary: usize,
    /// Longest text, in tokens.
    pub context: usize,
    /// Which token's output is the feature.
    pub end_of_text: EndOfText,
    /// The blocks.
    pub transformer: TransformerConfig,
}

/// The shape of a stack of blocks.
#[derive(Clone, Debug, PartialEq)]
pub struct TransformerConfig {
    /// Number of blocks.
    pub layers: usize,
    /// Width of a token.
    pub width: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width inside the MLP.
    pub mlp: usize,
    /// Activation of the MLP.
    pub activation: Activation,
    /// What layer norms add to the variance.
    pub epsilon: f64,
}

/// How the end-of-text token is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndOfText {
    /// The largest id (OpenAI, OpenCLIP, and HF files whose `eos_token_id` is the legacy 2).
    LargestId,
    /// The first token with this id.
    Id(u32),
}

impl EndOfText {
    /// Its position in a list of ids; the first token where there is none, as in the reference implementations.
    pub fn position(self, ids: &[u32]) -> usize {
        let end = match self {
            Self::LargestId => ids.iter().copied().max().unwrap_or(0),
            Self::Id(id) => id,
        };
        ids.iter().position(|id| *id == end).unwrap_or(0)
    }
}

impl VitConfig {
    /// Patches and the class token.
    pub fn tokens(&self) -> usize {
        (self.image / self.patch).pow(2) + 1
    }
}

impl VisionConfig {
    /// Side of the square input, in pixels.
    pub fn image(&self) -> usize {
        match self {
            Self::Vit(vit) => vit.image,
            Self::ResNet(resnet) => resnet.image,
        }
    }
}

impl TransformerConfig {
    fn validate(&self, tower: &str, file: &str) -> Result<()> {
        check_size(file, &format!("{tower} width"), self.width, 16_384)?;
        check_size(file, &format!("{tower} layers"), self.layers, 256)?;
        check_size(file, &format!("{tower} heads"), self.heads, 1024)?;
        check_size(file, &format!("{tower} MLP width"), self.mlp, 131_072)?;
        if !self.width.is_multiple_of(self.heads) {
            return Err(wrong(
                file,
                format!("{tower} width {} is no multiple of its {} heads", self.width, self.heads),
            ));
        }
        if !(self.epsilon.is_finite() && self.epsilon > 0.0) {
            return Err(wrong(file, format!("{tower} layer_norm_eps must be above 0, not {}", self.epsilon)));
        }
        Ok(())
    }
}

impl TextConfig {
    /// As [`ClipConfig::validated`], for a text tower by itself.
    ///
    /// # Errors
    /// [`Error::Config`] with the size that is wrong.
    pub fn validated(self, file: &str) -> Result<Self> {
        self.transformer.validate("text", file)?;
        check_size(file, "vocabulary", self.vocabulary, 4_000_000)?;
        check_size(file, "context length", self.context, 65_536)?;
        Ok(self)
    }
}

impl ClipConfig {
    /// Checks that the sizes make a model at all, so that nothing later divides by zero or allocates without bound.
    ///
    /// # Errors
    /// [`Error::Config`] with the size that is wrong.
    pub fn validated(mut self, file: &str) -> Result<Self> {
        check_size(file, "embedding width", self.embedding, 16_384)?;
        check_size(file, "image size", self.vision.image(), 4096)?;
        match &self.vision {
            VisionConfig::Vit(vit) => {
                vit.transformer.validate("image", file)?;
                check_size(file, "patch_size", vit.patch, vit.image)?;
            }
            VisionConfig::ResNet(resnet) => {
                check_size(file, "ResNet width", resnet.width, 1024)?;
                check_size(file, "ResNet heads", resnet.heads, 1024)?;
                for blocks in resnet.stages {
                    check_size(file, "ResNet blocks", blocks, 256)?;
                }
                if !resnet.image.is_multiple_of(32) || !(resnet.width * 32).is_multiple_of(resnet.heads) {
                    let why = "the image size must be a multiple of 32 and 32 × width a multiple of the heads";
                    return Err(wrong(file, why.into()));
                }
            }
        }
        self.text = self.text.validated(file)?;
        Ok(self)
    }
}

fn check_size(file: &str, name: &str, value: usize, limit: usize) -> Result<()> {
    match value {
        0 => Err(wrong(file, format!("{name} is 0; it must be at least 1"))),
        _ if value > limit => Err(wrong(file, format!("{name} is {value}, above the limit of {limit}"))),
        _ => Ok(()),
    }
}

fn wrong(file: &str, why: String) -> Error {
    Error::Config { file: file.into(), why }
}
