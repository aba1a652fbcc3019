//! The text encoder: CLIP's text tower, of which every token's state is read, padding included.

use burn::tensor::{DType, Int, Tensor, TensorData};

use super::kernels::DiffusionBackend;
use crate::clip::{
    Parameters,
    config::TextConfig,
    layers::{LayerNorm, Transformer},
};

/// CLIP's text tower without its projection. Stable Diffusion 2's has one block less than its CLIP: its config says so.
#[derive(Clone, Debug)]
pub struct TextEncoder<B: DiffusionBackend> {
    token_embedding: Tensor<B, 2>,
    positions: Tensor<B, 2>,
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
            token_embedding: parameters.tensor("token_embedding.weight", [config.vocabulary, width]),
            positions: parameters.tensor("positional_embedding", [config.context, width]),
            transformer: Transformer::load(parameters, "transformer", &config.transformer),
            ln_final: LayerNorm::load(parameters, "ln_final", width, epsilon),
            config: config.clone(),
        }
    }

    /// Token ids, padded to the same length, at most the context → states after the last normalisation, `[texts, tokens, width]`
    /// in single precision.
    pub fn forward(&self, texts: &[Vec<i32>]) -> Tensor<B, 3> {
        let (tokens, width) = (texts.first().map_or(0, Vec::len), self.config.transformer.width);
        let ids: Vec<i64> = texts.iter().flatten().map(|id| i64::from(*id)).collect();
        let ids = Tensor::<B, 1, Int>::from_data(
            TensorData::new(ids, [texts.len() * tokens]),
            &self.token_embedding.device(),
        );
        let embedded = self.token_embedding.clone().select(0, ids).reshape([texts.len(), tokens, width]);
        let x = embedded + self.positions.clone().narrow(0, 0, tokens).unsqueeze::<3>();
        let x = (0..self.transformer.layers()).fold(x, |x, block| self.transformer.block(block, x, true));
        self.ln_final.forward(x).cast(DType::F32)
    }
}
