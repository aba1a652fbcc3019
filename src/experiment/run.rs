//! One run: learn from the shots, test once, write the folder.

use std::{
    borrow::Cow,
    cell::RefCell,
    path::Path,
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};

use super::{
    Event, Observer,
    dataset::Dataset,
    features::{FeatureCache, Folder},
    journal::{EVENTS, Journal},
    memory,
    plan::Plan,
    result::{Generalisation, RunResult, Seconds, predictions_csv},
    towers,
    workbench::{Measured, Workbench},
};
use crate::{
    Error, Result,
    adapter::{self, Learnt, Method, Recipe},
    clip::ClipBackend,
    data::{FewShot, Item, Shots, Split, base_classes, novel_classes, sampler::at_most},
    hash,
    platform::native,
    session::Backbone,
    train::metrics::{Prediction, harmonic_mean},
    weights::{AdapterInfo, adapter_file},
};

/// Images of each class in Meta-Adapter's support where all are learnt from through the towers: the most that it was made for,
/// and every step looks at all of them.
const SUPPORT: usize = 16;

/// Waiting for pictures is mentioned when it took longer, and more than half of the time.
const WORTH_SAYING: Duration = Duration::from_secs(10);

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
pub struct Outcome<'a, B: ClipBackend> {
    /// The numbers.
    pub result: RunResult,
    /// The fitted method.
    pub learnt: Learnt<B>,
    /// What is predicted for the test images.
    pub predictions: Vec<Prediction>,
    /// The classes and the test images.
    pub split: Cow<'a, Split>,
}

/// Learns by the plan and tests once, on images that nothing before has looked at. Features that `cache` does not know are
/// computed, and known to it afterwards. Training through the towers keeps a checkpoint in the folder `out`.
///
/// # Errors
/// Pictures that cannot be read, a method that cannot learn from these shots, a device that fails; [`Error::Interrupted`].
pub fn run<'a, B: ClipBackend>(
    plan: &Plan,
    materials: &Materials<'a, B>,
    cache: &mut FeatureCache,
    out: &Path,
    journal: &RefCell<Journal<'_>>,
) -> Result<Outcome<'a, B>> {
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
    dataset.check_files(list.train.iter().chain(&list.val).chain(&dataset.split.test))?;
    let whole = !plan.base_to_novel;
    let split = if whole { Cow::Borrowed(&dataset.split) } else { Cow::Owned(dataset.split.restrict(base.clone())?) };
    if split.test.is_empty() {
        let why = "no test images, so nothing can be measured: list some under \"test\"";
        return Err(Error::Data { place: dataset.name.clone(), why: why.into() });
    }
    let shots = if whole { Cow::Borrowed(list) } else { Cow::Owned(list.restrict(classes, base)?) };
    let start = Instant::now();
    let (support, val) = looked_at(plan, &shots, &split.classes);
    let width = backbone.config.embedding;
    if let Some(note) = memory::check(&plan.recipe, &support, val, split.classes.len(), width)? {
        observer.observe(&Event::note(note));
    }
    let few_shot = bench.few_shot(&split.classes, &support, val, observer)?;
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
            let mut go_on = |done| journal.borrow_mut().go_on(out, done);
            let mut begun = false;
            let mut beside = || {
                write_beginnings(out, plan, list, &journal.borrow(), begun)?;
                begun = true;
                Ok(())
            };
            let run = &identity(plan, materials)?;
            let keep = towers::Keep { folder: out, run, go_on: &mut go_on, beside: &mut beside };
            let (waited, learnt) = towers::train(config, plan.seed, &material, Some(keep), observer)?;
            seconds.waiting = Some(journal.borrow().spent().waiting + waited.as_secs_f64());
            if waited > WORTH_SAYING && waited > start.elapsed() / 2 {
                let (waited, whole) = (waited.as_secs_f64(), start.elapsed().as_secs_f64());
                let advice = "smaller copies of them, or more threads (RAYON_NUM_THREADS), would make it faster";
                observer.observe(&Event::note(format!(
                    "{waited:.0} of {whole:.0} s were spent waiting for pictures: {advice}"
                )));
            }
            learnt
        }
        recipe => Learnt::on_features(bench.fit(recipe, &few_shot, plan.seed, observer)?),
    };
    seconds.train = journal.borrow().spent().train + start.elapsed().as_secs_f64();

    // Changed towers see the test images anew, and nobody else will ask what they saw.
    let tuned = learnt.tuning.as_ref().map(|tuning| backbone.tuned(tuning));
    let mut tuned_cache = FeatureCache::forgetful();
    let mut tuned_bench = tuned
        .as_ref()
        .map(|tuned| Workbench::new(tuned, &images, plan.templates.clone(), plan.logit_scale, &mut tuned_cache));

    let tested = tuned_bench.as_mut().unwrap_or(&mut bench);
    let Measured { predictions, metrics, seconds: spent } =
        tested.measure("test", learnt.head.as_ref(), &split.test, observer)?;
    seconds.features += spent.features;
    seconds.test = spent.test;

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
        let (support, _) = looked_at(plan, &shots, &split.classes);
        let few_shot = bench.few_shot(&split.classes, &support, &[], observer)?;
        let zero_shot = bench.fit(&Recipe::from(Method::ZeroShot), &few_shot, plan.seed, observer)?;
        let novel_zero_shot = bench.measure(what, zero_shot.as_ref(), &split.test, observer)?.metrics.top1;
        let few_shot = match &mut tuned_bench {
            // Meta-Adapter's support is by the towers as they were, as in training.
            Some(tuned) => {
                let text = tuned.few_shot(&split.classes, &[], &[], observer)?.text;
                adapter::FewShot { text, ..few_shot }
            }
            None => few_shot,
        };
        let moved = learnt.head.with_classes(&few_shot)?;
        let tested = tuned_bench.as_mut().unwrap_or(&mut bench);
        let novel = tested.measure(what, moved.as_ref(), &split.test, observer)?.metrics.top1;
        let harmonic_mean = harmonic_mean(metrics.top1, novel);
        result.generalisation = Some(Generalisation { base: metrics.top1, novel, harmonic_mean, novel_zero_shot });
    }
    result.seconds = seconds;
    Ok(Outcome { result, learnt, predictions, split })
}

/// The images whose features the method learns from, and those by whose features it chooses settings. Training through the
/// towers sees its pictures themselves, and needs features for Meta-Adapter's support alone.
fn looked_at<'a>(plan: &Plan, shots: &'a FewShot, classes: &[String]) -> (Cow<'a, [Item]>, &'a [Item]) {
    let nothing = (Cow::Borrowed(&[][..]), &[][..]);
    let all = plan.shots == Shots::All && plan.fewshot.is_none();
    match &plan.recipe {
        Recipe::Tuning(config) if config.meta.is_none() => nothing,
        Recipe::Tuning(_) if all => (Cow::Owned(at_most(&shots.train, classes, SUPPORT, plan.seed)), &[]),
        Recipe::Tuning(_) => (Cow::Borrowed(&shots.train), &[]),
        Recipe::ZeroShot if all => nothing,
        _ => (Cow::Borrowed(&shots.train), &shots.val),
    }
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
    Ok(hash::hex(&hash.finalize()))
}

/// Writes what a run's folder has from the first checkpoint on: what does not change only where it is not yet `begun`.
fn write_beginnings(out: &Path, plan: &Plan, list: &FewShot, journal: &Journal<'_>, begun: bool) -> Result<()> {
    if !begun {
        let (plan, list) = (plan.to_toml()?, list.to_json());
        native::write_files(out, &[("plan.toml", plan.as_bytes()), ("fewshot.json", list.as_bytes())])?;
    }
    native::write_files(out, &[(EVENTS, journal.text().as_bytes())])
}

/// Writes a run folder; `result.json` comes last, so a folder that has it is whole.
///
/// # Errors
/// The folder cannot be written; what it did not hold before is removed again.
pub fn write<B: ClipBackend>(
    out: &Path,
    plan: &Plan,
    materials: &Materials<'_, B>,
    outcome: &Outcome<'_, B>,
    journal: &Journal<'_>,
) -> Result<()> {
    let Materials { backbone, list, .. } = materials;
    let info = AdapterInfo {
        backbone: backbone.name.clone(),
        backbone_sha256: backbone.sha256.clone(),
        weights: backbone.clip.storage(),
        classes: outcome.split.classes.clone(),
        templates: plan.templates.clone(),
    };
    let adapter = pollster::block_on(adapter_file::write(&outcome.learnt, &info))?;
    let predictions = predictions_csv(&outcome.split.test, &outcome.split.classes, &outcome.predictions)?;
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
