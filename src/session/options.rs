//! What a visitor may choose about a method, and what it becomes.

use serde::{Deserialize, Serialize};

use super::Folds;
use crate::{
    adapter::{
        Method, Recipe,
        lora::LoraConfig,
        tuning::{Augment, TuningConfig},
    },
    clip::config::{ClipConfig, VisionConfig},
};

/// Up to so many photos, each is left out alone by methods that learn quickly.
const MOST_ALONE: usize = 64;
/// Folds beyond that, for methods on features that do not train, and for those that do.
const FOLDS: (usize, usize) = (10, 5);
/// Folds for methods that train through the towers.
const FOLDS_OF_TOWERS: usize = 3;
/// Full-batch steps of Meta-Adapter: half of the literature's, with as many photos right.
const META_STEPS: usize = 100;
/// Image towers narrower than this learn at the higher rate.
const NARROW: usize = 256;

/// A method and how it is to learn; what is not given is chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RungOptions {
    /// Which.
    pub method: Method,
    /// Decides everything random.
    #[serde(default)]
    pub seed: u64,
    /// In how many parts the photos are judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folds: Option<usize>,
    /// Full-batch steps of Meta-Adapter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta_steps: Option<usize>,
    /// Steps through the towers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lora_steps: Option<usize>,
    /// LoRA's rank.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lora_rank: Option<usize>,
    /// The learning rate through the towers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f64>,
    /// What is done to photos that the towers are trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub augment: Option<Augment>,
    /// Photos a step through the towers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<usize>,
}

impl RungOptions {
    /// The recipe for a model of this shape.
    pub fn recipe(&self, shape: &ClipConfig) -> Recipe {
        match Recipe::from(self.method) {
            Recipe::Meta(mut config) => {
                config.steps = self.meta_steps.unwrap_or(META_STEPS);
                Recipe::Meta(config)
            }
            Recipe::Tuning(config) => Recipe::Tuning(Box::new(self.tuning(*config, shape))),
            other => other,
        }
    }

    /// A visitor waits, so steps are few and small, and the rate is high for it: 4e-3 is what the small model learns best at, wider
    /// towers are at CLIP-LoRA's 2e-4 or little above. Photos are taken whole: crops pay only where there is time for many.
    fn tuning(&self, config: TuningConfig, shape: &ClipConfig) -> TuningConfig {
        let narrow = matches!(&shape.vision, VisionConfig::Vit(vit) if vit.transformer.width < NARROW);
        let mut optimiser = config.optimiser;
        optimiser.learning_rate = self.learning_rate.unwrap_or(if narrow { 4e-3 } else { 3e-4 });
        let rank = |lora: LoraConfig| LoraConfig { rank: self.lora_rank.unwrap_or(lora.rank), ..lora };
        TuningConfig {
            steps: self.lora_steps.unwrap_or(60),
            batch: self.batch.unwrap_or(8),
            augment: self.augment.unwrap_or(Augment::None),
            optimiser,
            lora: config.lora.clone().map(rank),
            ..config
        }
    }

    /// How the photos are divided so that each is judged by a model that has not learnt from it; nothing where nothing is learnt.
    pub fn folds(&self, labels: &[usize]) -> Option<Folds> {
        let stratified = |chosen| Some(Folds::stratified(labels, self.folds.unwrap_or(chosen).max(2), self.seed));
        match self.method {
            Method::ZeroShot => None,
            Method::Tip if self.folds.is_none() && labels.len() <= MOST_ALONE => {
                Some(Folds::leave_one_out(labels.len()))
            }
            Method::Tip => stratified(FOLDS.0),
            Method::TipF | Method::Meta | Method::LinearProbe => stratified(FOLDS.1),
            Method::Tuning(_) => stratified(FOLDS_OF_TOWERS),
        }
    }
}
