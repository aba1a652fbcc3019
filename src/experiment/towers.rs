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
    drawn::{Drawn, Wanted},
    features::ImageSource,
    pictures::Pictures,
};
use crate::{
    Error, Result,
    adapter::{
        FewShot, Labelled, Learnt, Tuning,
        tuning::{Batch, Learning, Training, TuningConfig},
    },
    clip::ClipBackend,
    data::{Item, templates},
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
    let mut training = begun(config, seed, material)?;
    let drawn = Drawn::find(config, material.train, material.generated, observer)?;
    if let Some(keep) = &mut keep {
        go_on(&mut training, keep, material.backbone, observer)?;
    }
    interrupt::listen();
    let waited = take_steps(&mut training, material, &drawn, seed, keep, observer)?;
    Ok((waited, training.finish()?))
}

/// A training of which no step is done.
fn begun<B: ClipBackend>(config: &TuningConfig, seed: u64, material: &Material<'_, B>) -> Result<Training<B>> {
    let Material { backbone, few_shot, .. } = *material;
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
    Ok(training)
}

/// Goes on from the run's checkpoint, where there is one.
fn go_on<B: ClipBackend>(
    training: &mut Training<B>,
    keep: &mut Keep<'_>,
    backbone: &Backbone<B>,
    observer: &mut dyn Observer,
) -> Result<()> {
    let path = keep.folder.join(CHECKPOINT);
    if !path.exists() {
        return Ok(());
    }
    let label = path.display().to_string();
    let state = training_file::read(&label, native::map(&path)?, keep.run, backbone.clip.device())?;
    training.restore(state).map_err(|why| Error::Adapter { file: label, why })?;
    let (done, steps) = (training.done(), training.config().steps);
    (keep.go_on)(done)?;
    observer.observe(&Event::note(format!("going on after step {done} of {steps}")));
    Ok(())
}

/// Takes the steps that are left, while other threads prepare the pictures of the next. Gives how long it waited for them.
fn take_steps<B: ClipBackend>(
    training: &mut Training<B>,
    material: &Material<'_, B>,
    drawn: &Drawn<'_>,
    seed: u64,
    keep: Option<Keep<'_>>,
    observer: &mut dyn Observer,
) -> Result<Duration> {
    let Material { backbone, images, .. } = *material;
    let config = training.config().clone();
    let pictures = &Pictures::new(images, &backbone.preprocess, config.augment, seed, drawn.count());
    let prepare = move |(name, target, place): Wanted<'_>| Ok((pictures.view(name, place)?, target));
    thread::scope(|scope| {
        let jobs = drawn.from_step(training.done(), &config, seed);
        let most = AHEAD * (config.batch + 2 * drawn.views());
        let mut prepared = Ahead::start(scope, parallel::threads(), most, jobs, prepare);
        let mut checkpoints = Checkpoints::new(keep);
        while training.done() < config.steps {
            let batch = batch(&mut prepared, &config, drawn, backbone)?;
            let step = pollster::block_on(training.step(batch))?;
            observer.observe(&Event::Step(step));
            let stop = interrupt::asked();
            let (done, steps) = (training.done(), config.steps);
            checkpoints.after_step(training, stop || done == steps, prepared.waited(), observer)?;
            if stop && done < steps {
                let advice = "the same command goes on from there";
                return Err(Error::Interrupted(format!("interrupted after step {done} of {steps}: {advice}")));
            }
        }
        Ok(prepared.waited())
    })
}

/// The next step's pictures.
fn batch<B: ClipBackend>(
    prepared: &mut impl Iterator<Item = Result<(Vec<u8>, (usize, f32))>>,
    config: &TuningConfig,
    drawn: &Drawn<'_>,
    backbone: &Backbone<B>,
) -> Result<Batch<B>> {
    let mut take = |count: usize| prepared.take(count).collect::<Result<(Vec<Vec<u8>>, Vec<(usize, f32)>)>>();
    let (pixels, targets) = take(config.batch)?;
    let breaking = match drawn.views() {
        0 => None,
        views => Some([backbone.pixels(&take(views)?.0), backbone.pixels(&take(views)?.0)]),
    };
    if pixels.len() < config.batch {
        return Err(Error::Failed("a thread that decodes pictures ended".into()));
    }
    let (labels, weights): (Vec<usize>, Vec<f32>) = targets.into_iter().unzip();
    let weights = if drawn.weighted() { weights } else { Vec::new() };
    Ok(Batch { pixels: backbone.pixels(&pixels), labels, weights, breaking })
}

/// Writes checkpoints, where they are kept, and not more often than they are worth.
struct Checkpoints<'a> {
    keep: Option<Keep<'a>>,
    start: Instant,
    next: Instant,
}

impl<'a> Checkpoints<'a> {
    /// The first step begins now.
    fn new(keep: Option<Keep<'a>>) -> Self {
        let start = Instant::now();
        Self { keep, start, next: start + LEAST_PAUSE }
    }

    /// Writes one where it is time for it, or where it `must` be; tells the time so far, of which `waited` was spent on waiting
    /// for pictures.
    fn after_step<B: ClipBackend>(
        &mut self,
        training: &Training<B>,
        must: bool,
        waited: Duration,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let Some(keep) = self.keep.as_mut().filter(|_| must || Instant::now() >= self.next) else { return Ok(()) };
        let writing = Instant::now();
        let (train, waiting) = (self.start.elapsed().as_secs_f64(), waited.as_secs_f64());
        observer.observe(&Event::Spent(Spent { after: training.done(), train, waiting }));
        store(training, keep)?;
        self.next = Instant::now() + LEAST_PAUSE.max(writing.elapsed() * 20);
        Ok(())
    }
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
