//! What makes pictures of pictures: Stable Diffusion, or in a test something quicker.

use image::RgbImage;

use super::plan::Plan;
use crate::{
    Result,
    diffusion::{self, DiffusionBackend, Noise, Pipeline, Settings, schedule::StrengthConvention},
};

/// A picture that is wanted.
#[derive(Clone, Debug)]
pub struct Request {
    /// What it is made from.
    pub source: RgbImage,
    /// What it shall show.
    pub prompt: String,
    /// The noise's seed.
    pub seed: u64,
}

/// Makes pictures of pictures. What it makes of a request does not depend on the others of its batch.
pub trait Generator {
    /// A picture for each request, as the plan wants it. `step` is called after each denoising step of the whole batch; its error ends
    /// the work.
    ///
    /// # Errors
    /// That of `step`; the settings do not go together; the device fails.
    fn generate(
        &mut self,
        requests: &[Request],
        plan: &Plan,
        strength: f64,
        step: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Vec<RgbImage>>;
}

impl<B: DiffusionBackend> Generator for Pipeline<B> {
    fn generate(
        &mut self,
        requests: &[Request],
        plan: &Plan,
        strength: f64,
        step: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Vec<RgbImage>> {
        let requests: Vec<_> = requests
            .iter()
            .map(|Request { source, prompt, seed }| diffusion::Request {
                picture: source,
                prompt,
                negative_prompt: &plan.negative,
                noise: Noise::Seed(*seed),
            })
            .collect();
        let convention =
            if plan.original_strength { StrengthConvention::Original } else { StrengthConvention::Diffusers };
        let settings = Settings {
            scheduler: Some(plan.scheduler),
            steps: plan.steps,
            strength,
            convention,
            guidance: plan.guidance,
            size: Some([plan.size; 2]),
            // A larger one takes more memory than most GPUs have.
            tiled: plan.size > 1024,
        };
        self.image_to_image(&requests, &settings, &mut |_, _| step())
    }
}
