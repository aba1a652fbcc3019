//! Errors as JavaScript's: one line for people, and a `kind` for the program.

use js_sys::{Error as JsError, Reflect};
use serde::{Serialize, de::DeserializeOwned};
use wasm_bindgen::JsValue;

use crate::Error;

/// The result of what JavaScript calls.
pub type Result<T> = std::result::Result<T, JsValue>;

impl From<Error> for JsValue {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Image { .. } => "image",
            Error::Weights { .. } | Error::Tensors { .. } | Error::Config { .. } => "model",
            Error::Adapter { .. } => "adapter",
            Error::Data { .. } => "data",
            Error::Usage(_) => "usage",
            Error::Io { .. } | Error::Interrupted(_) | Error::Failed(_) => "failed",
        };
        let value = JsError::new(&error.to_string());
        // A new object takes any property.
        let _ = Reflect::set(&value, &"kind".into(), &kind.into());
        value.into()
    }
}

/// A structure as a plain object: numbers are numbers, lists are arrays.
///
/// # Errors
/// It cannot be one, as a map whose keys are no texts.
pub fn to_js(value: &impl Serialize) -> Result<JsValue> {
    let serializer = serde_wasm_bindgen::Serializer::json_compatible();
    value.serialize(&serializer).map_err(|why| Error::Failed(why.to_string()).into())
}

/// A plain object as a structure; `what` names it in messages.
///
/// # Errors
/// [`Error::Usage`] for another structure.
pub fn from_js<T: DeserializeOwned>(what: &str, value: JsValue) -> Result<T> {
    serde_wasm_bindgen::from_value(value).map_err(|why| Error::Usage(format!("{what}: {why}")).into())
}
