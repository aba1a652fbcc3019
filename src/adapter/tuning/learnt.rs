//! What any method learnt: changed towers, where it changes them, and what turns their features into logits.

use serde::{Deserialize, Serialize};

use super::Tuning;
use crate::{
    Error, Result,
    adapter::{self, Adapter, Method, Recipe, State},
    clip::{Clip, ClipBackend, config::ClipConfig},
};

/// What the names of the head's tensors begin with.
const HEAD: &str = "head.";

/// What was learnt: numbers for the towers, and what turns their features into logits.
pub struct Learnt<B: ClipBackend> {
    /// How.
    pub method: Method,
    /// What changes the towers, for methods that do.
    pub tuning: Option<Tuning<B>>,
    /// Logits of the (changed) towers' features.
    pub head: Box<dyn Adapter<B>>,
}

/// The settings of methods that change the towers.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    recipe: Recipe,
    head: serde_json::Value,
}

impl<B: ClipBackend> Learnt<B> {
    /// A method on features, which leaves the towers alone.
    pub fn on_features(head: Box<dyn Adapter<B>>) -> Self {
        Self { method: head.method(), tuning: None, head }
    }

    /// How many numbers were trained.
    pub fn trainable_parameters(&self) -> usize {
        self.tuning.as_ref().map_or(0, Tuning::count) + self.head.trainable_parameters()
    }

    /// Everything that [`Learnt::load`] needs to make it again.
    pub fn state(&self) -> State<B> {
        let head = self.head.state();
        let Some(tuning) = &self.tuning else { return head };
        let settings = Settings { recipe: Recipe::Tuning(Box::new(tuning.config.clone())), head: head.config };
        let mut tensors: Vec<_> = tuning.tensors().map(|(name, value)| (name.to_owned(), value.clone())).collect();
        tensors.extend(head.tensors.into_iter().map(|(name, value)| (format!("{HEAD}{name}"), value)));
        State::named(&settings, tensors)
    }

    /// Makes it again for the towers that it was learnt on; `file` names where the state came from, for messages.
    ///
    /// # Errors
    /// [`Error::Adapter`] when a tensor or a setting is missing, unexpected, or does not fit the others or the towers.
    pub fn load(file: &str, method: Method, state: State<B>, clip: &Clip<B>, shape: &ClipConfig) -> Result<Self> {
        let Method::Tuning(parts) = method else {
            return Ok(Self::on_features(adapter::load(file, method, state)?));
        };
        let refuse = |why| Error::Adapter { file: file.into(), why: format!("{method} adapter: {why}") };
        let settings: Settings = state.settings().map_err(refuse)?;
        let Recipe::Tuning(config) = settings.recipe else {
            return Err(refuse(format!("its recipe is of {}", settings.recipe.method())));
        };
        if config.method() != method {
            return Err(refuse(format!("its recipe is of {}", config.method())));
        }
        let (head, tuned): (Vec<_>, Vec<_>) = state.tensors.into_iter().partition(|(name, _)| name.starts_with(HEAD));
        let tuning = Tuning::from_tensors(*config, clip, shape, tuned).map_err(refuse)?;
        let tensors = head.into_iter().map(|(name, value)| (name[HEAD.len()..].to_owned(), value)).collect();
        let of_head = if parts.meta { Method::Meta } else { Method::ZeroShot };
        let head = adapter::load(file, of_head, State { config: settings.head, tensors })?;
        if head.width() != shape.embedding {
            return Err(refuse(format!("its classes have width {}, the towers {}", head.width(), shape.embedding)));
        }
        Ok(Self { method, tuning: Some(tuning), head })
    }
}
