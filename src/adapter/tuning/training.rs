//! The steps of training through the towers.
//!
//! Whoever holds a [`Training`] brings the next step's pictures and asks for the step: pausing is not asking, stopping is
//! dropping it or taking what was learnt so far. A step is a function of the parameters, the moments, the bank, the seed, the
//! step's number and the pictures; nothing else is remembered.
//!
//! The towers are run first, then the loss is computed on their features alone, and its gradients by the features are sent back
//! through the towers one after the other (Gao and others, "Scaling deep contrastive learning batch size under memory limited
//! setup", 2021). So a batch in parts has exactly the loss of the whole batch.

use burn::{
    backend::Autodiff,
    optim::{AdamW, AdamWState, SimpleOptimizer},
    tensor::Tensor,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{
    Batch, Learnt, TuningConfig,
    batch::split,
    parameters::{Tuning, mix},
    pass::{Gradients, Input, Pass, Towers},
};
use crate::{
    Error, Result,
    adapter::{
        Adapter, FewShot, Labelled,
        few_shot::{check_scale, check_width},
        meta::{Dropout, Meta, Parameters, Support, normalize},
        zero_shot::{ZeroShot, similarity},
    },
    clip::{Clip, ClipBackend, Precision, config::ClipConfig, walk::Tower},
    train::{
        Step,
        breaking::{Bank, breaking_loss},
        metrics::check_labels,
        objective::cross_entropy,
        read,
    },
};

/// What is learnt from, beside the pictures of each step.
pub struct Learning<'a, B: ClipBackend> {
    /// The towers as they are before.
    pub clip: &'a Clip<B>,
    /// Their shape.
    pub shape: &'a ClipConfig,
    /// Token ids of the classes' prompts, class after class, the same number for each.
    pub prompts: Vec<Vec<u32>>,
    /// The number of classes `C`.
    pub classes: usize,
    /// What similarities are multiplied by.
    pub scale: f32,
    /// Features of the shots `[n, D]` by the towers as they are before; Meta-Adapter's support.
    pub shots: Labelled<B>,
}

/// Training through the towers, under way.
pub struct Training<B: ClipBackend> {
    pub(super) tuning: Tuning<B>,
    pub(super) meta: Option<Parameters<B>>,
    pub(super) moments: Vec<Option<AdamWState<B, 2>>>,
    pub(super) bank: Bank<B>,
    pub(super) done: usize,
    pub(super) seed: u64,
    towers: Towers<B>,
    /// Width of the features.
    pub(super) width: usize,
    /// Side of a picture, in pixels.
    size: usize,
    prompts: Vec<Vec<u32>>,
    classes: usize,
    scale: f32,
    shots: Labelled<B>,
    support: Support<B>,
    /// The prompts' features, where nothing in the text tower is trained.
    text: Option<Tensor<B, 2>>,
    adamw: AdamW,
}

/// A part of a step's pictures, the key of its dropout, and its run where that is recorded already.
type Part<'a, B> = (Input<'a, B>, u64, Option<Pass<'a, B>>);

/// Gradients of the loss by everything that went into it.
struct LossGradients<B: ClipBackend> {
    loss: Tensor<B, 1>,
    text: Tensor<B, 2>,
    images: Vec<Tensor<B, 2>>,
    meta: Vec<Tensor<B, 2>>,
}

impl<B: ClipBackend> Training<B> {
    /// Prepares the first step; `seed` decides everything random.
    ///
    /// # Errors
    /// [`Error::Usage`] for settings that make no sense or none for these towers, [`Error::Data`] for prompts, shots or labels
    /// that do not fit the classes or the towers.
    pub fn start(config: TuningConfig, learning: Learning<'_, B>, seed: u64) -> Result<Self> {
        let Learning { clip, shape, prompts, classes, scale, shots } = learning;
        if classes == 0 || prompts.is_empty() || !prompts.len().is_multiple_of(classes) {
            let why = format!("{} prompts for {classes} classes: give each class the same number", prompts.len());
            return Err(Error::Data { place: "prompts".into(), why });
        }
        let context = shape.text.context;
        if let Some(prompt) = prompts.iter().find(|prompt| prompt.len() > context) {
            let why = format!("one has {} tokens, the text tower takes {context}: shorten it", prompt.len());
            return Err(Error::Data { place: "prompts".into(), why });
        }
        check_scale(scale)?;
        check_width(&shots.features, shape.embedding)?;
        check_labels("shots", &shots.labels, shots.features.dims()[0], classes)?;
        let adamw = config.optimiser.adamw()?.build();
        let bank = Bank::new(config.breaking.map_or(0, |breaking| breaking.bank));
        let mut random = ChaCha8Rng::seed_from_u64(mix(seed, u64::MAX));
        let meta = config.meta.map(|_| Parameters::new(shape.embedding, &mut random, clip.device()));
        let tuning = Tuning::new(config, clip, shape, seed)?;
        // In f32 whatever the towers that answer compute in: gradients are too small for half precision.
        let frozen = clip.in_precision(Precision::F32);
        let towers = Towers { tracked: frozen.tracked(), frozen };
        let text = (!tuning.trains(Tower::Text)).then(|| towers.frozen.text_features(&prompts));
        let support = Support::new(&shots.features, &shots.labels, classes);
        let moments = (0..tuning.values().len() + meta.as_ref().map_or(0, |_| 4)).map(|_| None).collect();
        Ok(Self {
            tuning,
            meta,
            moments,
            bank,
            done: 0,
            seed,
            towers,
            width: shape.embedding,
            size: shape.vision.image(),
            prompts,
            classes,
            scale,
            shots,
            support,
            text,
            adamw,
        })
    }

    /// The settings.
    pub fn config(&self) -> &TuningConfig {
        &self.tuning.config
    }

    /// Steps done so far, which is also the number of the next, counted from 0.
    pub fn done(&self) -> usize {
        self.done
    }

    /// Replaces the parameters of the towers, which keep their order and shapes: a start from elsewhere.
    pub fn set_values(&mut self, values: Vec<Tensor<B, 2>>) {
        self.tuning.set(values);
    }

    /// Replaces the Meta-Adapter's parameters, where there are any.
    pub fn set_meta(&mut self, parameters: Parameters<B>) {
        self.meta = self.meta.take().map(|_| parameters);
    }

    /// What is trained in the towers.
    pub fn tuning(&self) -> &Tuning<B> {
        &self.tuning
    }

    /// Does the next step with its pictures.
    ///
    /// # Errors
    /// [`Error::Failed`] when the loss is not finite or the device fails, [`Error::Data`] for pictures or labels
    /// that do not fit.
    pub async fn step(&mut self, batch: Batch<B>) -> Result<Step> {
        let steps = self.config().steps;
        let (loss, gradients) = self.gradients(batch, true)?;
        let optimiser = self.config().optimiser;
        let learning_rate = optimiser.schedule.rate(optimiser.learning_rate, self.done, steps);
        let mut values = self.tuning.values().to_vec();
        values.extend(self.meta.take().map(Parameters::into_vec).into_iter().flatten());
        for ((value, moments), gradient) in values.iter_mut().zip(&mut self.moments).zip(gradients) {
            let gradient = gradient.unwrap_or_else(|| value.zeros_like());
            let (updated, kept) = self.adamw.step(learning_rate, value.clone(), gradient, moments.take());
            (*value, *moments) = (updated, kept);
        }
        let meta = values.split_off(self.tuning.values().len());
        self.meta = (!meta.is_empty()).then(|| Parameters::from_slice(&meta));
        self.tuning.set(values);
        self.done += 1;
        let loss = read(loss).await?.first().copied().unwrap_or(f32::NAN);
        if !loss.is_finite() {
            return Err(Error::Failed(format!(
                "training: the loss is {loss} at step {} of {steps}: lower the learning rate (now {})",
                self.done, optimiser.learning_rate
            )));
        }
        Ok(Step { step: self.done, steps, loss, learning_rate: Some(learning_rate) })
    }

    /// The loss as it stands, and its gradient by each value of [`Self::tuning`], then by the Meta-Adapter's four.
    /// `remember` puts the breaking images' features into the bank.
    ///
    /// # Errors
    /// [`Error::Data`] for pictures or labels that do not fit.
    pub fn gradients(&mut self, batch: Batch<B>, remember: bool) -> Result<(Tensor<B, 1>, Gradients<B>)> {
        let (inputs, targets) = batch.inputs(self.config().breaking.is_some(), self.size, self.classes)?;
        let step = mix(self.seed, self.done as u64);
        let blocks = self.config().checkpoint_blocks;
        let parts = self.config().accumulate;
        let text = match &self.text {
            Some(_) => None,
            None => Some(self.towers.run(&self.tuning, Input::Texts(&self.prompts), mix(step, 0), blocks)),
        };
        let text_features = match (&text, &self.text) {
            (Some(pass), _) => pass.features.clone(),
            (None, Some(features)) => features.clone(),
            (None, None) => unreachable!("either the text tower trains or its features are known"),
        };

        // The batch, then the two views, each in parts; a part's number decides its dropout.
        let mut number = 0;
        let mut images = Vec::new();
        let mut passes: Vec<Vec<Part<'_, B>>> = Vec::new();
        for pixels in inputs {
            let mut features = Vec::new();
            let mut of_input = Vec::new();
            for pixels in split(&pixels, parts) {
                number += 1;
                let (input, key) = (Input::Pixels(pixels), mix(step, number));
                // Of several parts only one is ever recorded at a time.
                if parts == 1 {
                    let pass = self.towers.run(&self.tuning, input.clone(), key, blocks);
                    features.push(pass.features.clone());
                    of_input.push((input, key, Some(pass)));
                } else {
                    features.push(self.towers.forward(&self.tuning, &input, key));
                    of_input.push((input, key, None));
                }
            }
            images.push(Tensor::cat(features, 0));
            passes.push(of_input);
        }

        let found = self.loss(&text_features, &images, targets);
        let mut sums: Gradients<B> = self.tuning.values().iter().map(|_| None).collect();
        let trains = self.tuning.trains(Tower::Vision);
        for (passes, gradient) in passes.into_iter().zip(found.images).filter(|_| trains) {
            let mut row = 0;
            for (input, key, pass) in passes {
                let pass = pass.unwrap_or_else(|| self.towers.run(&self.tuning, input, key, blocks));
                let rows = pass.features.dims()[0];
                let gradient = gradient.clone().narrow(0, row, rows);
                row += rows;
                self.towers.backward(&self.tuning, pass, gradient, &mut sums);
            }
        }
        if let Some(pass) = text {
            self.towers.backward(&self.tuning, pass, found.text, &mut sums);
        }
        if remember && let Some(first) = images.get(1) {
            self.bank.push(first.clone());
        }
        sums.extend(found.meta.into_iter().map(Some));
        Ok((found.loss, sums))
    }

    /// The loss on features: `text` `[prompts, D]`, `images` the batch `[batch, D]` and, with the breaking loss, both views;
    /// `targets` `[batch, classes]` have each picture's weight at its label.
    fn loss(&self, text: &Tensor<B, 2>, images: &[Tensor<B, 2>], targets: Tensor<B, 2>) -> LossGradients<B> {
        let tracked = |tensor: &Tensor<B, 2>| Tensor::<Autodiff<B>, 2>::from_inner(tensor.clone()).require_grad();
        let text = tracked(text);
        let images: Vec<_> = images.iter().map(tracked).collect();
        let meta: Vec<_> =
            self.meta.clone().map(Parameters::into_vec).unwrap_or_default().iter().map(tracked).collect();
        let mut classifier = class_weights(text.clone(), self.classes);
        if let Some(config) = self.config().meta {
            // No part of the step has this number.
            let random = ChaCha8Rng::seed_from_u64(mix(mix(self.seed, self.done as u64), u64::MAX));
            let mut dropout = Dropout::new(config.dropout, random);
            classifier = self.support.tracked().classifier(&classifier, &Parameters::from_slice(&meta), &mut dropout);
        }
        let targets = Tensor::from_inner(targets);
        let mut loss = cross_entropy(similarity(images[0].clone(), classifier, self.scale), targets);
        if let (Some(config), [_, first, second]) = (self.config().breaking, images.as_slice()) {
            let bank = self.bank.batches().map(|batch| Tensor::from_inner(batch.clone()));
            loss = loss + breaking_loss(first.clone(), second.clone(), bank).mul_scalar(config.weight);
        }
        let mut gradients = loss.backward();
        let mut of = |tensor: &Tensor<Autodiff<B>, 2>| {
            tensor.grad_remove(&mut gradients).unwrap_or_else(|| tensor.clone().inner().zeros_like())
        };
        LossGradients {
            text: of(&text),
            images: images.iter().map(&mut of).collect(),
            meta: meta.iter().map(&mut of).collect(),
            loss: loss.inner(),
        }
    }

    /// What was learnt so far.
    ///
    /// # Errors
    /// None that is known: what could be wrong was refused at the start.
    pub fn finish(self) -> Result<Learnt<B>> {
        let merged = self.tuning.merged(&self.towers.frozen);
        let text = class_weights(merged.text_features(&self.prompts), self.classes);
        let method = self.tuning.config.method();
        let head: Box<dyn Adapter<B>> = match (self.meta, self.tuning.config.meta) {
            (Some(parameters), Some(config)) => {
                Box::new(Meta::learnt(parameters, text, &self.shots, self.scale, config.dropout))
            }
            _ => {
                let Labelled { features, labels } = self.shots;
                Box::new(ZeroShot::new(&FewShot { text, features, labels, val: None, scale: self.scale })?)
            }
        };
        Ok(Learnt { method, tuning: Some(self.tuning), head })
    }
}

/// Prompts' features `[C · T, D]`, class after class → the classes' weights `[C, D]`: for each class the mean, of unit length.
fn class_weights<B: burn::tensor::backend::Backend>(text: Tensor<B, 2>, classes: usize) -> Tensor<B, 2> {
    let [prompts, width] = text.dims();
    normalize(text.reshape([classes, prompts / classes, width]).mean_dim(1).reshape([classes, width]))
}
