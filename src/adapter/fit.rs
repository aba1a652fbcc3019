//! Fitting any method: a recipe says which and how, and [`Fit`] is asked for one step after the other.

use std::ops::ControlFlow;

use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};

use super::{
    Adapter, FewShot, Method,
    linear_probe::{self, LinearProbeConfig},
    meta::{self, MetaConfig},
    tip::{self, Tip, TipConfig, TipFConfig},
    tuning::TuningConfig,
    zero_shot::ZeroShot,
};
use crate::{Error, Result, train::Step};

/// A method with all its hyper-parameters. `Recipe::from(method)` has the defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "kebab-case")]
pub enum Recipe {
    /// The classes' texts alone.
    ZeroShot,
    /// Tip-Adapter.
    Tip(TipConfig),
    /// Tip-Adapter-F.
    TipF(TipFConfig),
    /// Meta-Adapter.
    Meta(MetaConfig),
    /// Logistic regression.
    LinearProbe(LinearProbeConfig),
    /// Training through the towers.
    Tuning(Box<TuningConfig>),
}

impl Recipe {
    /// Which method this is.
    pub fn method(&self) -> Method {
        match self {
            Self::ZeroShot => Method::ZeroShot,
            Self::Tip(_) => Method::Tip,
            Self::TipF(_) => Method::TipF,
            Self::Meta(_) => Method::Meta,
            Self::LinearProbe(_) => Method::LinearProbe,
            Self::Tuning(config) => config.method(),
        }
    }
}

impl From<Method> for Recipe {
    fn from(method: Method) -> Self {
        match method {
            Method::ZeroShot => Self::ZeroShot,
            Method::Tip => Self::Tip(TipConfig::default()),
            Method::TipF => Self::TipF(TipFConfig::default()),
            Method::Meta => Self::Meta(MetaConfig::default()),
            Method::LinearProbe => Self::LinearProbe(LinearProbeConfig::default()),
            Method::Tuning(parts) => Self::Tuning(Box::new(TuningConfig::of(parts))),
        }
    }
}

/// A method being fitted. Ask for steps until there are no more, then [`Fit::finish`]; finishing earlier keeps what was
/// learnt so far, and not asking is a pause.
pub struct Fit<B: Backend>(Stage<B>);

enum Stage<B: Backend> {
    Ready(Box<dyn Adapter<B>>),
    TipF(Box<tip::Training<B>>),
    Meta(Box<meta::Training<B>>),
    LinearProbe(Box<linear_probe::Training>, B::Device),
}

impl<B: Backend> Fit<B> {
    /// Checks what is given and prepares the first step. The training-free methods are done after this. `seed` decides
    /// everything random: the same seed, data and device give the same bits.
    ///
    /// # Errors
    /// [`crate::Error::Data`] for features and labels that do not fit, [`crate::Error::Usage`] for a hyper-parameter
    /// outside its range, [`crate::Error::Failed`] when the device fails.
    pub async fn start(recipe: Recipe, few_shot: &FewShot<B>, seed: u64) -> Result<Self> {
        let few_shot = few_shot.checked()?;
        few_shot.check_lengths().await?;
        Ok(Self(match recipe {
            Recipe::ZeroShot => Stage::Ready(Box::new(ZeroShot::new(&few_shot)?)),
            Recipe::Tip(config) => Stage::Ready(Box::new(Tip::fit(config, &few_shot).await?)),
            Recipe::TipF(config) => Stage::TipF(Box::new(tip::Training::new(config, &few_shot)?)),
            Recipe::Meta(config) => Stage::Meta(Box::new(meta::Training::new(config, &few_shot, seed)?)),
            Recipe::LinearProbe(config) => Stage::LinearProbe(
                Box::new(linear_probe::Training::new(config, &few_shot).await?),
                few_shot.text.device(),
            ),
            Recipe::Tuning(config) => {
                return Err(Error::Usage(format!(
                    "{} trains through the towers, which need pictures",
                    config.method()
                )));
            }
        }))
    }

    /// Does the next step; nothing when there are no more.
    ///
    /// # Errors
    /// [`crate::Error::Failed`] when the loss is not finite or the device fails.
    pub async fn step(&mut self) -> Result<Option<Step>> {
        match &mut self.0 {
            Stage::Ready(_) => Ok(None),
            Stage::TipF(training) => training.step().await,
            Stage::Meta(training) => training.step().await,
            Stage::LinearProbe(training, _) => Ok(training.step()),
        }
    }

    /// The adapter as learnt so far.
    ///
    /// # Errors
    /// [`crate::Error::Failed`] when the device fails.
    pub async fn finish(self) -> Result<Box<dyn Adapter<B>>> {
        Ok(match self.0 {
            Stage::Ready(adapter) => adapter,
            Stage::TipF(training) => Box::new(training.finish().await?),
            Stage::Meta(training) => Box::new(training.finish()),
            Stage::LinearProbe(training, device) => Box::new(training.finish::<B>(&device)),
        })
    }
}

/// Fits a method from start to end. `observe` sees every step and ends the training early by `Break`.
///
/// # Errors
/// As [`Fit::start`] and [`Fit::step`].
pub async fn fit<B: Backend>(
    recipe: Recipe,
    few_shot: &FewShot<B>,
    seed: u64,
    observe: &mut dyn FnMut(Step) -> ControlFlow<()>,
) -> Result<Box<dyn Adapter<B>>> {
    let mut fit = Fit::start(recipe, few_shot, seed).await?;
    while let Some(step) = fit.step().await? {
        if observe(step).is_break() {
            break;
        }
    }
    fit.finish().await
}
