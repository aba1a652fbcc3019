//! `AdamW` on a handful of matrices with the whole batch: what a method on features needs.
//!
//! Training is pulled: whoever holds a [`Descent`] asks for the next step, so pausing is not asking, and stopping is
//! dropping it or taking the parameters as they are.

use burn::{
    backend::Autodiff,
    optim::{AdamW, AdamWConfig, SimpleOptimizer},
    tensor::{Tensor, backend::Backend},
};
use serde::{Deserialize, Serialize};

use super::{Step, schedule::Schedule};
use crate::{Error, Result};

/// Hyper-parameters of `AdamW` (Loshchilov and Hutter, "Decoupled weight decay regularization", 2019, algorithm 2) and of
/// the schedule of its learning rate.
///
/// The default is the recipe of Tip-Adapter-F and Meta-Adapter here: PyTorch's `AdamW` (decays .9 and .999, weight decay
/// .01) with learning rate 1e-3 and epsilon 1e-4, cosine to zero. Everything is set explicitly when the optimiser is
/// built, because Burn's own defaults differ.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Optimiser {
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Decay of the first moment, in [0, 1).
    pub beta_1: f32,
    /// Decay of the second moment, in [0, 1).
    pub beta_2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// Decoupled weight decay, multiplied by the learning rate.
    pub weight_decay: f32,
    /// The learning rate over the steps.
    pub schedule: Schedule,
}

impl Default for Optimiser {
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-4,
            weight_decay: 1e-2,
            schedule: Schedule::default(),
        }
    }
}

impl Optimiser {
    /// Burn's configuration of the same optimiser: `.build()` for matrices, `.init()` for a module.
    ///
    /// # Errors
    /// [`Error::Usage`] for a hyper-parameter outside its range.
    pub fn adamw(&self) -> Result<AdamWConfig> {
        let positive = |name: &str, value: f64| {
            if value.is_finite() && value > 0.0 {
                Ok(())
            } else {
                Err(Error::Usage(format!("{name} is {value}: give a positive number")))
            }
        };
        positive("learning rate", self.learning_rate)?;
        positive("epsilon of AdamW", f64::from(self.epsilon))?;
        for (name, value) in [("beta_1", self.beta_1), ("beta_2", self.beta_2)] {
            if !(0.0..1.0).contains(&value) {
                return Err(Error::Usage(format!("{name} of AdamW is {value}: give a number from 0 to below 1")));
            }
        }
        if !(self.weight_decay.is_finite() && self.weight_decay >= 0.0) {
            return Err(Error::Usage(format!("weight decay is {}: give zero or more", self.weight_decay)));
        }
        Ok(AdamWConfig::new()
            .with_beta_1(self.beta_1)
            .with_beta_2(self.beta_2)
            .with_epsilon(self.epsilon)
            .with_weight_decay(self.weight_decay))
    }
}

/// The loss of the whole batch, one number, for given parameters.
pub type Loss<B> = Box<dyn FnMut(&[Tensor<Autodiff<B>, 2>]) -> Tensor<Autodiff<B>, 1> + Send>;

/// A minimisation under way: parameters, their moments, and the loss they are to lower.
pub struct Descent<B: Backend> {
    parameters: Vec<Tensor<B, 2>>,
    moments: Vec<Option<<AdamW as SimpleOptimizer<B>>::State<2>>>,
    adamw: AdamW,
    optimiser: Optimiser,
    steps: usize,
    done: usize,
    loss: Loss<B>,
}

impl<B: Backend> Descent<B> {
    /// Starts at `parameters` (each `[rows, columns]`); `loss` is called once a step with the same matrices, tracked.
    ///
    /// # Errors
    /// [`Error::Usage`] for a hyper-parameter outside its range.
    pub fn new(optimiser: Optimiser, steps: usize, parameters: Vec<Tensor<B, 2>>, loss: Loss<B>) -> Result<Self> {
        let moments = parameters.iter().map(|_| None).collect();
        Ok(Self { parameters, moments, adamw: optimiser.adamw()?.build(), optimiser, steps, done: 0, loss })
    }

    /// Does the next step; nothing when all steps are done. Reading the loss back each time keeps a GPU's queue short.
    ///
    /// # Errors
    /// [`Error::Failed`] when the loss is not a finite number or the device fails.
    pub async fn step(&mut self) -> Result<Option<Step>> {
        if self.done == self.steps {
            return Ok(None);
        }
        let (loss, gradients) = self.gradients();
        let learning_rate = self.optimiser.schedule.rate(self.optimiser.learning_rate, self.done, self.steps);
        for ((parameter, moments), gradient) in self.parameters.iter_mut().zip(&mut self.moments).zip(gradients) {
            let (updated, kept) = self.adamw.step(learning_rate, parameter.clone(), gradient, moments.take());
            (*parameter, *moments) = (updated, kept);
        }
        self.done += 1;
        let loss = super::read(loss).await?.first().copied().unwrap_or(f32::NAN);
        if !loss.is_finite() {
            return Err(Error::Failed(format!(
                "training: the loss is {loss} at step {} of {}: lower the learning rate (now {})",
                self.done, self.steps, self.optimiser.learning_rate
            )));
        }
        Ok(Some(Step { step: self.done, steps: self.steps, loss, learning_rate: Some(learning_rate) }))
    }

    /// The loss as it stands and its gradient by each parameter, in their order and shapes (zero where it does not
    /// depend on one).
    pub fn gradients(&mut self) -> (Tensor<B, 1>, Vec<Tensor<B, 2>>) {
        let tracked: Vec<_> = self.parameters.iter().map(|p| Tensor::from_inner(p.clone()).require_grad()).collect();
        let loss = (self.loss)(&tracked);
        let mut gradients = loss.backward();
        let of = |p: &Tensor<Autodiff<B>, 2>| {
            p.grad_remove(&mut gradients).unwrap_or_else(|| p.clone().inner().zeros_like())
        };
        let gradients = tracked.iter().map(of).collect();
        (loss.inner(), gradients)
    }

    /// The parameters after the steps done so far, in the order they were given.
    pub fn parameters(&self) -> &[Tensor<B, 2>] {
        &self.parameters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hyper_parameters_outside_their_range_are_refused_by_name() {
        let good = Optimiser::default();
        assert!(good.adamw().is_ok());
        for (bad, name) in [
            (Optimiser { learning_rate: f64::NAN, ..good }, "learning rate"),
            (Optimiser { learning_rate: 0.0, ..good }, "learning rate"),
            (Optimiser { epsilon: -1.0, ..good }, "epsilon"),
            (Optimiser { beta_2: 1.0, ..good }, "beta_2"),
            (Optimiser { weight_decay: -0.1, ..good }, "weight decay"),
        ] {
            let message = bad.adamw().err().map(|error| error.to_string()).unwrap_or_default();
            assert!(message.contains(name), "{message:?} does not name {name}");
        }
    }

    #[test]
    fn a_recipe_file_may_leave_settings_out_but_not_misspell_them() {
        let read = |text: &str| serde_json::from_str::<Optimiser>(text);
        assert_eq!(read(r#"{"weight_decay":0.0}"#).unwrap(), Optimiser { weight_decay: 0.0, ..Optimiser::default() });
        assert!(read(r#"{"weight_decai":0.0}"#).is_err());
    }
}
