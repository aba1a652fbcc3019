//! One run: learn from the shots, test once, write the folder.

use std::{cell::RefCell, path::Path, time::Instant};

use sha2::{Digest, Sha256};

use super::{
    Event, Observer,
    dataset::Dataset,
    features::{FeatureCache, Folder},
    journal::{EVENTS, Journal},
    plan::Plan,
    result::{Generalisation, RunResult, Seconds, predictions_csv},
    towers,
    workbench::Workbench,
};
use crate::{
    Error, Result,
    adapter::{self, Learnt, Method, Recipe},
    clip::ClipBackend,
    data::{FewShot, Split, base_classes, novel_classes},
    platform::native,
    session::Backbone,
    train::metrics::{Scores, harmonic_mean},
    weights::{AdapterInfo, adapter_file, checkpoint::hex},
};

/// What a run works on.
pub struct Materials<'a, B: ClipBackend> {
    /// The model.
    pub backbone: &'a Backbone<B>,
    /// The data set.
    pub dataset: &'a Dataset,
    /// The images to learn from.
    pub list: &'a FewShot,
}

/// What a run gives, before it is written.
pub struct Outcome<B: ClipBackend> {
    /// The numbers.
    pub result: RunResult,
    /// The fitted method.
    pub learnt: Learnt<B>,
    /// Logits of the test images.
    pub scores: Scores,
    /// The classes and the test images that the scores are of.
    pub split: Split,
}

/// Learns by the plan and tests once, on images that nothing before has looked at. Features that `cache` does not know are
/// computed, and known to it afterwards. Training through the towers keeps a checkpoint in the folder `out`.
///
/// # Errors
/// Pictures that cannot be read, a method that cannot learn from these shots, a device that fails; [`Error::Interrupted`].
pub fn run<B: ClipBackend>(
    plan: &Plan,
    materials: &Materials<'_, B>,
    cache: &mut FeatureCache,
    out: &Path,
    journal: &RefCell<Journal<'_>>,
) -> Result<Outcome<B>> {
    let Materials { backbone, dataset, list } = *materials;
    let observer: &mut dyn Observer = &mut |event: &Event| journal.borrow_mut().observe(event);
    let images = Folder(dataset.root.clone());
    let mut bench = Workbench::new(backbone, &images, plan.templates.clone(), plan.logit_scale, cache);
    let classes = &dataset.split.classes;
    let base = if plan.base_to_novel { base_classes(classes.len()) } else { 0..classes.len() };
    if plan.base_to_novel && novel_classes(classes.len()).is_empty() {
        return Err(Error::Usage(format!("--base-to-novel needs two classes or more; {} has one", dataset.name)));
    }

    // Before hours of work, not at the first that is missing.
    dataset.check_files(&[list.train.as_slice(), &list.val, &dataset.split.test].concat())?;
    let split = dataset.split.restrict(base.clone())?;
    if split.test.is_empty() {
        let why = "no test images, so nothing can be measured: list some under \"test\"";
        return Err(Error::Data { place: dataset.name.clone(), why: why.into() });
    }
    let shots = list.restrict(classes, base)?;
    let start = Instant::now();
    let few_shot = bench.few_shot(&split.classes, &shots.train, &shots.val, observer)?;
    let mut seconds = Seconds { features: start.elapsed().as_secs_f64(), ..Seconds::default() };

    let start = Instant::now();
    let learnt = match &plan.recipe {
        Recipe::Tuning(config) => {
            let generated = plan.generated.as_deref().unwrap_or(&dataset.root);
            let generated = std::path::absolute(generated).map_err(|source| Error::read(generated, source))?;
            let material = towers::Material {
                backbone,
                images: &images,
                generated: &generated,
                train: &shots.train,
                few_shot: &few_shot,
                classes: &split.classes,
                templates: &plan.templates,
                start: plan.start.as_deref(),
            };
            let mut beside = || write_beginnings(out, plan, list, &journal.borrow());
            let keep = towers::Keep { folder: out, run: &identity(plan, materials)?, beside: &mut beside };
            if out.join(towers::CHECKPOINT).exists() {
                journal.borrow_mut().go_on(out)?;
            }
            towers::train(config, plan.seed, &material, Some(keep), observer)?
        }
        recipe => Learnt::on_features(bench.fit(recipe, &few_shot, plan.seed, observer)?),
    };
    seconds.train = start.elapsed().as_secs_f64();

    // Changed towers see the test images anew, and nobody else will ask what they saw.
    let tuned = learnt.tuning.as_ref().map(|tuning| backbone.tuned(tuning));
    let mut tuned_cache = FeatureCache::default();
    let mut tuned_bench = tuned
        .as_ref()
        .map(|tuned| Workbench::new(tuned, &images, plan.templates.clone(), plan.logit_scale, &mut tuned_cache));

    let start = Instant::now();
    let features = tuned_bench.as_mut().unwrap_or(&mut bench).features("test", &split.test, observer)?;
    seconds.features += start.elapsed().as_secs_f64();
    let start = Instant::now();
    let (scores, metrics) = bench.test(learnt.head.as_ref(), features, &split.test)?;
    seconds.test = start.elapsed().as_secs_f64();

    let mut result = RunResult {
        shots: Some(plan.shots),
        seed: Some(plan.seed),
        ..RunResult::new(dataset, backbone, &learnt, &split.classes, &metrics)
    };
    if plan.base_to_novel {
        let novel = novel_classes(classes.len());
        let split = dataset.split.restrict(novel.clone())?;
        let shots = list.restrict(classes, novel)?;
        let what = "test of the novel classes";
        let few_shot = bench.few_shot(&split.classes, &shots.train, &[], observer)?;
        let features = bench.features(what, &split.test, observer)?;
        let zero_shot = bench.fit(&Recipe::from(Method::ZeroShot), &few_shot, plan.seed, observer)?;
        let novel_zero_shot = bench.test(zero_shot.as_ref(), features.clone(), &split.test)?.1.top1;
        let (few_shot, features) = match &mut tuned_bench {
            // Meta-Adapter's support is by the towers as they were, as in training.
            Some(tuned) => {
                let text = tuned.few_shot(&split.classes, &[], &[], observer)?.text;
                (adapter::FewShot { text, ..few_shot }, tuned.features(what, &split.test, observer)?)
            }
            None => (few_shot, features),
        };
        let moved = learnt.head.with_classes(&few_shot)?;
        let novel = bench.test(moved.as_ref(), features, &split.test)?.1.top1;
        let harmonic_mean = harmonic_mean(metrics.top1, novel);
        result.generalisation = Some(Generalisation { base: metrics.top1, novel, harmonic_mean, novel_zero_shot });
    }
    result.seconds = seconds;
    Ok(Outcome { result, learnt, scores, split })
}

/// What a run is: everything that decides what comes out of its training.
fn identity<B: ClipBackend>(plan: &Plan, materials: &Materials<'_, B>) -> Result<String> {
    let Materials { backbone, dataset, list } = materials;
    let mut hash = Sha256::new();
    for part in [&plan.to_toml()?, &list.to_json(), &backbone.sha256, &dataset.split_sha256] {
        hash.update(part);
        hash.update([0]);
    }
    if let Some(start) = &plan.start {
        hash.update(native::map(start)?.bytes());
    }
    Ok(hex(&hash.finalize()))
}

/// Writes what a run's folder has from the first checkpoint on.
fn write_beginnings(out: &Path, plan: &Plan, list: &FewShot, journal: &Journal<'_>) -> Result<()> {
    native::write_files(
        out,
        &[
            ("plan.toml", plan.to_toml()?.as_bytes()),
            ("fewshot.json", list.to_json().as_bytes()),
            (EVENTS, journal.text().as_bytes()),
        ],
    )
}

/// Writes a run folder; `result.json` comes last, so a folder that has it is whole.
///
/// # Errors
/// The folder cannot be written; what it did not hold before is removed again.
pub fn write<B: ClipBackend>(
    out: &Path,
    plan: &Plan,
    materials: &Materials<'_, B>,
    outcome: &Outcome<B>,
    journal: &Journal<'_>,
) -> Result<()> {
    let Materials { backbone, list, .. } = materials;
    let info = AdapterInfo {
        backbone: backbone.name.clone(),
        backbone_sha256: backbone.sha256.clone(),
        classes: outcome.split.classes.clone(),
        templates: plan.templates.clone(),
    };
    let adapter = pollster::block_on(adapter_file::write(&outcome.learnt, &info))?;
    let predictions = predictions_csv(&outcome.split.test, &outcome.split.classes, &outcome.scores)?;
    native::sweep(out);
    native::write_files(
        out,
        &[
            ("plan.toml", plan.to_toml()?.as_bytes()),
            ("fewshot.json", list.to_json().as_bytes()),
            (EVENTS, journal.text().as_bytes()),
            ("adapter.safetensors", &adapter),
            ("predictions.csv", &predictions),
            ("result.json", outcome.result.to_json()?.as_bytes()),
        ],
    )
}

/// Refuses a folder that holds the run of another plan, before any work is done.
///
/// # Errors
/// The plan there differs.
pub fn check_folder(out: &Path, plan: &Plan) -> Result<()> {
    let path = out.join("plan.toml");
    if !path.exists() || native::read(&path)? == plan.to_toml()?.as_bytes() {
        return Ok(());
    }
    Err(Error::Usage(format!("{} holds the run of another plan; choose another --out", out.display())))
}
