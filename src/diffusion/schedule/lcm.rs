//! Multistep sampling of latent consistency models (Luo et al., 2023, algorithm 3).

use burn::prelude::Backend;
use burn::tensor::Tensor;

use super::SchedulerKind;
use super::config::{Prediction, SchedulerConfig};
use super::level::{Combination, Level, alphas_cumprod, linspace, weighted};
use super::solver::{Solver, add_noise};
use crate::{Error, Result};

/// The standard deviation of the data that the boundary condition assumes.
const SIGMA_DATA: f64 = 0.5;

/// What a step needs to know.
#[derive(Clone, Debug)]
pub(super) struct Lcm {
    levels: Vec<Level>,
    /// How much of the sample itself and of the clean one in it makes up the denoised one, at each step.
    boundary: Vec<(f64, f64)>,
    prediction: Prediction,
    clip: Option<f64>,
}

impl Lcm {
    /// The timesteps and what their steps do.
    pub fn new(config: &SchedulerConfig, steps: usize) -> Result<(Vec<f64>, Self)> {
        let kind = SchedulerKind::Lcm;
        config.refuse(kind, &[("thresholding", config.values.thresholding)])?;
        let (alphas, prediction) = (alphas_cumprod(config, kind)?, config.prediction()?);
        let timesteps = timesteps(config, steps)?;
        let mut levels = Vec::with_capacity(steps);
        for &timestep in &timesteps {
            let alpha = alphas[timestep as usize];
            if alpha == 0.0 && prediction == Prediction::Epsilon {
                return Err(config.no_signal(kind));
            }
            levels.push(Level::new(alpha));
        }
        let scaling = config.values.timestep_scaling.unwrap_or(10.0);
        let boundary = |timestep: &f64| {
            let (scaled, data) = (timestep * scaling, SIGMA_DATA * SIGMA_DATA);
            let sum = scaled * scaled + data;
            (data / sum, scaled / sum.sqrt())
        };
        let boundary = timesteps.iter().map(boundary).collect();
        Ok((timesteps, Self { levels, boundary, prediction, clip: config.clip(kind)? }))
    }
}

/// So many of the timesteps that the model was distilled at, at equal distances.
fn timesteps(config: &SchedulerConfig, steps: usize) -> Result<Vec<f64>> {
    let (trained, distilled) = (config.trained(), config.values.original_inference_steps.unwrap_or(50));
    if distilled == 0 || distilled > trained {
        let why =
            format!("original_inference_steps is {distilled}; it must be between 1 and num_train_timesteps, {trained}");
        return Err(config.wrong(why));
    }
    if steps > distilled {
        return Err(Error::Usage(format!(
            "{steps} steps are not possible with the scheduler lcm: at most {distilled} are"
        )));
    }
    let stride = trained / distilled;
    // `linspace` without its end: one more point, and the last left away.
    let indices = linspace(0.0, distilled as f64, steps + 1).into_iter().take(steps);
    Ok(indices.map(|index| ((distilled - index as usize) * stride) as f64 - 1.0).collect())
}

impl<B: Backend> Solver<B> for Lcm {
    fn add_noise(&self, at: usize, clean: Tensor<B, 4>, noise: Tensor<B, 4>) -> Tensor<B, 4> {
        add_noise(self.levels[at], clean, noise)
    }

    fn needs_noise(&self, at: usize) -> bool {
        at + 1 < self.levels.len()
    }

    fn step(&mut self, at: usize, output: Tensor<B, 4>, x: Tensor<B, 4>, noise: Option<Tensor<B, 4>>) -> Tensor<B, 4> {
        let (skip, out) = self.boundary[at];
        let clean = self.levels[at].clean(self.prediction);
        let denoised = match self.clip {
            None => clean.scaled(out).plus(Combination { sample: skip, output: 0.0 }).of(x, output),
            Some(bound) => {
                let clipped = clean.of(x.clone(), output).clamp(-bound, bound);
                weighted(&[(out, &clipped), (skip, &x)])
            }
        };
        match (self.levels.get(at + 1), noise) {
            (Some(next), Some(noise)) => add_noise(*next, denoised, noise),
            _ => denoised,
        }
    }
}
