//! Zero-shot: the classes' texts are the classifier (Radford and others, "Learning transferable visual models from
//! natural language supervision", 2021, section 3.1). `logits = scale · f · wᵀ`.

use burn::tensor::{Tensor, backend::Backend};
use serde::{Deserialize, Serialize};

use super::{
    Adapter, FewShot, Method, State,
    few_shot::{check_width, to_f32},
};
use crate::Result;

/// The classes' texts as a classifier.
#[derive(Clone, Debug)]
pub struct ZeroShot<B: Backend> {
    /// `[C, D]`.
    text: Tensor<B, 2>,
    scale: f32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    scale: f32,
}

impl<B: Backend> ZeroShot<B> {
    /// From the classes' texts; the shots are not used.
    ///
    /// # Errors
    /// [`crate::Error::Data`] when shapes or labels do not fit.
    pub fn new(few_shot: &FewShot<B>) -> Result<Self> {
        let few_shot = few_shot.checked()?;
        Ok(Self { text: few_shot.text, scale: few_shot.scale })
    }
}

impl<B: Backend> Adapter<B> for ZeroShot<B> {
    fn method(&self) -> Method {
        Method::ZeroShot
    }

    fn classes(&self) -> usize {
        self.text.dims()[0]
    }

    fn width(&self) -> usize {
        self.text.dims()[1]
    }

    fn logits(&self, features: Tensor<B, 2>) -> Result<Tensor<B, 2>> {
        check_width(&features, self.width())?;
        Ok(similarity(to_f32(features), self.text.clone(), self.scale))
    }

    fn trainable_parameters(&self) -> usize {
        0
    }

    fn state(&self) -> State<B> {
        State::new(&Settings { scale: self.scale }, [("text", self.text.clone())])
    }

    fn with_classes(&self, few_shot: &FewShot<B>) -> Result<Box<dyn Adapter<B>>> {
        Ok(Box::new(Self::new(few_shot)?))
    }
}

/// `scale · features · weightsᵀ`: `[n, D]` and `[C, D]` give `[n, C]`.
pub(super) fn similarity<B: Backend>(features: Tensor<B, 2>, weights: Tensor<B, 2>, scale: f32) -> Tensor<B, 2> {
    features.matmul(weights.transpose()).mul_scalar(scale)
}

pub(super) fn load<B: Backend>(mut state: State<B>) -> Result<Box<dyn Adapter<B>>, String> {
    let Settings { scale } = state.settings()?;
    let text = state.take("text")?;
    state.finish()?;
    Ok(Box::new(ZeroShot { text, scale }))
}
