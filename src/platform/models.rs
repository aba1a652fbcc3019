//! Where named models lie on a machine: inside the binary, or in the cache that Hugging Face's own tools fill.

use std::path::{Path, PathBuf};

use super::native::FolderFiles;
use crate::{
    Error, Result,
    session::models::{DEMO, MODELS, NamedModel, named},
    weights::{ModelFiles, files::MemoryFiles},
};

/// The files of the model inside the package.
pub fn demo_files() -> MemoryFiles {
    MemoryFiles::new(DEMO)
        .with("config.json", include_bytes!("../../models/demo-clip/config.json").as_slice())
        .with("preprocessor_config.json", include_bytes!("../../models/demo-clip/preprocessor_config.json").as_slice())
        .with("vocab.json", include_bytes!("../../models/demo-clip/vocab.json").as_slice())
        .with("merges.txt", include_bytes!("../../models/demo-clip/merges.txt").as_slice())
        .with("model.safetensors", include_bytes!("../../models/demo-clip/model.safetensors").as_slice())
}

/// The files that `--model` means: a name, a folder, or a safetensors file.
///
/// # Errors
/// No such name or path; a named model that is not on this machine, with the command that gets it.
pub fn find(model: &str) -> Result<Box<dyn ModelFiles>> {
    match named(model) {
        Some(NamedModel { repository: None, .. }) => Ok(Box::new(demo_files())),
        Some(NamedModel { name, repository: Some(repository), .. }) => match snapshot(repository) {
            Some(folder) => Ok(Box::new(FolderFiles::open(&folder)?)),
            None => Err(Error::Usage(format!(
                "model {name} is not on this machine; get it with 'hf download {repository}' (Hugging Face's own tool) \
                 or give --model a folder that holds it"
            ))),
        },
        None if Path::new(model).exists() => Ok(Box::new(FolderFiles::open(Path::new(model))?)),
        None => {
            let names: Vec<&str> = MODELS.iter().map(|model| model.name).collect();
            Err(Error::Usage(format!(
                "there is no model '{model}': it is neither a file or folder nor one of {}",
                names.join(", ")
            )))
        }
    }
}

/// The newest snapshot of a repository in the hub's cache that holds weights.
pub fn snapshot(repository: &str) -> Option<PathBuf> {
    let folder = hub()?.join(format!("models--{}", repository.replace('/', "--"))).join("snapshots");
    let mut snapshots: Vec<(std::time::SystemTime, PathBuf)> = std::fs::read_dir(folder)
        .ok()?
        .flatten()
        .filter(|entry| {
            let weights = ["model.safetensors", "model.safetensors.index.json", "open_clip_model.safetensors"];
            weights.iter().any(|name| entry.path().join(name).exists())
        })
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    snapshots.sort();
    snapshots.pop().map(|(_, path)| path)
}

/// The hub's cache: `HF_HUB_CACHE`, `HF_HOME/hub`, or `~/.cache/huggingface/hub`.
fn hub() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("HF_HUB_CACHE")
        .or_else(|| Some(variable("HF_HOME")?.join("hub")))
        .or_else(|| Some(directories::BaseDirs::new()?.home_dir().join(".cache/huggingface/hub")))
}
