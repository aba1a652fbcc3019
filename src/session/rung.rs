//! A rung of the ladder: one method, judged on photos that it has not learnt from, then learnt from all.
//!
//! Whoever holds a [`Rung`] asks for its next piece of work: not asking is a pause, dropping it a stop. Methods that train through
//! the towers ask in turn for the pictures that they need, so that no photo has to be held in memory.

use std::{mem, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    Answering, Calibration, Folds, Ground, RungOptions, RungResult,
    answering::{Changed, How},
    calibration::Likeness,
    ground::features,
    wanted::{PictureView, Wanted, brought},
};
use crate::{
    Error, Result,
    adapter::{
        Fit, Learnt, Recipe, State, scores,
        tuning::{Augment, Batch, Learning, Training},
    },
    clip::ClipBackend,
    data::Draws,
    session::Backbone,
    train::{Step, metrics::Scores},
};

/// Pictures that are judged together.
const BATCH: usize = 16;

/// What a piece of work came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// A training step.
    Step(Step),
    /// Something else was done.
    Done,
    /// These pictures are needed, in this order; nothing was done.
    Pictures(Vec<Wanted>),
    /// Everything.
    Finished,
}

/// A method being judged and learnt.
pub struct Rung<B: ClipBackend, H: ClipBackend> {
    ground: Arc<Ground<B, H>>,
    options: RungOptions,
    recipe: Recipe,
    folds: Option<Folds>,
    /// The fold under way; behind the last one, learning from all.
    at: usize,
    /// Logits `[n, C]` of the photos that were left out so far.
    held_out: Vec<f32>,
    work: Work<B, H>,
    answering: Option<Answering<B, H>>,
}

enum Work<B: ClipBackend, H: ClipBackend> {
    Nothing,
    Features(Fit<H>),
    Towers(Box<Training<B>>),
    Looking(Box<Looking<B>>),
}

/// Changed towers that are shown pictures.
struct Looking<B: ClipBackend> {
    learnt: Learnt<B>,
    towers: Backbone<B>,
    examples: Vec<usize>,
    features: Vec<f32>,
}

impl<B: ClipBackend, H: ClipBackend> Rung<B, H> {
    /// Prepares the first piece of work.
    pub(super) fn new(ground: Arc<Ground<B, H>>, options: RungOptions) -> Self {
        let recipe = options.recipe(&ground.backbone.config);
        let folds = options.folds(&ground.labels);
        let held_out = vec![0.0; ground.labels.len() * ground.classes.len()];
        Self { ground, options, recipe, folds, at: 0, held_out, work: Work::Nothing, answering: None }
    }

    /// The fold under way and how many there are; behind the last one it learns from all.
    pub fn fold(&self) -> (usize, usize) {
        (self.at, self.folds.as_ref().map_or(0, Folds::count))
    }

    /// Side of the pictures that are asked for, in pixels.
    pub fn image_size(&self) -> usize {
        self.ground.backbone.image_size()
    }

    /// How much of all work is done, from 0 to 1.
    pub fn fraction(&self) -> f32 {
        let (at, folds) = self.fold();
        let within = match &self.work {
            Work::Towers(training) => training.done() as f32 / (training.config().steps + 1) as f32,
            Work::Looking(_) => 0.95,
            Work::Nothing | Work::Features(_) => 0.0,
        };
        ((at as f32 + within) / (folds + 1) as f32).min(1.0)
    }

    /// The photos that are learnt from at present.
    fn learnt_from(&self) -> Vec<usize> {
        let all = || (0..self.ground.labels.len()).collect();
        self.folds.as_ref().map_or_else(all, |folds| folds.learnt((self.at < folds.count()).then_some(self.at)))
    }

    /// The photos that are judged at present.
    fn left_out(&self) -> Vec<usize> {
        self.folds
            .as_ref()
            .filter(|folds| self.at < folds.count())
            .map_or_else(Vec::new, |folds| folds.left_out(self.at))
    }

    /// Does the next piece of work. After [`Progress::Pictures`] the next call brings them, preprocessed.
    ///
    /// # Errors
    /// What the method cannot learn from, pictures that were not asked for, a device that fails. Asking again begins the fold again.
    pub async fn next(&mut self, pictures: Option<Vec<Vec<u8>>>) -> Result<Progress> {
        if self.answering.is_some() {
            return Ok(Progress::Finished);
        }
        match mem::replace(&mut self.work, Work::Nothing) {
            Work::Nothing => self.begin_fold().await,
            Work::Features(fit) => self.on_features(fit).await,
            Work::Towers(training) => self.through_towers(training, pictures).await,
            Work::Looking(looking) => self.look(looking, pictures).await,
        }
    }

    async fn begin_fold(&mut self) -> Result<Progress> {
        let examples = self.learnt_from();
        self.work = match &self.recipe {
            Recipe::Tuning(config) => {
                let ground = &self.ground;
                let learning = Learning {
                    clip: &ground.backbone.clip,
                    shape: &ground.backbone.config,
                    prompts: ground.token_ids(),
                    classes: ground.classes.len(),
                    scale: ground.scale(),
                    shots: ground.shots(&examples),
                };
                Work::Towers(Box::new(Training::start((**config).clone(), learning, self.options.seed)?))
            }
            recipe => {
                Work::Features(Fit::start(recipe.clone(), &self.ground.few_shot(&examples), self.options.seed).await?)
            }
        };
        Ok(Progress::Done)
    }

    async fn on_features(&mut self, mut fit: Fit<H>) -> Result<Progress> {
        if let Some(step) = fit.step().await? {
            self.work = Work::Features(fit);
            return Ok(Progress::Step(step));
        }
        let learnt = Learnt::on_features(fit.finish().await?);
        let last = self.folds.as_ref().is_none_or(|folds| self.at == folds.count());
        // What learns nothing is judged on everything.
        let judged = if self.folds.is_none() { self.learnt_from() } else { self.left_out() };
        let features = self.ground.on_host(self.ground.rows(&judged));
        let found = scores(learnt.head.as_ref(), features).await?;
        self.put(&judged, &found);
        if last {
            self.finish(How::Features(Box::new(learnt)), self.ground.features.clone())
        } else {
            Ok(self.next_fold())
        }
    }

    async fn through_towers(
        &mut self,
        mut training: Box<Training<B>>,
        pictures: Option<Vec<Vec<u8>>>,
    ) -> Result<Progress> {
        let examples = self.learnt_from();
        let config = training.config();
        let step = training.done();
        if step == config.steps {
            let learnt = training.finish()?;
            let tuning = learnt.tuning.as_ref().ok_or_else(|| Error::Failed("the towers were not changed".into()))?;
            let towers = self.ground.backbone.tuned(tuning);
            let last = self.folds.as_ref().is_none_or(|folds| self.at == folds.count());
            let examples = if last { examples } else { self.left_out() };
            self.work = Work::Looking(Box::new(Looking { learnt, towers, examples, features: Vec::new() }));
            return Ok(Progress::Done);
        }
        let drawn = Draws::new(config.draw, examples.len(), config.batch, self.options.seed).batch(step);
        let (augment, seed) = (config.augment, self.options.seed);
        let view = |place: usize| match augment {
            Augment::None => PictureView::Plain,
            Augment::CropFlip => PictureView::Crop { seed, step: step as u64, place: place as u64 },
        };
        let wanted = drawn.iter().enumerate();
        let wanted = wanted.map(|(place, &index)| Wanted { example: examples[index], view: view(place) }).collect();
        let (wanted, pictures) = match brought(wanted, pictures, self.ground.backbone.image_size())? {
            Ok(brought) => brought,
            Err(wanted) => {
                self.work = Work::Towers(training);
                return Ok(Progress::Pictures(wanted));
            }
        };
        let labels = wanted.iter().map(|wanted| self.ground.labels[wanted.example]).collect();
        let batch =
            Batch { pixels: self.ground.backbone.pixels(&pictures), labels, weights: Vec::new(), breaking: None };
        let step = training.step(batch).await?;
        self.work = Work::Towers(training);
        Ok(Progress::Step(step))
    }

    async fn look(&mut self, mut looking: Box<Looking<B>>, pictures: Option<Vec<Vec<u8>>>) -> Result<Progress> {
        let done = looking.features.len() / self.ground.width();
        let next = &looking.examples[done..looking.examples.len().min(done + BATCH)];
        if !next.is_empty() {
            let wanted = next.iter().map(|&example| Wanted { example, view: PictureView::Plain }).collect();
            let pictures = match brought(wanted, pictures, self.ground.backbone.image_size())? {
                Ok((_, pictures)) => pictures,
                Err(wanted) => {
                    self.work = Work::Looking(looking);
                    return Ok(Progress::Pictures(wanted));
                }
            };
            looking.features.extend(features(&looking.towers, &pictures).await?);
            self.work = Work::Looking(looking);
            return Ok(Progress::Done);
        }
        let Looking { learnt, towers, examples, features } = *looking;
        if self.folds.as_ref().is_none_or(|folds| self.at == folds.count()) {
            return self.finish(How::Towers(Box::new(Changed { learnt, towers })), features);
        }
        let rows = burn::tensor::TensorData::new(features, [examples.len(), self.ground.width()]);
        let rows = burn::tensor::Tensor::from_data(rows, towers.clip.device());
        let found = scores(learnt.head.as_ref(), rows).await?;
        self.put(&examples, &found);
        Ok(self.next_fold())
    }

    /// Puts logits where they belong.
    fn put(&mut self, examples: &[usize], found: &Scores) {
        let classes = found.classes();
        for (&example, row) in examples.iter().zip(found.rows()) {
            self.held_out[example * classes..(example + 1) * classes].copy_from_slice(row);
        }
    }

    fn next_fold(&mut self) -> Progress {
        self.at += 1;
        Progress::Done
    }

    /// `features` are the photos' by the towers that answer.
    fn finish(&mut self, how: How<B, H>, features: Vec<f32>) -> Result<Progress> {
        let found = Scores::new(self.held_out.clone(), self.ground.classes.len())?;
        let likeness = Likeness::of(&features, self.ground.width());
        let calibration = Calibration { likeness, ..Calibration::fit(&found, &self.ground.labels) };
        self.answering = Some(Answering { method: self.recipe.method(), calibration, examples: features, how });
        Ok(Progress::Finished)
    }

    /// What came out, after [`Progress::Finished`].
    ///
    /// # Errors
    /// It has not finished.
    pub fn into_result(self) -> Result<(RungResult, Answering<B, H>)> {
        let Some(answering) = self.answering else {
            return Err(Error::Usage(format!("{} has not finished: ask for its next step", self.recipe.method())));
        };
        let found = Scores::new(self.held_out, self.ground.classes.len())?;
        let result = RungResult::new(&answering, self.folds.as_ref(), &found, &self.ground.labels)?;
        Ok((result, answering))
    }

    /// Everything that the rest of a training through the towers depends on; nothing where starting again costs nothing or where
    /// the last checkpoint is as good.
    pub fn state(&self) -> Option<State<B>> {
        let Work::Towers(training) = &self.work else { return None };
        let State { config, mut tensors } = training.state();
        let (classes, device) = (self.ground.classes.len(), self.ground.backbone.clip.device());
        let shape = [self.ground.labels.len(), classes];
        let held_out = burn::tensor::TensorData::new(self.held_out.clone(), shape);
        tensors.push((HELD_OUT.into(), burn::tensor::Tensor::from_data(held_out, device)));
        let config = serde_json::to_value(Stored { at: self.at, training: config }).unwrap_or_default();
        Some(State { config, tensors })
    }

    /// Goes on from a stored state of the same rung; `label` names it in messages.
    ///
    /// # Errors
    /// It is damaged or of another rung.
    pub async fn restore(&mut self, label: &str, state: State<B>) -> Result<()> {
        let refuse = |why: String| Error::Adapter { file: label.into(), why };
        let State { config, mut tensors } = state;
        let stored = Stored::deserialize(&config).map_err(|why| refuse(format!("settings: {why}")))?;
        let folds = self.folds.as_ref().map_or(0, Folds::count);
        if stored.at > folds {
            return Err(refuse(format!("it says {} parts of {folds} are done", stored.at)));
        }
        let place = tensors.iter().position(|(name, _)| name == HELD_OUT);
        let place = place.ok_or_else(|| refuse(format!("tensor {HELD_OUT} is missing")))?;
        let (_, held_out) = tensors.remove(place);
        let shape = [self.ground.labels.len(), self.ground.classes.len()];
        if held_out.dims() != shape {
            return Err(refuse(format!("tensor {HELD_OUT} is {:?}, expected {shape:?}", held_out.dims())));
        }
        let held_out = crate::train::read(held_out).await?;
        let before = mem::replace(&mut self.at, stored.at);
        self.begin_fold().await?;
        let Work::Towers(training) = &mut self.work else {
            self.at = before;
            return Err(refuse(format!("{} has no checkpoints", self.recipe.method())));
        };
        training.restore(State { config: stored.training, tensors }).map_err(refuse)?;
        self.held_out = held_out;
        Ok(())
    }

    /// What this rung is: everything that decides what comes out of it.
    pub fn identity(&self) -> String {
        use sha2::{Digest, Sha256};
        let mut hash = Sha256::new();
        let recipe = serde_json::to_string(&(&self.recipe, &self.options, &self.ground.labels)).unwrap_or_default();
        hash.update(recipe);
        hash.update(&self.ground.backbone.sha256);
        for class in &self.ground.classes {
            hash.update(class.prompts.join("\n"));
            hash.update([0]);
        }
        for value in &self.ground.features {
            hash.update(value.to_le_bytes());
        }
        crate::hash::hex(&hash.finalize())
    }
}

/// The name of the held-out logits in a stored state.
const HELD_OUT: &str = "held_out";

/// The settings of a stored state.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    at: usize,
    training: serde_json::Value,
}
