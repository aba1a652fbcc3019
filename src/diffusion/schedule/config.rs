//! What a pipeline's `scheduler_config.json` says, as diffusers defines it.
//!
//! A file may leave out what is its class's default, and another class than the file's own may be chosen. So what stands in the file is
//! kept as it is, and defaults are those of the class that is used in the end, as with diffusers' `from_config`.

use serde::Deserialize;

use super::SchedulerKind;
use crate::{Error, Result};

/// A pipeline's `scheduler_config.json`.
#[derive(Clone, Debug)]
pub struct SchedulerConfig {
    /// The class of diffusers that the file names.
    class: String,
    pub(super) label: String,
    pub(super) values: Values,
}

/// What a network's output stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prediction {
    /// The noise that is in the sample, ε.
    Epsilon,
    /// The sample without its noise, `x₀`.
    Sample,
    /// The velocity `√ᾱ · ε − √(1 − ᾱ) · x₀` (Salimans and Ho, 2022).
    VPrediction,
}

/// How the noise grows over the steps of training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum BetaSchedule {
    Linear,
    ScaledLinear,
    #[serde(rename = "squaredcos_cap_v2")]
    SquaredCosine,
}

/// Which of training's timesteps the steps of sampling take (Lin et al., 2024, table 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum TimestepSpacing {
    Leading,
    Linspace,
    Trailing,
}

/// Where the noise levels of sampling end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FinalSigma {
    Zero,
    SigmaMin,
}

/// The file's entries, under their names there; `None` is what it leaves out.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Values {
    num_train_timesteps: Option<usize>,
    beta_start: Option<f64>,
    beta_end: Option<f64>,
    beta_schedule: Option<String>,
    pub trained_betas: Option<Vec<f64>>,
    prediction_type: Option<String>,
    timestep_spacing: Option<String>,
    steps_offset: Option<usize>,
    set_alpha_to_one: Option<bool>,
    clip_sample: Option<bool>,
    clip_sample_range: Option<f64>,
    rescale_betas_zero_snr: Option<bool>,
    final_sigmas_type: Option<String>,
    pub skip_prk_steps: Option<bool>,
    pub use_karras_sigmas: Option<bool>,
    pub sigma_min: Option<f64>,
    pub sigma_max: Option<f64>,
    pub lower_order_final: Option<bool>,
    pub euler_at_final: Option<bool>,
    pub lambda_min_clipped: Option<Unbounded>,
    pub original_inference_steps: Option<usize>,
    pub timestep_scaling: Option<f64>,
    pub solver_order: Option<usize>,
    pub algorithm_type: Option<String>,
    pub solver_type: Option<String>,
    pub interpolation_type: Option<String>,
    pub timestep_type: Option<String>,
    pub variance_type: Option<String>,
    pub thresholding: Option<bool>,
    pub use_exponential_sigmas: Option<bool>,
    pub use_beta_sigmas: Option<bool>,
    pub use_lu_lambdas: Option<bool>,
    pub use_flow_sigmas: Option<bool>,
}

/// A number, or the infinity that [`quoted_infinities`] made text.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Unbounded {
    Number(f64),
    Infinity(String),
}

impl Unbounded {
    pub fn value(&self) -> f64 {
        match self {
            Self::Number(value) => *value,
            Self::Infinity(text) if text.starts_with('-') => f64::NEG_INFINITY,
            Self::Infinity(_) => f64::INFINITY,
        }
    }
}

impl SchedulerConfig {
    /// Reads a `scheduler_config.json`; `label` names it in messages. Entries of other schedulers are ignored, as diffusers does.
    ///
    /// # Errors
    /// [`Error::Config`] where the bytes are not such a file, or are one of a scheduler that is not known here and do not say by which
    /// betas its noise grows, so that no other can take its place.
    pub fn from_json(bytes: &[u8], label: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Class {
            #[serde(rename = "_class_name")]
            name: String,
        }
        let wrong = |why: String| Error::Config { file: label.into(), why };
        let not_a_config = |error| wrong(format!("not a scheduler's config: {error}"));
        let bytes = quoted_infinities(bytes);
        let class: Class = serde_json::from_slice(&bytes).map_err(not_a_config)?;
        let values: Values = serde_json::from_slice(&bytes).map_err(not_a_config)?;
        let config = Self { class: class.name, label: label.into(), values };
        if config.values.beta_schedule.is_none() && config.values.trained_betas.is_none() {
            config.kind()?;
        }
        match config.trained() {
            2..=1_000_000 => Ok(config),
            count => Err(config.wrong(format!("num_train_timesteps is {count}; it must be between 2 and 1,000,000"))),
        }
    }

    /// The scheduler that the file names. Where that is not known here, another may be used.
    ///
    /// # Errors
    /// [`Error::Config`] where it is not known here.
    pub fn kind(&self) -> Result<SchedulerKind> {
        SchedulerKind::from_class(&self.class).ok_or_else(|| {
            let known = SchedulerKind::ALL.map(SchedulerKind::class).join(", ");
            self.wrong(format!("the scheduler {} is not known; known are {known}", self.class))
        })
    }

    /// The config as Stable Diffusion's pipelines correct it: latents are not clipped to [-1, 1], and the timesteps of leading spacing are
    /// one later, which early files leave out (`clip_sample` and `steps_offset` in diffusers' `StableDiffusionImg2ImgPipeline`).
    #[must_use]
    pub fn for_latents(mut self) -> Self {
        self.values.clip_sample = Some(false);
        self.values.steps_offset = Some(1);
        self
    }

    pub(super) fn wrong(&self, why: impl Into<String>) -> Error {
        Error::Config { file: self.label.clone(), why: why.into() }
    }

    /// The error for what diffusers has and this has not.
    pub(super) fn unsupported(
        &self,
        kind: SchedulerKind,
        entry: &str,
        value: impl std::fmt::Display,
        known: &str,
    ) -> Error {
        self.wrong(format!("{entry} = {value} is not supported with the scheduler {kind}; {known} is"))
    }

    /// Refuses entries that would change what `kind` computes if they are switched on.
    pub(super) fn refuse(&self, kind: SchedulerKind, entries: &[(&str, Option<bool>)]) -> Result<()> {
        match entries.iter().find(|(_, value)| *value == Some(true)) {
            Some((entry, _)) => Err(self.unsupported(kind, entry, true, "false")),
            None => Ok(()),
        }
    }

    /// Refuses what an entry says unless it is one of `known`, the first of which is its default.
    pub(super) fn only(&self, kind: SchedulerKind, entry: &str, value: Option<&str>, known: &[&str]) -> Result<()> {
        match value.filter(|value| !known.contains(value)) {
            Some(value) => Err(self.unsupported(kind, entry, value, known[0])),
            None => Ok(()),
        }
    }

    /// Refuses timesteps that training did not have.
    pub(super) fn within_training(&self, timesteps: &[f64]) -> Result<()> {
        let (most, offset) = (self.trained() - 1, self.steps_offset());
        match timesteps.iter().find(|timestep| !(0.0..=most as f64).contains(*timestep)) {
            Some(timestep) => {
                let why = format!("steps_offset = {offset} leads to timestep {timestep}, and training had 0 to {most}");
                Err(self.wrong(why))
            }
            None => Ok(()),
        }
    }

    /// The error for steps from pure noise that a predicted noise says nothing about.
    pub(super) fn no_signal(&self, kind: SchedulerKind) -> Error {
        let known = "v_prediction or sample, or a timestep_spacing that leaves the last timestep out,";
        self.unsupported(kind, "prediction_type", "epsilon with rescale_betas_zero_snr", known)
    }

    /// Number of timesteps of training.
    pub(super) fn trained(&self) -> usize {
        self.values.num_train_timesteps.unwrap_or(1000)
    }

    pub(super) fn betas(&self, kind: SchedulerKind) -> Result<(BetaSchedule, f64, f64)> {
        let latent = kind == SchedulerKind::Lcm;
        let schedule = self.named("beta_schedule", self.values.beta_schedule.as_deref())?;
        let default = if latent { BetaSchedule::ScaledLinear } else { BetaSchedule::Linear };
        let start = self.values.beta_start.unwrap_or(if latent { 0.00085 } else { 0.0001 });
        let end = self.values.beta_end.unwrap_or(if latent { 0.012 } else { 0.02 });
        Ok((schedule.unwrap_or(default), start, end))
    }

    pub(super) fn has_cosine_betas(&self, kind: SchedulerKind) -> Result<bool> {
        Ok(self.betas(kind)?.0 == BetaSchedule::SquaredCosine)
    }

    pub(super) fn prediction(&self) -> Result<Prediction> {
        Ok(self.named("prediction_type", self.values.prediction_type.as_deref())?.unwrap_or(Prediction::Epsilon))
    }

    pub(super) fn spacing(&self, kind: SchedulerKind) -> Result<TimestepSpacing> {
        use SchedulerKind::{Ddim, Lcm, Pndm};
        let spacing = self.named("timestep_spacing", self.values.timestep_spacing.as_deref())?;
        let leading = matches!(kind, Ddim | Pndm | Lcm);
        Ok(spacing.unwrap_or(if leading { TimestepSpacing::Leading } else { TimestepSpacing::Linspace }))
    }

    pub(super) fn final_sigma(&self) -> Result<FinalSigma> {
        Ok(self.named("final_sigmas_type", self.values.final_sigmas_type.as_deref())?.unwrap_or(FinalSigma::Zero))
    }

    pub(super) fn steps_offset(&self) -> usize {
        self.values.steps_offset.unwrap_or(0)
    }

    pub(super) fn set_alpha_to_one(&self, kind: SchedulerKind) -> bool {
        self.values.set_alpha_to_one.unwrap_or(kind != SchedulerKind::Pndm)
    }

    /// The bound that the predicted sample is clipped to, where it is.
    pub(super) fn clip(&self, kind: SchedulerKind) -> Result<Option<f64>> {
        let clip = self.values.clip_sample.unwrap_or(kind == SchedulerKind::Ddim);
        let bound = || self.positive("clip_sample_range", self.values.clip_sample_range.unwrap_or(1.0));
        clip.then(bound).transpose()
    }

    pub(super) fn positive(&self, entry: &str, value: f64) -> Result<f64> {
        if value > 0.0 { Ok(value) } else { Err(self.wrong(format!("{entry} is {value}; it must be above 0"))) }
    }

    pub(super) fn rescale_betas_zero_snr(&self, kind: SchedulerKind) -> bool {
        // diffusers' PNDM has no such entry.
        kind != SchedulerKind::Pndm && self.values.rescale_betas_zero_snr.unwrap_or(false)
    }

    /// One of the names that an entry may have.
    fn named<'a, T: Deserialize<'a>>(&self, entry: &str, name: Option<&'a str>) -> Result<Option<T>> {
        use serde::de::value::{Error as NotOne, StrDeserializer};
        let read = |name| T::deserialize(StrDeserializer::<NotOne>::new(name));
        name.map(read).transpose().map_err(|error| self.wrong(format!("{entry}: {error}")))
    }
}

/// The file with its infinities in quotes: diffusers writes `-Infinity` bare, which is Python's JSON but not JSON.
fn quoted_infinities(bytes: &[u8]) -> Vec<u8> {
    const WORDS: [&[u8]; 2] = [b"-Infinity", b"Infinity"];
    let mut quoted = Vec::with_capacity(bytes.len() + 2);
    let (mut at, mut in_text) = (0, false);
    while at < bytes.len() {
        let word = WORDS.into_iter().find(|word| !in_text && bytes[at..].starts_with(word));
        if let Some(word) = word {
            quoted.push(b'"');
            quoted.extend_from_slice(word);
            quoted.push(b'"');
            at += word.len();
            continue;
        }
        if in_text && bytes[at] == b'\\' {
            quoted.push(bytes[at]);
            at += 1;
        } else if bytes[at] == b'"' {
            in_text = !in_text;
        }
        quoted.extend(bytes.get(at));
        at += 1;
    }
    quoted
}
