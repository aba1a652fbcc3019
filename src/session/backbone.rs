//! A CLIP ready for use: towers, tokenizer, preprocessing and the identity of its weights.

use burn::tensor::{Tensor, TensorData};

use crate::{
    Error, Result,
    adapter::{Learnt, Tuning},
    clip::{Clip, ClipBackend, ClipConfig, Format, Preprocess, Tokenizer, model::unit, preprocess::CropOffset},
    weights::{AdapterFile, Checkpoint, ModelFiles, config, names::Layout, tokenizer},
};

/// Texts that go through the text tower together.
const TEXT_BATCH: usize = 64;

/// A loaded model.
#[derive(Clone)]
pub struct Backbone<B: ClipBackend> {
    /// What the user calls it.
    pub name: String,
    /// SHA-256 of the weights (see [`Checkpoint::sha256`]).
    pub sha256: String,
    /// The shape.
    pub config: ClipConfig,
    /// How many numbers its tensors hold.
    pub parameters: usize,
    /// The towers.
    pub clip: Clip<B>,
    /// Text to token ids.
    pub tokenizer: Tokenizer,
    /// Image to pixels.
    pub preprocess: Preprocess,
}

impl<B: ClipBackend> Backbone<B> {
    /// Loads a model from its files, in Hugging Face's or OpenCLIP's layout, or a lone safetensors file with OpenAI's names.
    ///
    /// # Errors
    /// Whatever is wrong with any of the files, with its name and what to do.
    pub fn load(name: &str, files: &dyn ModelFiles, device: &B::Device) -> Result<Self> {
        Self::load_in(Format::default(), name, files, device)
    }

    /// The same with its numbers in `format`.
    ///
    /// # Errors
    /// As [`Backbone::load`], and [`Error::Usage`] where the device does not compute in that precision or cannot hold matrices in
    /// that form.
    pub fn load_in(format: impl Into<Format>, name: &str, files: &dyn ModelFiles, device: &B::Device) -> Result<Self> {
        let format = format.into();
        format.check::<B>(device)?;
        let Format { precision, storage } = format;
        let checkpoint = Checkpoint::from_files(files)?;
        let config = config::find(files, &checkpoint)?;
        let preprocess = preprocessing(files, checkpoint.layout, config.vision.image())?;
        let tokenizer = tokenizer::find(files)?;
        let clip = checkpoint.load(device, |parameters| {
            parameters.storage = storage;
            Clip::load(parameters, &config, device)
        })?;
        let clip = clip.in_precision(precision);
        // Last, because damaged weights are the better explanation where there are both.
        if tokenizer.vocabulary_size() > config.text.vocabulary {
            return Err(Error::Config {
                file: files.label(),
                why: format!(
                    "the tokenizer has {} tokens, the text tower {}; they are of different models",
                    tokenizer.vocabulary_size(),
                    config.text.vocabulary
                ),
            });
        }
        let (sha256, parameters) = (checkpoint.sha256(), checkpoint.parameters());
        Ok(Self { name: name.into(), sha256, config, parameters, clip, tokenizer, preprocess })
    }

    /// Opens an adapter that was trained on this model and puts what it changes into the towers; `label` names the file in
    /// messages.
    ///
    /// # Errors
    /// It was trained on another model, or does not fit this one.
    pub fn adapt(&mut self, label: &str, file: &AdapterFile) -> Result<Learnt<B>> {
        let learnt = self.learnt(label, file)?;
        if let Some(tuning) = &learnt.tuning {
            *self = self.tuned(tuning);
        }
        Ok(learnt)
    }

    /// What an adapter that was trained on this model has learnt, which is not put into the towers; `label` as above.
    ///
    /// # Errors
    /// As [`Backbone::adapt`].
    pub fn learnt(&self, label: &str, file: &AdapterFile) -> Result<Learnt<B>> {
        file.info.check_backbone(label, &self.name, &self.sha256)?;
        file.load(&self.clip, &self.config)
    }

    /// What its numbers are.
    pub fn format(&self) -> Format {
        Format { precision: self.clip.precision(), storage: self.clip.storage() }
    }

    /// The same model with `tuning` merged into its towers.
    #[must_use]
    pub fn tuned(&self, tuning: &Tuning<B>) -> Self {
        Self { clip: tuning.merged(&self.clip), ..self.clone() }
    }

    /// Side of the square input, in pixels.
    pub fn image_size(&self) -> usize {
        self.config.vision.image()
    }

    /// Preprocessed pictures (each `size · size · 3` bytes, see [`Preprocess::pixels`]) → unit features `[pictures, embedding]`.
    pub fn image_features(&self, pictures: &[Vec<u8>]) -> Tensor<B, 2> {
        self.clip.image_features(self.pixels(pictures))
    }

    /// Preprocessed pictures → normalised pixels `[pictures, 3, size, size]`.
    pub fn pixels(&self, pictures: &[Vec<u8>]) -> Tensor<B, 4> {
        let size = self.image_size();
        let values = self.preprocess.batch(pictures);
        Tensor::from_data(TensorData::new(values, [pictures.len(), 3, size, size]), self.clip.device())
    }

    /// Texts → unit features `[texts, embedding]`.
    pub fn text_features<S: AsRef<str>>(&self, texts: &[S]) -> Tensor<B, 2> {
        let encoded: Vec<Vec<u32>> = texts.iter().map(|text| self.token_ids(text.as_ref())).collect();
        Tensor::cat(encoded.chunks(TEXT_BATCH).map(|batch| self.clip.text_features(batch)).collect(), 0)
    }

    /// Zero-shot weights `[classes, embedding]`: for each class the mean of its prompts' unit features, of unit length.
    pub fn class_weights(&self, prompts: &[Vec<String>]) -> Tensor<B, 2> {
        let weights = prompts.iter().map(|prompts| self.text_features(prompts).mean_dim(0)).collect();
        unit(Tensor::cat(weights, 0))
    }

    /// Token ids of a text with start and end, cut to the context.
    pub fn token_ids(&self, text: &str) -> Vec<u32> {
        self.tokenizer.encode_within(text, self.config.text.context)
    }
}

fn preprocessing(files: &dyn ModelFiles, layout: Layout, size: usize) -> Result<Preprocess> {
    let mut found = None;
    for name in ["preprocessor_config.json", "open_clip_config.json"] {
        if let Some(bytes) = files.open(name)? {
            let file = format!("{}/{name}", files.label());
            let preprocess = if name.starts_with("open") {
                Preprocess::from_open_clip_config(bytes.bytes(), &file)?
            } else {
                Preprocess::from_preprocessor_config(bytes.bytes(), &file)?
            };
            let (width, height) = preprocess.crop;
            if (width as usize, height as usize) != (size, size) {
                let why = format!("it makes {width} × {height} pixels, but the image tower takes {size} × {size}");
                return Err(Error::Config { file, why });
            }
            found = Some(preprocess);
            break;
        }
    }
    // Without a config it is the rule of the code that the weights' names come from.
    let crop_offset = match layout {
        Layout::OpenAi => CropOffset::Even,
        _ => CropOffset::Down,
    };
    Ok(found.unwrap_or_else(|| Preprocess { crop_offset, ..Preprocess::clip(size as u32) }))
}
