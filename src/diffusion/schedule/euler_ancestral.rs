//! Euler's method with ancestral sampling: each step goes further down than it should, and adds noise up to where it should.

use burn::prelude::Backend;
use burn::tensor::Tensor;

use super::config::{Prediction, SchedulerConfig};
use super::euler::{add_noise, scale_input, towards};
use super::sigmas::Sigmas;
use super::solver::Solver;
use super::{SchedulerKind, spacing};
use crate::Result;

/// What a step needs to know.
#[derive(Clone, Debug)]
pub(super) struct EulerAncestral {
    /// σ before each step, and after the last.
    sigmas: Vec<f64>,
    prediction: Prediction,
}

impl EulerAncestral {
    /// The timesteps and what their steps do.
    pub fn new(config: &SchedulerConfig, steps: usize) -> Result<(Vec<f64>, Self)> {
        let kind = SchedulerKind::EulerAncestral;
        let prediction = config.prediction()?;
        if prediction == Prediction::Sample {
            return Err(config.unsupported(kind, "prediction_type", "sample", "epsilon or v_prediction"));
        }
        let trained = Sigmas::new(config, kind)?;
        let timesteps = spacing::timesteps(config, kind, config.trained(), steps, 0)?;
        config.within_training(&timesteps)?;
        let sigmas = timesteps.iter().map(|timestep| trained.at(*timestep)).chain([0.0]).collect();
        Ok((timesteps, Self { sigmas, prediction }))
    }

    /// The σ that step `at` goes down to, and that of the noise it adds.
    fn down_and_up(&self, at: usize) -> (f64, f64) {
        let (from, to) = (self.sigmas[at], self.sigmas[at + 1]);
        let up = to * (1.0 - (to / from).powi(2)).sqrt();
        (to * to / from, up)
    }
}

impl<B: Backend> Solver<B> for EulerAncestral {
    fn add_noise(&self, at: usize, clean: Tensor<B, 4>, noise: Tensor<B, 4>) -> Tensor<B, 4> {
        add_noise(self.sigmas[at], clean, noise)
    }

    fn scale_input(&self, at: usize, x: Tensor<B, 4>) -> Tensor<B, 4> {
        scale_input(self.sigmas[at], x)
    }

    fn needs_noise(&self, at: usize) -> bool {
        self.down_and_up(at).1 > 0.0
    }

    fn step(&mut self, at: usize, output: Tensor<B, 4>, x: Tensor<B, 4>, noise: Option<Tensor<B, 4>>) -> Tensor<B, 4> {
        let (down, up) = self.down_and_up(at);
        let sample = towards(self.sigmas[at], down, self.prediction).of(x, output);
        match noise {
            Some(noise) if up > 0.0 => sample + noise * up,
            _ => sample,
        }
    }
}
