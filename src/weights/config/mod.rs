//! A model's shape from `config.json` (Hugging Face), `open_clip_config.json`, or the tensors themselves.

mod hugging_face;
mod open_clip;
mod tensors;

use serde::de::DeserializeOwned;

use super::{Checkpoint, ModelFiles, names::Layout};
use crate::{Error, Result, clip::ClipConfig};

pub use hugging_face::{hugging_face, hugging_face_text};
pub use open_clip::open_clip;
pub use tensors::inferred;

/// The config that belongs to the weights' layout; OpenAI's names tell their own shape where there is none.
///
/// # Errors
/// No config beside Hugging Face weights, or one that is wrong.
pub fn find(files: &dyn ModelFiles, checkpoint: &Checkpoint) -> Result<ClipConfig> {
    let file = |name: &str| format!("{}/{name}", files.label());
    match checkpoint.layout {
        Layout::HuggingFace => match files.open("config.json")? {
            Some(bytes) => hugging_face(&file("config.json"), bytes.bytes()),
            None => {
                let why = "it is missing; Hugging Face weights need the config.json that stands beside them on the hub";
                Err(wrong(&file("config.json"), why.into()))
            }
        },
        Layout::OpenAi => match files.open("open_clip_config.json")? {
            Some(bytes) => open_clip(&file("open_clip_config.json"), bytes.bytes()),
            None => inferred(checkpoint),
        },
        Layout::HuggingFaceText | Layout::Diffusers | Layout::OldDiffusers => Err(wrong(
            checkpoint.label(),
            "a diffusion pipeline's component, not a CLIP; give the folder of a CLIP".into(),
        )),
    }
}

fn parse<T: DeserializeOwned>(file: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| wrong(file, format!("not a model's config: {error}")))
}

fn wrong(file: &str, why: String) -> Error {
    Error::Config { file: file.into(), why }
}
