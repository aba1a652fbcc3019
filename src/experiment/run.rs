//! One run: learn from the shots, test once, write the folder.

use std::{path::Path, time::Instant};

use super::{
    Event, Observer,
    dataset::Dataset,
    features::{FeatureCache, Folder},
    plan::Plan,
    result::{Generalisation, RunResult, Seconds, predictions_csv},
    workbench::Workbench,
};
use crate::{
    Error, Result,
    adapter::{Adapter, Method, Recipe},
    clip::ClipBackend,
    data::{FewShot, Split, base_classes, novel_classes},
    platform::native,
    session::Backbone,
    train::metrics::{Scores, harmonic_mean},
    weights::{AdapterInfo, adapter_file},
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
    pub adapter: Box<dyn Adapter<B>>,
    /// Logits of the test images.
    pub scores: Scores,
    /// The classes and the test images that the scores are of.
    pub split: Split,
}

/// Learns by the plan and tests once, on images that nothing before has looked at. Features that `cache` does not know are
/// computed, and known to it afterwards.
///
/// # Errors
/// Pictures that cannot be read, a method that cannot learn from these shots, a device that fails.
pub fn run<B: ClipBackend>(
    plan: &Plan,
    materials: &Materials<'_, B>,
    cache: &mut FeatureCache,
    observer: &mut dyn Observer,
) -> Result<Outcome<B>> {
    let Materials { backbone, dataset, list } = *materials;
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
    let adapter = bench.fit(&plan.recipe, &few_shot, plan.seed, observer)?;
    seconds.train = start.elapsed().as_secs_f64();

    let start = Instant::now();
    let features = bench.features("test", &split.test, observer)?;
    seconds.features += start.elapsed().as_secs_f64();
    let start = Instant::now();
    let (scores, metrics) = bench.test(adapter.as_ref(), features, &split.test)?;
    seconds.test = start.elapsed().as_secs_f64();

    let mut result = RunResult {
        shots: Some(plan.shots),
        seed: Some(plan.seed),
        ..RunResult::new(dataset, backbone, adapter.as_ref(), &split.classes, &metrics)
    };
    if plan.base_to_novel {
        let novel = novel_classes(classes.len());
        let split = dataset.split.restrict(novel.clone())?;
        let shots = list.restrict(classes, novel)?;
        let few_shot = bench.few_shot(&split.classes, &shots.train, &[], observer)?;
        let features = bench.features("test of the novel classes", &split.test, observer)?;
        let moved = adapter.with_classes(&few_shot)?;
        let zero_shot = bench.fit(&Recipe::from(Method::ZeroShot), &few_shot, plan.seed, observer)?;
        let novel = bench.test(moved.as_ref(), features.clone(), &split.test)?.1.top1;
        let novel_zero_shot = bench.test(zero_shot.as_ref(), features, &split.test)?.1.top1;
        let harmonic_mean = harmonic_mean(metrics.top1, novel);
        result.generalisation = Some(Generalisation { base: metrics.top1, novel, harmonic_mean, novel_zero_shot });
    }
    result.seconds = seconds;
    Ok(Outcome { result, adapter, scores, split })
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
    events: &[Event],
) -> Result<()> {
    let Materials { backbone, list, .. } = materials;
    let lines: Vec<String> = events
        .iter()
        .filter(|event| !matches!(event, Event::Progress { .. }))
        .filter_map(|event| serde_json::to_string(event).ok())
        .collect();
    let info = AdapterInfo {
        backbone: backbone.name.clone(),
        backbone_sha256: backbone.sha256.clone(),
        classes: outcome.split.classes.clone(),
        templates: plan.templates.clone(),
    };
    let adapter = pollster::block_on(adapter_file::write(outcome.adapter.as_ref(), &info))?;
    let predictions = predictions_csv(&outcome.split.test, &outcome.split.classes, &outcome.scores)?;
    native::sweep(out);
    native::write_files(
        out,
        &[
            ("plan.toml", plan.to_toml()?.as_bytes()),
            ("fewshot.json", list.to_json().as_bytes()),
            ("events.jsonl", (lines.join("\n") + "\n").as_bytes()),
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
