//! The text encoder: CLIP's text tower, of which every token's state is read, padding included.

use burn::tensor::{DType, Tensor};

use super::kernels::DiffusionBackend;
use crate::clip::{
    Parameters,
    config::TextConfig,
    embedding::Embedding,
    layers::{LayerNorm, Transformer},
};

/// CLIP's text tower without its projection. Stable Diffusion 2's has one block less than its CLIP: its config says so.
#[derive(Clone, Debug)]
pub struct TextEncoder<B: DiffusionBackend> {
    embedding: Embedding<B>,
    transformer: Transformer<B>,
    ln_final: LayerNorm<B>,
    /// Its shape.
    pub config: TextConfig,
}

impl<B: DiffusionBackend> TextEncoder<B> {
    /// Reads the tower's tensors by OpenAI's names.
    pub fn load(parameters: &mut impl Parameters<B>, config: &TextConfig) -> Self {
        let (width, epsilon) = (config.transformer.width, config.transformer.epsilon);
        Self {
            embedding: Embedding::load(parameters, config),
            transformer: Transformer::load(parameters, "transformer", &config.transformer),
            ln_final: LayerNorm::load(parameters, "ln_final", width, epsilon),
            config: config.clone(),
        }
    }

    /// Token ids, padded to the same length, at most the context → states after the last normalisation, `[texts, tokens, width]`
    /// in single precision.
    pub fn forward(&self, texts: &[Vec<u32>]) -> Tensor<B, 3> {
        let x = self.embedding.forward(&texts.concat(), texts.first().map_or(0, Vec::len));
        let x = (0..self.transformer.layers()).fold(x, |x, block| self.transformer.block(block, x, true));
        self.ln_final.forward(x).cast(DType::F32)
    }
}
