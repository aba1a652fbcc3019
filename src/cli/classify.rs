//! `lowshot classify`: which class is in a picture, by words or by an adapter.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::{
    device::{ClipCompute, Task},
    progress::Progress,
    table,
};
use crate::{
    Error, Result,
    adapter::{self, Adapter, FewShot, Method, Recipe},
    clip::ClipBackend,
    data::templates,
    experiment::features::{FeatureCache, Folder},
    platform::{models, native},
    session::Backbone,
    train::metrics::softmax,
    weights::AdapterFile,
};

/// Classify pictures, by the classes' names (zero-shot) or by a trained adapter.
#[derive(Args)]
pub struct Classify {
    /// Pictures: JPEG, PNG, WebP, GIF, BMP or TIFF.
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// Class names, separated by commas.
    #[arg(long, value_delimiter = ',', required_unless_present = "adapter", conflicts_with = "adapter")]
    classes: Vec<String>,
    /// A trained adapter: its file, or the folder of its run.
    #[arg(long)]
    adapter: Option<PathBuf>,
    /// A model's name, folder or safetensors file; an adapter knows its own.
    #[arg(long, alias = "backbone")]
    model: Option<String>,
    /// A template for the classes' names; `{}` stands for the name.
    #[arg(long, default_value = templates::DEFAULT)]
    template: String,
    /// How many classes to show for each picture.
    #[arg(long, default_value_t = 5)]
    top: usize,
    #[command(flatten)]
    compute: ClipCompute,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A picture's classes, best first.
#[derive(Serialize)]
pub struct Answer {
    path: PathBuf,
    classes: Vec<ClassProbability>,
}

#[derive(Serialize)]
pub struct ClassProbability {
    name: String,
    probability: f32,
}

impl Classify {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        let (json, compute) = (self.json, self.compute);
        let answers = compute.run(self)?;
        if json {
            return table::json(&answers);
        }
        for answer in answers {
            table::line(&answer.path.display().to_string());
            for ClassProbability { name, probability } in answer.classes {
                let fraction = f64::from(probability);
                table::line(&format!("  {:>7}  {:20}  {name}", table::percent(fraction), table::bar(fraction, 20)));
            }
        }
        Ok(())
    }
}

/// The file of an adapter that is given by itself or by its run's folder.
pub fn adapter_file(path: &std::path::Path) -> PathBuf {
    if path.is_dir() { path.join("adapter.safetensors") } else { path.to_owned() }
}

/// The adapter of a file or of a run's folder.
pub fn open_adapter(path: &std::path::Path) -> Result<AdapterFile> {
    let file = adapter_file(path);
    AdapterFile::open(&file.display().to_string(), native::map(&file)?)
}

impl Task for Classify {
    type Output = Vec<Answer>;

    fn run<B: ClipBackend>(self, device: &B::Device) -> Result<Vec<Answer>> {
        let file = self.adapter.as_deref().map(open_adapter).transpose()?;
        let known = file.as_ref().map(|file| file.info.backbone.clone());
        let model = self.model.or(known).unwrap_or_else(|| "demo".to_owned());
        let mut backbone =
            Backbone::<B>::load_in(self.compute.format(), &model, models::find(&model)?.as_ref(), device)?;
        let (adapter, classes): (Box<dyn Adapter<B>>, Vec<String>) = match (file, self.adapter) {
            (Some(file), Some(path)) => (backbone.adapt(&path.display().to_string(), &file)?.head, file.info.classes),
            _ => {
                templates::check(&self.template).map_err(Error::Usage)?;
                let classes: Vec<String> = self.classes.iter().map(|name| name.trim().to_owned()).collect();
                if let Some(at) = classes.iter().position(String::is_empty) {
                    return Err(Error::Usage(format!("class {} of --classes has no name", at + 1)));
                }
                (zero_shot(&backbone, &classes, self.template)?, classes)
            }
        };
        let mut cache = FeatureCache::open(None, &backbone, &mut Progress::new())?;
        let names: Vec<String> = self.images.iter().map(|path| path.display().to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (features, _) = cache.features(&backbone, &Folder(PathBuf::new()), &names, &mut Progress::new())?;
        let scores = pollster::block_on(adapter::scores(adapter.as_ref(), features))?;
        let answer = |(path, row): (PathBuf, &[f32])| {
            let mut classes: Vec<ClassProbability> = softmax(row)
                .into_iter()
                .zip(&classes)
                .map(|(probability, name)| ClassProbability { name: name.clone(), probability })
                .collect();
            classes.sort_by(|a, b| b.probability.total_cmp(&a.probability));
            classes.truncate(self.top.max(1));
            Answer { path, classes }
        };
        Ok(self.images.into_iter().zip(scores.rows()).map(answer).collect())
    }
}

/// The classifier that knows the classes' names alone.
fn zero_shot<B: ClipBackend>(
    backbone: &Backbone<B>,
    classes: &[String],
    template: String,
) -> Result<Box<dyn Adapter<B>>> {
    let text = backbone.class_weights(&templates::prompts(&[template], classes));
    let features = text.clone().slice([0..0, 0..backbone.config.embedding]);
    let few_shot = FewShot { text, features, labels: Vec::new(), val: None, scale: backbone.clip.logit_scale };
    let recipe = Recipe::from(Method::ZeroShot);
    pollster::block_on(adapter::fit(recipe, &few_shot, 0, &mut |_| std::ops::ControlFlow::Continue(())))
}
