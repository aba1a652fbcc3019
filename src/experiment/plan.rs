//! A resolved plan: everything that decides a run, written into its folder as `plan.toml`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    adapter::Recipe,
    data::{Shots, templates},
    platform::native,
};

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// A known name, a split JSON, a CSV, or a folder.
    pub dataset: String,
    /// Where the data set lies.
    pub root_path: Option<PathBuf>,
    /// Images of each class to learn from; with `fewshot` the list decides.
    pub shots: Shots,
    /// An exact list of the images to learn from.
    pub fewshot: Option<PathBuf>,
    /// Decides everything random.
    pub seed: u64,
    /// A model's name, folder or file.
    pub model: String,
    /// The device, by its name.
    pub device: String,
    /// Text templates; empty: the data set's own.
    pub templates: Vec<String>,
    /// What similarities are multiplied by.
    pub logit_scale: LogitScale,
    /// Train on the first half of the classes, then also apply unchanged to the second.
    pub base_to_novel: bool,
    /// An adapter whose values training through the towers starts from.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub start: Option<PathBuf>,
    /// Passes over the images to learn from, in place of the steps of training through the towers: how many steps they are
    /// shows when the data set is open ([`super::execute::Executor::resolve`]), and is what stands in a run's folder.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub epochs: Option<usize>,
    /// Where generated images lie, if not in the data set's image folder.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub generated: Option<PathBuf>,
    /// The method with its hyper-parameters.
    pub recipe: Recipe,
}

/// What similarities are multiplied by.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogitScale {
    /// The checkpoint's own.
    Model,
    /// A number; 100 in the few-shot literature.
    #[serde(untagged)]
    Fixed(f32),
}

/// The templates that a name or a path means: a named set ([`templates::named`]), or those in a file.
///
/// # Errors
/// The file cannot be read; as [`templates::from_text`].
pub fn templates(given: &str) -> Result<Vec<String>> {
    templates::named(given).map_or_else(|| templates::from_text(&native::read(given.as_ref())?, given), Ok)
}

impl std::str::FromStr for LogitScale {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match (text, text.parse::<f32>()) {
            ("model", _) => Ok(Self::Model),
            (_, Ok(scale)) if scale.is_finite() && scale > 0.0 => Ok(Self::Fixed(scale)),
            _ => Err(Error::Usage(format!("logit scale '{text}' is neither 'model' nor a number above 0"))),
        }
    }
}

impl Plan {
    /// The text of `plan.toml`.
    ///
    /// # Errors
    /// Something in the plan has no form in TOML (a path that is not Unicode).
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|error| Error::Failed(format!("the plan cannot be written as TOML: {error}")))
    }
}
