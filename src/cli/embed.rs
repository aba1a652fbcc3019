//! `lowshot embed`: the features of pictures and texts, as safetensors.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::{
    device::{ClipCompute, Task},
    progress::Progress,
    table,
};
use crate::{
    Error, Result,
    clip::ClipBackend,
    experiment::features::{FeatureCache, Folder},
    platform::{models, native},
    session::Backbone,
    train,
    weights::tensors::{Values, encode},
};

/// Write the unit-length CLIP features of pictures and texts into a safetensors file.
///
/// An input that is a file is a picture; anything else is a text. The file gets `image_features` and `text_features`,
/// `[inputs, width]` each, and the inputs in its header.
#[derive(Args)]
pub struct Embed {
    /// Pictures and texts.
    #[arg(required = true)]
    inputs: Vec<String>,
    /// The file to write.
    #[arg(long)]
    out: PathBuf,
    /// A model's name, folder or safetensors file.
    #[arg(long, alias = "backbone", default_value = "demo")]
    model: String,
    #[command(flatten)]
    compute: ClipCompute,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Embed {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        let (json, compute, out) = (self.json, self.compute, self.out.clone());
        let (images, texts, width) = compute.run(self)?;
        if json {
            return table::json(&json!({"out": out, "images": images, "texts": texts, "width": width}));
        }
        table::line(&format!("{images} pictures and {texts} texts, {width} numbers each → {}", out.display()));
        Ok(())
    }
}

/// A word with a picture's ending or a folder in it was meant as a file.
fn looks_like_file(input: &str) -> bool {
    const ENDINGS: [&str; 9] = ["jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "heic"];
    let ending = Path::new(input).extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    !input.contains(' ') && (input.contains(['/', '\\']) || ENDINGS.contains(&ending.to_lowercase().as_str()))
}

impl Task for Embed {
    type Output = (usize, usize, usize);

    fn run<B: ClipBackend>(self, device: &B::Device) -> Result<Self::Output> {
        let (images, texts): (Vec<String>, Vec<String>) =
            self.inputs.into_iter().partition(|input| Path::new(input).is_file() || looks_like_file(input));
        if let Some(path) = images.iter().find(|path| !Path::new(path.as_str()).exists()) {
            return Err(Error::read(path, std::io::ErrorKind::NotFound.into()));
        }
        let backbone =
            Backbone::<B>::load_in(self.compute.format(), &self.model, models::find(&self.model)?.as_ref(), device)?;
        let width = backbone.config.embedding;
        let mut image_values = Vec::new();
        if !images.is_empty() {
            let names: Vec<&str> = images.iter().map(String::as_str).collect();
            let mut cache = FeatureCache::open(None, &backbone, &mut Progress::new())?;
            let (features, _) = cache.features(&backbone, &Folder(PathBuf::new()), &names, &mut Progress::new())?;
            image_values = pollster::block_on(train::read(features))?;
        }
        let mut text_values = Vec::new();
        if !texts.is_empty() {
            text_values = pollster::block_on(train::read(backbone.text_features(&texts)))?;
        }
        let mut tensors = Vec::new();
        if !images.is_empty() {
            tensors.push(("image_features", vec![images.len(), width], Values::F32(&image_values)));
        }
        if !texts.is_empty() {
            tensors.push(("text_features", vec![texts.len(), width], Values::F32(&text_values)));
        }
        let header = [
            ("format", "lowshot-embeddings".to_owned()),
            ("backbone", backbone.name.clone()),
            ("backbone_sha256", backbone.sha256.clone()),
            ("images", json!(images).to_string()),
            ("texts", json!(texts).to_string()),
        ];
        let header: Vec<(&str, &str)> = header.iter().map(|(key, value)| (*key, value.as_str())).collect();
        native::write(&self.out, &encode(&tensors, &header)?)?;
        Ok((images.len(), texts.len(), width))
    }
}
