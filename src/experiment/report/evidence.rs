//! What a report shows beyond numbers: pictures, attention and features, for which the data set and the model are needed.
//!
//! Where one of them is not there, the report is made without, and says so.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};

use super::{
    Report, attention,
    failures::Detail,
    map::{self, FeatureMap},
    pictures,
    runs::Run,
};
use crate::{
    Error, Result,
    adapter::Method,
    clip::ClipBackend,
    data::decode::decode,
    experiment::{
        Event, Observer,
        dataset::Dataset,
        features::{FeatureCache, Folder, ImageSource},
    },
    platform::{models, native},
    session::{Backbone, attention::grids},
    train,
    weights::AdapterFile,
};

/// What may be used.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where the data sets lie, if not where the runs found them.
    pub root_path: Option<PathBuf>,
    /// The folder of computed features.
    pub cache: Option<PathBuf>,
}

/// What there is to show of one benchmark.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// The runs that are shown picture by picture.
    pub detail: Option<Detail>,
    /// Data URIs of pictures by their paths.
    pub pictures: HashMap<String, String>,
    /// Attention over a few pictures.
    pub attention: Option<Attention>,
    /// The map of the test images.
    pub map: Option<FeatureMap>,
    /// What is not shown, and why.
    pub notes: Vec<String>,
}

/// Attention maps: a row a picture, a column a state of the image tower.
#[derive(Clone, Debug)]
pub struct Attention {
    /// For each column the methods that see by that tower.
    pub columns: Vec<Vec<String>>,
    /// The pictures.
    pub rows: Vec<AttentionRow>,
}

/// One picture.
#[derive(Clone, Debug)]
pub struct AttentionRow {
    /// Index into the shown runs' predictions.
    pub image: usize,
    /// Data URI of what the model saw.
    pub view: String,
    /// Data URIs of the picture with its attention, a column each.
    pub maps: Vec<String>,
}

/// Gathers what can be had for each of the report's benchmarks, in their order.
///
/// # Errors
/// The device fails. All else is a note.
pub fn gather<B: ClipBackend>(
    report: &Report,
    options: &Options,
    device: &B::Device,
    observer: &mut dyn Observer,
) -> Result<Vec<Evidence>> {
    let mut backbones: HashMap<String, Backbone<B>> = HashMap::new();
    let mut all = Vec::new();
    for benchmark in &report.benchmarks {
        let mut evidence = Evidence { detail: Detail::choose(report, benchmark), ..Evidence::default() };
        if let Some(detail) = evidence.detail.clone() {
            let mut shown = Shown { report, detail: &detail, options, device, observer, backbones: &mut backbones };
            match shown.dataset() {
                Ok(dataset) => shown.fill(&dataset, &mut evidence)?,
                Err(why) => evidence.notes.push(format!("no pictures, attention or map of features: {why}")),
            }
        } else {
            evidence.notes.push("no pictures: no run of these lists its test images".into());
        }
        evidence.notes.iter().for_each(|note| observer.observe(&Event::note(note)));
        all.push(evidence);
    }
    Ok(all)
}

/// What one benchmark's evidence is made from.
struct Shown<'a, B: ClipBackend> {
    report: &'a Report,
    detail: &'a Detail,
    options: &'a Options,
    device: &'a B::Device,
    observer: &'a mut dyn Observer,
    backbones: &'a mut HashMap<String, Backbone<B>>,
}

impl<'a, B: ClipBackend> Shown<'a, B> {
    /// The first of the runs; all list the same images.
    fn run(&self) -> &'a Run {
        &self.report.runs[self.detail.runs[0].1]
    }

    /// The data set of the runs, where it still is what they used.
    fn dataset(&self) -> Result<Dataset, String> {
        let mut runs = self.detail.runs.iter().map(|(_, index)| &self.report.runs[*index]);
        let Some(plan) = runs.find_map(|run| run.plan.as_ref()) else {
            return Err("no plan.toml says where the data set lies".into());
        };
        let root = self.options.root_path.as_deref().or(plan.root_path.as_deref());
        let dataset = Dataset::open(&plan.dataset, root).map_err(|error| error.to_string())?;
        if dataset.split_sha256 != self.run().result.split_sha256 {
            return Err(format!("{} is not split as it was for the runs", dataset.root.display()));
        }
        Ok(dataset)
    }

    fn fill(&mut self, dataset: &Dataset, evidence: &mut Evidence) -> Result<()> {
        let images = Folder(dataset.root.clone());
        // A predictions file may have come from anywhere: only what the data set itself lists is opened.
        let listed: HashSet<&str> = dataset.split.test.iter().map(|item| item.path.as_str()).collect();
        let predictions = &self.run().predictions;
        let path = |index: usize| Some(predictions[index].path.as_str()).filter(|path| listed.contains(path));
        let mut absent = Vec::new();
        for path in self.detail.shown().into_iter().filter_map(path) {
            let thumbnail = images.read(path).and_then(|bytes| pictures::thumbnail(&bytes, &images.label(path)));
            match thumbnail {
                Ok(uri) => drop(evidence.pictures.insert(path.to_owned(), uri)),
                Err(error) => absent.push(error.to_string()),
            }
        }
        if let Some(first) = absent.first() {
            evidence.notes.push(format!("{} pictures are not shown; the first: {first}", absent.len()));
        }
        let plain = match self.backbone() {
            Ok(plain) => plain,
            Err(error) => {
                evidence.notes.push(format!("no attention or map of features: {error}"));
                return Ok(());
            }
        };
        let attended: Vec<usize> = self.detail.attended().into_iter().filter(|index| path(*index).is_some()).collect();
        match self.attention(&plain, &images, &attended) {
            Ok((attention, notes)) => {
                evidence.notes.extend(notes);
                evidence.attention = Some(attention).filter(|attention| !attention.rows.is_empty());
            }
            Err(error @ Error::Failed(_)) => return Err(error),
            Err(error) => evidence.notes.push(format!("no attention maps: {error}")),
        }
        match self.map(&plain, &images, &listed) {
            Ok(map) => evidence.map = Some(map),
            Err(error @ Error::Failed(_)) => return Err(error),
            Err(error) => evidence.notes.push(format!("no map of features: {error}")),
        }
        Ok(())
    }

    /// The backbone of the runs as it was before training.
    fn backbone(&mut self) -> Result<Backbone<B>> {
        let runs = self.detail.runs.iter().map(|(_, index)| &self.report.runs[*index]);
        let model = runs.filter_map(|run| run.plan.as_ref()).map(|plan| plan.model.clone()).next();
        let result = &self.run().result;
        let model = model.unwrap_or_else(|| result.backbone.clone());
        if !self.backbones.contains_key(&model) {
            let backbone = Backbone::<B>::load(&model, models::find(&model)?.as_ref(), self.device)?;
            self.backbones.insert(model.clone(), backbone);
        }
        let backbone = self.backbones[&model].clone();
        if backbone.sha256 != result.backbone_sha256 {
            let why = format!("model {model} has other weights here than in the runs; give the runs' model that name");
            return Err(Error::Usage(why));
        }
        Ok(backbone)
    }

    /// The maps, and what had to be left out.
    fn attention(&self, plain: &Backbone<B>, images: &Folder, attended: &[usize]) -> Result<(Attention, Vec<String>)> {
        let mut notes = Vec::new();
        let mut columns = vec![Vec::new()];
        let mut towers = vec![plain.clone()];
        for (label, index) in &self.detail.runs {
            let run = &self.report.runs[*index];
            if !matches!(run.result.method.parse(), Ok(Method::Tuning(_))) {
                columns[0].push(label.clone());
                continue;
            }
            match tuned(plain, &run.folder) {
                Ok(backbone) => {
                    columns.push(vec![label.clone()]);
                    towers.push(backbone);
                }
                Err(error) => notes.push(format!("no attention of {label}: {error}")),
            }
        }
        let mut views = Vec::new();
        for &index in attended {
            let path = &self.run().predictions[index].path;
            views.push(plain.preprocess.pixels(&decode(&images.read(path)?, &images.label(path))?)?);
        }
        let maps = towers.iter().map(|tower| pollster::block_on(grids(tower, &views))).collect::<Result<Vec<_>>>()?;
        let row = |(position, &image): (usize, &usize)| {
            let view = &views[position];
            let maps = maps.iter().map(|maps| attention::overlay_uri(view, &maps[position]));
            Ok(AttentionRow { image, view: attention::view_uri(view)?, maps: maps.collect::<Result<_>>()? })
        };
        let rows = attended.iter().enumerate().map(row).collect::<Result<_>>()?;
        Ok((Attention { columns, rows }, notes))
    }

    /// The map by the plain backbone's features: one layout, on which all methods can be compared.
    fn map(&mut self, plain: &Backbone<B>, images: &Folder, listed: &HashSet<&str>) -> Result<FeatureMap> {
        let run = &self.report.runs[self.detail.runs[0].1];
        let mut sampled = map::sample(&run.predictions, run.result.per_class.len());
        sampled.retain(|index| listed.contains(run.predictions[*index].path.as_str()));
        let names: Vec<&str> = sampled.iter().map(|&index| run.predictions[index].path.as_str()).collect();
        let mut cache = FeatureCache::open(self.options.cache.as_deref(), plain, self.observer)?;
        let (features, _) = cache.features(plain, images, &names, self.observer)?;
        let width = features.dims()[1];
        Ok(FeatureMap::new(sampled, &pollster::block_on(train::read(features))?, width))
    }
}

/// The backbone with what a run's adapter changes in its towers.
fn tuned<B: ClipBackend>(plain: &Backbone<B>, folder: &Path) -> Result<Backbone<B>> {
    let path = folder.join("adapter.safetensors");
    let label = path.display().to_string();
    let file = AdapterFile::open(&label, native::map(&path)?)?;
    let mut backbone = plain.clone();
    backbone.adapt(&label, &file)?;
    Ok(backbone)
}
