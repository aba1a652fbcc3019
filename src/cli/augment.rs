//! `lowshot augment`: label-preserving and label-breaking pictures of a data set's training images, by Stable Diffusion.

mod outcome;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use self::outcome::Outcome;
use super::{
    device::{Compute, Task},
    progress::Progress,
};
use crate::{
    Error, Result,
    augment::{
        origin::Kind,
        plan::{self, Plan},
        review,
        run::{self, Job},
        similarity::{self, Judge},
        survey::{Image, Shelf},
    },
    clip::ClipBackend,
    data::{FewShot, Item, Shots, sample},
    diffusion::{DiffusionBackend, Loading, Pipeline, schedule::SchedulerKind},
    experiment::{
        Event, Observer,
        dataset::Dataset,
        features::{FeatureCache, Folder},
        sweep::{claims::Claims, shard::Shard},
    },
    platform::{models, native},
    session::Backbone,
};

/// Make label-preserving and label-breaking pictures of a data set's training images with Stable Diffusion.
///
/// What is there is not made again, so the same command goes on where it was stopped; several at once share the work.
#[derive(Args)]
pub struct Augment {
    /// A known data set (eurosat, circuits, dtd, …), a split JSON, a CSV, or a folder of class folders.
    #[arg(long)]
    dataset: String,
    /// Where the data set lies: its own folder or the one above.
    #[arg(long, visible_alias = "root_path")]
    root_path: Option<PathBuf>,
    /// Which pictures: such as still show their class, such as no longer do, or both.
    #[arg(long, value_enum)]
    kind: KindFlag,
    /// Stable Diffusion: a pipeline's name (sd-1.5, sd-turbo, …), or its folder as diffusers saves it.
    #[arg(long)]
    model: String,
    /// Pictures of each kind for each training image.
    #[arg(long, visible_alias = "per_image", default_value_t = 3)]
    per_image: usize,
    /// Only part i of n of the images, from 1/n to n/n; in a job array of Slurm or Kubernetes its part by default.
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Only so many images of each class, as `train` draws them by the seed [default: all training images].
    #[arg(long)]
    shots: Option<Shots>,
    /// Only the images of this few-shot list.
    #[arg(long, conflicts_with = "shots")]
    fewshot: Option<PathBuf>,
    /// Decides everything random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How much of an image is given up, up to 1 [default: 0.3 preserving, 0.6 breaking].
    #[arg(long)]
    strength: Option<f64>,
    /// Steps of the whole schedule, of which the strength's part is taken.
    #[arg(long, default_value_t = 50)]
    steps: usize,
    /// Weight of the prompt (classifier-free guidance).
    #[arg(long, default_value_t = 5.0)]
    guidance: f64,
    /// ddim, pndm, euler, euler-ancestral, dpm++2m or lcm.
    #[arg(long, default_value = "ddim")]
    scheduler: SchedulerKind,
    /// Side of the square pictures, in pixels.
    #[arg(long, default_value_t = 512)]
    size: u32,
    /// The prompt; `{}` stands for the class [default: the data set's template].
    #[arg(long)]
    prompt: Option<String>,
    /// What pictures shall not show.
    #[arg(long, default_value = "")]
    negative: String,
    /// Pictures that are made together: more is faster on a GPU, and takes more of its memory.
    #[arg(long, visible_alias = "batch_size", default_value_t = 1)]
    batch: usize,
    /// Where the pictures go [default: the data set's image folder, where `train` looks for them; others it takes by --generated].
    #[arg(long)]
    out: Option<PathBuf>,
    /// What the breaking loss will pair a breaking picture with: a weak regeneration of it, another breaking picture, or nothing.
    #[arg(long, value_enum, default_value_t)]
    breaking_pair: PairFlag,
    /// Begin one step later than diffusers, as Stable Diffusion's original code does.
    #[arg(long)]
    original_strength: bool,
    /// The variant of the model's files, such as fp16.
    #[arg(long)]
    variant: Option<String>,
    /// A tiny autoencoder in the place of the model's own, which is faster and less exact: taesd, or its folder.
    #[arg(long)]
    tiny_autoencoder: Option<String>,
    /// Write a contact sheet: sources and pictures side by side, with their similarity to the class [default file: augment.html
    /// beside the pictures].
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    #[allow(clippy::option_option, reason = "not given, given without a file, and given with one")]
    review: Option<Option<PathBuf>>,
    /// Drop preserving pictures whose CLIP similarity to their class is below this.
    #[arg(long, value_name = "THRESHOLD", allow_negative_numbers = true)]
    filter: Option<f64>,
    /// The CLIP that compares: a model's name, folder or safetensors file.
    #[arg(long, default_value = "demo")]
    clip: String,
    /// Show what is there and what would be made, and make nothing.
    #[arg(long, conflicts_with_all = ["review", "filter"])]
    dry_run: bool,
    #[command(flatten)]
    compute: Compute,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum KindFlag {
    Preserving,
    Breaking,
    Both,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum PairFlag {
    #[default]
    Regenerated,
    Independent,
    None,
}

impl Augment {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        self.compute.run(self)
    }

    /// The kinds wanted, each with its strength.
    fn kinds(&self) -> Result<Vec<(Kind, f64)>> {
        if self.strength.is_some() && self.kind == KindFlag::Both {
            let why = "is for one kind, and --kind both has two: make them one after the other";
            return Err(Error::Usage(format!("--strength {why}")));
        }
        if self.filter.is_some() && self.kind == KindFlag::Breaking {
            let why = "drops label-preserving pictures, of which --kind breaking has none; leave it out";
            return Err(Error::Usage(format!("--filter {why}")));
        }
        if self.breaking_pair == PairFlag::Independent && self.kind != KindFlag::Preserving && self.per_image < 2 {
            let why = "pairs breaking pictures of one image, of which there is one: give --per-image 2 or more";
            return Err(Error::Usage(format!("--breaking-pair independent {why}")));
        }
        let mut kinds = Vec::new();
        if self.kind != KindFlag::Breaking {
            kinds.push((Kind::LabelPreserving, self.strength.unwrap_or(Plan::PRESERVING)));
        }
        if self.kind != KindFlag::Preserving {
            kinds.push((Kind::LabelBreaking, self.strength.unwrap_or(Plan::BREAKING)));
            if self.breaking_pair == PairFlag::Regenerated {
                kinds.push((Kind::LabelBreakingView, Plan::PRESERVING));
            }
        }
        Ok(kinds)
    }

    /// The training images to make pictures of, of this process's part.
    fn items(&self, dataset: &Dataset, observer: &mut dyn Observer) -> Result<Vec<Item>> {
        let (list, notes) = match (&self.fewshot, self.shots) {
            (Some(path), _) => {
                let (list, notes) =
                    FewShot::from_json(&native::read(path)?, &path.display().to_string(), &dataset.split)?;
                (list.train, notes)
            }
            (None, Some(shots)) => {
                let (list, notes) = sample(&dataset.split, shots, self.seed)?;
                (list.train, notes)
            }
            (None, None) => (dataset.split.train.clone(), Vec::new()),
        };
        notes.iter().for_each(|note| observer.observe(&Event::note(note)));
        let items = plan::distinct(&list)?;
        if items.is_empty() {
            let why = "no training images to make pictures of: list some under \"train\"";
            return Err(Error::Data { place: dataset.name.clone(), why: why.into() });
        }
        let part = self.shard()?.map_or(0..items.len(), |shard| shard.part(items.len()));
        let items = items[part].to_vec();
        dataset.check_files(&items)?;
        Ok(items)
    }

    /// This process's part, given or by a job array.
    fn shard(&self) -> Result<Option<Shard>> {
        let variable = |name: &str| std::env::var(name).ok();
        self.shard.map_or_else(|| Shard::from_environment(variable), |shard| Ok(Some(shard)))
    }

    fn plan<B: DiffusionBackend>(&self, dataset: &Dataset, device: &B::Device) -> Result<Plan> {
        let own = dataset.templates.first().map(|template| template.trim_end_matches('.').to_owned());
        let plan = Plan {
            kinds: self.kinds()?,
            per_image: self.per_image,
            seed: self.seed,
            steps: self.steps,
            original_strength: self.original_strength,
            guidance: self.guidance,
            scheduler: self.scheduler,
            size: self.size,
            prompt: self.prompt.clone().or(own).unwrap_or_default(),
            negative: self.negative.clone(),
            model: String::new(),
            model_sha256: String::new(),
            device: format!("{}, {}", B::name(device), self.compute.precision),
        };
        plan.check()?;
        if self.batch == 0 {
            return Err(Error::Usage("--batch 0: give at least 1".into()));
        }
        Ok(plan)
    }

    /// Where the contact sheet goes, if there is to be one.
    fn sheet(&self, out: &Path) -> Result<Option<PathBuf>> {
        let name = match self.shard()? {
            Some(shard) => format!("augment-{}.html", shard.to_string().replace('/', "-of-")),
            None => "augment.html".into(),
        };
        Ok(self.review.as_ref().map(|file| file.clone().unwrap_or_else(|| out.join(name))))
    }
}

/// What to call a model: its folder's name, or, in the hub's cache, its repository.
fn model_name(folder: &Path) -> String {
    let whole = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let parts: Vec<String> = whole.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let repository = parts.iter().rev().find_map(|part| part.strip_prefix("models--"));
    match repository {
        Some(repository) => repository.replace("--", "/"),
        None => parts.last().cloned().unwrap_or_default(),
    }
}

impl Task for Augment {
    type Output = ();

    fn run<B: DiffusionBackend>(self, device: &B::Device) -> Result<()> {
        let mut progress = Progress::new();
        let dataset = Dataset::open(&self.dataset, self.root_path.as_deref())?;
        dataset.notes.iter().for_each(|note| progress.observe(&Event::note(note)));
        let mut plan = self.plan::<B>(&dataset, device)?;
        let items = self.items(&dataset, &mut progress)?;
        let out = self.out.clone().unwrap_or_else(|| dataset.root.clone());
        let folder = models::pipeline(&self.model)?;
        let clip = self.filter.is_some() || self.review.is_some();
        let clip = if clip { Some(Clip::<B>::load(&self.clip, device, &dataset, &mut progress)?) } else { None };
        let loading = Loading { precision: self.compute.precision, variant: self.variant.clone() };
        let mut pipeline = Pipeline::<B>::load(&native::FolderFiles::open(&folder)?, &loading, device)?;
        if let Some(tiny) = &self.tiny_autoencoder {
            let files = native::FolderFiles::open(&models::pipeline(tiny)?)?;
            pipeline = pipeline.with_tiny_autoencoder(&files)?;
        }
        plan.model = model_name(&folder);
        plan.model_sha256.clone_from(&pipeline.sha256);

        let (mut shelf, notes) = Shelf::open(&out)?;
        notes.iter().for_each(|note| progress.observe(&Event::note(note)));
        shelf.read_only = self.dry_run;
        shelf.threshold = self.filter.zip(clip.as_ref().map(|clip| clip.backbone.sha256.clone()));
        let images = Image::read(&dataset.root, &items)?;
        let survey = shelf.survey(&plan, &images)?;
        let mut outcome = Outcome { counts: survey.counts.clone(), ..Outcome::default() };
        if !self.dry_run {
            // Here, where the model and the images are known to be good, is what is written first.
            let claims = Claims::open(&out)?;
            if survey.open() > 0 {
                let job = Job { plan: &plan, root: &dataset.root, images: &images, batch: self.batch };
                let made = run::run(&job, &mut shelf, &survey, &claims, &mut pipeline, &mut progress)?;
                (outcome.made, outcome.elsewhere) = (made.made, made.elsewhere);
            }
            similarity::remove_dropped(&shelf, &plan, &images)?;
            if let Some(clip) = &clip {
                self.judge(clip, &dataset, &mut shelf, (&plan, &images), &mut outcome, &mut progress)?;
            }
            shelf.manifest.tidy()?;
        }
        drop(progress);
        outcome.print(self.json, &plan, images.len(), &shelf.manifest)
    }
}

/// The CLIP that compares pictures with the names of their classes.
struct Clip<B: ClipBackend> {
    backbone: Backbone<B>,
    templates: Vec<String>,
    classes: Vec<String>,
}

impl<B: ClipBackend> Clip<B> {
    fn load(name: &str, device: &B::Device, dataset: &Dataset, observer: &mut dyn Observer) -> Result<Self> {
        if name == "demo" {
            let why = "knows few words, so its similarities say little; give --clip a real CLIP, such as ViT-B/16";
            observer.observe(&Event::note(format!("the demo model {why}")));
        }
        let backbone = Backbone::<B>::load(name, models::find(name)?.as_ref(), device)?;
        Ok(Self { backbone, templates: dataset.templates.clone(), classes: dataset.split.classes.clone() })
    }
}

impl Augment {
    /// Drops what does not look like its class, and writes the contact sheet.
    fn judge<B: ClipBackend>(
        &self,
        clip: &Clip<B>,
        dataset: &Dataset,
        shelf: &mut Shelf,
        (plan, images): (&Plan, &[Image]),
        outcome: &mut Outcome,
        progress: &mut Progress,
    ) -> Result<()> {
        let cache = FeatureCache::open(Some(native::cache_folder()?.as_path()), &clip.backbone, progress)?;
        let mut judge = Judge::new(&clip.backbone, cache, &clip.templates, &clip.classes)?;
        let (sources, made) = (Folder(dataset.root.clone()), Folder(shelf.folder.clone()));
        if let Some(threshold) = self.filter {
            outcome.dropped = similarity::drop_below(threshold, &mut judge, shelf, (plan, images), &made, progress)?;
            similarity::remove_dropped(shelf, plan, images)?;
        }
        if let Some(path) = self.sheet(&shelf.folder)? {
            let chosen = review::choose(plan, images);
            let rows = review::rows(shelf, plan, &chosen, |place, pictures| {
                let folder = if place == review::Place::Sources { &sources } else { &made };
                judge.similarities(folder, pictures, progress)
            })?;
            let name = clip.backbone.name.as_str();
            let head = review::Head { dataset: &dataset.name, plan, clip: name, images: images.len() };
            let page = review::page(&head, &rows, &sources, &made)?;
            // While no other process sweeps the folder.
            let _alone = shelf.manifest.alone()?;
            native::write(&path, page.as_bytes())?;
            outcome.review = Some(path);
        }
        Ok(())
    }
}
