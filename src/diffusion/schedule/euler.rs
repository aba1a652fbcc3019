//! Euler's method in σ (Karras et al., 2022, algorithm 2 without churn).

use burn::prelude::Backend;
use burn::tensor::Tensor;

use super::config::{Prediction, SchedulerConfig};
use super::level::{Combination, Level, weighted};
use super::sigmas::{Sigmas, karras};
use super::solver::Solver;
use super::{SchedulerKind, spacing};
use crate::Result;

/// What a step needs to know.
#[derive(Clone, Debug)]
pub(super) struct Euler {
    /// σ before each step, and after the last.
    sigmas: Vec<f64>,
    prediction: Prediction,
}

impl Euler {
    /// The timesteps and what their steps do.
    pub fn new(config: &SchedulerConfig, steps: usize) -> Result<(Vec<f64>, Self)> {
        let kind = SchedulerKind::Euler;
        let values = &config.values;
        config.refuse(
            kind,
            &[("use_exponential_sigmas", values.use_exponential_sigmas), ("use_beta_sigmas", values.use_beta_sigmas)],
        )?;
        config.only(kind, "interpolation_type", values.interpolation_type.as_deref(), &["linear"])?;
        config.only(kind, "timestep_type", values.timestep_type.as_deref(), &["discrete"])?;
        let trained = Sigmas::new(config, kind)?;
        let mut timesteps = spacing::timesteps(config, kind, config.trained(), steps, 0)?;
        config.within_training(&timesteps)?;
        let mut sigmas: Vec<_> = timesteps.iter().map(|timestep| trained.at(*timestep)).collect();
        if values.use_karras_sigmas == Some(true) {
            let from = config.positive("sigma_max", values.sigma_max.unwrap_or(sigmas[0]))?;
            let to = config.positive("sigma_min", values.sigma_min.unwrap_or(sigmas[sigmas.len() - 1]))?;
            sigmas = karras(from, to, steps);
            timesteps = sigmas.iter().map(|sigma| trained.timestep(*sigma)).collect();
        }
        sigmas.push(trained.last(config)?);
        Ok((timesteps, Self { sigmas, prediction: config.prediction()? }))
    }
}

impl<B: Backend> Solver<B> for Euler {
    fn add_noise(&self, at: usize, clean: Tensor<B, 4>, noise: Tensor<B, 4>) -> Tensor<B, 4> {
        add_noise(self.sigmas[at], clean, noise)
    }

    fn scale_input(&self, at: usize, x: Tensor<B, 4>) -> Tensor<B, 4> {
        scale_input(self.sigmas[at], x)
    }

    fn step(&mut self, at: usize, output: Tensor<B, 4>, x: Tensor<B, 4>, _: Option<Tensor<B, 4>>) -> Tensor<B, 4> {
        towards(self.sigmas[at], self.sigmas[at + 1], self.prediction).of(x, output)
    }
}

/// `clean + σ · noise`: samples are not scaled down as their noise grows.
pub(super) fn add_noise<B: Backend>(sigma: f64, clean: Tensor<B, 4>, noise: Tensor<B, 4>) -> Tensor<B, 4> {
    weighted(&[(1.0, &clean), (sigma, &noise)])
}

/// The sample with unit variance, as the network was trained on.
pub(super) fn scale_input<B: Backend>(sigma: f64, x: Tensor<B, 4>) -> Tensor<B, 4> {
    x * Level::of_sigma(sigma).signal
}

/// The step from one σ to another along the line through the sample and the clean one that the network sees in it.
pub(super) fn towards(sigma: f64, next: f64, prediction: Prediction) -> Combination {
    let level = Level::of_sigma(sigma);
    let clean = level.clean(prediction);
    // The network's sample is this one times the share of signal.
    let clean = Combination { sample: clean.sample * level.signal, output: clean.output };
    let kept = next / sigma;
    clean.scaled(1.0 - kept).plus(Combination { sample: kept, output: 0.0 })
}
