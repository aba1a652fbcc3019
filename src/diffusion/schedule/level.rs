//! Noise levels: how much of a sample is signal and how much noise, and what a network's output says about both.

use std::ops::RangeInclusive;

use burn::prelude::Backend;
use burn::tensor::Tensor;

use super::SchedulerKind;
use super::config::{BetaSchedule, Prediction, SchedulerConfig};
use crate::Result;

/// Betas that make every timestep a little noisier than the one before, and leave it some signal.
const BETAS: RangeInclusive<f64> = 1e-9..=0.9999;

/// A sample's share of signal, `√ᾱ`, and of noise, `√(1 − ᾱ)`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    pub signal: f64,
    pub noise: f64,
}

/// A sum of a sample and a network's output for it, each times a number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Combination {
    pub sample: f64,
    pub output: f64,
}

impl Level {
    /// The level where the product of all `1 − β` is `alpha_bar`.
    pub fn new(alpha_bar: f64) -> Self {
        Self { signal: alpha_bar.sqrt(), noise: (1.0 - alpha_bar).sqrt() }
    }

    /// The level with `sigma` times as much noise as signal.
    pub fn of_sigma(sigma: f64) -> Self {
        let signal = (sigma * sigma + 1.0).sqrt().recip();
        Self { signal, noise: sigma * signal }
    }

    /// The sample without its noise, `x₀`.
    pub fn clean(self, prediction: Prediction) -> Combination {
        match prediction {
            Prediction::Epsilon => Combination { sample: self.signal.recip(), output: -self.noise / self.signal },
            Prediction::Sample => Combination { sample: 0.0, output: 1.0 },
            Prediction::VPrediction => Combination { sample: self.signal, output: -self.noise },
        }
    }

    /// The noise of unit variance in the sample, ε.
    pub fn epsilon(self, prediction: Prediction) -> Combination {
        match prediction {
            Prediction::Epsilon => Combination { sample: 0.0, output: 1.0 },
            Prediction::Sample => Combination { sample: self.noise.recip(), output: -self.signal / self.noise },
            Prediction::VPrediction => Combination { sample: self.noise, output: self.signal },
        }
    }
}

impl Combination {
    pub fn scaled(self, factor: f64) -> Self {
        Self { sample: self.sample * factor, output: self.output * factor }
    }

    pub fn plus(self, other: Self) -> Self {
        Self { sample: self.sample + other.sample, output: self.output + other.output }
    }

    /// The sum itself. What has the factor 0 takes no part, so that it need not be finite.
    pub fn of<B: Backend>(self, sample: Tensor<B, 4>, output: Tensor<B, 4>) -> Tensor<B, 4> {
        weighted(&[(self.sample, &sample), (self.output, &output)])
    }
}

/// The sum of tensors, each times a number; those with the factor 0 take no part.
pub(super) fn weighted<B: Backend>(terms: &[(f64, &Tensor<B, 4>)]) -> Tensor<B, 4> {
    let wanted = terms.iter().filter(|(factor, _)| *factor != 0.0);
    let sum = wanted.map(|(factor, tensor)| (*tensor).clone() * *factor).reduce(|sum, term| sum + term);
    sum.unwrap_or_else(|| terms[0].1.zeros_like())
}

/// `ᾱ`, the product of all `1 − β` so far, for each timestep of training.
pub(super) fn alphas_cumprod(config: &SchedulerConfig, kind: SchedulerKind) -> Result<Vec<f64>> {
    let (schedule, start, end) = config.betas(kind)?;
    let count = config.trained();
    let betas = match &config.values.trained_betas {
        Some(betas) if betas.len() != count => {
            let why = format!(
                "trained_betas has {} entries and num_train_timesteps is {count}; they must be equal",
                betas.len()
            );
            return Err(config.wrong(why));
        }
        Some(betas) => betas.clone(),
        None => match schedule {
            BetaSchedule::Linear => linspace(start, end, count),
            BetaSchedule::ScaledLinear => {
                linspace(start.sqrt(), end.sqrt(), count).into_iter().map(|root| root * root).collect()
            }
            BetaSchedule::SquaredCosine => {
                let alpha_bar =
                    |t: usize| ((t as f64 / count as f64 + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2).cos().powi(2);
                (0..count).map(|t| (1.0 - alpha_bar(t + 1) / alpha_bar(t)).min(0.999)).collect()
            }
        },
    };
    if let Some(beta) = betas.iter().find(|beta| !BETAS.contains(*beta)) {
        let (least, most) = (BETAS.start(), BETAS.end());
        let why =
            format!("a beta is {beta}; betas must be between {least} and {most} (beta_start, beta_end, trained_betas)");
        return Err(config.wrong(why));
    }
    let mut product = 1.0;
    let mut alphas: Vec<f64> = betas
        .iter()
        .map(|beta| {
            product *= 1.0 - beta;
            product
        })
        .collect();
    if product == 0.0 {
        return Err(
            config.wrong("the betas leave no signal at the last timesteps (beta_start, beta_end, trained_betas)")
        );
    }
    if config.rescale_betas_zero_snr(kind) {
        rescale_to_zero_snr(&mut alphas);
    }
    Ok(alphas)
}

/// Moves and stretches `√ᾱ` so that the last timestep has no signal (Lin et al., 2024, algorithm 1).
fn rescale_to_zero_snr(alphas: &mut [f64]) {
    let (first, last) = (alphas[0].sqrt(), alphas[alphas.len() - 1].sqrt());
    for alpha in alphas {
        *alpha = ((alpha.sqrt() - last) * first / (first - last)).powi(2);
    }
}

/// `count` numbers at equal distances, the first `start` and the last `end`; only `start` if `count` is 1.
pub(super) fn linspace(start: f64, end: f64, count: usize) -> Vec<f64> {
    let step = (end - start) / (count.max(2) - 1) as f64;
    let at = |index: usize| if index > 0 && index + 1 == count { end } else { start + index as f64 * step };
    (0..count).map(at).collect()
}
