//! The pictures that training asks for, so that no photo has to be held in memory meanwhile.

use serde::{Deserialize, Serialize};

use crate::{Error, Result, data::crop_flip::CropFlip};

/// How a picture is to be prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PictureView {
    /// As when it is classified.
    Plain,
    /// A random part of it, by the seed, the step and the place in the step's batch.
    Crop {
        /// The seed.
        seed: u64,
        /// The step.
        step: u64,
        /// The place.
        place: u64,
    },
}

impl PictureView {
    /// Prepares a picture of `backbone`'s kind.
    ///
    /// # Errors
    /// A picture that cannot be resized.
    pub fn pixels(self, preprocess: &crate::clip::Preprocess, picture: &image::RgbImage) -> Result<Vec<u8>> {
        match self {
            Self::Plain => preprocess.pixels(picture),
            Self::Crop { seed, step, place } => {
                preprocess.view(picture, CropFlip::TRAINING.view(seed, step, place, picture.dimensions()))
            }
        }
    }
}

/// A picture that is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Which of the session's photos.
    pub example: usize,
    /// How.
    pub view: PictureView,
}

/// The pictures that are `wanted`, or what is wanted where none were brought.
pub(super) type Brought = Result<(Vec<Wanted>, Vec<Vec<u8>>), Vec<Wanted>>;

pub(super) fn brought(wanted: Vec<Wanted>, pictures: Option<Vec<Vec<u8>>>, size: usize) -> Result<Brought> {
    let Some(pictures) = pictures else { return Ok(Err(wanted)) };
    let bytes = size * size * 3;
    if pictures.len() != wanted.len() || pictures.iter().any(|picture| picture.len() != bytes) {
        let (brought, asked) = (pictures.len(), wanted.len());
        return Err(Error::Usage(format!(
            "{brought} pictures were brought: {asked} of {size} × {size} × 3 bytes were asked for"
        )));
    }
    Ok(Ok((wanted, pictures)))
}
