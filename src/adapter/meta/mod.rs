//! Meta-Adapter (Song and others, "Meta-Adapter: An online few-shot learner for vision-language model", 2023, section
//! 3.2): each class's text looks at its shots through a small attention and is moved towards them.
//!
//! Per class, with text feature `q` `[D]`, shots `S` `[K, D]` and `V = [q; S]` `[K + 1, D]`:
//! `a = softmax((q Wqᵀ)(V Wkᵀ)ᵀ / √D)`, `g = σ(w · q + b)`, `ŵ = normalize(q + g · a · V)`; logits `scale · f · ŵᵀ`.
//! The `2D² + D + 1` numbers in Wq, Wk, w and b are shared by all classes, so what they learn carries over to new ones.

mod attention;

use burn::{
    backend::Autodiff,
    tensor::{Tensor, backend::Backend},
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
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
        objective::{cross_entropy, one_hot},
        optimise::{Descent, Optimiser},
    },
};

pub use attention::{Dropout, Parameters, Support, normalize};

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
        let classes = text.dims()[0];
        let classifier =
            Support::new(&support, &settings.labels, classes).classifier(&text, &parameters, &mut Dropout::none());
        Self { parameters, text, support, classifier, settings }
    }

    /// What training through the towers learnt, with texts and shots as they stand after it.
    pub(super) fn learnt(
        parameters: Parameters<B>,
        text: Tensor<B, 2>,
        shots: &Labelled<B>,
        scale: f32,
        dropout: f64,
    ) -> Self {
        let recipe = Recipe::Meta(MetaConfig { dropout, ..MetaConfig::default() });
        Self::bind(parameters, text, shots.features.clone(), Settings { scale, labels: shots.labels.clone(), recipe })
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
        let settings =
            Settings { scale: few_shot.scale, labels: few_shot.labels, recipe: self.settings.recipe.clone() };
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
        let support = Support::new(&features, &labels, text.dims()[0]).tracked();
        let queries = Tensor::from_inner(text.clone());
        let mut dropout = Dropout::new(config.dropout, random);
        let loss = move |parameters: &[Tensor<Autodiff<B>, 2>]| {
            let classifier = support.classifier(&queries, &Parameters::from_slice(parameters), &mut dropout);
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
