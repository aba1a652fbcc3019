//! The pieces of work that are measured.

use burn::tensor::{DType, Tensor};
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::{
    Measurement, Plan, UnetChoice, What,
    clock::laps,
    machine::{forget_peak_memory, peak_memory_mib},
    random::Random,
};
use crate::{
    Error, Result,
    adapter::{
        Labelled,
        lora::LoraConfig,
        tuning::{Batch, Learning, Training, TuningConfig},
    },
    clip::{
        Clip, ClipBackend, ClipConfig, Format, Preprocess,
        config::{EndOfText, TextConfig},
    },
    data::decode::decode_for,
    diffusion::{
        DiffusionBackend, Loading, Pipeline,
        unet::{Reading, Unet, UnetConfig},
    },
    experiment::{
        Event, Observer,
        features::flow::{self, BATCH},
    },
    platform::{models, native::FolderFiles, parallel},
    train,
};

/// JPEG files as they come: a satellite's tile and a photo, with how many of them are prepared together.
const PICTURES: [(&str, &[u8], usize); 2] =
    [("64 px JPEG", super::first::TILE, 32), ("1080p JPEG", include_bytes!("sailboat-1080p.jpg"), 4)];
/// Files that become features one after the other: batches enough for the first one's decoding to count little.
const FILES: usize = 4 * BATCH;
/// Pictures of a training step, and its classes.
const STEP: (usize, usize) = (8, 10);
/// Rank of the trained branches.
const RANK: usize = 2;
/// Latents of a step of denoising: with guidance there are two.
const LATENTS: usize = 2;
/// Tokens of a text that the UNet reads.
const TOKENS: usize = 77;
/// Stable Diffusion 1.5's UNet but for its width.
const HALF: &[u8] =
    br#"{"block_out_channels": [160, 320, 640, 640], "cross_attention_dim": 768, "attention_head_dim": 8}"#;
const FULL: &[u8] =
    br#"{"block_out_channels": [320, 640, 1280, 1280], "cross_attention_dim": 768, "attention_head_dim": 8}"#;
/// Decides all random numbers.
const SEED: u64 = 1;

/// The model that is measured.
pub struct Subject<B: ClipBackend> {
    /// The towers.
    pub clip: Clip<B>,
    /// Their shape.
    pub config: ClipConfig,
    /// Image to pixels.
    pub preprocess: Preprocess,
}

impl<B: ClipBackend> Subject<B> {
    /// A model of this shape with random weights, its numbers in `format`.
    ///
    /// # Errors
    /// As [`Format::check`].
    pub fn random(config: ClipConfig, format: Format, device: &B::Device) -> Result<Self> {
        format.check::<B>(device)?;
        let Format { precision, storage } = format;
        let mut weights = Random::new(SEED, DType::F32, device).stored_in(storage);
        let clip = Clip::load(&mut weights, &config, device).in_precision(precision);
        let preprocess = Preprocess::clip(config.vision.image() as u32);
        Ok(Self { clip, config, preprocess })
    }
}

/// Measures what `plan` says; less of it where the program is asked to stop.
///
/// # Errors
/// Whatever the work fails with: a device that has no more memory, a pipeline that cannot be loaded.
pub fn run<B: DiffusionBackend>(
    plan: &Plan,
    subject: &Subject<B>,
    observer: &mut dyn Observer,
) -> Result<Vec<Measurement>> {
    let pool = |&threads: &usize| {
        // As many as the program itself has are those that it computes on.
        let other = (threads != parallel::threads()).then(|| ThreadPoolBuilder::new().num_threads(threads).build());
        other.transpose()
    };
    let pools: Result<Vec<Option<ThreadPool>>, _> = plan.threads.iter().map(pool).collect();
    let pools = pools.map_err(|error| Error::Failed(format!("threads do not start: {error}")))?;
    let mut bench = Bench { seconds: plan.seconds, pools, observer, found: Vec::new() };
    for what in &plan.what {
        match what {
            // Of processes of their own: see `first`.
            What::First => {}
            What::Pictures => bench.pictures(&subject.preprocess)?,
            What::Files => bench.files(subject)?,
            What::Images => plan.batches.iter().try_for_each(|&batch| bench.images(subject, batch))?,
            What::Texts => plan.batches.iter().try_for_each(|&batch| bench.texts(subject, batch))?,
            What::Steps => bench.steps(subject)?,
            What::Unet => bench.unet(&plan.unet, subject)?,
        }
    }
    Ok(bench.found)
}

struct Bench<'a> {
    seconds: f64,
    /// None is this thread and its helpers.
    pools: Vec<Option<ThreadPool>>,
    observer: &'a mut dyn Observer,
    found: Vec<Measurement>,
}

impl Bench<'_> {
    /// Measures `work`, which does `batch` items, on each number of threads.
    fn measure(
        &mut self,
        what: What,
        case: Option<&str>,
        batch: usize,
        mut work: impl FnMut() -> Result<()> + Send,
    ) -> Result<()> {
        for pool in &self.pools {
            let threads = pool.as_ref().map_or_else(parallel::threads, ThreadPool::current_num_threads);
            let case_text = case.map_or_else(String::new, |case| format!(", {case}"));
            let text = format!("measuring {what}{case_text}, batch {batch}, {threads} threads");
            self.observer.observe(&Event::note(text));
            let counts_memory = forget_peak_memory();
            let laps = match pool {
                Some(pool) => pool.install(|| laps(self.seconds, &mut work)),
                None => laps(self.seconds, &mut work),
            }?;
            let memory = if counts_memory { peak_memory_mib() } else { None };
            if !laps.is_empty() {
                self.found.push(Measurement::of(what, case, threads, batch, &laps).with_memory(memory));
            }
        }
        Ok(())
    }

    fn pictures(&mut self, preprocess: &Preprocess) -> Result<()> {
        for (case, bytes, count) in PICTURES {
            self.measure(What::Pictures, Some(case), count, || {
                let prepared = parallel::map(count, |_| Ok(preprocess.batch(&[decode_for(preprocess, bytes, case)?])));
                prepared.into_iter().collect::<Result<Vec<Vec<f32>>>>().map(|pixels| drop(std::hint::black_box(pixels)))
            })?;
        }
        Ok(())
    }

    fn files<B: ClipBackend>(&mut self, subject: &Subject<B>) -> Result<()> {
        let Subject { clip, preprocess, .. } = subject;
        for (case, bytes, _) in PICTURES {
            let picture = |_| decode_for(preprocess, bytes, case);
            self.measure(What::Files, Some(case), FILES, || {
                flow::features(clip, preprocess, 0..FILES, picture, |_| Ok(()))
            })?;
        }
        Ok(())
    }

    fn images<B: ClipBackend>(&mut self, subject: &Subject<B>, batch: usize) -> Result<()> {
        let pixels = subject.pixels(batch);
        self.measure(What::Images, None, batch, || settle(subject.clip.image_features(pixels.clone())))
    }

    fn texts<B: ClipBackend>(&mut self, subject: &Subject<B>, batch: usize) -> Result<()> {
        let prompts = prompts(&subject.config.text, batch);
        self.measure(What::Texts, None, batch, || settle(subject.clip.text_features(&prompts)))
    }

    fn steps<B: ClipBackend>(&mut self, subject: &Subject<B>) -> Result<()> {
        let (batch, classes) = STEP;
        let (clip, device) = (&subject.clip, subject.clip.device());
        let learning = Learning {
            clip,
            shape: &subject.config,
            prompts: prompts(&subject.config.text, classes),
            classes,
            scale: 100.0,
            shots: Labelled { features: Tensor::empty([0, subject.config.embedding], device), labels: Vec::new() },
        };
        let lora = LoraConfig { rank: RANK, ..LoraConfig::default() };
        let recipe = TuningConfig { batch, lora: Some(lora), ..TuningConfig::default() };
        let mut training = Training::start(recipe, learning, SEED)?;
        let pixels = subject.pixels(batch);
        let case = format!("LoRA of rank {RANK}");
        self.measure(What::Steps, Some(&case), batch, || {
            let labels = (0..batch).map(|picture| picture % classes).collect();
            let batch = Batch { pixels: pixels.clone(), labels, weights: Vec::new(), breaking: None };
            pollster::block_on(training.step(batch)).map(drop)
        })
    }

    fn unet<B: DiffusionBackend>(&mut self, choice: &UnetChoice, subject: &Subject<B>) -> Result<()> {
        let (precision, device) = (subject.clip.precision(), subject.clip.device());
        let mut random = Random::<B>::new(SEED, precision.dtype().into(), device);
        let mut values = Random::<B>::new(SEED, DType::F32, device);
        let mut seeded = |config: &[u8]| {
            let config = UnetConfig::parse("Stable Diffusion 1.5's UNet", config)?;
            let unet = Unet::load(&mut random, &config, precision.dtype().into());
            let text = unet.read(values.numbers([LATENTS, TOKENS, config.context], 1.0));
            Ok::<_, Error>((unet, text, config.input))
        };
        let mut step = |case: &str, unet: &Unet<B>, text: &Reading<B>, channels: usize, side: usize| {
            let latent = Random::<B>::new(SEED, DType::F32, device).numbers([LATENTS, side, side, channels], 1.0);
            let work = || {
                let denoised = unet.forward(latent.clone(), 500.0, 1.0, text);
                settle(denoised.reshape([LATENTS as i32, -1]))
            };
            self.measure(What::Unet, Some(case), LATENTS, work)
        };
        match choice {
            UnetChoice::Half => {
                let (unet, text, channels) = seeded(HALF)?;
                step("Stable Diffusion 1.5 at half its width, 256 px, random weights", &unet, &text, channels, 32)
            }
            UnetChoice::Full => {
                let (unet, text, channels) = seeded(FULL)?;
                step("Stable Diffusion 1.5, 512 px, random weights", &unet, &text, channels, 64)
            }
            UnetChoice::Pipeline(name) => {
                let folder = models::pipeline(name)?;
                let loading = Loading { precision, variant: None };
                let pipeline = Pipeline::<B>::load(&FolderFiles::open(&folder)?, &loading, device)?;
                let text = pipeline.unet().read(pipeline.text_states(&["", "a photo"]));
                let (unet, channels) = (pipeline.unet(), pipeline.autoencoder().channels());
                step(&format!("{name}, latents of 64 × 64"), unet, &text, channels, 64)
            }
        }
    }
}

impl<B: ClipBackend> Subject<B> {
    /// Pixels as of `batch` pictures.
    fn pixels(&self, batch: usize) -> Tensor<B, 4> {
        let side = self.config.vision.image();
        Random::<B>::new(SEED, DType::F32, self.clip.device()).numbers([batch, 3, side, side], 1.7)
    }
}

/// `count` prompts of eight tokens, start and end included, as short ones have.
fn prompts(config: &TextConfig, count: usize) -> Vec<Vec<u32>> {
    let largest = config.vocabulary as u32 - 1;
    let end = match config.end_of_text {
        EndOfText::LargestId => largest,
        EndOfText::Id(id) => id,
    };
    let word = |position: u32| 1 + position % (largest.saturating_sub(3)).max(1);
    (0..count as u32)
        .map(|text| {
            [vec![largest.saturating_sub(1)], (0..6).map(|at| word(7 * text + at)).collect(), vec![end]].concat()
        })
        .collect()
}

/// Waits until a device that computes on its own has computed this, by reading a number of it.
fn settle<B: ClipBackend>(rows: Tensor<B, 2>) -> Result<()> {
    pollster::block_on(train::read(rows.slice([0..1, 0..1]))).map(drop)
}
