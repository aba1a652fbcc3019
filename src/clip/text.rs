//! The text tower: a causal transformer whose feature is the end-of-text token.

use burn::tensor::{FloatDType, Int, Tensor, TensorData};

use super::{
    ClipBackend, Parameters,
    config::TextConfig,
    embedding::Embedding,
    kernels::Activation,
    layers::{LayerNorm, Linear, Transformer},
    precision::Conversion,
    walk::{Tower, Visitor},
};

/// The text tower.
#[derive(Clone, Debug)]
pub struct Text<B: ClipBackend> {
    embedding: Embedding<B>,
    transformer: Transformer<B>,
    ln_final: LayerNorm<B>,
    projection: Linear<B>,
    config: TextConfig,
}

impl<B: ClipBackend> Text<B> {
    /// Reads the tower's tensors; they stand at the top level, without a prefix.
    pub fn load(parameters: &mut impl Parameters<B>, config: &TextConfig, embedding: usize) -> Self {
        let (width, epsilon) = (config.transformer.width, config.transformer.epsilon);
        let storage = parameters.storage();
        let projection = parameters.tensor("text_projection", [width, embedding]).transpose();
        Self {
            embedding: Embedding::load(parameters, config),
            transformer: Transformer::load(parameters, "transformer", &config.transformer),
            ln_final: LayerNorm::load(parameters, "ln_final", width, epsilon),
            projection: Linear::new_in(storage, projection, None),
            config: config.clone(),
        }
    }

    /// Token ids, one list a text, each at most `context` long → text embeddings `[texts, embedding]`, not yet of unit
    /// length. Lists may differ in length and may be padded: what stands behind the end-of-text token is never seen
    /// (the mask is causal), so it is not computed.
    pub fn forward(&self, texts: &[Vec<u32>]) -> Tensor<B, 2> {
        let x = self.embed(texts);
        self.project((0..self.layers()).fold(x, |x, block| self.block(block, x)), texts)
    }

    /// How many blocks there are.
    pub fn layers(&self) -> usize {
        self.transformer.layers()
    }

    /// Token ids → tokens before the first block, `[texts, tokens, width]`.
    pub fn embed(&self, texts: &[Vec<u32>]) -> Tensor<B, 3> {
        let tokens = self.ends(texts).max().map_or(1, |end| end + 1);
        let padded = texts.iter().flat_map(|ids| {
            let id = |position| ids.get(position).copied().unwrap_or(0).min(self.config.vocabulary as u32 - 1);
            (0..tokens).map(id)
        });
        self.embedding.forward(&padded.collect::<Vec<u32>>(), tokens)
    }

    /// One block: `[texts, tokens, width]` → the same.
    pub fn block(&self, index: usize, x: Tensor<B, 3>) -> Tensor<B, 3> {
        self.transformer.block(index, x, true)
    }

    /// Tokens after the last block `[texts, tokens, width]` → embeddings `[texts, embedding]`.
    pub fn project(&self, x: Tensor<B, 3>, texts: &[Vec<u32>]) -> Tensor<B, 2> {
        let [_, tokens, width] = x.dims();
        let rows = self.ends(texts).enumerate().map(|(text, end)| (text * tokens + end) as i64).collect::<Vec<_>>();
        let rows = Tensor::<B, 1, Int>::from_data(TensorData::new(rows, [texts.len()]), &x.device());
        let pooled = x.reshape([texts.len() * tokens, width]).select(0, rows);
        let pooled = self.ln_final.forward(pooled.unsqueeze_dim(1));
        self.projection.forward(pooled, Activation::Identity, None).squeeze_dim::<2>(1).cast(FloatDType::F32)
    }

    /// Where each text ends.
    fn ends(&self, texts: &[Vec<u32>]) -> impl Iterator<Item = usize> {
        texts.iter().map(|ids| self.config.end_of_text.position(ids))
    }

    pub(super) fn convert<C: ClipBackend>(&self, to: &impl Conversion<B, C>) -> Text<C> {
        Text {
            embedding: self.embedding.convert(to),
            transformer: self.transformer.convert(to),
            ln_final: self.ln_final.convert(to),
            projection: self.projection.convert(to),
            config: self.config.clone(),
        }
    }

    /// Shows a visitor what can be changed, from the ids to the embedding.
    pub fn walk(&mut self, visitor: &mut impl Visitor<B>) {
        self.transformer.walk("transformer", Tower::Text, visitor);
        self.ln_final.walk("ln_final", visitor);
    }
}
