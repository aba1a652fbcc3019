//! A loaded Stable Diffusion: its networks, its tokenizer, its schedule, and the identity of its weights.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use burn::tensor::Tensor;

use super::{
    autoencoder::{
        Autoencoder, AutoencoderConfig, TinyAutoencoder, TinyConfig, VariationalAutoencoder, tiny::TinyHalf,
    },
    folder::{Folder, combined},
    kernels::DiffusionBackend,
    precision::InPrecision,
    schedule::SchedulerConfig,
    text::TextEncoder,
    unet::{Unet, UnetConfig},
};
use crate::{
    Error, Result,
    clip::{Precision, Tokenizer},
    hash,
    weights::{Checkpoint, ModelFiles, TensorFile, config, tokenizer},
};

/// The file that the weights of diffusers' own networks are in, without its ending.
const WEIGHTS: &str = "diffusion_pytorch_model";
/// Texts whose states are kept; prompts are few, and a state takes a quarter of a megabyte.
const KEPT_TEXTS: usize = 256;

/// How a pipeline is loaded.
#[derive(Clone, Debug, Default)]
pub struct Loading {
    /// What its networks compute in.
    pub precision: Precision,
    /// The variant of the weights (`fp16`); without one the plain ones, or else those in half precision.
    pub variant: Option<String>,
}

/// A pipeline.
#[derive(Debug)]
pub struct Pipeline<B: DiffusionBackend> {
    /// SHA-256 of its weights and configs, in hex. The autoencoder counts that it was loaded with.
    pub sha256: String,
    /// How its networks were trained to denoise, and the scheduler that it comes with.
    pub scheduler: SchedulerConfig,
    pub(super) unet: Unet<B>,
    pub(super) unet_config: UnetConfig,
    pub(super) autoencoder: Autoencoder<B>,
    pub(super) device: B::Device,
    tokenizer: Tokenizer,
    text: TextEncoder<B>,
    precision: Precision,
    texts: Mutex<HashMap<String, Tensor<B, 3>>>,
}

impl<B: DiffusionBackend> Pipeline<B> {
    /// Loads a pipeline from a folder in diffusers' layout.
    ///
    /// # Errors
    /// Whatever is wrong with any of the files, with its name and what to do.
    pub fn load(files: &dyn ModelFiles, loading: &Loading, device: &B::Device) -> Result<Self> {
        let folder = Folder::open(files)?;
        let variant = loading.variant.as_deref();
        let dtype = loading.precision.dtype().into();

        // What is small first, so that what is wrong with it is said at once.
        let (label, scheduler_bytes) = folder.component("scheduler").file("scheduler_config.json")?;
        let scheduler = SchedulerConfig::from_json(scheduler_bytes.bytes(), &label)?.for_latents();
        let tokenizer = tokenizer::find_padded(&folder.component("tokenizer"))?;
        let (label, text_bytes) = folder.component("text_encoder").file("config.json")?;
        let text_config = config::hugging_face_text(&label, text_bytes.bytes())?;
        let (unet_label, unet_bytes) = folder.component("unet").file("config.json")?;
        let unet_config = UnetConfig::parse(&unet_label, unet_bytes.bytes())?;
        let wrong = |file: &str, why: String| Err(Error::Config { file: file.into(), why });
        if tokenizer.vocabulary_size() > text_config.vocabulary {
            let (tokens, known) = (tokenizer.vocabulary_size(), text_config.vocabulary);
            let why =
                format!("the tokenizer has {tokens} tokens, the text encoder {known}; they are of different models");
            return wrong(&label, why);
        }
        if text_config.transformer.width != unet_config.context {
            let (text, unet) = (text_config.transformer.width, unet_config.context);
            let why = format!(
                "the text encoder's states have {text} numbers, the UNet reads {unet}; they are of different models"
            );
            return wrong(&label, why);
        }

        let vae = folder.component("vae");
        let (label, vae_bytes) = vae.file("config.json")?;
        let (autoencoder, vae_sha256) = match folder.class("vae") {
            "AutoencoderTiny" => tiny_autoencoder(&vae, variant, loading.precision, device)?,
            _ => {
                let config = AutoencoderConfig::parse(&label, vae_bytes.bytes())?;
                check_channels(&unet_label, &unet_config, config.latent)?;
                let (checkpoint, sha256) = vae.weights(WEIGHTS, variant, vae_bytes.bytes())?;
                let autoencoder = checkpoint.load(device, |parameters| {
                    VariationalAutoencoder::load(&mut InPrecision(parameters, dtype), &config, dtype)
                })?;
                (Autoencoder::Variational(autoencoder), sha256)
            }
        };
        check_channels(&unet_label, &unet_config, autoencoder.channels())?;

        let (checkpoint, text_sha256) =
            folder.component("text_encoder").weights("model", variant, text_bytes.bytes())?;
        let text = checkpoint
            .load(device, |parameters| TextEncoder::load(&mut InPrecision(parameters, dtype), &text_config))?;
        let (checkpoint, unet_sha256) = folder.component("unet").weights(WEIGHTS, variant, unet_bytes.bytes())?;
        let unet = checkpoint
            .load(device, |parameters| Unet::load(&mut InPrecision(parameters, dtype), &unet_config, dtype))?;
        let sha256 = combined(&[
            ("scheduler", &hash::sha256(scheduler_bytes.bytes())),
            ("text_encoder", &text_sha256),
            ("unet", &unet_sha256),
            ("vae", &vae_sha256),
        ]);
        Ok(Self {
            sha256,
            scheduler,
            unet,
            unet_config,
            autoencoder,
            device: device.clone(),
            tokenizer,
            text,
            precision: loading.precision,
            texts: Mutex::default(),
        })
    }

    /// The same with the tiny autoencoder of `files` in the place of its own: diffusers' folder of an `AutoencoderTiny`, or the two
    /// files `…_encoder.safetensors` and `…_decoder.safetensors` of its author.
    ///
    /// # Errors
    /// Whatever is wrong with the files, or latents of another number of channels.
    pub fn with_tiny_autoencoder(self, files: &dyn ModelFiles) -> Result<Self> {
        let (autoencoder, sha256) = tiny_autoencoder(files, None, self.precision, &self.device)?;
        check_channels(&files.label(), &self.unet_config, autoencoder.channels())?;
        let sha256 = combined(&[("pipeline", &self.sha256), ("autoencoder", &sha256)]);
        Ok(Self { sha256, autoencoder, ..self })
    }

    /// The network that is asked at each step.
    pub fn unet(&self) -> &Unet<B> {
        &self.unet
    }

    /// What takes pictures to latents and back.
    pub fn autoencoder(&self) -> &Autoencoder<B> {
        &self.autoencoder
    }

    /// Pictures' sides are multiples of this, in pixels.
    pub fn side_multiple(&self) -> usize {
        self.autoencoder.reduction()
    }

    /// The states of texts, `[texts, context, width]`. Each text goes through the encoder once.
    pub fn text_states(&self, texts: &[&str]) -> Tensor<B, 3> {
        let mut known = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() > KEPT_TEXTS {
            known.clear();
        }
        let mut state = |text: &&str| {
            let states = known
                .entry((*text).to_owned())
                .or_insert_with(|| self.text.forward(&self.tokenizer.encode_padded(&[text], self.text.config.context)));
            states.clone()
        };
        Tensor::cat(texts.iter().map(&mut state).collect(), 0)
    }
}

fn check_channels(label: &str, unet: &UnetConfig, latent: usize) -> Result<()> {
    let UnetConfig { input, output, .. } = *unet;
    if (input, output) == (latent, latent) {
        return Ok(());
    }
    let what = match input {
        9 if latent == 4 => " (this is an inpainting model)",
        8 if latent == 4 => " (this is a model that is told what to change)",
        5 if latent == 4 => " (this is a depth-to-image model)",
        _ => "",
    };
    let why = format!(
        "the UNet takes {input} channels and gives {output}, the autoencoder's latents have {latent}{what}; they do not belong \
         together as image to image"
    );
    Err(Error::Config { file: label.into(), why })
}

/// A tiny autoencoder in either layout, and the hash of its weights.
///
/// # Errors
/// Whatever is wrong with the files.
pub fn tiny_autoencoder<B: DiffusionBackend>(
    files: &dyn ModelFiles,
    variant: Option<&str>,
    precision: Precision,
    device: &B::Device,
) -> Result<(Autoencoder<B>, String)> {
    let dtype = precision.dtype().into();
    if let Some(bytes) = files.open("config.json")? {
        let config = TinyConfig::parse(&files.place("config.json"), bytes.bytes())?;
        let checkpoint = Checkpoint::from_component(files, WEIGHTS, variant)?;
        let halves = checkpoint.load(device, |parameters| {
            let parameters = &mut InPrecision(parameters, dtype);
            (TinyHalf::load_encoder(parameters, &config), TinyHalf::load_decoder(parameters, &config))
        })?;
        let sha256 = combined(&[("config", &hash::sha256(bytes.bytes())), ("weights", &checkpoint.sha256())]);
        return Ok((Autoencoder::Tiny(TinyAutoencoder::new(halves.0, halves.1, config, dtype)), sha256));
    }
    let names = files.names()?;
    let half = |half: &str| {
        let name = names.iter().find(|name| name.ends_with(&format!("_{half}.safetensors"))).ok_or_else(|| {
            let why = format!(
                "neither config.json (diffusers' AutoencoderTiny) nor a file that ends with _{half}.safetensors (its author's \
                 layout) is here; give the folder of a tiny autoencoder"
            );
            Error::Config { file: files.label(), why }
        })?;
        let blob = files.open(name)?.ok_or_else(|| Error::Failed(format!("{name} is gone")))?;
        Checkpoint::from_file(TensorFile::open(files.place(name), blob)?)
    };
    let (encoder, decoder) = (half("encoder")?, half("decoder")?);
    let config = TinyConfig::from_tensors(&encoder, &decoder)?;
    let sha256 = combined(&[("encoder", &encoder.sha256()), ("decoder", &decoder.sha256())]);
    let encoder =
        encoder.load(device, |parameters| TinyHalf::load_encoder(&mut InPrecision(parameters, dtype), &config))?;
    let decoder =
        decoder.load(device, |parameters| TinyHalf::load_decoder(&mut InPrecision(parameters, dtype), &config))?;
    Ok((Autoencoder::Tiny(TinyAutoencoder::new(encoder, decoder, config, dtype)), sha256))
}
