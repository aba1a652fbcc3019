//! `lowshot eval`: test a trained adapter on a data set's test images.

use std::path::PathBuf;

use clap::Args;

use super::{
    classify::open_adapter,
    device::{ClipCompute, Task},
    progress::Progress,
    table, train,
};
use crate::{
    Error, Result,
    clip::ClipBackend,
    experiment::{
        Event, Observer,
        dataset::Dataset,
        features::{FeatureCache, Folder},
        plan::LogitScale,
        result::{RunResult, predictions_csv},
        workbench::{Measured, Workbench},
    },
    platform::{models, native},
    session::Backbone,
};

/// Test a trained adapter on a data set.
#[derive(Args)]
pub struct Eval {
    /// A trained adapter: its file, or the folder of its run.
    #[arg(long)]
    pub(super) adapter: PathBuf,
    /// A known data set, a split JSON, a CSV, or a folder of class folders.
    #[arg(long)]
    pub(super) dataset: String,
    /// Where the data set lies: its own folder or the one above.
    #[arg(long, visible_alias = "root_path")]
    pub(super) root_path: Option<PathBuf>,
    /// A model's name, folder or safetensors file; the adapter knows its own.
    #[arg(long, visible_alias = "backbone")]
    pub(super) model: Option<String>,
    /// A folder for `predictions.csv` and `result.json`.
    #[arg(long)]
    pub(super) out: Option<PathBuf>,
    /// Do not keep computed features.
    #[arg(long)]
    pub(super) no_cache: bool,
    #[command(flatten)]
    pub(super) compute: ClipCompute,
    /// Print the result as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

impl Eval {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        let (json, compute, out) = (self.json, self.compute, self.out.clone());
        let result = compute.run(self)?;
        if json {
            return table::json(&result);
        }
        train::print(&result, out.as_deref());
        Ok(())
    }
}

impl Task for Eval {
    type Output = RunResult;

    fn run<B: ClipBackend>(self, device: &B::Device) -> Result<RunResult> {
        let label = self.adapter.display().to_string();
        if let Some(out) = self.out.as_ref().filter(|out| out.join("plan.toml").exists()) {
            let why = "holds a training run, whose result would be overwritten; choose another --out";
            return Err(Error::Usage(format!("{} {why}", out.display())));
        }
        let file = open_adapter(&self.adapter)?;
        // A damaged adapter is the better explanation where it does not fit the data either.
        let model = self.model.unwrap_or_else(|| file.info.backbone.clone());
        let mut backbone =
            Backbone::<B>::load_in(self.compute.format(), &model, models::find(&model)?.as_ref(), device)?;
        let learnt = backbone.adapt(&label, &file)?;
        let dataset = Dataset::open(&self.dataset, self.root_path.as_deref())?;
        let mut progress = Progress::new();
        dataset.notes.iter().for_each(|note| progress.observe(&Event::note(note)));
        let split = subset(&label, &file.info.classes, &dataset)?;
        dataset.check_files(&split.test)?;
        let images = Folder(dataset.root.clone());
        let cache = if self.no_cache { None } else { Some(native::cache_folder()?) };
        let scale = LogitScale::Fixed(100.0);
        let mut cache = match learnt.tuning {
            None => FeatureCache::open(cache.as_deref(), &backbone, &mut progress)?,
            // What changed towers see is of use to this adapter alone.
            Some(_) => FeatureCache::forgetful(),
        };
        let mut bench = Workbench::new(&backbone, &images, Vec::new(), scale, &mut cache);
        let measured = bench.measure("test", learnt.head.as_ref(), &split.test, &mut progress)?;
        let Measured { predictions, metrics, seconds } = measured;
        let result = RunResult { seconds, ..RunResult::new(&dataset, &backbone, &learnt, &split.classes, &metrics) };
        if let Some(out) = &self.out {
            let predictions = predictions_csv(&split.test, &split.classes, &predictions)?;
            let numbers = result.to_json()?;
            native::write_files(
                out,
                &[("predictions.csv", predictions.as_slice()), ("result.json", numbers.as_bytes())],
            )?;
        }
        Ok(result)
    }
}

/// The part of the data set that has the adapter's classes, under its labels.
fn subset(adapter: &str, classes: &[String], dataset: &Dataset) -> Result<crate::data::Split> {
    let find = |name: &String| {
        dataset.split.classes.iter().position(|class| class == name).ok_or_else(|| Error::Data {
            place: dataset.name.clone(),
            why: format!(
                "it has no class '{name}', which {adapter} was trained on; give the data set it was trained on"
            ),
        })
    };
    let labels = classes.iter().map(find).collect::<Result<Vec<usize>>>()?;
    dataset.split.restrict(labels)
}
