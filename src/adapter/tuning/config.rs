//! The settings of training through the towers, and the recipes that have a name.

use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    adapter::{Method, Parts, bitfit::BitFitConfig, lora::LoraConfig},
    data::Draw,
    train::{optimise::Optimiser, schedule::Schedule},
};

/// What is trained, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TuningConfig {
    /// Steps.
    pub steps: usize,
    /// Pictures a step.
    pub batch: usize,
    /// How they are drawn.
    pub draw: Draw,
    /// What is done to them.
    pub augment: Augment,
    /// How many label-preserving generated images of each training image are learnt from too.
    pub preserving: usize,
    /// What their loss is multiplied by, where that of a training image is taken once.
    #[serde(skip_serializing_if = "is_one")]
    pub preserving_weight: f64,
    /// In how many parts a step's pictures go through the image tower: the same result, less memory, more time.
    pub accumulate: usize,
    /// Keep only each block's input and compute the rest of it again for its gradient.
    pub checkpoint_blocks: bool,
    /// How the parameters are updated.
    pub optimiser: Optimiser,
    /// LoRA, where it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lora: Option<LoraConfig>,
    /// BitFit, where it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bitfit: Option<BitFitConfig>,
    /// Meta-Adapter on the features that the towers give as they are trained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<LiveMetaConfig>,
    /// The breaking loss.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breaking: Option<BreakingConfig>,
}

/// The usual weight is not written, so that plans from before there was one stay what they are.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_one(weight: &f64) -> bool {
    *weight == 1.0
}

/// What is done to training pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Augment {
    /// Nothing: they are preprocessed as test pictures are.
    None,
    /// A random part of .08 to 1 of the area at an aspect of 3/4 to 4/3, resized; half of them mirrored.
    #[default]
    CropFlip,
}

/// Settings of a Meta-Adapter whose queries are the text tower's present output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LiveMetaConfig {
    /// How likely an entry of the projected queries and keys is dropped in training, in [0, 1).
    pub dropout: f64,
}

/// Settings of the breaking loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BreakingConfig {
    /// λ, what the loss is multiplied by.
    pub weight: f64,
    /// How many earlier batches the bank holds.
    pub bank: usize,
    /// What the second view of a breaking image is.
    pub pair: BreakingPair,
}

impl Default for BreakingConfig {
    fn default() -> Self {
        Self { weight: 0.1, bank: 100, pair: BreakingPair::Regenerated }
    }
}

/// What the second view of a breaking image is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BreakingPair {
    /// A weak regeneration of the first, as in the paper.
    #[default]
    Regenerated,
    /// Another breaking image of the same original, as in the student project.
    Independent,
}

/// Passes over the training images where all that there are is learnt from, and steps do not follow from shots: those of
/// Meta-Adapter's training, the one method here whose paper counts them.
pub const EPOCHS: usize = 5;

/// A recipe with a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// The student project's: 8 steps a shot, 24 pictures a step.
    #[default]
    Student,
    /// CLIP-LoRA's (Zanella and Ben Ayed, 2024): 500 steps a shot, 32 pictures a step.
    ClipLora,
}

impl Preset {
    /// Training steps for each shot.
    pub fn steps_per_shot(self) -> usize {
        match self {
            Self::Student => 8,
            Self::ClipLora => 500,
        }
    }

    /// Pictures a step.
    pub fn batch(self) -> usize {
        match self {
            Self::Student => 24,
            Self::ClipLora => 32,
        }
    }
}

impl Default for TuningConfig {
    /// The student project's recipe at 16 shots with nothing on: `AdamW` with learning rate 2e-4, weight decay 1e-2 and cosine to
    /// 1e-6.
    fn default() -> Self {
        let preset = Preset::default();
        Self {
            steps: 16 * preset.steps_per_shot(),
            batch: preset.batch(),
            draw: Draw::default(),
            augment: Augment::default(),
            preserving: 0,
            preserving_weight: 1.0,
            accumulate: 1,
            checkpoint_blocks: false,
            optimiser: Optimiser {
                learning_rate: 2e-4,
                epsilon: 1e-8,
                schedule: Schedule::Cosine { floor: 1e-6, warm_up: 0 },
                ..Optimiser::default()
            },
            lora: None,
            bitfit: None,
            meta: None,
            breaking: None,
        }
    }
}

impl TuningConfig {
    /// The default recipe of a combination.
    pub fn of(parts: Parts) -> Self {
        Self {
            lora: parts.lora.then(LoraConfig::default),
            bitfit: parts.bitfit.then(BitFitConfig::default),
            meta: parts.meta.then(LiveMetaConfig::default),
            breaking: parts.breaking.then(BreakingConfig::default),
            ..Self::default()
        }
    }

    /// What is on.
    pub fn parts(&self) -> Parts {
        Parts {
            lora: self.lora.is_some(),
            bitfit: self.bitfit.is_some(),
            meta: self.meta.is_some(),
            breaking: self.breaking.is_some(),
        }
    }

    /// The combination as a method.
    pub fn method(&self) -> Method {
        Method::Tuning(self.parts())
    }

    /// Refuses what makes no sense, before anything is computed.
    ///
    /// # Errors
    /// [`Error::Usage`] that names the setting.
    pub fn check(&self) -> Result<()> {
        let wrong = |why: String| Err(Error::Usage(why));
        if self.lora.is_none() && self.bitfit.is_none() {
            return wrong("nothing in the towers is trained: turn on LoRA or BitFit".into());
        }
        if let Some(lora) = &self.lora {
            lora.check()?;
        }
        if self.steps == 0 {
            return wrong("0 training steps: give at least one".into());
        }
        if self.batch == 0 {
            return wrong("a batch of 0 pictures: give at least one".into());
        }
        if self.accumulate == 0 || self.accumulate > self.batch {
            return wrong(format!(
                "a batch of {} cannot be taken in {} parts: give a number from 1 to {}",
                self.batch, self.accumulate, self.batch
            ));
        }
        let weight = self.preserving_weight;
        if !(weight.is_finite() && weight >= 0.0) {
            return wrong(format!("the weight of label-preserving images is {weight}: give 0 or more"));
        }
        if let Some(meta) = self.meta
            && !(0.0..1.0).contains(&meta.dropout)
        {
            return wrong(format!("dropout of Meta-Adapter is {}: give a number from 0 to below 1", meta.dropout));
        }
        if let Some(breaking) = self.breaking {
            if !(breaking.weight.is_finite() && breaking.weight >= 0.0) {
                return wrong(format!("the breaking loss's weight is {}: give 0 or more", breaking.weight));
            }
            // The loss compares images with one another, so only the image tower can learn from it.
            let vision = |encoder: crate::adapter::lora::Encoder| encoder.has(crate::clip::walk::Tower::Vision);
            let learns = self.lora.as_ref().is_some_and(|lora| vision(lora.encoder))
                || self.bitfit.is_some_and(|bitfit| vision(bitfit.encoder));
            if !learns {
                return wrong("the breaking loss needs LoRA or BitFit in the image tower, which nothing trains".into());
            }
        }
        self.optimiser.adamw().map(drop)
    }
}
