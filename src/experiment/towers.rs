//! Training through the towers on a machine: pictures from files, a checkpoint every few seconds, stopping when asked to.

use std::{
    path::Path,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use burn::tensor::Tensor;

use super::{Event, Observer, augmented, features::ImageSource, pictures::Pictures};
use crate::{
    Error, Result,
    adapter::{
        FewShot, Labelled, Learnt, Tuning,
        tuning::{Batch, Learning, Training, TuningConfig},
    },
    clip::ClipBackend,
    data::{Draws, Item, templates},
    platform::{interrupt, native},
    session::Backbone,
    weights::{AdapterFile, training_file},
};

/// The checkpoint's name in a run's folder.
pub const CHECKPOINT: &str = "checkpoint.safetensors";

/// A checkpoint is written at most this often, and takes at most a twentieth of the time.
const LEAST_PAUSE: Duration = Duration::from_secs(1);

/// Batches that are prepared ahead: enough to keep the towers busy, and a bound on the memory.
const AHEAD: usize = 2;

/// What is trained on.
pub struct Material<'a, B: ClipBackend> {
    /// The model.
    pub backbone: &'a Backbone<B>,
    /// Where pictures are read from.
    pub images: &'a dyn ImageSource,
    /// The folder that generated images lie in.
    pub generated: &'a Path,
    /// The images to learn from.
    pub train: &'a [Item],
    /// Their features and the classes' texts, by the towers as they are before.
    pub few_shot: &'a FewShot<B>,
    /// The classes.
    pub classes: &'a [String],
    /// Text templates.
    pub templates: &'a [String],
    /// An adapter to start from.
    pub start: Option<&'a Path>,
}

/// Where the training's checkpoint is kept.
pub struct Keep<'a> {
    /// The run's folder.
    pub folder: &'a Path,
    /// What the run is, for nobody else may go on from its checkpoint.
    pub run: &'a str,
    /// Called before each checkpoint, to write what belongs beside it.
    pub beside: &'a mut dyn FnMut() -> Result<()>,
}

/// Trains, going on from a checkpoint where there is one.
///
/// # Errors
/// Pictures that cannot be read, a loss that is not finite, a device that fails; [`Error::Interrupted`] with a checkpoint.
pub fn train<B: ClipBackend>(
    config: &TuningConfig,
    seed: u64,
    material: &Material<'_, B>,
    mut keep: Option<Keep<'_>>,
    observer: &mut dyn Observer,
) -> Result<Learnt<B>> {
    let Material { backbone, images, few_shot, generated, .. } = *material;
    let prompts = templates::prompts(material.templates, material.classes).concat();
    let learning = Learning {
        clip: &backbone.clip,
        shape: &backbone.config,
        prompts: prompts.iter().map(|prompt| backbone.token_ids(prompt)).collect(),
        classes: material.classes.len(),
        scale: few_shot.scale,
        shots: Labelled { features: few_shot.features.clone(), labels: few_shot.labels.clone() },
    };
    let mut training = Training::start(config.clone(), learning, seed)?;
    if let Some(path) = material.start {
        start_from(path, backbone, &mut training)?;
    }
    let mut items = material.train.to_vec();
    let shots = items.len();
    if config.preserving > 0 {
        let dropped = augmented::dropped(generated)?;
        if !dropped.is_empty() {
            let count = dropped.len();
            observer.observe(&Event::note(format!("{count} label-preserving images that were dropped are not used")));
        }
        items.extend(augmented::preserving(generated, material.train, config.preserving, &dropped)?);
    }
    let breaking = match config.breaking {
        Some(breaking) => augmented::breaking(generated, material.train, breaking.pair)?,
        None => Vec::new(),
    };
    if let Some(keep) = &keep {
        let path = keep.folder.join(CHECKPOINT);
        if path.exists() {
            let label = path.display().to_string();
            let state = training_file::read(&label, native::map(&path)?, keep.run, backbone.clip.device())?;
            training.restore(state).map_err(|why| Error::Adapter { file: label, why })?;
            observer.observe(&Event::note(format!("going on after step {} of {}", training.done(), config.steps)));
        }
    }
    interrupt::listen();

    let pictures = Pictures::new(images, &backbone.preprocess, config.augment, seed);
    let steps = training.done()..config.steps;
    let draws = Draws::new(config.draw, items.len(), config.batch, seed);
    // Another seed, so that the pairs do not follow the batch where both have the same number of pictures.
    let pairs = Draws::new(config.draw, breaking.len().max(1), config.batch.min(breaking.len().max(1)), !seed);
    let weight = config.preserving_weight as f32;
    let weighted = weight != 1.0 && items.len() > shots;
    let prepare = |step: usize| {
        let batch = draws.batch(step);
        let names: Vec<&str> = batch.iter().map(|&index| items[index].path.as_str()).collect();
        let labels: Vec<usize> = batch.iter().map(|&index| items[index].label).collect();
        let weights: Vec<f32> = match weighted {
            true => batch.iter().map(|&index| if index < shots { 1.0 } else { weight }).collect(),
            false => Vec::new(),
        };
        let mut views = Vec::new();
        if !breaking.is_empty() {
            let drawn = pairs.batch(step);
            let [first, second]: [Vec<&str>; 2] =
                [0, 1].map(|view| drawn.iter().map(|&index| breaking[index][view].as_str()).collect());
            views.extend([pictures.batch(&first, step, 1)?, pictures.batch(&second, step, 2)?]);
        }
        Ok::<_, Error>((pictures.batch(&names, step, 0)?, labels, weights, views))
    };
    let prepare = &prepare;
    let result = thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(AHEAD);
        let ahead = steps.clone();
        scope.spawn(move || {
            for step in ahead {
                let batch = prepare(step);
                let failed = batch.is_err();
                if sender.send(batch).is_err() || failed {
                    return;
                }
            }
        });
        let mut next = Instant::now() + LEAST_PAUSE;
        for batch in receiver {
            let (names, labels, weights, views) = batch?;
            let breaking = match views.as_slice() {
                [first, second] => Some([backbone.pixels(first), backbone.pixels(second)]),
                _ => None,
            };
            let batch = Batch { pixels: backbone.pixels(&names), labels, weights, breaking };
            let step = pollster::block_on(training.step(batch))?;
            observer.observe(&Event::Step(step));
            let stop = interrupt::asked();
            let last = training.done() == config.steps;
            if let Some(keep) = keep.as_mut().filter(|_| stop || last || Instant::now() >= next) {
                let start = Instant::now();
                store(&training, keep)?;
                next = Instant::now() + LEAST_PAUSE.max(start.elapsed() * 20);
            }
            if stop && !last {
                let (done, steps) = (training.done(), config.steps);
                let advice = "the same command goes on from there";
                return Err(Error::Interrupted(format!("interrupted after step {done} of {steps}: {advice}")));
            }
        }
        Ok(())
    });
    result?;
    training.finish()
}

/// Starts from what an adapter of the same kind has learnt.
fn start_from<B: ClipBackend>(path: &Path, backbone: &Backbone<B>, training: &mut Training<B>) -> Result<()> {
    let label = path.display().to_string();
    let file = AdapterFile::open(&label, native::map(path)?)?;
    let tuning = backbone.learnt(&label, &file)?.tuning.filter(|tuning| {
        let shapes = |tuning: &Tuning<B>| tuning.values().iter().map(Tensor::dims).collect::<Vec<_>>();
        tuning.names() == training.tuning().names() && shapes(tuning) == shapes(training.tuning())
    });
    let Some(tuning) = tuning else {
        let why = "it trains other tensors than this run; give the same LoRA and BitFit settings";
        return Err(Error::Adapter { file: label, why: why.into() });
    };
    training.set_values(tuning.values().to_vec());
    Ok(())
}

/// Writes the checkpoint, and what belongs beside it first.
fn store<B: ClipBackend>(training: &Training<B>, keep: &mut Keep<'_>) -> Result<()> {
    (keep.beside)()?;
    let bytes = pollster::block_on(training_file::write(training.state(), keep.run))?;
    native::write(&keep.folder.join(CHECKPOINT), &bytes)
}
