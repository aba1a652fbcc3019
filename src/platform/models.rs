//! Where named models lie on a machine: inside the binary, or in the cache that Hugging Face's own tools fill.

use std::path::{Path, PathBuf};

use super::{
    hub::{Cache, Environment, Kind, is_repository},
    native::FolderFiles,
    pipelines::{self, NamedPipeline, PIPELINES},
};
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

/// The files that `--model` means: a name, a folder, a safetensors file, or a repository whose files are on this machine.
///
/// # Errors
/// No such name or path; a model that is not on this machine, with the command that gets it.
pub fn find(model: &str) -> Result<Box<dyn ModelFiles>> {
    let known = named(model);
    if let Some(NamedModel { repository: None, .. }) = known {
        return Ok(Box::new(demo_files()));
    }
    if known.is_none() && Path::new(model).exists() {
        return Ok(Box::new(FolderFiles::open(Path::new(model))?));
    }
    let repository = known.and_then(|known| known.repository).or_else(|| is_repository(model).then_some(model));
    if let Some(folder) = repository.and_then(snapshot) {
        return Ok(Box::new(FolderFiles::open(&folder)?));
    }
    match known {
        Some(NamedModel { name, .. }) => Err(Error::Usage(format!(
            "model {name} is not on this machine; get it with 'lowshot fetch {name}' or give --model a folder that holds it"
        ))),
        None => {
            let names: Vec<&str> = MODELS.iter().map(|model| model.name).collect();
            Err(Error::Usage(format!(
                "there is no model '{model}': it is neither a file or folder nor one of {}{}",
                names.join(", "),
                fetch_advice(model)
            )))
        }
    }
}

/// The folder that `--model` of `lowshot augment` means: the name of a pipeline, a folder, or a repository whose files are on this
/// machine.
///
/// # Errors
/// No such name or folder; a pipeline that is not on this machine, with the command that gets it.
pub fn pipeline(model: &str) -> Result<PathBuf> {
    let known = pipelines::named(model);
    if known.is_none() && Path::new(model).exists() {
        return Ok(model.into());
    }
    let repository = known.map(|known| known.repository).or_else(|| is_repository(model).then_some(model));
    let is_whole =
        |folder: &PathBuf| ["model_index.json", "config.json"].iter().any(|index| folder.join(index).exists());
    if let Some(folder) = repository.and_then(|repository| snapshots(repository).into_iter().find(is_whole)) {
        return Ok(folder);
    }
    match known {
        Some(NamedPipeline { name, .. }) => Err(Error::Usage(format!(
            "pipeline {name} is not on this machine; get it with 'lowshot fetch {name}' or give --model a folder that holds it"
        ))),
        None => {
            let names: Vec<&str> = PIPELINES.iter().map(|pipeline| pipeline.name).collect();
            Err(Error::Usage(format!(
                "there is no pipeline '{model}': it is neither a folder nor one of {}{}",
                names.join(", "),
                fetch_advice(model)
            )))
        }
    }
}

/// What to add to a message where the name could be one of a repository.
fn fetch_advice(model: &str) -> String {
    if model.contains('/') && is_repository(model) {
        format!("; where it is a repository on the Hugging Face hub, get it with 'lowshot fetch {model}'")
    } else {
        String::new()
    }
}

/// The snapshot of a repository in the hub's cache that holds weights: that of the main branch, else the newest.
pub fn snapshot(repository: &str) -> Option<PathBuf> {
    const WEIGHTS: [&str; 3] = ["model.safetensors", "model.safetensors.index.json", "open_clip_model.safetensors"];
    snapshots(repository).into_iter().find(|folder| WEIGHTS.iter().any(|name| folder.join(name).exists()))
}

/// The snapshots of a repository in the hub's cache; none where the environment names no cache.
fn snapshots(repository: &str) -> Vec<PathBuf> {
    let cache = Environment::read().and_then(|environment| Cache::new(&environment));
    cache
        .and_then(|cache| cache.repository(Kind::Model, repository))
        .map_or_else(|_| Vec::new(), |found| found.snapshots())
}
