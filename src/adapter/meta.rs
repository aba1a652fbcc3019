//! Meta-Adapter (Song and others, "Meta-Adapter: An online few-shot learner for vision-language model", 2023, section
//! 3.2): each class's text looks at its shots through a small attention and is moved towards them.
//!
//! Per class, with text feature `q` `[D]`, shots `S` `[K, D]` and `V = [q; S]` `[K + 1, D]`:
//! `a = softmax((q Wqᵀ)(V Wkᵀ)ᵀ / √D)`, `g = σ(w · q + b)`, `ŵ = normalize(q + g · a · V)`; logits `scale · f · ŵᵀ`.
//! The `2D² + D + 1` numbers in Wq, Wk, w and b are shared by all classes, so what they learn carries over to new ones.

use burn::{
    backend::Autodiff,
    tensor::{
        Tensor,
        activation::{sigmoid, softmax},
        backend::Backend,
    },
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{
    Adapter, FewShot, Method, Recipe, State,
    few_shot::{check_width, indices, matrix, to_f32},
    state::check_stored_labels,
    zero_shot::similarity,
};
use crate::{
    Error, Result,
    train::{
        Step,
        objective::{cross_entropy, one_hot},
        optimise::{Descent, Optimiser},
    },
};

/// Settings of Meta-Adapter.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetaConfig {
    /// How the attention and the gate are trained.
    pub optimiser: Optimiser,
    /// Full-batch steps.
    pub steps: usize,
    /// Probability with which an entry of the projected queries and keys is dropped in training, in [0, 1).
    pub dropout: f64,
}

impl Default for MetaConfig {
    fn default() -> Self {
        Self { optimiser: Optimiser::default(), steps: 200, dropout: 0.0 }
    }
}

/// What Meta-Adapter learns. As [`Descent`] wants them: all matrices.
#[derive(Clone, Debug)]
pub struct Parameters<B: Backend> {
    /// Wq `[D, D]`, applied as `q · Wqᵀ`.
    pub query: Tensor<B, 2>,
    /// Wk `[D, D]`, applied as `V · Wkᵀ`.
    pub key: Tensor<B, 2>,
    /// w `[1, D]`.
    pub gate_weight: Tensor<B, 2>,
    /// b `[1, 1]`.
    pub gate_bias: Tensor<B, 2>,
}

impl<B: Backend> Parameters<B> {
    /// Wq and Wk Xavier-uniform (Glorot and Bengio 2010, equation 16); w uniform in ±1/√D, as PyTorch starts a linear
    /// layer; b 1, so that the gate begins mostly open.
    pub fn new(width: usize, random: &mut ChaCha8Rng, device: &B::Device) -> Self {
        let mut uniform = |rows: usize, bound: f32| {
            let values = (0..rows * width).map(|_| random.random_range(-bound..=bound)).collect();
            matrix(values, [rows, width], device)
        };
        let xavier = (6.0 / (2 * width) as f32).sqrt();
        Self {
            query: uniform(width, xavier),
            key: uniform(width, xavier),
            gate_weight: uniform(1, 1.0 / (width as f32).sqrt()),
            gate_bias: matrix(vec![1.0], [1, 1], device),
        }
    }

    /// `2D² + D + 1`.
    pub fn count(&self) -> usize {
        [&self.query, &self.key, &self.gate_weight, &self.gate_bias]
            .map(|p| p.dims().iter().product::<usize>())
            .iter()
            .sum()
    }

    fn into_vec(self) -> Vec<Tensor<B, 2>> {
        vec![self.query, self.key, self.gate_weight, self.gate_bias]
    }

    /// The inverse of [`Self::into_vec`].
    fn from_slice(parameters: &[Tensor<B, 2>]) -> Self {
        let [query, key, gate_weight, gate_bias] = [0, 1, 2, 3].map(|i| parameters[i].clone());
        Self { query, key, gate_weight, gate_bias }
    }
}

/// Each class's text and its shots, side by side.
#[derive(Clone, Debug)]
struct Support<B: Backend> {
    /// The texts, `[C, D]`.
    text: Tensor<B, 2>,
    /// `[C, K + 1, D]`: the text, then the shots; zeros where a class has fewer than the `K` of the largest.
    tokens: Tensor<B, 3>,
    /// Added to the attention's scores, `[C, 1, K + 1]`: 0 for tokens, a large negative number for padding.
    mask: Tensor<B, 3>,
}

impl<B: Backend> Support<B> {
    fn new(text: Tensor<B, 2>, features: &Tensor<B, 2>, labels: &[usize]) -> Self {
        let device = text.device();
        let [classes, width] = text.dims();
        let mut shots = vec![Vec::new(); classes];
        for (row, &label) in labels.iter().enumerate() {
            shots[label].push(row);
        }
        let largest = shots.iter().map(Vec::len).max().unwrap_or(0);
        let padded = |row: &[usize], position: usize| position >= row.len();
        let mask = shots
            .iter()
            .flat_map(|row| (0..=largest).map(move |i| if i > 0 && padded(row, i - 1) { -1e9 } else { 0.0 }));
        let mask = matrix(mask.collect(), [classes, largest + 1], &device).unsqueeze_dim(1);
        let text_tokens = text.clone().unsqueeze_dim::<3>(1);
        let tokens = if largest == 0 {
            text_tokens
        } else {
            // Padding selects some row and is then set to zero, so that no class ever holds another's features.
            let rows: Vec<usize> =
                shots.iter().flat_map(|row| (0..largest).map(move |i| row.get(i).copied().unwrap_or(0))).collect();
            let kept = shots.iter().flat_map(|row| (0..largest).map(move |i| if padded(row, i) { 0.0 } else { 1.0 }));
            let kept = matrix::<B>(kept.collect(), [classes * largest, 1], &device);
            let gathered = features.clone().select(0, indices(&rows, &device)) * kept;
            Tensor::cat(vec![text_tokens, gathered.reshape([classes, largest, width])], 1)
        };
        Self { text, tokens, mask }
    }

    fn tracked(&self) -> Support<Autodiff<B>> {
        Support {
            text: Tensor::from_inner(self.text.clone()),
            tokens: Tensor::from_inner(self.tokens.clone()),
            mask: Tensor::from_inner(self.mask.clone()),
        }
    }

    /// The classifier ŵ, `[C, D]`, of unit length.
    fn classifier(&self, parameters: &Parameters<B>, dropout: &mut Dropout) -> Tensor<B, 2> {
        let [classes, tokens, width] = self.tokens.dims();
        let queries = dropout.apply(self.text.clone().matmul(parameters.query.clone().transpose()));
        let flat = self.tokens.clone().reshape([classes * tokens, width]);
        let keys = dropout.apply(flat.matmul(parameters.key.clone().transpose())).reshape([classes, tokens, width]);
        let scores = queries.unsqueeze_dim::<3>(1).matmul(keys.swap_dims(1, 2)).div_scalar((width as f64).sqrt());
        let attention = softmax(scores + self.mask.clone(), 2);
        let seen = attention.matmul(self.tokens.clone()).reshape([classes, width]);
        let gate = sigmoid(
            self.text.clone().matmul(parameters.gate_weight.clone().transpose()) + parameters.gate_bias.clone(),
        );
        normalize(self.text.clone() + gate * seen)
    }
}

/// Rows `[n, D]` divided by their lengths.
fn normalize<B: Backend>(rows: Tensor<B, 2>) -> Tensor<B, 2> {
    let lengths = rows.clone().powi_scalar(2).sum_dim(1).sqrt().clamp_min(1e-12);
    rows / lengths
}

/// Inverted dropout whose masks are drawn on the host, so that they are the same on every device.
struct Dropout {
    probability: f64,
    random: ChaCha8Rng,
}

impl Dropout {
    fn none() -> Self {
        Self { probability: 0.0, random: ChaCha8Rng::seed_from_u64(0) }
    }

    fn apply<B: Backend>(&mut self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        if self.probability == 0.0 {
            return x;
        }
        let shape = x.dims();
        let kept = (1.0 / (1.0 - self.probability)) as f32;
        let mask = (0..shape[0] * shape[1])
            .map(|_| if self.random.random_bool(self.probability) { 0.0 } else { kept })
            .collect();
        let mask = matrix(mask, shape, &x.device());
        x * mask
    }
}

/// A learnt attention and gate, bound to some classes and their shots.
#[derive(Clone, Debug)]
pub struct Meta<B: Backend> {
    parameters: Parameters<B>,
    /// `[C, D]`.
    text: Tensor<B, 2>,
    /// The shots, `[n, D]`.
    support: Tensor<B, 2>,
    /// ŵ `[C, D]`, computed once from the above.
    classifier: Tensor<B, 2>,
    settings: Settings,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    scale: f32,
    labels: Vec<usize>,
    recipe: Recipe,
}

impl<B: Backend> Meta<B> {
    fn bind(parameters: Parameters<B>, text: Tensor<B, 2>, support: Tensor<B, 2>, settings: Settings) -> Self {
        let classifier =
            Support::new(text.clone(), &support, &settings.labels).classifier(&parameters, &mut Dropout::none());
        Self { parameters, text, support, classifier, settings }
    }

    /// The classifier ŵ `[C, D]`, of unit length.
    pub fn classifier(&self) -> Tensor<B, 2> {
        self.classifier.clone()
    }
}

impl<B: Backend> Adapter<B> for Meta<B> {
    fn method(&self) -> Method {
        Method::Meta
    }

    fn classes(&self) -> usize {
        self.text.dims()[0]
    }

    fn width(&self) -> usize {
        self.text.dims()[1]
    }

    fn logits(&self, features: Tensor<B, 2>) -> Result<Tensor<B, 2>> {
        check_width(&features, self.width())?;
        Ok(similarity(to_f32(features), self.classifier.clone(), self.settings.scale))
    }

    fn trainable_parameters(&self) -> usize {
        self.parameters.count()
    }

    fn state(&self) -> State<B> {
        let Parameters { query, key, gate_weight, gate_bias } = self.parameters.clone();
        State::new(
            &self.settings,
            [
                ("text", self.text.clone()),
                ("support", self.support.clone()),
                ("query.weight", query),
                ("key.weight", key),
                ("gate.weight", gate_weight),
                ("gate.bias", gate_bias),
            ],
        )
    }

    fn with_classes(&self, few_shot: &FewShot<B>) -> Result<Box<dyn Adapter<B>>> {
        let few_shot = few_shot.checked()?;
        check_width(&few_shot.text, self.width())?;
        let settings = Settings { scale: few_shot.scale, labels: few_shot.labels, recipe: self.settings.recipe };
        Ok(Box::new(Self::bind(self.parameters.clone(), few_shot.text, few_shot.features, settings)))
    }
}

/// Meta-Adapter under way.
pub struct Training<B: Backend> {
    text: Tensor<B, 2>,
    support: Tensor<B, 2>,
    settings: Settings,
    descent: Descent<B>,
}

impl<B: Backend> Training<B> {
    /// Starts from parameters drawn by `seed`.
    pub(super) fn new(config: MetaConfig, few_shot: &FewShot<B>, seed: u64) -> Result<Self> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let parameters = Parameters::new(few_shot.width(), &mut random, &few_shot.text.device());
        Self::from_parameters(config, few_shot, parameters, random)
    }

    /// Starts from given `parameters` and trains on all shots at once; each shot is in its own class's support, as in
    /// the paper. `random` draws the dropout.
    ///
    /// # Errors
    /// [`Error::Data`] when features, labels or parameters do not fit, [`Error::Usage`] for a hyper-parameter outside
    /// its range.
    pub fn from_parameters(
        config: MetaConfig,
        few_shot: &FewShot<B>,
        parameters: Parameters<B>,
        random: ChaCha8Rng,
    ) -> Result<Self> {
        let few_shot = few_shot.checked()?;
        few_shot.check_shots()?;
        check_width(&parameters.query, few_shot.width())?;
        if !(0.0..1.0).contains(&config.dropout) {
            return Err(Error::Usage(format!(
                "dropout of Meta-Adapter is {}: give a number from 0 to below 1",
                config.dropout
            )));
        }
        let FewShot { text, features, labels, scale, .. } = few_shot;
        let targets = Tensor::from_inner(one_hot(&labels, text.dims()[0], &text.device()));
        let shots = Tensor::from_inner(features.clone());
        let support = Support::new(text.clone(), &features, &labels).tracked();
        let mut dropout = Dropout { probability: config.dropout, random };
        let loss = move |parameters: &[Tensor<Autodiff<B>, 2>]| {
            let classifier = support.classifier(&Parameters::from_slice(parameters), &mut dropout);
            cross_entropy(similarity(shots.clone(), classifier, scale), targets.clone())
        };
        let descent = Descent::new(config.optimiser, config.steps, parameters.into_vec(), Box::new(loss))?;
        Ok(Self {
            text,
            support: features,
            settings: Settings { scale, labels, recipe: Recipe::Meta(config) },
            descent,
        })
    }

    /// Does the next step; nothing when all are done.
    ///
    /// # Errors
    /// [`Error::Failed`] when the loss is not finite or the device fails.
    pub async fn step(&mut self) -> Result<Option<Step>> {
        self.descent.step().await
    }

    /// The loss as it stands, and its gradients in the shapes of [`Parameters`].
    pub fn gradients(&mut self) -> (Tensor<B, 1>, Parameters<B>) {
        let (loss, gradients) = self.descent.gradients();
        (loss, Parameters::from_slice(&gradients))
    }

    /// The adapter as learnt so far.
    pub fn finish(self) -> Meta<B> {
        Meta::bind(Parameters::from_slice(self.descent.parameters()), self.text, self.support, self.settings)
    }
}

pub(super) fn load<B: Backend>(mut state: State<B>) -> Result<Box<dyn Adapter<B>>, String> {
    let settings: Settings = state.settings()?;
    if settings.recipe.method() != Method::Meta {
        return Err(format!("its recipe is of {}", settings.recipe.method()));
    }
    let text = state.take("text")?;
    let [classes, width] = text.dims();
    let support = state.take_shaped("support", [settings.labels.len(), width])?;
    let parameters = Parameters {
        query: state.take_shaped("query.weight", [width, width])?,
        key: state.take_shaped("key.weight", [width, width])?,
        gate_weight: state.take_shaped("gate.weight", [1, width])?,
        gate_bias: state.take_shaped("gate.bias", [1, 1])?,
    };
    state.finish()?;
    check_stored_labels(&settings.labels, support.dims()[0], classes)?;
    Ok(Box::new(Meta::bind(parameters, text, support, settings)))
}
