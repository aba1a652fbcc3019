//! A pipeline's folder as diffusers writes it: `model_index.json`, and a folder for each component.

use serde_json::Value;

use crate::{
    Error, Result, hash,
    weights::{Blob, Checkpoint, ModelFiles},
};
use std::sync::Arc;

/// Pipelines whose parts are those of Stable Diffusion 1 and 2, whatever they do with them.
const PIPELINES: [&str; 4] = [
    "StableDiffusionPipeline",
    "StableDiffusionImg2ImgPipeline",
    "LatentConsistencyModelPipeline",
    "LatentConsistencyModelImg2ImgPipeline",
];

/// What the parts must be. The scheduler may be any, because another can be used; its own file says more.
const CLASSES: [(&str, &[&str]); 5] = [
    ("scheduler", &[]),
    ("text_encoder", &["CLIPTextModel"]),
    ("tokenizer", &["CLIPTokenizer", "CLIPTokenizerFast"]),
    ("unet", &["UNet2DConditionModel"]),
    ("vae", &["AutoencoderKL", "AutoencoderTiny"]),
];

/// A pipeline's folder whose index has been checked.
pub(super) struct Folder<'a> {
    files: &'a dyn ModelFiles,
    index: Value,
}

impl<'a> Folder<'a> {
    /// Checks what the place is, and which components it should have.
    ///
    /// # Errors
    /// Not a pipeline, or one of another kind.
    pub(super) fn open(files: &'a dyn ModelFiles) -> Result<Self> {
        let label = files.label();
        let usage = |why: String| Error::Config { file: label.clone(), why };
        if is_checkpoint(&label) {
            return Err(usage(format!("a checkpoint in one file; {CONVERT}")));
        }
        let Some(blob) = files.open("model_index.json")? else { return Err(usage(not_a_pipeline(files)?)) };
        let place = files.place("model_index.json");
        let wrong = |why: String| Error::Config { file: place.clone(), why };
        let index: Value = serde_json::from_slice(blob.bytes())
            .map_err(|error| wrong(format!("not valid JSON ({error}): download the file again")))?;
        let class = index["_class_name"].as_str().ok_or_else(|| {
            wrong(
                "it names no _class_name: this is not the index of a diffusers pipeline; download the folder again"
                    .into(),
            )
        })?;
        if !PIPELINES.contains(&class) {
            let what = refusal(class);
            return Err(wrong(format!("{what}; use a Stable Diffusion 1, 2 or Turbo model ({})", PIPELINES[0])));
        }
        for (component, classes) in CLASSES {
            let Some(class) = index[component][1].as_str() else {
                return Err(wrong(format!("it names no {component}, which the pipeline needs; use a whole pipeline")));
            };
            if component != "scheduler" && !classes.contains(&class) {
                let known = classes.join(" and ");
                return Err(wrong(format!("its {component} is a {class}, which is not supported; {known} is")));
            }
        }
        Ok(Self { files, index })
    }

    /// The class of a component.
    pub(super) fn class(&self, component: &str) -> &str {
        self.index[component][1].as_str().unwrap_or_default()
    }

    /// The files of a component.
    pub(super) fn component(&self, name: &'static str) -> Component<'a> {
        Component { files: self.files, name }
    }
}

const CONVERT: &str = "convert it to a folder with diffusers first: \
    StableDiffusionPipeline.from_single_file(FILE).save_pretrained(FOLDER)";

fn is_checkpoint(name: &str) -> bool {
    [".safetensors", ".ckpt", ".pt", ".pth", ".bin"].iter().any(|ending| name.ends_with(ending))
}

/// Why a folder without an index is none, by what lies in it.
fn not_a_pipeline(files: &dyn ModelFiles) -> Result<String> {
    let names = files.names()?;
    let missing = "there is no model_index.json, so this is not a diffusers pipeline";
    if names.iter().any(|name| name.starts_with("pytorch_lora_weights.")) {
        return Ok(format!(
            "{missing}: it holds LoRA weights only; merge them into the model that they were trained on, with diffusers' \
             load_lora_weights, fuse_lora and save_pretrained"
        ));
    }
    if let Some(name) = names.iter().find(|name| is_checkpoint(name)) {
        return Ok(format!("{missing}: it holds a checkpoint in one file ({name}); {CONVERT}"));
    }
    Ok(format!(
        "{missing}; give the folder that holds model_index.json, unet, vae, text_encoder, tokenizer and scheduler"
    ))
}

fn refusal(class: &str) -> String {
    let family = [
        ("StableDiffusionXL", "Stable Diffusion XL"),
        ("StableDiffusion3", "Stable Diffusion 3"),
        ("Flux", "Flux"),
        ("Inpaint", "an inpainting model"),
        ("Upscale", "an upscaling model"),
        ("Depth2Img", "a depth-to-image model"),
    ];
    match family.iter().find(|(part, _)| class.contains(part)) {
        Some((_, family)) => format!("this is {family} ({class}), which is not supported"),
        None => format!("a pipeline of class {class} is not supported"),
    }
}

/// One component's folder.
pub(super) struct Component<'a> {
    files: &'a dyn ModelFiles,
    name: &'static str,
}

impl Component<'_> {
    /// A file that must be there.
    ///
    /// # Errors
    /// It is not, or cannot be read.
    pub(super) fn file(&self, name: &str) -> Result<(String, Arc<dyn Blob>)> {
        let place = self.place(name);
        match self.open(name)? {
            Some(blob) => Ok((place, blob)),
            None => {
                let why = format!("it is missing, and a pipeline needs its {}; download the whole folder", self.name);
                Err(Error::Config { file: place, why })
            }
        }
    }

    /// Its weights, and the hash of them and of its config.
    ///
    /// # Errors
    /// As [`Checkpoint::from_component`].
    pub(super) fn weights(&self, stem: &str, variant: Option<&str>, config: &[u8]) -> Result<(Checkpoint, String)> {
        let checkpoint = Checkpoint::from_component(self, stem, variant)?;
        let sha256 = combined(&[("config", &hash::sha256(config)), ("weights", &checkpoint.sha256())]);
        Ok((checkpoint, sha256))
    }
}

impl ModelFiles for Component<'_> {
    fn label(&self) -> String {
        self.files.place(self.name)
    }

    fn place(&self, name: &str) -> String {
        self.files.place(&format!("{}/{name}", self.name))
    }

    fn open(&self, name: &str) -> Result<Option<Arc<dyn Blob>>> {
        self.files.open(&format!("{}/{name}", self.name))
    }

    fn names(&self) -> Result<Vec<String>> {
        let prefix = format!("{}/", self.name);
        Ok(self.files.names()?.iter().filter_map(|name| name.strip_prefix(&prefix)).map(str::to_owned).collect())
    }
}

/// One hash for several, each a line with its name, in this order.
pub(super) fn combined(parts: &[(&str, &str)]) -> String {
    hash::sha256(parts.iter().map(|(name, sha256)| format!("{name} {sha256}\n")).collect::<String>())
}
