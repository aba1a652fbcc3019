//! A learnt method that answers for pictures, and what it was found to be worth.

use serde::{Deserialize, Serialize};

use super::{Answer, Calibration, Folds, Ground, calibration::nearest, ground::features};
use crate::{
    Result,
    adapter::{Learnt, Method, scores},
    clip::ClipBackend,
    session::Backbone,
    train::metrics::{ClassAccuracy, Metrics, Scores},
};

/// A learnt method.
pub struct Answering<B: ClipBackend, H: ClipBackend> {
    /// Which.
    pub method: Method,
    /// What makes probabilities of its logits.
    pub calibration: Calibration,
    /// The photos' features `[n, D]` by the towers that answer, row by row; none where they are not known.
    pub examples: Vec<f32>,
    /// What it consists of.
    pub how: How<B, H>,
}

/// What a learnt method consists of.
pub enum How<B: ClipBackend, H: ClipBackend> {
    /// A head on the features of the model as it was loaded.
    Features(Box<Learnt<H>>),
    /// Changed towers and a head on their features.
    Towers(Box<Changed<B>>),
}

/// Towers that were changed by learning.
pub struct Changed<B: ClipBackend> {
    /// What was learnt.
    pub learnt: Learnt<B>,
    /// The model with it.
    pub towers: Backbone<B>,
}

impl<B: ClipBackend, H: ClipBackend> How<B, H> {
    /// How many numbers were trained.
    pub fn trainable_parameters(&self) -> usize {
        match self {
            Self::Features(learnt) => learnt.trainable_parameters(),
            Self::Towers(changed) => changed.learnt.trainable_parameters(),
        }
    }
}

impl<B: ClipBackend, H: ClipBackend> Answering<B, H> {
    /// Answers for preprocessed pictures.
    ///
    /// # Errors
    /// The device fails.
    pub async fn answers(&self, ground: &Ground<B, H>, pictures: &[Vec<u8>]) -> Result<Vec<Answer>> {
        if pictures.is_empty() {
            return Ok(Vec::new());
        }
        let (rows, found) = match &self.how {
            How::Features(learnt) => {
                let rows = features(&ground.backbone, pictures).await?;
                let found = scores(learnt.head.as_ref(), ground.on_host(rows.clone())).await?;
                (rows, found)
            }
            How::Towers(changed) => {
                let Changed { learnt, towers } = &**changed;
                let features = towers.image_features(pictures);
                let found = scores(learnt.head.as_ref(), features.clone()).await?;
                (crate::train::read(features).await?, found)
            }
        };
        let rows = rows.chunks_exact(ground.width()).zip(found.rows());
        Ok(rows.map(|(row, logits)| self.calibration.answer(logits, nearest(row, &self.examples))).collect())
    }
}

/// A learnt method at rest: an adapter file, and what such a file does not say.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// The adapter file.
    pub adapter: Vec<u8>,
    /// As in [`Answering`].
    pub calibration: Calibration,
    /// As in [`Answering`].
    pub examples: Vec<f32>,
}

/// What is said of a photo by a method that has not learnt from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldOut {
    /// Which photo.
    pub example: usize,
    /// Its class.
    pub label: usize,
    /// What was said.
    pub predicted: usize,
    /// How probable that was said to be.
    pub confidence: f32,
}

/// What a method is worth on photos that it has not learnt from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RungResult {
    /// Which.
    pub method: Method,
    /// Photos that were told right.
    pub correct: usize,
    /// Photos.
    pub n: usize,
    /// The one over the other.
    pub accuracy: f64,
    /// Its 95 % interval.
    pub interval: [f64; 2],
    /// In how many parts they were left out; 0 where nothing is learnt.
    pub folds: usize,
    /// Whether each was left out alone.
    pub leave_one_out: bool,
    /// Each class.
    pub per_class: Vec<ClassAccuracy>,
    /// `[label][prediction]`, counts.
    pub confusion: Vec<Vec<usize>>,
    /// Each photo.
    pub predictions: Vec<HeldOut>,
    /// How many numbers were trained.
    pub trainable_parameters: usize,
}

impl RungResult {
    pub(super) fn new<B: ClipBackend, H: ClipBackend>(
        answering: &Answering<B, H>,
        folds: Option<&Folds>,
        held_out: &Scores,
        labels: &[usize],
    ) -> Result<Self> {
        let metrics = Metrics::new(held_out, labels)?;
        let predictions = held_out.rows().zip(labels).enumerate().map(|(example, (logits, &label))| {
            let answer = answering.calibration.answer(logits, None);
            let confidence = answer.probabilities[answer.best];
            HeldOut { example, label, predicted: answer.best, confidence }
        });
        Ok(Self {
            method: answering.method,
            correct: (0..metrics.confusion.len()).map(|class| metrics.confusion[class][class]).sum(),
            n: metrics.n,
            accuracy: metrics.top1,
            interval: metrics.ci95,
            folds: folds.map_or(0, Folds::count),
            leave_one_out: folds.is_none_or(Folds::is_leave_one_out),
            per_class: metrics.per_class,
            predictions: predictions.collect(),
            confusion: metrics.confusion,
            trainable_parameters: answering.how.trainable_parameters(),
        })
    }
}
