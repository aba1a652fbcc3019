//! DDIM without added noise, η = 0 (Song et al., 2021, equation 12).

use burn::prelude::Backend;
use burn::tensor::Tensor;

use super::config::{Prediction, SchedulerConfig};
use super::level::{Level, alphas_cumprod, weighted};
use super::solver::{Solver, add_noise};
use super::{SchedulerKind, spacing};
use crate::Result;

/// What a step of DDIM needs to know.
#[derive(Clone, Debug)]
pub(super) struct Ddim {
    /// The level at each step, and the one that the step goes to.
    levels: Vec<(Level, Level)>,
    prediction: Prediction,
    clip: Option<f64>,
}

impl Ddim {
    /// The timesteps and what their steps do.
    pub fn new(config: &SchedulerConfig, steps: usize) -> Result<(Vec<f64>, Self)> {
        let kind = SchedulerKind::Ddim;
        config.refuse(kind, &[("thresholding", config.values.thresholding)])?;
        let alphas = alphas_cumprod(config, kind)?;
        let timesteps = spacing::timesteps(config, kind, config.trained(), steps, 0)?;
        let timesteps: Vec<_> = timesteps.into_iter().map(f64::round_ties_even).collect();
        config.within_training(&timesteps)?;
        let last = if config.set_alpha_to_one(kind) { 1.0 } else { alphas[0] };
        let stride = config.trained() / steps;
        let prediction = config.prediction()?;
        let mut levels = Vec::with_capacity(timesteps.len());
        for &timestep in &timesteps {
            let at = alphas[timestep as usize];
            if at == 0.0 && prediction == Prediction::Epsilon {
                return Err(config.no_signal(kind));
            }
            let to = (timestep as usize).checked_sub(stride).map_or(last, |previous| alphas[previous]);
            levels.push((Level::new(at), Level::new(to)));
        }
        Ok((timesteps, Self { levels, prediction, clip: config.clip(kind)? }))
    }
}

impl<B: Backend> Solver<B> for Ddim {
    fn add_noise(&self, at: usize, clean: Tensor<B, 4>, noise: Tensor<B, 4>) -> Tensor<B, 4> {
        add_noise(self.levels[at].0, clean, noise)
    }

    fn step(&mut self, at: usize, output: Tensor<B, 4>, x: Tensor<B, 4>, _: Option<Tensor<B, 4>>) -> Tensor<B, 4> {
        let (from, to) = self.levels[at];
        let (clean, epsilon) = (from.clean(self.prediction), from.epsilon(self.prediction));
        let Some(bound) = self.clip else {
            return clean.scaled(to.signal).plus(epsilon.scaled(to.noise)).of(x, output);
        };
        let clipped = clean.of(x.clone(), output.clone()).clamp(-bound, bound);
        weighted(&[(to.signal, &clipped), (to.noise, &epsilon.of(x, output))])
    }
}
