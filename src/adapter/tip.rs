//! Tip-Adapter and Tip-Adapter-F (Zhang and others, "Tip-Adapter: Training-free adaption of CLIP for few-shot
//! classification", 2022, equations 1 to 5): a cache of the shots votes beside the classes' texts.
//!
//! `logits = scale · f · Wᵀ + α · exp(−β (1 − f · Kᵀ)) · V`, with keys `K` `[n, D]` (the shots' features) and values `V`
//! `[n, C]` (their classes, one-hot). α and β are searched on validation images, or where
//! there are none on the shots, each judged by the cache of the others; Tip-Adapter-F trains the keys first.

use burn::{
    backend::Autodiff,
    tensor::{Tensor, backend::Backend},
};
use serde::{Deserialize, Serialize};

use super::{
    Adapter, FewShot, Labelled, Method, Recipe, State,
    few_shot::{check_width, to_f32},
    state::check_stored_labels,
    zero_shot::similarity,
};
use crate::{
    Error, Result,
    train::{
        Step,
        metrics::best,
        objective::{cross_entropy, one_hot},
        optimise::{Descent, Optimiser},
        read,
    },
};

/// Settings of Tip-Adapter. The defaults are the paper's start on EuroSAT and its search.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TipConfig {
    /// Sharpness β, used in training the keys and where nothing is searched.
    pub beta: f64,
    /// The cache's weight α, likewise.
    pub alpha: f64,
    /// Whether to search α and β: on the validation images, or where there are none on the shots.
    pub search: bool,
    /// Values of β tried, outer loop.
    pub beta_grid: Grid,
    /// Values of α tried, inner loop.
    pub alpha_grid: Grid,
}

impl Default for TipConfig {
    fn default() -> Self {
        Self {
            beta: 1.0,
            alpha: 2.0,
            search: true,
            beta_grid: Grid { from: 0.1, to: 12.0, values: 200 },
            alpha_grid: Grid { from: 0.1, to: 10.0, values: 20 },
        }
    }
}

/// Equally spaced values, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    /// The first value.
    pub from: f64,
    /// The last value.
    pub to: f64,
    /// How many.
    pub values: usize,
}

impl Grid {
    fn iter(self) -> impl Iterator<Item = f64> {
        let gap = (self.to - self.from) / self.values.saturating_sub(1).max(1) as f64;
        // The last value is the end itself, not what rounding makes of it.
        (0..self.values).map(move |i| if i > 0 && i + 1 == self.values { self.to } else { self.from + gap * i as f64 })
    }
}

/// Settings of Tip-Adapter-F: those of Tip-Adapter and how the keys are trained.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TipFConfig {
    /// The cache and the search after training.
    pub tip: TipConfig,
    /// How the keys are trained.
    pub optimiser: Optimiser,
    /// Full-batch steps.
    pub steps: usize,
}

impl Default for TipFConfig {
    fn default() -> Self {
        Self { tip: TipConfig::default(), optimiser: Optimiser::default(), steps: 100 }
    }
}

/// A cache of shots beside the classes' texts.
#[derive(Clone, Debug)]
pub struct Tip<B: Backend> {
    /// `[C, D]`.
    text: Tensor<B, 2>,
    /// `[n, D]`.
    keys: Tensor<B, 2>,
    /// One-hot `[n, C]`.
    values: Tensor<B, 2>,
    settings: Settings,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    scale: f32,
    beta: f64,
    alpha: f64,
    labels: Vec<usize>,
    recipe: Recipe,
}

impl<B: Backend> Tip<B> {
    /// Tip-Adapter by `config`, searched.
    pub(super) async fn fit(config: TipConfig, few_shot: &FewShot<B>) -> Result<Self> {
        let mut tip = Self::start(Recipe::Tip(config), &config, few_shot)?;
        let val = few_shot.val.as_ref().filter(|val| !val.labels.is_empty());
        match val {
            Some(val) => tip.search(&config, &val.features, &val.labels, |_, _| true).await?,
            // A shot is not its own neighbour: judged by itself, any cache would be right.
            None => {
                let labels = &few_shot.labels;
                tip.search(&config, &few_shot.features, labels, |image, key| image != key).await?;
            }
        }
        Ok(tip)
    }

    /// The cache as it is before any search or training.
    fn start(recipe: Recipe, config: &TipConfig, few_shot: &FewShot<B>) -> Result<Self> {
        few_shot.check_shots()?;
        for (name, value) in [("alpha", config.alpha), ("beta", config.beta)] {
            if !value.is_finite() {
                return Err(Error::Usage(format!("{name} of Tip-Adapter is {value}: give a finite number")));
            }
        }
        let settings = Settings {
            scale: few_shot.scale,
            beta: config.beta,
            alpha: config.alpha,
            labels: few_shot.labels.clone(),
            recipe,
        };
        Ok(Self {
            text: few_shot.text.clone(),
            keys: few_shot.features.clone(),
            values: one_hot(&few_shot.labels, few_shot.classes(), &few_shot.text.device()),
            settings,
        })
    }

    /// The sharpness β and the weight α in use.
    pub fn beta_alpha(&self) -> (f64, f64) {
        (self.settings.beta, self.settings.alpha)
    }

    /// Sets β and α to the pair of the grids with the most of these images right; of equals, the first found. `sees` says which
    /// keys vote for which image.
    async fn search(
        &mut self,
        config: &TipConfig,
        features: &Tensor<B, 2>,
        labels: &[usize],
        sees: impl Fn(usize, usize) -> bool,
    ) -> Result<()> {
        if !config.search {
            return Ok(());
        }
        let classes = self.classes();
        let plain = read(similarity(features.clone(), self.text.clone(), self.settings.scale)).await?;
        let mut affinities = read(similarity(features.clone(), self.keys.clone(), 1.0)).await?;
        for (image, affinities) in affinities.chunks_exact_mut(self.settings.labels.len()).enumerate() {
            for (_, affinity) in affinities.iter_mut().enumerate().filter(|&(key, _)| !sees(image, key)) {
                // Its vote, an exponential, is nothing.
                *affinity = f32::NEG_INFINITY;
            }
        }
        // All 4,000 pairs share these two products, so the search itself is host arithmetic on small tables.
        let mut votes = vec![0f32; plain.len()];
        let mut logits = vec![0f32; classes];
        let mut most = 0;
        for beta in config.beta_grid.iter() {
            votes.fill(0.0);
            for (votes, affinities) in
                votes.chunks_exact_mut(classes).zip(affinities.chunks_exact(self.settings.labels.len()))
            {
                for (&label, &affinity) in self.settings.labels.iter().zip(affinities) {
                    votes[label] += (-(beta as f32) * (1.0 - affinity)).exp();
                }
            }
            for alpha in config.alpha_grid.iter() {
                let correct = (labels.iter())
                    .zip(plain.chunks_exact(classes).zip(votes.chunks_exact(classes)))
                    .filter(|&(&label, (plain, votes))| {
                        for ((logit, plain), votes) in logits.iter_mut().zip(plain).zip(votes) {
                            *logit = plain + votes * alpha as f32;
                        }
                        best(&logits) == label
                    })
                    .count();
                if correct > most {
                    most = correct;
                    (self.settings.beta, self.settings.alpha) = (beta, alpha);
                }
            }
        }
        Ok(())
    }
}

/// `similarity + α · exp(−β (1 − f · Kᵀ)) · V`.
fn cached_logits<B: Backend>(
    features: Tensor<B, 2>,
    text: Tensor<B, 2>,
    keys: Tensor<B, 2>,
    values: Tensor<B, 2>,
    Settings { scale, beta, alpha, .. }: &Settings,
) -> Tensor<B, 2> {
    let distance = similarity(features.clone(), keys, 1.0).neg().add_scalar(1.0);
    let votes = distance.mul_scalar(-beta).exp().matmul(values);
    similarity(features, text, *scale) + votes.mul_scalar(*alpha)
}

impl<B: Backend> Adapter<B> for Tip<B> {
    fn method(&self) -> Method {
        self.settings.recipe.method()
    }

    fn classes(&self) -> usize {
        self.text.dims()[0]
    }

    fn width(&self) -> usize {
        self.text.dims()[1]
    }

    fn logits(&self, features: Tensor<B, 2>) -> Result<Tensor<B, 2>> {
        check_width(&features, self.width())?;
        let (text, keys, values) = (self.text.clone(), self.keys.clone(), self.values.clone());
        Ok(cached_logits(to_f32(features), text, keys, values, &self.settings))
    }

    fn trainable_parameters(&self) -> usize {
        match self.method() {
            Method::TipF => self.keys.dims().iter().product(),
            _ => 0,
        }
    }

    fn state(&self) -> State<B> {
        State::new(&self.settings, [("text", self.text.clone()), ("keys", self.keys.clone())])
    }

    fn with_classes(&self, few_shot: &FewShot<B>) -> Result<Box<dyn Adapter<B>>> {
        let Recipe::Tip(config) = self.settings.recipe else {
            return Err(Error::Usage(
                "tip-f trains the keys of its classes and cannot take others: train it again, or use tip or meta"
                    .into(),
            ));
        };
        let (beta, alpha) = self.beta_alpha();
        let chosen = TipConfig { beta, alpha, ..config };
        Ok(Box::new(Self::start(self.settings.recipe.clone(), &chosen, &few_shot.checked()?)?))
    }
}

/// Tip-Adapter-F under way.
pub(super) struct Training<B: Backend> {
    start: Tip<B>,
    config: TipFConfig,
    val: Option<Labelled<B>>,
    descent: Descent<B>,
}

impl<B: Backend> Training<B> {
    pub(super) fn new(config: TipFConfig, few_shot: &FewShot<B>) -> Result<Self> {
        let start = Tip::start(Recipe::TipF(config), &config.tip, few_shot)?;
        let features = Tensor::<Autodiff<B>, 2>::from_inner(few_shot.features.clone());
        let text = Tensor::from_inner(start.text.clone());
        let values = Tensor::from_inner(start.values.clone());
        let settings = start.settings.clone();
        let loss = move |keys: &[Tensor<Autodiff<B>, 2>]| {
            let logits = cached_logits(features.clone(), text.clone(), keys[0].clone(), values.clone(), &settings);
            cross_entropy(logits, values.clone())
        };
        let descent = Descent::new(config.optimiser, config.steps, vec![start.keys.clone()], Box::new(loss))?;
        Ok(Self { start, config, val: few_shot.val.clone(), descent })
    }

    pub(super) async fn step(&mut self) -> Result<Option<Step>> {
        self.descent.step().await
    }

    pub(super) async fn finish(mut self) -> Result<Tip<B>> {
        self.start.keys = self.descent.parameters()[0].clone();
        // Trained keys know their shots, which therefore cannot judge them.
        if let Some(val) = self.val.filter(|val| !val.labels.is_empty()) {
            self.start.search(&self.config.tip, &val.features, &val.labels, |_, _| true).await?;
        }
        Ok(self.start)
    }
}

pub(super) fn load<B: Backend>(method: Method, mut state: State<B>) -> Result<Box<dyn Adapter<B>>, String> {
    let settings: Settings = state.settings()?;
    if settings.recipe.method() != method {
        return Err(format!("its recipe is of {}", settings.recipe.method()));
    }
    let text = state.take("text")?;
    let [classes, width] = text.dims();
    let keys = state.take_shaped("keys", [settings.labels.len(), width])?;
    state.finish()?;
    check_stored_labels(&settings.labels, keys.dims()[0], classes)?;
    let values = one_hot(&settings.labels, classes, &text.device());
    Ok(Box::new(Tip { text, keys, values, settings }))
}
