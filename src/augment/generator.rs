//! What makes pictures of pictures.

use std::ops::ControlFlow;

use image::RgbImage;

use crate::Result;

/// A picture that is wanted.
#[derive(Clone, Debug)]
pub struct Request {
    /// What it is made from, of the size wanted.
    pub source: RgbImage,
    /// What it shall show.
    pub prompt: String,
    /// The noise's seed.
    pub seed: u64,
}

/// Makes pictures of pictures. What it makes of a request must not depend on the others of its batch.
pub trait Generator {
    /// A picture for each request, of its source's size, or nothing where `step` broke off. `step` is called after each
    /// denoising step of the whole batch.
    ///
    /// # Errors
    /// The device fails.
    fn generate(
        &mut self,
        requests: &[Request],
        strength: f64,
        step: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Option<Vec<RgbImage>>>;
}
