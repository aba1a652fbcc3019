//! New pictures from given ones (Meng et al., 2022), as diffusers' `StableDiffusionImg2ImgPipeline` defines it, without its safety
//! checker.

use burn::tensor::Tensor;
use image::RgbImage;

use super::{
    kernels::DiffusionBackend,
    noise::{Noise, NoiseSource},
    pipeline::Pipeline,
    pixels,
    schedule::{Schedule, SchedulerKind, StrengthConvention},
};
use crate::{Error, Result};

/// A picture to be made.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What it is made from.
    pub picture: &'a RgbImage,
    /// What it should show.
    pub prompt: &'a str,
    /// What it should not show. Only with guidance.
    pub negative_prompt: &'a str,
    /// Its noise.
    pub noise: Noise<'a>,
}

/// How pictures are made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// The scheduler; without one the pipeline's own.
    pub scheduler: Option<SchedulerKind>,
    /// Steps of the whole schedule, of which the strength's part is made.
    pub steps: usize,
    /// How much of the schedule is gone through: 0 leaves a picture as it is, 1 leaves nothing of it.
    pub strength: f64,
    /// How the strength becomes a number of steps.
    pub convention: StrengthConvention,
    /// Classifier-free guidance (Ho and Salimans, 2022): how far the prediction goes from the negative prompt's to the prompt's, and
    /// beyond. Up to 1 there is none, and half the work.
    pub guidance: f64,
    /// Width and height in pixels that pictures are resized to. Without it they keep theirs, rounded down to what the autoencoder can
    /// take.
    pub size: Option<[u32; 2]>,
    /// Whether large pictures go through the autoencoder in parts.
    pub tiled: bool,
}

impl Default for Settings {
    /// 50 steps of the pipeline's scheduler, of which 15 are made, with a guidance of 5.
    fn default() -> Self {
        Self {
            scheduler: None,
            steps: 50,
            strength: 0.3,
            convention: StrengthConvention::default(),
            guidance: 5.0,
            size: None,
            tiled: false,
        }
    }
}

/// Called after each step with its number, from 1, and how many there are; an error ends the work and is its result.
pub type Observe<'a> = dyn FnMut(usize, usize) -> Result<()> + 'a;

impl<B: DiffusionBackend> Pipeline<B> {
    /// Makes pictures, all of one size, in one batch. Each is the same whatever else is in its batch.
    ///
    /// # Errors
    /// Settings or pictures that do not go together, what `observe` returned, or numbers that are not finite.
    pub fn image_to_image(
        &self,
        requests: &[Request<'_>],
        settings: &Settings,
        observe: &mut Observe<'_>,
    ) -> Result<Vec<RgbImage>> {
        let latents = self.latents(requests, settings, observe)?;
        let one = |index| pixels::picture(self.decode(latents.clone().narrow(0, index, 1), settings.tiled));
        (0..requests.len()).map(one).collect()
    }

    /// The pictures' latents after the last step, in the UNet's scale, `[pictures, height, width, channels]`.
    ///
    /// # Errors
    /// As [`image_to_image`](Self::image_to_image).
    pub fn latents(
        &self,
        requests: &[Request<'_>],
        settings: &Settings,
        observe: &mut Observe<'_>,
    ) -> Result<Tensor<B, 4>> {
        let kind = settings.scheduler.map_or_else(|| self.scheduler.kind(), Ok)?;
        let schedule = Schedule::new(&self.scheduler, kind, settings.steps)?;
        let start = schedule.image_to_image(settings.strength, settings.convention)?;
        let mut sampler = schedule.begin(start);
        let size = self.size(requests, settings)?;
        let mut sources: Vec<NoiseSource<'_>> = requests.iter().map(|request| request.noise.into()).collect();

        let mut clean = Vec::new();
        for (request, source) in requests.iter().zip(&mut sources) {
            let pixels = pixels::pixels(request.picture, size, &self.device);
            clean.push(self.autoencoder.encode(pixels, settings.tiled, source)?);
        }
        let clean = Tensor::cat(clean, 0);
        let [_, height, width, channels] = clean.dims();
        let mut noise = || -> Result<Tensor<B, 4>> {
            let next = |source: &mut NoiseSource<'_>| source.next([1, height, width, channels], &self.device);
            Ok(Tensor::cat(sources.iter_mut().map(next).collect::<Result<_>>()?, 0))
        };
        let mut x = sampler.add_noise(clean, noise()?);

        // A model that was distilled to follow the guidance is told it instead.
        let guided = settings.guidance > 1.0 && self.unet_config.time.guidance.is_none();
        let negative = requests.iter().filter(|_| guided).map(|request| request.negative_prompt);
        let prompts: Vec<&str> = negative.chain(requests.iter().map(|request| request.prompt)).collect();
        let text = self.unet.read(self.text_states(&prompts));
        let steps = sampler.remaining();
        for step in 1..=steps {
            let Some(timestep) = sampler.timestep() else { break };
            let input = sampler.scale_input(x.clone());
            let input = if guided { input.repeat_dim(0, 2) } else { input };
            let mut output = self.unet.forward(input, timestep, settings.guidance, &text);
            if guided {
                let [without, with] =
                    [0, 1].map(|half| output.clone().narrow(0, half * requests.len(), requests.len()));
                output = without.clone() + (with - without).mul_scalar(settings.guidance);
            }
            let fresh = if sampler.needs_noise() { Some(noise()?) } else { None };
            x = sampler.step(output, x, fresh);
            // What was only asked for is not done yet: neither progress nor memory would be true.
            B::sync(&self.device).map_err(|why| Error::Failed(format!("the device failed at step {step}: {why:?}")))?;
            observe(step, steps)?;
        }
        Ok(x)
    }

    /// Latents of one picture in the UNet's scale, `[1, height, width, channels]` → pixels from −1 to 1 (and a little beyond),
    /// `[1, height · multiple, width · multiple, 3]`.
    pub fn decode(&self, latents: Tensor<B, 4>, tiled: bool) -> Tensor<B, 4> {
        self.autoencoder.decode(latents, tiled)
    }

    /// Width and height that all of the pictures get.
    fn size(&self, requests: &[Request<'_>], settings: &Settings) -> Result<[u32; 2]> {
        let multiple = self.side_multiple() as u32;
        let [width, height] = match settings.size {
            Some(size) => {
                if size.iter().any(|side| *side == 0 || !side.is_multiple_of(multiple)) {
                    let [width, height] = size;
                    let why = format!("a size of {width} × {height} is not possible: multiples of {multiple} are");
                    return Err(Error::Usage(why));
                }
                size
            }
            None => {
                let sizes = requests.iter().map(|request| <[u32; 2]>::from(request.picture.dimensions()));
                let mut sizes = sizes.map(|size| size.map(|side| side - side % multiple));
                let first = sizes.next().ok_or_else(|| Error::Usage("no picture was given".into()))?;
                if sizes.any(|size| size != first) {
                    let why = "pictures of one batch must have one size: give a size that they are resized to";
                    return Err(Error::Usage(why.into()));
                }
                first
            }
        };
        if requests.is_empty() || width == 0 || height == 0 {
            let why = format!(
                "a picture must have at least {multiple} × {multiple} pixels: give a size that it is resized to"
            );
            return Err(Error::Usage(why));
        }
        if requests.iter().any(|request| request.picture.width() == 0 || request.picture.height() == 0) {
            return Err(Error::Usage("a picture has no pixels".into()));
        }
        Ok([width, height])
    }
}
