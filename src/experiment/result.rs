//! `result.json` and `predictions.csv`: what a run says.

use serde::{Deserialize, Serialize};

use super::dataset::Dataset;
use crate::{
    Error, Result,
    adapter::Learnt,
    clip::ClipBackend,
    data::{Item, Shots},
    session::Backbone,
    train::metrics::{ClassAccuracy, Metrics, Prediction},
};

/// The version of `result.json`.
pub const SCHEMA: u32 = 1;

/// A run's result. Fractions are 0..1, times in seconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunResult {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The data set's name.
    pub dataset: String,
    /// The backbone's name.
    pub backbone: String,
    /// SHA-256 of its weights.
    pub backbone_sha256: String,
    /// The method.
    pub method: String,
    /// Images of each class that were asked for; `null` where an adapter is tested that was trained elsewhere.
    pub shots: Option<Shots>,
    /// The seed; `null` as for `shots`.
    pub seed: Option<u64>,
    /// Test images.
    pub n_test: usize,
    /// Fraction of them whose best class is right.
    pub top1: f64,
    /// Fraction whose class is among the best five.
    pub top5: f64,
    /// Mean accuracy of the classes that have test images.
    #[serde(rename = "macro")]
    pub macro_accuracy: f64,
    /// 95 % interval of `top1` (Wilson).
    pub ci95: [f64; 2],
    /// Each class.
    pub per_class: Vec<ClassResult>,
    /// `[label][prediction]`, counts.
    pub confusion: Vec<Vec<usize>>,
    /// Numbers that were trained.
    pub trainable_parameters: usize,
    /// What took how long.
    pub seconds: Seconds,
    /// The device.
    pub device: String,
    /// This program's version.
    pub lowshot: String,
    /// SHA-256 of the split that was used.
    pub split_sha256: String,
    /// Base and novel classes, where the run was asked for them; the accuracies above are then the base classes'.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub generalisation: Option<Generalisation>,
}

/// One class of a result.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClassResult {
    /// Its name.
    pub name: String,
    /// Test images.
    pub n: usize,
    /// Fraction of them that is right; `null` where there are none.
    pub accuracy: Option<f64>,
}

/// Where the time went.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Seconds {
    /// Image and text features.
    pub features: f64,
    /// Fitting; what was done before an interruption counts up to the checkpoint that was gone on from.
    pub train: f64,
    /// Seconds of `train` in which training through the towers waited for pictures; nothing for other methods.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub waiting: Option<f64>,
    /// Classifying the test images.
    pub test: f64,
}

/// Accuracy on the classes that were trained on, and on those that were not.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Generalisation {
    /// Top-1 among the base classes.
    pub base: f64,
    /// Top-1 among the novel classes, with their shots and texts but no training.
    pub novel: f64,
    /// Harmonic mean of the two.
    pub harmonic_mean: f64,
    /// Zero-shot top-1 among the novel classes, to compare with.
    pub novel_zero_shot: f64,
}

impl RunResult {
    /// What `metrics` say about an adapter, tested on `classes` of the data set; without shots and seed, which only the
    /// adapter's maker knows, and without times.
    pub fn new<B: ClipBackend>(
        dataset: &Dataset,
        backbone: &Backbone<B>,
        learnt: &Learnt<B>,
        classes: &[String],
        metrics: &Metrics,
    ) -> Self {
        let class = |(name, class): (&String, &ClassAccuracy)| ClassResult {
            name: name.clone(),
            n: class.n,
            accuracy: class.accuracy,
        };
        Self {
            schema: SCHEMA,
            dataset: dataset.name.clone(),
            backbone: backbone.name.clone(),
            backbone_sha256: backbone.sha256.clone(),
            method: learnt.method.to_string(),
            shots: None,
            seed: None,
            n_test: metrics.n,
            top1: metrics.top1,
            top5: metrics.top5,
            macro_accuracy: metrics.macro_accuracy,
            ci95: metrics.ci95,
            per_class: classes.iter().zip(&metrics.per_class).map(class).collect(),
            confusion: metrics.confusion.clone(),
            trainable_parameters: learnt.trainable_parameters(),
            seconds: Seconds::default(),
            device: B::name(backbone.clip.device()),
            lowshot: env!("CARGO_PKG_VERSION").into(),
            split_sha256: dataset.split_sha256.clone(),
            generalisation: None,
        }
    }

    /// The text of `result.json`.
    ///
    /// # Errors
    /// None that is known: all of it has a form in JSON.
    pub fn to_json(&self) -> Result<String> {
        let text = serde_json::to_string_pretty(self);
        Ok(text.map_err(|error| Error::Failed(format!("the result cannot be written as JSON: {error}")))? + "\n")
    }
}

/// `predictions.csv`: path, label, prediction and its softmax confidence, a line a test image in the split's order.
///
/// # Errors
/// None that is known: writing to memory does not fail.
pub fn predictions_csv(items: &[Item], classes: &[String], predictions: &[Prediction]) -> Result<Vec<u8>> {
    let failed = |error: csv::Error| Error::Failed(format!("the predictions cannot be written as CSV: {error}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["path", "label", "prediction", "confidence"]).map_err(failed)?;
    for (item, prediction) in items.iter().zip(predictions) {
        let confidence = format!("{:.6}", prediction.confidence);
        let record = [&item.path, &classes[item.label], &classes[prediction.class], &confidence];
        writer.write_record(record).map_err(failed)?;
    }
    writer.into_inner().map_err(|error| Error::Failed(format!("the predictions cannot be written as CSV: {error}")))
}
