//! Pseudo numerical methods for diffusion models (Liu et al., 2022): linear multistep, after Runge–Kutta steps where the config does not
//! skip them.

use burn::prelude::Backend;
use burn::tensor::Tensor;

use super::config::{Prediction, SchedulerConfig};
use super::level::{Combination, Level, alphas_cumprod, weighted};
use super::solver::{Solver, add_noise};
use super::{SchedulerKind, spacing};
use crate::{Error, Result};

/// Runge–Kutta steps that come first, each of as many network passes.
const ORDER: usize = 4;

/// What a step needs to know.
#[derive(Clone, Debug)]
pub(super) struct Pndm {
    alphas: Vec<f64>,
    /// `ᾱ` before the first timestep of training.
    last: f64,
    timesteps: Vec<i64>,
    /// How many of the timesteps belong to Runge–Kutta steps.
    runge_kutta: usize,
    /// Timesteps of training that a step goes back.
    stride: i64,
    prediction: Prediction,
}

impl Pndm {
    /// The timesteps and what their steps do.
    pub fn new(config: &SchedulerConfig, steps: usize) -> Result<(Vec<f64>, Self)> {
        let kind = SchedulerKind::Pndm;
        let prediction = config.prediction()?;
        if prediction == Prediction::Sample {
            return Err(config.unsupported(kind, "prediction_type", "sample", "epsilon or v_prediction"));
        }
        let alphas = alphas_cumprod(config, kind)?;
        let spaced = spacing::timesteps(config, kind, config.trained(), steps, 0)?;
        config.within_training(&spaced)?;
        let spaced: Vec<_> = spaced.into_iter().map(|timestep| timestep.round_ties_even() as i64).collect();
        let stride = (config.trained() / steps) as i64;
        let (runge_kutta, multistep) = if config.values.skip_prk_steps == Some(true) {
            // The second timestep comes twice: the first step is made again with the mean of both outputs.
            let again = spaced.get(1).copied();
            (Vec::new(), spaced.iter().take(1).copied().chain(again).chain(spaced.iter().skip(1).copied()).collect())
        } else if steps < ORDER {
            let why = format!(
                "{steps} steps are not possible with the scheduler pndm and its Runge-Kutta steps: at least {ORDER} are"
            );
            return Err(Error::Usage(why));
        } else {
            (runge_kutta(&spaced, stride / 2), spaced[ORDER - 1..].to_vec())
        };
        let runge_kutta_count = runge_kutta.len();
        let timesteps = [runge_kutta, multistep].concat();
        let last = if config.set_alpha_to_one(kind) { 1.0 } else { alphas[0] };
        let whole = timesteps.iter().map(|timestep| *timestep as f64).collect();
        Ok((whole, Self { alphas, last, timesteps, runge_kutta: runge_kutta_count, stride, prediction }))
    }

    fn level(&self, timestep: i64) -> Level {
        let alpha = usize::try_from(timestep).map_or(self.last, |index| self.alphas[index.min(self.alphas.len() - 1)]);
        Level::new(alpha)
    }

    /// The step from one timestep to another with a network's output (equation 11).
    fn transfer(&self, from: i64, to: i64) -> Combination {
        let (from, to) = (self.level(from), self.level(to));
        let epsilon = from.epsilon(self.prediction);
        let sum = from.signal * (from.signal * to.noise + from.noise * to.signal);
        let change = (from.signal.powi(2) - to.signal.powi(2)) / sum;
        epsilon.scaled(change).plus(Combination { sample: to.signal / from.signal, output: 0.0 })
    }
}

/// For each of the first three steps: its timestep, the half-way one twice, and the next step's.
fn runge_kutta(spaced: &[i64], half: i64) -> Vec<i64> {
    let step = |pair: &[i64]| [pair[0], pair[1] + half, pair[1] + half, pair[1]];
    spaced[..ORDER].windows(2).flat_map(step).collect()
}

/// The method with what it remembers.
pub(super) struct Memory<B: Backend> {
    plan: Pndm,
    /// Steps made so far, wherever they began.
    made: usize,
    /// The last outputs, oldest first.
    outputs: Vec<Tensor<B, 4>>,
    /// The sample that a step began with which takes several outputs.
    sample: Option<Tensor<B, 4>>,
    /// The weighted sum of a Runge–Kutta step's outputs so far.
    sum: Option<Tensor<B, 4>>,
}

impl<B: Backend> Memory<B> {
    pub fn new(plan: Pndm) -> Self {
        Self { plan, made: 0, outputs: Vec::new(), sample: None, sum: None }
    }

    /// One of the four passes of a Runge–Kutta step.
    fn runge_kutta(&mut self, timestep: i64, output: Tensor<B, 4>, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let from = self.plan.timesteps[self.made / 4 * 4];
        let to = if self.made.is_multiple_of(2) { timestep - self.plan.stride / 2 } else { timestep };
        let pass = self.made % 4;
        if pass == 0 {
            self.outputs.push(output.clone());
            self.sample = Some(x.clone());
        }
        let weight = if matches!(pass, 0 | 3) { 1.0 / 6.0 } else { 1.0 / 3.0 };
        let term = output.clone() * weight;
        let sum = match self.sum.take() {
            Some(sum) => sum + term,
            None => term,
        };
        let output = if pass == 3 {
            sum
        } else {
            self.sum = Some(sum);
            output
        };
        self.plan.transfer(from, to).of(self.sample.clone().unwrap_or(x), output)
    }

    /// One pass of the linear multistep method (Adams–Bashforth), of as high an order as there are outputs.
    fn multistep(&mut self, timestep: i64, output: Tensor<B, 4>, mut x: Tensor<B, 4>) -> Tensor<B, 4> {
        let (mut from, mut to) = (timestep, timestep - self.plan.stride);
        if self.made == 1 {
            (from, to) = (timestep + self.plan.stride, timestep);
        } else {
            self.outputs.drain(..self.outputs.len().saturating_sub(3));
            self.outputs.push(output.clone());
        }
        let mean = match &self.outputs[..] {
            [_] if self.made == 0 => {
                self.sample = Some(x.clone());
                output
            }
            [first] => {
                x = self.sample.take().unwrap_or(x);
                weighted(&[(0.5, &output), (0.5, first)])
            }
            [before, last] => weighted(&[(1.5, last), (-0.5, before)]),
            [third, second, last] => weighted(&[(23.0 / 12.0, last), (-16.0 / 12.0, second), (5.0 / 12.0, third)]),
            outputs => {
                let factors = [-9.0 / 24.0, 37.0 / 24.0, -59.0 / 24.0, 55.0 / 24.0];
                weighted(&factors.into_iter().zip(outputs).collect::<Vec<_>>())
            }
        };
        self.plan.transfer(from, to).of(x, mean)
    }
}

impl<B: Backend> Solver<B> for Memory<B> {
    fn add_noise(&self, at: usize, clean: Tensor<B, 4>, noise: Tensor<B, 4>) -> Tensor<B, 4> {
        add_noise(self.plan.level(self.plan.timesteps[at]), clean, noise)
    }

    fn step(&mut self, at: usize, output: Tensor<B, 4>, x: Tensor<B, 4>, _: Option<Tensor<B, 4>>) -> Tensor<B, 4> {
        let timestep = self.plan.timesteps[at];
        let next = if self.made < self.plan.runge_kutta {
            self.runge_kutta(timestep, output, x)
        } else {
            self.multistep(timestep, output, x)
        };
        self.made += 1;
        next
    }
}
