//! Few-shot methods on features, one a file, behind one trait.
//!
//! A method takes unit-length features of a few labelled images and of the classes' texts ([`FewShot`]) and gives an
//! [`Adapter`]: something that turns the features of any image into logits. [`Fit`] does the learning, one step a call.
//!
//! | method | what is learnt | source |
//! |---|---|---|
//! | [`zero_shot`] | nothing | Radford and others 2021 |
//! | [`tip`] | nothing, or the cache's keys | Zhang and others, "Tip-Adapter", 2022 |
//! | [`meta`] | two projections and a gate shared by all classes | Song and others, "Meta-Adapter", 2023 |
//! | [`linear_probe`] | a logistic regression | Radford and others 2021 |
//!
//! Others train through the towers ([`tuning`]), alone or together, and give changed towers beside an [`Adapter`]:
//!
//! | method | what is learnt | source |
//! |---|---|---|
//! | [`lora`] | low-rank branches of the attention's projections | Hu and others 2021; Zanella and Ben Ayed 2024 |
//! | [`bitfit`] | the biases | Ben Zaken and others 2022 |

mod few_shot;
mod fit;
mod method;
mod state;

pub mod bitfit;
pub mod linear_probe;
pub mod lora;
pub mod meta;
pub mod tip;
pub mod tuning;
pub mod zero_shot;

use std::ops::Range;

use burn::tensor::{Tensor, backend::Backend};

pub use few_shot::{FewShot, Labelled};
pub use fit::{Fit, Recipe, fit};
pub use method::{Method, Parts};
pub use state::State;
pub use tuning::{Learnt, Tuning};

use crate::{Error, Result, train::metrics::Scores};

/// A fitted method: image features in, logits out.
pub trait Adapter<B: Backend>: Send {
    /// Which method this is.
    fn method(&self) -> Method;

    /// The number of classes `C`.
    fn classes(&self) -> usize;

    /// The width `D` of the features that it takes.
    fn width(&self) -> usize;

    /// Logits `[n, C]` of unit-length image features `[n, D]`, in `f32`.
    ///
    /// # Errors
    /// [`Error::Data`] for features of another width.
    fn logits(&self, features: Tensor<B, 2>) -> Result<Tensor<B, 2>>;

    /// How many numbers were trained.
    fn trainable_parameters(&self) -> usize;

    /// Everything that [`load`] needs to make it again.
    fn state(&self) -> State<B>;

    /// What was learnt, applied to other classes without training: `few_shot` brings their texts and shots (its
    /// validation set is not used).
    ///
    /// # Errors
    /// [`Error::Usage`] for the methods that learn something about each class (Tip-Adapter-F, linear probe);
    /// [`Error::Data`] for features that do not fit.
    fn with_classes(&self, few_shot: &FewShot<B>) -> Result<Box<dyn Adapter<B>>> {
        let _ = few_shot;
        Err(Error::Usage(format!(
            "{} learns its classes and cannot take others: train it again, or use zero-shot, tip or meta",
            self.method()
        )))
    }
}

/// Makes an adapter from its state; `file` names where the state came from, for messages. The tensors' device is the
/// adapter's.
///
/// # Errors
/// [`Error::Adapter`] when a tensor or a setting is missing, unexpected, or does not fit the others.
pub fn load<B: Backend>(file: &str, method: Method, state: State<B>) -> Result<Box<dyn Adapter<B>>> {
    let refuse = |why| Error::Adapter { file: file.into(), why: format!("{method} adapter: {why}") };
    match method {
        Method::ZeroShot => zero_shot::load(state),
        Method::Tip | Method::TipF => tip::load(method, state),
        Method::Meta => meta::load(state),
        Method::LinearProbe => linear_probe::load(state),
        Method::Tuning(_) => Err("it changes the towers, which features alone do not show".into()),
    }
    .map_err(refuse)
}

/// Logits of many images `[n, D]`, read back in portions so that memory stays bounded.
///
/// # Errors
/// [`Error::Data`] for features of another width, [`Error::Failed`] when the device fails or a logit is not finite.
pub async fn scores<B: Backend>(adapter: &dyn Adapter<B>, features: Tensor<B, 2>) -> Result<Scores> {
    const PORTION: usize = 1024;
    let n = features.dims()[0];
    let mut values = Vec::with_capacity(n * adapter.classes());
    for start in (0..n).step_by(PORTION) {
        let rows: Range<usize> = start..(start + PORTION).min(n);
        values.extend(crate::train::read(adapter.logits(features.clone().slice([rows]))?).await?);
    }
    Scores::new(values, adapter.classes())
}
