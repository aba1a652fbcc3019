//! Linear probe: multinomial logistic regression on the features (Radford and others 2021, section 3.2 and appendix A.3),
//! in the form that scikit-learn's `LogisticRegression` minimises: `C Σ −log p(yᵢ|xᵢ) + ½ ‖W‖²`, the intercept free.
//!
//! It runs on the host in `f64`: a few hundred shots are small, and `f32` would stop short of the minimum.

use burn::tensor::{Tensor, backend::Backend};
use serde::{Deserialize, Serialize};

use super::{
    Adapter, FewShot, Method, Recipe, State,
    few_shot::{check_width, matrix, to_f32},
};
use crate::{
    Error, Result,
    train::{
        Step,
        lbfgs::{Minimum, minimise},
        read,
    },
};

/// The intercept of a class without shots: no finite one is the minimum (the loss falls for ever as it falls), and this
/// one is never predicted.
const NEVER: f32 = -1e4;

/// Settings of the linear probe.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinearProbeConfig {
    /// Inverse strength of the penalty: `C` above.
    pub c: f64,
    /// Whether to choose `C` on the validation images, where there are any, by CLIP's sweep: powers of ten from 1e-6 to
    /// 1e6 two apart, then four halvings of the distance around the best; of equals, the first tried. Large `C` take
    /// many iterations.
    pub search: bool,
    /// The fit ends when no entry of the gradient of the mean loss exceeds this.
    pub tolerance: f64,
    /// Or after this many iterations of L-BFGS.
    pub iterations: usize,
}

impl Default for LinearProbeConfig {
    fn default() -> Self {
        Self { c: 10.0, search: false, tolerance: 1e-8, iterations: 1000 }
    }
}

/// A logistic regression.
#[derive(Clone, Debug)]
pub struct LinearProbe<B: Backend> {
    /// W `[C, D]`.
    weight: Tensor<B, 2>,
    /// `[1, C]`.
    intercept: Tensor<B, 2>,
    settings: Settings,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The `C` used, after any search.
    c: f64,
    /// Iterations of the last fit, and the greatest entry of its gradient.
    iterations: usize,
    gradient: f64,
    recipe: Recipe,
}

impl<B: Backend> Adapter<B> for LinearProbe<B> {
    fn method(&self) -> Method {
        Method::LinearProbe
    }

    fn classes(&self) -> usize {
        self.weight.dims()[0]
    }

    fn width(&self) -> usize {
        self.weight.dims()[1]
    }

    fn logits(&self, features: Tensor<B, 2>) -> Result<Tensor<B, 2>> {
        check_width(&features, self.width())?;
        Ok(to_f32(features).matmul(self.weight.clone().transpose()) + self.intercept.clone())
    }

    fn trainable_parameters(&self) -> usize {
        self.classes() * (self.width() + 1)
    }

    fn state(&self) -> State<B> {
        State::new(&self.settings, [("weight", self.weight.clone()), ("intercept", self.intercept.clone())])
    }
}

pub(super) fn load<B: Backend>(mut state: State<B>) -> Result<Box<dyn Adapter<B>>, String> {
    let settings: Settings = state.settings()?;
    if settings.recipe.method() != Method::LinearProbe {
        return Err(format!("its recipe is of {}", settings.recipe.method()));
    }
    let weight = state.take("weight")?;
    let intercept = state.take_shaped("intercept", [1, weight.dims()[0]])?;
    state.finish()?;
    Ok(Box::new(LinearProbe { weight, intercept, settings }))
}

/// Features on the host: rows of `width`, with a class for each.
struct Rows {
    features: Vec<f64>,
    labels: Vec<usize>,
    width: usize,
}

impl Rows {
    async fn read<B: Backend>(features: &Tensor<B, 2>, labels: Vec<usize>) -> Result<Self> {
        let width = features.dims()[1];
        let features = read(features.clone()).await?.into_iter().map(f64::from).collect();
        Ok(Self { features, labels, width })
    }

    fn iter(&self) -> impl Iterator<Item = (&[f64], usize)> {
        self.features.chunks_exact(self.width).zip(self.labels.iter().copied())
    }
}

/// Logits of one row. `weights` are `[D + 1, C]`, the intercepts last: with the classes innermost, a row is a sum of
/// scaled rows.
fn logits_of(row: &[f64], weights: &[f64], logits: &mut [f64]) {
    let classes = logits.len();
    let (weights, intercepts) = weights.split_at(row.len() * classes);
    logits.copy_from_slice(intercepts);
    for (x, weights) in row.iter().zip(weights.chunks_exact(classes)) {
        logits.iter_mut().zip(weights).for_each(|(logit, weight)| *logit += x * weight);
    }
}

/// The objective over `C · n`, which is the mean loss with the penalty scaled alike, and its gradient.
fn objective(rows: &Rows, classes: usize, c: f64, weights: &[f64], gradient: &mut [f64]) -> f64 {
    let n = rows.labels.len() as f64;
    let penalised = rows.width * classes;
    let strength = 1.0 / (c * n);
    gradient.fill(0.0);
    let mut value = 0.0;
    let mut logits = vec![0.0; classes];
    for (row, label) in rows.iter() {
        logits_of(row, weights, &mut logits);
        let peak = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let own = logits[label] - peak;
        for logit in &mut logits {
            *logit = (*logit - peak).exp();
        }
        let total: f64 = logits.iter().sum();
        value += (total.ln() - own) / n;
        // From here on: the derivative by the logits, (probability − one-hot) / n.
        for logit in &mut logits {
            *logit /= total * n;
        }
        logits[label] -= 1.0 / n;
        for (x, gradient) in row.iter().chain(&[1.0]).zip(gradient.chunks_exact_mut(classes)) {
            gradient.iter_mut().zip(&logits).for_each(|(gradient, slope)| *gradient += x * slope);
        }
    }
    for (gradient, weight) in gradient[..penalised].iter_mut().zip(weights) {
        *gradient += strength * weight;
        value += 0.5 * strength * weight * weight;
    }
    value
}

/// The linear probe under way. A step is one whole fit: one without a search, one for each `C` tried with it.
pub(super) struct Training {
    config: LinearProbeConfig,
    /// Labels count only the classes that have shots; `present` has their numbers among all.
    shots: Rows,
    present: Vec<usize>,
    classes: usize,
    val: Option<Rows>,
    /// Logarithms of the `C` still to be tried, last first; the distance between them, and how often it will be halved.
    waiting: Vec<f64>,
    distance: f64,
    halvings: usize,
    done: usize,
    best: Option<Fitted>,
}

struct Fitted {
    log_c: f64,
    correct: usize,
    minimum: Minimum,
}

/// The sweep: 7 values, then two neighbours of the best at each of four halvings.
const COARSE: [f64; 7] = [6.0, 4.0, 2.0, 0.0, -2.0, -4.0, -6.0];
const HALVINGS: usize = 4;

impl Training {
    pub(super) async fn new<B: Backend>(config: LinearProbeConfig, few_shot: &FewShot<B>) -> Result<Self> {
        few_shot.check_shots()?;
        if !(config.c.is_finite() && config.c > 0.0) {
            return Err(Error::Usage(format!("C of the linear probe is {}: give a positive number", config.c)));
        }
        let classes = few_shot.classes();
        let mut counts = vec![0usize; classes];
        few_shot.labels.iter().for_each(|&label| counts[label] += 1);
        let present: Vec<usize> = (0..classes).filter(|&class| counts[class] > 0).collect();
        let labels = few_shot.labels.iter().map(|label| present.partition_point(|class| class < label)).collect();
        let shots = Rows::read(&few_shot.features, labels).await?;
        let val = match few_shot.val.as_ref().filter(|val| config.search && !val.labels.is_empty()) {
            Some(val) => Some(Rows::read(&val.features, val.labels.clone()).await?),
            None => None,
        };
        let (waiting, halvings) = if val.is_some() { (COARSE.to_vec(), HALVINGS) } else { (vec![config.c.log10()], 0) };
        Ok(Self { config, shots, present, classes, val, waiting, distance: 2.0, halvings, done: 0, best: None })
    }

    pub(super) fn step(&mut self) -> Option<Step> {
        let log_c = self.waiting.pop()?;
        let c = if self.val.is_some() { 10f64.powf(log_c) } else { self.config.c };
        let classes = self.present.len();
        let start = vec![0.0; (self.shots.width + 1) * classes];
        let minimum = minimise(
            |weights, gradient| objective(&self.shots, classes, c, weights, gradient),
            start,
            self.config.tolerance,
            self.config.iterations,
        );
        self.done += 1;
        let loss = minimum.value as f32;
        let correct = self.val.as_ref().map_or(0, |val| self.correct(&minimum.x, val));
        if self.best.as_ref().is_none_or(|best| correct > best.correct) {
            self.best = Some(Fitted { log_c, correct, minimum });
        }
        if self.waiting.is_empty() && self.halvings > 0 {
            self.halvings -= 1;
            self.distance /= 2.0;
            let centre = self.best.as_ref().map_or(log_c, |best| best.log_c);
            self.waiting = vec![centre + self.distance, centre - self.distance];
            self.waiting.retain(|log_c| (COARSE[6]..=COARSE[0]).contains(log_c));
        }
        let steps = self.done + self.waiting.len() + 2 * self.halvings;
        Some(Step { step: self.done, steps, loss, learning_rate: None })
    }

    fn correct(&self, weights: &[f64], val: &Rows) -> usize {
        let mut logits = vec![0.0; self.present.len()];
        val.iter()
            .filter(|&(row, label)| {
                logits_of(row, weights, &mut logits);
                let best = (1..logits.len()).fold(0, |best, i| if logits[i] > logits[best] { i } else { best });
                self.present[best] == label
            })
            .count()
    }

    /// The best fit; before the first step, one that knows nothing.
    pub(super) fn finish<B: Backend>(self, device: &B::Device) -> LinearProbe<B> {
        let (width, present) = (self.shots.width, self.present.len());
        let (log_c, minimum) = self.best.map_or_else(
            || {
                let x = vec![0.0; (width + 1) * present];
                (self.config.c.log10(), Minimum { x, value: f64::NAN, gradient: f64::MAX, iterations: 0 })
            },
            |best| (best.log_c, best.minimum),
        );
        let mut weight = vec![0f32; self.classes * width];
        let mut intercept = vec![NEVER; self.classes];
        for (column, &class) in self.present.iter().enumerate() {
            for d in 0..width {
                weight[class * width + d] = minimum.x[d * present + column] as f32;
            }
            intercept[class] = minimum.x[width * present + column] as f32;
        }
        LinearProbe {
            weight: matrix(weight, [self.classes, width], device),
            intercept: matrix(intercept, [1, self.classes], device),
            settings: Settings {
                c: if self.val.is_some() { 10f64.powf(log_c) } else { self.config.c },
                iterations: minimum.iterations,
                gradient: minimum.gradient,
                recipe: Recipe::LinearProbe(self.config),
            },
        }
    }
}
