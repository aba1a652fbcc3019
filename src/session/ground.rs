//! What all methods of a session stand on: the model, the classes' texts and the photos' features.

use burn::tensor::{Tensor, TensorData};

use super::Backbone;
use crate::{
    Result,
    adapter::{FewShot, Labelled},
    clip::ClipBackend,
    train,
};

/// Similarities are multiplied by this, as in the few-shot literature.
const SCALE: f32 = 100.0;

/// A class as it is described to the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// Sentences that name it; every class has the same number.
    pub prompts: Vec<String>,
}

/// The model and everything known by it. `B` runs the towers; methods on features are small and run on `H`, the CPU, where reading a
/// number back costs nothing.
pub struct Ground<B: ClipBackend, H: ClipBackend> {
    /// The model, as it was loaded.
    pub backbone: Backbone<B>,
    /// Where features are learnt from.
    pub host: H::Device,
    /// The classes, in the order of the logits.
    pub classes: Vec<Class>,
    /// The classes' texts `[C, D]`, row by row.
    pub text: Vec<f32>,
    /// The photos `[n, D]`, row by row.
    pub features: Vec<f32>,
    /// The class of each photo.
    pub labels: Vec<usize>,
}

impl<B: ClipBackend, H: ClipBackend> Ground<B, H> {
    /// The width `D` of features.
    pub fn width(&self) -> usize {
        self.backbone.config.embedding
    }

    /// What similarities are multiplied by.
    pub fn scale(&self) -> f32 {
        SCALE
    }

    /// Rows `[rows, D]` on the CPU.
    pub fn on_host(&self, rows: Vec<f32>) -> Tensor<H, 2> {
        let count = rows.len() / self.width();
        Tensor::from_data(TensorData::new(rows, [count, self.width()]), &self.host)
    }

    /// The features of some photos, row by row.
    pub fn rows(&self, examples: &[usize]) -> Vec<f32> {
        let width = self.width();
        examples.iter().flat_map(|&example| &self.features[example * width..(example + 1) * width]).copied().collect()
    }

    /// The labels of some photos.
    pub fn labels_of(&self, examples: &[usize]) -> Vec<usize> {
        examples.iter().map(|&example| self.labels[example]).collect()
    }

    /// What a method on features learns from when it is given these photos.
    pub fn few_shot(&self, examples: &[usize]) -> FewShot<H> {
        FewShot {
            text: self.on_host(self.text.clone()),
            features: self.on_host(self.rows(examples)),
            labels: self.labels_of(examples),
            val: None,
            scale: self.scale(),
        }
    }

    /// The same photos where the towers are.
    pub fn shots(&self, examples: &[usize]) -> Labelled<B> {
        let (rows, device) = (self.rows(examples), self.backbone.clip.device());
        let features = Tensor::from_data(TensorData::new(rows, [examples.len(), self.width()]), device);
        Labelled { features, labels: self.labels_of(examples) }
    }

    /// Token ids of all prompts, class after class.
    pub fn token_ids(&self) -> Vec<Vec<u32>> {
        self.classes.iter().flat_map(|class| &class.prompts).map(|prompt| self.backbone.token_ids(prompt)).collect()
    }
}

/// Unit features `[pictures, D]`, row by row, of preprocessed pictures.
///
/// # Errors
/// The device fails.
pub async fn features<B: ClipBackend>(backbone: &Backbone<B>, pictures: &[Vec<u8>]) -> Result<Vec<f32>> {
    if pictures.is_empty() {
        return Ok(Vec::new());
    }
    train::read(backbone.image_features(pictures)).await
}
