//! Training through the towers on a machine: pictures from files, a checkpoint every few seconds, stopping when asked to.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use burn::tensor::Tensor;

use super::{
    Event, Observer, Spent,
    ahead::Ahead,
    augmented,
    features::ImageSource,
    pictures::{Pictures, Place},
};
use crate::{
    Error, Result,
    adapter::{
        FewShot, Labelled, Learnt, Tuning,
        tuning::{Batch, Learning, Training, TuningConfig},
    },
    clip::ClipBackend,
    data::{Draws, Item, templates},
    platform::{interrupt, native, parallel},
    session::Backbone,
    weights::{AdapterFile, training_file},
};

/// The checkpoint's name in a run's folder.
pub const CHECKPOINT: &str = "checkpoint.safetensors";

/// A checkpoint is written at most this often, and takes at most a twentieth of the time.
const LEAST_PAUSE: Duration = Duration::from_secs(1);

/// Steps whose pictures are prepared ahead: enough to keep the towers busy, and a bound on the memory.
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
    /// Called with the number of steps that are done already, where there are any.
    pub go_on: &'a mut dyn FnMut(usize) -> Result<()>,
    /// Called before each checkpoint, to write what belongs beside it.
    pub beside: &'a mut dyn FnMut() -> Result<()>,
}

/// Trains, going on from a checkpoint where there is one. Gives also how long it waited for pictures.
///
/// What is held does not grow with the number of pictures, but for their paths and an epoch's order: they are read when their
/// step is near, and only a few that are known to be few are kept (see [`Pictures`]).
///
/// # Errors
/// Pictures that cannot be read, a loss that is not finite, a device that fails; [`Error::Interrupted`] with a checkpoint.
pub fn train<B: ClipBackend>(
    config: &TuningConfig,
    seed: u64,
    material: &Material<'_, B>,
    mut keep: Option<Keep<'_>>,
    observer: &mut dyn Observer,
) -> Result<(Duration, Learnt<B>)> {
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
    let preserving = match config.preserving {
        0 => Vec::new(),
        most => {
            let dropped = augmented::dropped(generated)?;
            if !dropped.is_empty() {
                let count = dropped.len();
                observer
                    .observe(&Event::note(format!("{count} label-preserving images that were dropped are not used")));
            }
            augmented::preserving(generated, material.train, most, &dropped)?
        }
    };
    let items: Vec<&Item> = material.train.iter().chain(&preserving).collect();
    if items.is_empty() {
        let why = "no images to learn from: give at least one, or use zero-shot".into();
        return Err(Error::Data { place: "shots".into(), why });
    }
    let breaking = match config.breaking {
        Some(breaking) => augmented::breaking(generated, material.train, breaking.pair)?,
        None => Vec::new(),
    };
    if let Some(keep) = &mut keep {
        let path = keep.folder.join(CHECKPOINT);
        if path.exists() {
            let label = path.display().to_string();
            let state = training_file::read(&label, native::map(&path)?, keep.run, backbone.clip.device())?;
            training.restore(state).map_err(|why| Error::Adapter { file: label, why })?;
            (keep.go_on)(training.done())?;
            observer.observe(&Event::note(format!("going on after step {} of {}", training.done(), config.steps)));
        }
    }
    interrupt::listen();

    let views = if breaking.is_empty() { 0 } else { config.batch.min(breaking.len()) };
    let count = items.len() + 2 * breaking.len();
    let pictures = Pictures::new(images, &backbone.preprocess, config.augment, seed, count);
    let draws = Draws::new(config.draw, items.len(), config.batch, seed);
    // Another seed, so that the pairs do not follow the batch where both have the same number of pictures.
    let pairs = Draws::new(config.draw, breaking.len().max(1), views.max(1), !seed);
    let (items, breaking, pictures) = (&items, &breaking, &pictures);
    let (shots, weight) = (material.train.len(), config.preserving_weight as f32);
    let done = training.done();
    let drawn = (done..config.steps).zip(draws.batches(done).zip(pairs.batches(done)));
    let jobs = drawn.flat_map(move |(step, (batch, pairs))| {
        let batch = batch.into_iter().map(|index| {
            let weight = if index < shots { 1.0 } else { weight };
            (items[index].path.as_str(), (items[index].label, weight))
        });
        let pairs = if breaking.is_empty() { Vec::new() } else { pairs };
        let view = |view: usize| {
            pairs.iter().map(move |&index| (breaking[index][view].as_str(), (0, 1.0))).collect::<Vec<_>>()
        };
        let [first, second] = [0, 1].map(view);
        // A view's place says which of the two it is, whatever the size of the batch.
        let placed = batch.enumerate().chain((views..).zip(first)).chain((2 * views..).zip(second));
        placed.map(|(index, (name, target))| (name, target, Place { step, index })).collect::<Vec<_>>()
    });
    let prepare = move |(name, target, place)| Ok((pictures.view(name, place)?, target));
    let waited = thread::scope(|scope| {
        let most = AHEAD * (config.batch + 2 * views);
        let mut prepared = Ahead::start(scope, parallel::threads(), most, jobs, prepare);
        let start = Instant::now();
        let mut next = start + LEAST_PAUSE;
        while training.done() < config.steps {
            let mut take =
                |count: usize| prepared.by_ref().take(count).collect::<Result<(Vec<Vec<u8>>, Vec<(usize, f32)>)>>();
            let (batch, targets) = take(config.batch)?;
            let breaking = match views {
                0 => None,
                _ => Some([backbone.pixels(&take(views)?.0), backbone.pixels(&take(views)?.0)]),
            };
            if batch.len() < config.batch {
                return Err(Error::Failed("a thread that decodes pictures ended".into()));
            }
            let (labels, weights): (Vec<usize>, Vec<f32>) = targets.into_iter().unzip();
            let weights = if weight == 1.0 || preserving.is_empty() { Vec::new() } else { weights };
            let batch = Batch { pixels: backbone.pixels(&batch), labels, weights, breaking };
            let step = pollster::block_on(training.step(batch))?;
            observer.observe(&Event::Step(step));
            let stop = interrupt::asked();
            let last = training.done() == config.steps;
            if let Some(keep) = keep.as_mut().filter(|_| stop || last || Instant::now() >= next) {
                let writing = Instant::now();
                let waiting = prepared.waited().as_secs_f64();
                let spent = Spent { after: training.done(), train: start.elapsed().as_secs_f64(), waiting };
                observer.observe(&Event::Spent(spent));
                store(&training, keep)?;
                next = Instant::now() + LEAST_PAUSE.max(writing.elapsed() * 20);
            }
            if stop && !last {
                let (done, steps) = (training.done(), config.steps);
                let advice = "the same command goes on from there";
                return Err(Error::Interrupted(format!("interrupted after step {done} of {steps}: {advice}")));
            }
        }
        Ok(prepared.waited())
    });
    Ok((waited?, training.finish()?))
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
