//! What [`super::session`] is given and gives as JavaScript's values.

use js_sys::Reflect;
use serde::{Deserialize, Serialize};
use wasm_bindgen::{JsCast, JsValue};

use super::error::{Result, to_js};
use crate::{
    Error,
    clip::{Precision, Storage},
    session::{Answer, Unsure},
};

/// What a model is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Info {
    pub(super) name: String,
    pub(super) sha256: String,
    pub(super) parameters: usize,
    pub(super) image_size: usize,
    pub(super) embedding: usize,
    pub(super) device: &'static str,
    pub(super) precision: Precision,
    pub(super) weights: Storage,
    pub(super) preprocess: String,
}

/// A class as JavaScript gives it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NamedClass {
    pub(super) name: String,
    pub(super) prompts: Vec<String>,
}

/// An answer as JavaScript gets it.
#[derive(Serialize)]
struct Prediction {
    probabilities: Vec<f32>,
    best: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    unsure: Option<&'static str>,
}

impl From<Answer> for Prediction {
    fn from(Answer { probabilities, best, unsure }: Answer) -> Self {
        let unsure = unsure.map(|why| match why {
            Unsure::Close => "close",
            Unsure::Unlike => "unlike",
        });
        Self { probabilities, best, unsure }
    }
}

/// What an opened adapter is.
#[derive(Serialize)]
pub(super) struct Imported {
    pub(super) method: String,
    pub(super) classes: Vec<String>,
    pub(super) templates: Vec<String>,
}

/// Answers as JavaScript gets them: `{ probabilities, best, unsure? }[]`.
pub(super) fn predictions(answers: Vec<Answer>) -> Result<JsValue> {
    to_js(&answers.into_iter().map(Prediction::from).collect::<Vec<_>>())
}

/// Preprocessed pictures of `side` pixels a side, laid end to end.
pub(super) fn pictures(pixels: Vec<u8>, side: usize) -> std::result::Result<Vec<Vec<u8>>, Error> {
    let bytes = side * side * 3;
    if !pixels.len().is_multiple_of(bytes) {
        let why = format!("{} bytes are no pictures of {side} × {side} × 3: prepare them for this model", pixels.len());
        return Err(Error::Usage(why));
    }
    Ok(pixels.chunks_exact(bytes).map(<[u8]>::to_vec).collect())
}

/// Milliseconds, of a clock that only goes forward where there is one.
pub(super) fn now() -> f64 {
    let performance = Reflect::get(&js_sys::global(), &"performance".into()).unwrap_or(JsValue::UNDEFINED);
    let clock = Reflect::get(&performance, &"now".into()).and_then(JsCast::dyn_into::<js_sys::Function>);
    clock
        .and_then(|clock| clock.call0(&performance))
        .ok()
        .and_then(|now| now.as_f64())
        .unwrap_or_else(js_sys::Date::now)
}
