//! Where a text begins: a vector for each token, and one for each position.

use burn::tensor::{Int, Tensor, TensorData};

use super::{ClipBackend, Parameters, config::TextConfig, precision::Conversion};

/// The vectors of a text tower's vocabulary and of its positions.
#[derive(Clone, Debug)]
pub struct Embedding<B: ClipBackend> {
    /// `[vocabulary, width]`.
    tokens: Tensor<B, 2>,
    /// `[context, width]`.
    positions: Tensor<B, 2>,
}

impl<B: ClipBackend> Embedding<B> {
    /// Reads `token_embedding.weight` and `positional_embedding`.
    pub fn load(parameters: &mut impl Parameters<B>, config: &TextConfig) -> Self {
        let width = config.transformer.width;
        Self {
            tokens: parameters.tensor("token_embedding.weight", [config.vocabulary, width]),
            positions: parameters.tensor("positional_embedding", [config.context, width]),
        }
    }

    /// The ids of texts of so many `tokens` each, one text after the other → `[texts, tokens, width]`.
    pub fn forward(&self, ids: Vec<i64>, tokens: usize) -> Tensor<B, 3> {
        let (count, [_, width]) = (ids.len(), self.tokens.dims());
        let texts = count.checked_div(tokens).unwrap_or(0);
        let ids = Tensor::<B, 1, Int>::from_data(TensorData::new(ids, [count]), &self.tokens.device());
        let embedded = self.tokens.clone().select(0, ids).reshape([texts, tokens, width]);
        embedded + self.positions.clone().narrow(0, 0, tokens).unsqueeze::<3>()
    }

    pub(super) fn convert<C: ClipBackend>(&self, to: &impl Conversion<B, C>) -> Embedding<C> {
        Embedding { tokens: to.tensor(&self.tokens), positions: to.tensor(&self.positions) }
    }
}
