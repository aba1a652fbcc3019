//! Where a text begins: a vector for each token, and one for each position.

use burn::tensor::Tensor;

use super::{ClipBackend, Parameters, config::TextConfig, precision::Conversion};

/// The vectors of a text tower's vocabulary and of its positions.
#[derive(Clone, Debug)]
pub struct Embedding<B: ClipBackend> {
    /// `[vocabulary, width]`.
    tokens: B::Matrix,
    /// `[context, width]`.
    positions: Tensor<B, 2>,
}

impl<B: ClipBackend> Embedding<B> {
    /// Reads `token_embedding.weight` and `positional_embedding`.
    pub fn load(parameters: &mut impl Parameters<B>, config: &TextConfig) -> Self {
        let width = config.transformer.width;
        let (storage, tokens) =
            (parameters.storage(), parameters.tensor("token_embedding.weight", [config.vocabulary, width]));
        Self {
            tokens: B::matrix_in(storage, tokens),
            positions: parameters.tensor("positional_embedding", [config.context, width]),
        }
    }

    /// The ids of texts of so many `tokens` each, one text after the other → `[texts, tokens, width]`.
    pub fn forward(&self, ids: &[u32], tokens: usize) -> Tensor<B, 3> {
        let texts = ids.len().checked_div(tokens).unwrap_or(0);
        let [_, width] = self.positions.dims();
        let embedded = B::rows(&self.tokens, ids).reshape([texts, tokens, width]);
        embedded + self.positions.clone().narrow(0, 0, tokens).unsqueeze::<3>()
    }

    pub(super) fn convert<C: ClipBackend>(&self, to: &impl Conversion<B, C>) -> Embedding<C> {
        Embedding { tokens: to.matrix(&self.tokens), positions: to.tensor(&self.positions) }
    }
}
