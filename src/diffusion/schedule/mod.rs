//! Noise schedules: at which timesteps a network is asked, and how a sample goes from one to the next, each scheduler as diffusers
//! defines it.
//!
//! All arithmetic on schedules is in f64 on the host; tensors are only added up, with numbers as factors.

mod config;
mod ddim;
mod dpm_solver;
mod euler;
mod euler_ancestral;
mod lcm;
mod level;
mod pndm;
mod sigmas;
mod solver;
mod spacing;

use std::fmt;
use std::str::FromStr;

use burn::prelude::Backend;
use burn::tensor::Tensor;

pub use config::{Prediction, SchedulerConfig};
use solver::Solver;

use crate::{Error, Result};

/// The schedulers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchedulerKind {
    /// DDIM without added noise (Song et al., 2021).
    Ddim,
    /// Pseudo numerical methods (Liu et al., 2022).
    Pndm,
    /// Euler's method in σ (Karras et al., 2022, algorithm 2 without churn).
    Euler,
    /// Euler's method with ancestral sampling: each step adds noise.
    EulerAncestral,
    /// DPM-Solver++ 2M (Lu et al., 2022).
    DpmSolverPlusPlus,
    /// Multistep sampling of latent consistency models (Luo et al., 2023).
    Lcm,
}

impl SchedulerKind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Ddim, Self::Pndm, Self::Euler, Self::EulerAncestral, Self::DpmSolverPlusPlus, Self::Lcm];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ddim => "ddim",
            Self::Pndm => "pndm",
            Self::Euler => "euler",
            Self::EulerAncestral => "euler-ancestral",
            Self::DpmSolverPlusPlus => "dpm++2m",
            Self::Lcm => "lcm",
        }
    }

    /// Its class in diffusers, `_class_name` in a pipeline's config.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Ddim => "DDIMScheduler",
            Self::Pndm => "PNDMScheduler",
            Self::Euler => "EulerDiscreteScheduler",
            Self::EulerAncestral => "EulerAncestralDiscreteScheduler",
            Self::DpmSolverPlusPlus => "DPMSolverMultistepScheduler",
            Self::Lcm => "LCMScheduler",
        }
    }

    /// The scheduler of that class in diffusers.
    pub fn from_class(class: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.class() == class)
    }
}

impl fmt::Display for SchedulerKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl FromStr for SchedulerKind {
    type Err = Error;

    /// Reads a name of the command line, or of a class in diffusers.
    fn from_str(name: &str) -> Result<Self> {
        let kind = Self::ALL.into_iter().find(|kind| kind.name() == name).or_else(|| Self::from_class(name));
        kind.ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::Usage(format!("the scheduler {name:?} is not known; known are {known}"))
        })
    }
}

/// How a strength between 0 and 1 becomes a number of steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StrengthConvention {
    /// diffusers': of the steps the last `⌊strength · steps⌋` are made, and the noise added is that before the first of them.
    #[default]
    Diffusers,
    /// That of Stable Diffusion's original code (`CompVis`, `scripts/img2img.py`): the same steps, but the noise added is that of one step
    /// earlier, `stochastic_encode` counting from 0 what `decode` counts from 1. So the first step takes the sample for less noisy than
    /// it is. Only DDIM, as there.
    Original,
}

/// Where on a schedule sampling begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// The first step that is made.
    step: usize,
    /// The step whose noise a clean sample is given.
    noise: usize,
}

impl From<usize> for Start {
    /// At a step, with its noise; 0 is the whole schedule.
    fn from(step: usize) -> Self {
        Self { step, noise: step }
    }
}

/// A scheduler's timesteps and steps.
#[derive(Clone, Debug)]
pub struct Schedule {
    kind: SchedulerKind,
    steps: usize,
    timesteps: Vec<f64>,
    plan: Plan,
}

/// What each scheduler has worked out beforehand.
#[derive(Clone, Debug)]
enum Plan {
    Ddim(ddim::Ddim),
    Pndm(pndm::Pndm),
    Euler(euler::Euler),
    EulerAncestral(euler_ancestral::EulerAncestral),
    DpmSolver(dpm_solver::DpmSolver),
    Lcm(lcm::Lcm),
}

impl Schedule {
    /// The schedule of `kind`, which need not be the one that the config names, in `steps` steps.
    ///
    /// # Errors
    /// [`Error::Config`] where the config asks for what is not supported or makes no sense; [`Error::Usage`] where it has no schedule of
    /// so many steps.
    pub fn new(config: &SchedulerConfig, kind: SchedulerKind, steps: usize) -> Result<Self> {
        if steps == 0 || steps > config.trained() {
            let trained = config.trained();
            return Err(Error::Usage(format!(
                "{steps} steps are not possible: between 1 and the {trained} of training are"
            )));
        }
        let (timesteps, plan) = match kind {
            SchedulerKind::Ddim => ddim::Ddim::new(config, steps).map(|(times, plan)| (times, Plan::Ddim(plan)))?,
            SchedulerKind::Pndm => pndm::Pndm::new(config, steps).map(|(times, plan)| (times, Plan::Pndm(plan)))?,
            SchedulerKind::Euler => euler::Euler::new(config, steps).map(|(times, plan)| (times, Plan::Euler(plan)))?,
            SchedulerKind::EulerAncestral => euler_ancestral::EulerAncestral::new(config, steps)
                .map(|(times, plan)| (times, Plan::EulerAncestral(plan)))?,
            SchedulerKind::DpmSolverPlusPlus => {
                dpm_solver::DpmSolver::new(config, steps).map(|(times, plan)| (times, Plan::DpmSolver(plan)))?
            }
            SchedulerKind::Lcm => lcm::Lcm::new(config, steps).map(|(times, plan)| (times, Plan::Lcm(plan)))?,
        };
        Ok(Self { kind, steps, timesteps, plan })
    }

    /// The timesteps at which the network is asked, descending; some schedulers ask twice at one.
    pub fn timesteps(&self) -> &[f64] {
        &self.timesteps
    }

    /// Where sampling begins that keeps something of a picture: `strength` 0 keeps it all, 1 nothing but the noise.
    ///
    /// # Errors
    /// [`Error::Usage`] where the strength is not between 0 and 1, or leaves no step to make.
    pub fn image_to_image(&self, strength: f64, convention: StrengthConvention) -> Result<Start> {
        let usage = |why: String| Err(Error::Usage(why));
        if !(0.0..=1.0).contains(&strength) {
            return usage(format!("a strength of {strength} is not possible: it must be between 0 and 1"));
        }
        let made = ((self.steps as f64 * strength) as usize).min(self.steps);
        if made == 0 {
            let (steps, least) = (self.steps, 1.0 / self.steps as f64);
            return usage(format!(
                "a strength of {strength} leaves no step of {steps}: take at least {least:.3}, or more steps"
            ));
        }
        let step = self.steps - made;
        match convention {
            StrengthConvention::Diffusers => Ok(step.into()),
            StrengthConvention::Original if self.kind != SchedulerKind::Ddim => usage(format!(
                "the original code's strength is defined for the scheduler ddim alone, not for {}",
                self.kind
            )),
            StrengthConvention::Original if step == 0 => usage(format!(
                "a strength of {strength} is too much for the original code's convention: it needs a step before the first"
            )),
            StrengthConvention::Original => Ok(Start { step, noise: step - 1 }),
        }
    }

    /// Begins to sample at `start`, an index of a timestep or what [`Self::image_to_image`] has given; the whole schedule is 0.
    pub fn begin<B: Backend>(self, start: impl Into<Start>) -> Sampler<B> {
        let start = start.into();
        let solver: Box<dyn Solver<B>> = match self.plan {
            Plan::Ddim(plan) => Box::new(plan),
            Plan::Pndm(plan) => Box::new(pndm::Memory::new(plan)),
            Plan::Euler(plan) => Box::new(plan),
            Plan::EulerAncestral(plan) => Box::new(plan),
            Plan::DpmSolver(plan) => Box::new(dpm_solver::Memory::new(plan)),
            Plan::Lcm(plan) => Box::new(plan),
        };
        Sampler { timesteps: self.timesteps, start, at: start.step, solver }
    }
}

/// A schedule on its way: `timestep`, `scale_input`, the network, `step`, until there is no timestep any more. Samples and outputs
/// all have one shape, whatever their axes are.
pub struct Sampler<B: Backend> {
    timesteps: Vec<f64>,
    start: Start,
    at: usize,
    solver: Box<dyn Solver<B>>,
}

impl<B: Backend> Sampler<B> {
    /// A clean sample with the noise that it has before the first step; `noise` has unit variance.
    pub fn add_noise(&self, clean: Tensor<B, 4>, noise: Tensor<B, 4>) -> Tensor<B, 4> {
        self.solver.add_noise(self.start.noise.min(self.timesteps.len() - 1), clean, noise)
    }

    /// How many steps are left.
    pub fn remaining(&self) -> usize {
        self.timesteps.len().saturating_sub(self.at)
    }

    /// The timestep of the next step; `None` after the last.
    pub fn timestep(&self) -> Option<f64> {
        self.timesteps.get(self.at).copied()
    }

    /// The sample as the network wants to see it in the next step. After the last it is the sample itself.
    pub fn scale_input(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        if self.timestep().is_none() { x } else { self.solver.scale_input(self.at, x) }
    }

    /// Whether the next step adds fresh noise, which [`Self::step`] must then be given.
    pub fn needs_noise(&self) -> bool {
        self.timestep().is_some() && self.solver.needs_noise(self.at)
    }

    /// Makes the next step: from the sample `x` and the network's output for it to the sample after the step. `noise` has unit variance;
    /// it is only used where [`Self::needs_noise`], and none is added where it is missing. After the last step the sample stays as it is.
    pub fn step(&mut self, output: Tensor<B, 4>, x: Tensor<B, 4>, noise: Option<Tensor<B, 4>>) -> Tensor<B, 4> {
        if self.timestep().is_none() {
            return x;
        }
        let at = self.at;
        self.at += 1;
        self.solver.step(at, output, x, noise)
    }
}
