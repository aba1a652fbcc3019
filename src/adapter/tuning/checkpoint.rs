//! Everything that the next step depends on, to be stored and gone on from.
//!
//! Random numbers are functions of the seed and the step, so there is no generator to store.

use burn::{
    optim::{AdamWState, AdaptiveMomentumState},
    tensor::Tensor,
};
use serde::{Deserialize, Serialize};

use super::{TuningConfig, training::Training};
use crate::{
    adapter::{State, meta::Parameters},
    clip::ClipBackend,
    train::breaking::Bank,
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    config: TuningConfig,
    seed: u64,
    done: usize,
    /// Batches in the bank.
    bank: usize,
}

impl<B: ClipBackend> Training<B> {
    /// Parameters, moments, bank and how far it is.
    pub fn state(&self) -> State<B> {
        let mut tensors: Vec<(String, Tensor<B, 2>)> = Vec::new();
        let values: Vec<Tensor<B, 2>> = self.values();
        for ((index, value), moments) in values.into_iter().enumerate().zip(&self.moments) {
            tensors.push((format!("value.{index}"), value));
            if let Some(AdamWState { momentum }) = moments {
                tensors.push((format!("moment_1.{index}"), momentum.moment_1.clone()));
                tensors.push((format!("moment_2.{index}"), momentum.moment_2.clone()));
            }
        }
        let bank = self.bank.batches().enumerate().map(|(index, batch)| (format!("bank.{index}"), batch.clone()));
        tensors.extend(bank);
        let settings = Settings {
            config: self.config().clone(),
            seed: self.seed,
            done: self.done,
            bank: self.bank.batches().count(),
        };
        State::named(&settings, tensors)
    }

    /// Goes on from a stored state of the same training.
    ///
    /// # Errors
    /// What in it belongs to another training, or is missing.
    pub fn restore(&mut self, mut state: State<B>) -> Result<(), String> {
        let settings: Settings = state.settings()?;
        if settings.config != *self.config() || settings.seed != self.seed {
            return Err("it is of a training with other settings".into());
        }
        if settings.done > settings.config.steps {
            return Err(format!("it says {} steps are done of {}", settings.done, settings.config.steps));
        }
        let mut values = self.values();
        let mut moments = Vec::new();
        for (index, value) in values.iter_mut().enumerate() {
            let shape = value.dims();
            *value = state.take_shaped(&format!("value.{index}"), shape)?;
            moments.push(if settings.done == 0 {
                None
            } else {
                let moment_1 = state.take_shaped(&format!("moment_1.{index}"), shape)?;
                let moment_2 = state.take_shaped(&format!("moment_2.{index}"), shape)?;
                Some(AdamWState::new(AdaptiveMomentumState::new(settings.done, moment_1, moment_2)))
            });
        }
        let held = settings.config.breaking.map_or(0, |breaking| breaking.bank);
        if settings.bank > held {
            return Err(format!("its bank holds {} batches, more than {held}", settings.bank));
        }
        let mut bank = Bank::new(held);
        for index in 0..settings.bank {
            let name = format!("bank.{index}");
            let batch = state.take(&name)?;
            if batch.dims()[1] != self.width {
                return Err(format!("tensor {name} has width {}, the features {}", batch.dims()[1], self.width));
            }
            bank.push(batch);
        }
        state.finish()?;
        // Nothing is changed before everything is known to fit.
        let meta = values.split_off(self.tuning.values().len());
        self.meta = (!meta.is_empty()).then(|| Parameters::from_slice(&meta));
        self.tuning.set(values);
        (self.moments, self.bank, self.done) = (moments, bank, settings.done);
        Ok(())
    }

    /// The towers' values, then the Meta-Adapter's.
    fn values(&self) -> Vec<Tensor<B, 2>> {
        let meta = self.meta.clone().map(Parameters::into_vec).into_iter().flatten();
        self.tuning.values().iter().cloned().chain(meta).collect()
    }
}
