//! From a plan to its finished run folder, sharing between runs whatever is slow to come by.

use std::{
    cell::RefCell,
    collections::HashMap,
    path::{Path, PathBuf},
    rc::Rc,
};

use super::{
    Event, Observer,
    dataset::Dataset,
    features::FeatureCache,
    journal::Journal,
    plan::Plan,
    result::RunResult,
    run::{self, Materials},
};
use crate::{
    Error, Result,
    adapter::{Method, Recipe},
    clip::{ClipBackend, Format},
    data::{FewShot, Item, Shots, base_classes, sample},
    platform::{models, native},
    session::Backbone,
};

/// Runs plans one after the other. Data sets, the model and its features are opened by the first run that needs them, and
/// kept for the next. Of models only the last is kept, because several large ones do not fit into a GPU's memory: plans
/// are best ordered by their model.
pub struct Executor<B: ClipBackend> {
    device: B::Device,
    format: Format,
    cache: Option<PathBuf>,
    datasets: HashMap<(String, Option<PathBuf>), Rc<Dataset>>,
    model: Option<Model<B>>,
}

/// A backbone and the features known for it.
struct Model<B: ClipBackend> {
    name: String,
    backbone: Backbone<B>,
    features: FeatureCache,
}

impl<B: ClipBackend> Executor<B> {
    /// Opens nothing yet. Computed features are kept in the folder `cache`; without one, in memory.
    pub fn new(device: &B::Device, cache: Option<PathBuf>) -> Self {
        let format = Format::default();
        Self { device: device.clone(), format, cache, datasets: HashMap::new(), model: None }
    }

    /// The same with models whose numbers are in `format`.
    #[must_use]
    pub fn in_format(self, format: Format) -> Self {
        Self { format, ..self }
    }

    /// The plan as it will be written into its folder: with the data set's own templates where it has none, the number of
    /// steps that its epochs are, and the name of the device that will compute it, and in what where that is not f32.
    ///
    /// # Errors
    /// A combination that makes no sense; as [`Dataset::open`]; a few-shot list that cannot be read, where it has epochs.
    pub fn resolve(&mut self, mut plan: Plan) -> Result<Plan> {
        check(&plan)?;
        if plan.templates.is_empty() {
            plan.templates.clone_from(&self.dataset(&plan)?.templates);
        }
        if let Some(epochs) = plan.epochs.take() {
            let dataset = self.dataset(&plan)?;
            let base = if plan.base_to_novel { base_classes(dataset.split.classes.len()).end } else { usize::MAX };
            let count = |items: &[Item]| items.iter().filter(|item| item.label < base).count();
            let images = match (plan.shots, &plan.fewshot) {
                // Without making the list, which may be long.
                (Shots::All, None) => count(&dataset.split.train),
                _ => count(&list(&plan, &dataset)?.0.train),
            };
            if let Recipe::Tuning(config) = &mut plan.recipe {
                config.steps = epochs.saturating_mul(images).div_ceil(config.batch).max(1);
            }
        }
        plan.device = match self.format.difference() {
            difference if difference.is_empty() => B::name(&self.device),
            difference => format!("{}, {difference}", B::name(&self.device)),
        };
        Ok(plan)
    }

    /// Learns and tests as `plan` says (see [`Executor::resolve`]) and writes the folder `out`.
    ///
    /// # Errors
    /// Whatever is wrong with the data set, the few-shot list or the model; as [`run::check_folder`], [`run::run`] and
    /// [`run::write`].
    pub fn execute(&mut self, plan: Plan, out: &Path, observer: &mut dyn Observer) -> Result<RunResult> {
        let journal = RefCell::new(Journal::new(observer));
        let mut observer = |event: &Event| journal.borrow_mut().observe(event);
        let plan = self.resolve(plan)?;
        let dataset = self.dataset(&plan)?;
        dataset.notes.iter().for_each(|note| observer(&Event::note(note)));
        let (list, notes) = list(&plan, &dataset)?;
        notes.iter().for_each(|note| observer(&Event::note(note)));
        run::check_folder(out, &plan)?;
        let Model { backbone, features, .. } = self.model(&plan.model, &mut observer)?;
        let materials = Materials { backbone, dataset: &dataset, list: &list };
        let outcome = run::run(&plan, &materials, features, out, &journal)?;
        run::write(out, &plan, &materials, &outcome, &journal.borrow())?;
        Ok(outcome.result)
    }

    fn dataset(&mut self, plan: &Plan) -> Result<Rc<Dataset>> {
        let key = (plan.dataset.clone(), plan.root_path.clone());
        if let Some(dataset) = self.datasets.get(&key) {
            return Ok(Rc::clone(dataset));
        }
        let dataset = Rc::new(Dataset::open(&plan.dataset, plan.root_path.as_deref())?);
        self.datasets.insert(key, Rc::clone(&dataset));
        Ok(dataset)
    }

    fn model(&mut self, name: &str, observer: &mut dyn Observer) -> Result<&mut Model<B>> {
        let model = match self.model.take().filter(|model| model.name == name) {
            Some(model) => model,
            None => {
                let backbone = Backbone::<B>::load_in(self.format, name, models::find(name)?.as_ref(), &self.device)?;
                let features = FeatureCache::open(self.cache.as_deref(), &backbone, observer)?;
                Model { name: name.to_owned(), backbone, features }
            }
        };
        Ok(self.model.insert(model))
    }
}

/// The images that a plan learns from, and notes on them.
fn list(plan: &Plan, dataset: &Dataset) -> Result<(FewShot, Vec<String>)> {
    match &plan.fewshot {
        Some(path) => FewShot::from_json(&native::read(path)?, &path.display().to_string(), &dataset.split),
        None => sample(&dataset.split, plan.shots, plan.seed),
    }
}

/// Refuses combinations of settings that no run can follow, before anything is opened.
fn check(plan: &Plan) -> Result<()> {
    let method = plan.recipe.method();
    if plan.base_to_novel && matches!(method, Method::TipF | Method::LinearProbe) {
        let why = "learns its classes and cannot take others; use zero-shot, tip or meta";
        return Err(Error::Usage(format!("--base-to-novel: {method} {why}")));
    }
    if plan.shots == Shots::PerClass(0) && plan.fewshot.is_none() && method != Method::ZeroShot {
        return Err(Error::Usage(format!("--shots 0 leaves {method} nothing to learn from")));
    }
    Ok(())
}
