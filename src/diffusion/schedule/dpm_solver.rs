//! DPM-Solver++ 2M: a multistep solver of second order for the clean sample (Lu et al., 2022, algorithm 2).

use burn::prelude::Backend;
use burn::tensor::Tensor;

use super::config::{Prediction, SchedulerConfig};
use super::level::{Level, weighted};
use super::sigmas::{Sigmas, karras};
use super::solver::{Solver, add_noise};
use super::{SchedulerKind, spacing};
use crate::{Error, Result};

/// Below so many steps the last one is of first order if `lower_order_final`.
const FEW_STEPS: usize = 15;

/// What a step needs to know.
#[derive(Clone, Debug)]
pub(super) struct DpmSolver {
    /// σ before each step, and after the last.
    sigmas: Vec<f64>,
    prediction: Prediction,
    /// Whether the last step is of first order.
    ends_in_first_order: bool,
}

impl DpmSolver {
    /// The timesteps and what their steps do.
    pub fn new(config: &SchedulerConfig, steps: usize) -> Result<(Vec<f64>, Self)> {
        let kind = SchedulerKind::DpmSolverPlusPlus;
        let values = &config.values;
        config.refuse(
            kind,
            &[
                ("thresholding", values.thresholding),
                ("use_exponential_sigmas", values.use_exponential_sigmas),
                ("use_beta_sigmas", values.use_beta_sigmas),
                ("use_lu_lambdas", values.use_lu_lambdas),
                ("use_flow_sigmas", values.use_flow_sigmas),
            ],
        )?;
        // The names that diffusers takes for these two when a config of another multistep solver is used.
        config.only(kind, "algorithm_type", values.algorithm_type.as_deref(), &["dpmsolver++", "deis"])?;
        config.only(kind, "solver_type", values.solver_type.as_deref(), &["midpoint", "logrho", "bh1", "bh2"])?;
        if let Some(order) = values.solver_order.filter(|order| *order != 2) {
            return Err(config.unsupported(kind, "solver_order", order, "2"));
        }
        if let Some(variance) = values.variance_type.as_deref().filter(|kind| kind.starts_with("learned")) {
            return Err(config.unsupported(kind, "variance_type", variance, "null"));
        }
        let trained = Sigmas::new(config, kind)?;
        let (timesteps, mut sigmas) = levels(config, &trained, steps)?;
        sigmas.push(trained.last(config)?);
        let few = values.lower_order_final.unwrap_or(true) && timesteps.len() < FEW_STEPS;
        let ends_in_first_order = few || values.euler_at_final == Some(true) || sigmas.ends_with(&[0.0]);
        Ok((timesteps, Self { sigmas, prediction: config.prediction()?, ends_in_first_order }))
    }
}

/// The timesteps and the σ of each.
fn levels(config: &SchedulerConfig, trained: &Sigmas, steps: usize) -> Result<(Vec<f64>, Vec<f64>)> {
    let kind = SchedulerKind::DpmSolverPlusPlus;
    if config.values.use_karras_sigmas == Some(true) {
        let all = trained.all();
        let sigmas = karras(all[all.len() - 1], all[0], steps);
        let cosine = config.has_cosine_betas(kind)?;
        let whole = |timestep: f64| if cosine { timestep.trunc() } else { timestep.round_ties_even() };
        return Ok((sigmas.iter().map(|sigma| whole(trained.timestep(*sigma))).collect(), sigmas));
    }
    // Timesteps with more noise than this are left away: λ = −ln σ.
    let least = config.values.lambda_min_clipped.as_ref().map_or(f64::NEG_INFINITY, super::config::Unbounded::value);
    let range = trained.all().partition_point(|sigma| -sigma.ln() >= least);
    if range <= steps {
        return Err(Error::Usage(format!(
            "{steps} steps are not possible with the scheduler {kind}: below {range} are"
        )));
    }
    let timesteps: Vec<_> =
        spacing::timesteps(config, kind, range, steps, 1)?.into_iter().map(f64::round_ties_even).collect();
    config.within_training(&timesteps)?;
    let sigmas = timesteps.iter().map(|timestep| trained.at(*timestep)).collect();
    Ok((timesteps, sigmas))
}

/// The solver with the clean sample that the network saw in the step before.
pub(super) struct Memory<B: Backend> {
    plan: DpmSolver,
    before: Option<Tensor<B, 4>>,
}

impl<B: Backend> Memory<B> {
    pub fn new(plan: DpmSolver) -> Self {
        Self { plan, before: None }
    }
}

impl<B: Backend> Solver<B> for Memory<B> {
    fn add_noise(&self, at: usize, clean: Tensor<B, 4>, noise: Tensor<B, 4>) -> Tensor<B, 4> {
        add_noise(Level::of_sigma(self.plan.sigmas[at]), clean, noise)
    }

    fn step(&mut self, at: usize, output: Tensor<B, 4>, x: Tensor<B, 4>, _: Option<Tensor<B, 4>>) -> Tensor<B, 4> {
        let sigmas = &self.plan.sigmas;
        let (from, to) = (Level::of_sigma(sigmas[at]), Level::of_sigma(sigmas[at + 1]));
        let clean = from.clean(self.plan.prediction).of(x.clone(), output);
        // exp(−h), h being the step in λ = −ln σ.
        let ratio = sigmas[at + 1] / sigmas[at];
        let (keep, take) = (to.noise / from.noise, to.signal * (1.0 - ratio));
        let is_last = at + 2 == sigmas.len();
        let next = match &self.before {
            Some(before) if !(is_last && self.plan.ends_in_first_order) => {
                let step_before = (sigmas[at - 1] / sigmas[at]).ln();
                let half_slope = 0.5 * -ratio.ln() / step_before;
                weighted(&[(keep, &x), (take * (1.0 + half_slope), &clean), (-take * half_slope, before)])
            }
            _ => weighted(&[(keep, &x), (take, &clean)]),
        };
        self.before = Some(clean);
        next
    }
}
