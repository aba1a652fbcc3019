//! `lowshot train`: learn from a few images of each class, test once, write a run folder.

use std::path::PathBuf;

use clap::Args;

use super::{
    classify::adapter_file,
    device::{ClipCompute, Task},
    eval::Eval,
    progress::{self, Progress},
    table,
    tuning::Tuning,
};
use crate::{
    Error, Result,
    adapter::{Method, Recipe, tuning::EPOCHS},
    clip::ClipBackend,
    data::Shots,
    experiment::{
        Event, Observer,
        execute::Executor,
        plan::{LogitScale, Plan, templates},
        result::RunResult,
        run, tensorboard,
    },
    platform::native,
};

/// Learn from a few images of each class, then test once.
///
/// With `--shots all` it is all of the training images. Training through the towers then passes over them 5 times (see --epochs
/// and --iters), reading each picture when its step is near: the data set may be larger than memory, and threads that read and
/// decode (as many as `RAYON_NUM_THREADS` says, or the processor has) stay a few steps ahead. A Meta-Adapter trained there looks at
/// 16 images of each class. The methods on features (tip, tip-f, meta, linear-probe) hold the features of all images, and say so
/// where that is too much; tip-f also where comparing all of them with one another will take long.
///
/// The flags of the student project that this follows are understood too, spelled with underscores as there.
#[derive(Args)]
pub struct Train {
    /// A known data set (eurosat, circuits, dtd, …), a split JSON, a CSV, or a folder of class folders.
    #[arg(long)]
    dataset: String,
    /// Where the data set lies: its own folder or the one above.
    #[arg(long, visible_alias = "root_path")]
    root_path: Option<PathBuf>,
    /// Images of each class to learn from; `all` for all there are.
    #[arg(long, default_value = "16")]
    shots: Shots,
    /// An exact list of the images to learn from, in place of drawing them by the seed.
    #[arg(long)]
    fewshot: Option<PathBuf>,
    /// zero-shot, tip, tip-f, meta, linear-probe, lora, bitfit or lora+bitfit (to which +meta and +breaking can be added).
    #[arg(long)]
    method: Option<Method>,
    /// A model's name, folder or safetensors file.
    #[arg(long, visible_alias = "backbone", default_value = "demo")]
    model: String,
    /// The run's folder.
    #[arg(long, required_unless_present = "save_path")]
    out: Option<PathBuf>,
    /// Decides everything random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Peak learning rate, for the methods that have one.
    #[arg(long)]
    lr: Option<f64>,
    /// Training steps in all.
    #[arg(long, conflicts_with_all = ["n_iters", "epochs"])]
    iters: Option<usize>,
    /// Passes over all images to learn from, in place of steps, for training through the towers [default with --shots all: 5].
    #[arg(long, conflicts_with = "n_iters")]
    epochs: Option<usize>,
    /// Training steps for each shot.
    #[arg(long = "n-iters", alias = "n_iters")]
    n_iters: Option<usize>,
    /// Dropout inside the Meta-Adapter.
    #[arg(long = "meta-dropout", alias = "dropout_rate_MetaAdapter")]
    meta_dropout: Option<f64>,
    /// Inverse strength of the linear probe's regularisation, or `val` to choose it on the validation shots.
    #[arg(long)]
    c: Option<String>,
    /// Text templates, a line each, `{}` for the class; or the name of a set (clip-7). Without it: the data set's own.
    #[arg(long)]
    templates: Option<String>,
    /// What similarities are multiplied by: a number, or `model` for the checkpoint's own.
    #[arg(long, default_value = "100")]
    logit_scale: LogitScale,
    /// Train on the first half of the classes, then apply unchanged to the other half.
    #[arg(long)]
    base_to_novel: bool,
    /// Where generated images lie, with which the breaking loss and --preserving work [default: the data set's image folder].
    #[arg(long)]
    generated: Option<PathBuf>,
    /// Also write the losses and the results for TensorBoard into the run's folder.
    #[arg(long)]
    tensorboard: bool,
    /// Do not keep computed features.
    #[arg(long)]
    no_cache: bool,
    #[command(flatten)]
    compute: ClipCompute,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tuning: Tuning,
    #[command(flatten)]
    project: Project,
}

/// Flags of the student project that have another spelling here.
#[derive(Args)]
struct Project {
    /// Where runs are kept; `--filename` is the run's folder in it.
    #[arg(long = "save_path", alias = "save-path", hide = true)]
    save_path: Option<PathBuf>,
    #[arg(long, hide = true, requires = "save_path")]
    filename: Option<String>,
    /// An adapter to start from, or with `--eval_only` to test: its file, or the folder of its run.
    #[arg(long = "load-ckpt", visible_alias = "load_ckpt")]
    load_ckpt: Option<PathBuf>,
    /// Only test the adapter of `--load_ckpt`.
    #[arg(long = "eval-only", visible_alias = "eval_only")]
    eval_only: bool,
}

impl Train {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        if self.project.eval_only {
            return self.eval()?.run();
        }
        let (json, compute) = (self.json, self.compute);
        let (result, out) = compute.run(self)?;
        if json {
            return table::json(&result);
        }
        print(&result, Some(&out));
        Ok(())
    }

    /// The run's folder; the student project gives a path and a file name.
    fn out(&self) -> PathBuf {
        let project = || {
            let path = self.project.save_path.clone().unwrap_or_default();
            self.project.filename.as_ref().map_or(path.clone(), |name| path.join(name))
        };
        self.out.clone().unwrap_or_else(project)
    }

    /// `--eval_only` is the command `eval`.
    fn eval(self) -> Result<Eval> {
        let own = (self.out.is_some() || self.project.save_path.is_some()).then(|| self.out());
        let Some(adapter) = self.project.load_ckpt.clone().or(own) else {
            return Err(Error::Usage("--eval_only needs the adapter to test: give --load_ckpt".into()));
        };
        // Given as this run's own folder, its results stay where they are.
        let out = self.out.clone().filter(|out| *out != adapter);
        Ok(Eval {
            adapter,
            dataset: self.dataset,
            root_path: self.root_path,
            model: None,
            out,
            no_cache: self.no_cache,
            compute: self.compute,
            json: self.json,
        })
    }

    /// How often training through the towers passes over the images, where steps are not given otherwise.
    fn epochs(&self, method: Method) -> Result<Option<usize>> {
        let tunes = matches!(method, Method::Tuning(_));
        match self.epochs {
            Some(_) if !tunes => Err(Error::Usage(format!("--epochs means nothing for method {method}; leave it out"))),
            Some(0) => Err(Error::Usage("--epochs 0 trains nothing: give at least one".into())),
            Some(epochs) => Ok(Some(epochs)),
            None if tunes && self.shots == Shots::All && self.iters.is_none() && self.n_iters.is_none() => {
                Ok(Some(EPOCHS))
            }
            None => Ok(None),
        }
    }

    /// The method with its hyper-parameters. How many steps `epochs` are is not known yet.
    fn recipe(&self, method: Method, epochs: Option<usize>) -> Result<Recipe> {
        let steps = match (self.iters, self.n_iters, self.shots) {
            _ if epochs.is_some() => epochs,
            (Some(steps), ..) => Some(steps),
            (None, Some(iterations), Shots::PerClass(shots)) => Some(iterations.saturating_mul(shots)),
            (None, Some(_), Shots::All) => {
                return Err(Error::Usage(
                    "--n_iters is for each shot, which 'all' does not count; give --iters or --epochs".into(),
                ));
            }
            (None, None, _) => None,
        };
        if let Method::Tuning(parts) = method {
            if self.c.is_some() {
                return Err(Error::Usage(format!("--c means nothing for method {method}; leave it out")));
            }
            let config = self.tuning.config(parts, steps, self.shots, self.lr, self.meta_dropout)?;
            return Ok(Recipe::Tuning(Box::new(config)));
        }
        if let Some(flag) = self.tuning.given() {
            return Err(Error::Usage(format!("{flag} means nothing for method {method}; leave it out")));
        }
        let mut recipe = Recipe::from(method);
        let unused = |flag: &str, given: bool| {
            if given {
                Err(Error::Usage(format!("{flag} means nothing for method {method}; leave it out")))
            } else {
                Ok(())
            }
        };
        if let Recipe::TipF(config) = &mut recipe {
            config.steps = steps.unwrap_or(config.steps);
            config.optimiser.learning_rate = self.lr.unwrap_or(config.optimiser.learning_rate);
        } else if let Recipe::Meta(config) = &mut recipe {
            config.steps = steps.unwrap_or(config.steps);
            config.optimiser.learning_rate = self.lr.unwrap_or(config.optimiser.learning_rate);
            config.dropout = self.meta_dropout.unwrap_or(config.dropout);
        } else {
            unused("--lr", self.lr.is_some())?;
            unused("--iters or --n_iters", steps.is_some())?;
        }
        if let Recipe::LinearProbe(config) = &mut recipe {
            match self.c.as_deref() {
                None => {}
                Some("val") => config.search = true,
                Some(text) => match text.parse::<f64>() {
                    Ok(c) if c.is_finite() && c > 0.0 => config.c = c,
                    _ => return Err(Error::Usage(format!("--c '{text}' is neither 'val' nor a number above 0"))),
                },
            }
        } else {
            unused("--c", self.c.is_some())?;
        }
        unused("--generated", self.generated.is_some())?;
        if method != Method::Meta {
            unused("--meta-dropout", self.meta_dropout.is_some())?;
        }
        Ok(recipe)
    }
}

impl Task for Train {
    type Output = (RunResult, PathBuf);

    fn run<B: ClipBackend>(self, device: &B::Device) -> Result<Self::Output> {
        let method = self.tuning.method(self.method)?;
        let epochs = self.epochs(method)?;
        let recipe = self.recipe(method, epochs)?;
        let out = self.out();
        let mut progress = Progress::new();
        let tunes = matches!(recipe, Recipe::Tuning(_));
        if !tunes && self.project.load_ckpt.is_some() {
            let why = "starts training through the towers from an adapter; with this method use 'lowshot eval'";
            return Err(Error::Usage(format!("--load_ckpt {why}")));
        }
        if !tunes && self.tuning.batch_size_given() {
            progress
                .observe(&Event::note("--batch_size has no effect: methods on features use all shots in every step"));
        }
        let plan = Plan {
            dataset: self.dataset,
            root_path: self.root_path,
            shots: self.shots,
            fewshot: self.fewshot,
            seed: self.seed,
            model: self.model,
            device: String::new(),
            templates: self.templates.as_deref().map(templates).transpose()?.unwrap_or_default(),
            logit_scale: self.logit_scale,
            base_to_novel: self.base_to_novel,
            start: self.project.load_ckpt.map(|path| adapter_file(&path)),
            epochs,
            generated: self.generated,
            recipe,
        };
        let cache = if self.no_cache { None } else { Some(native::cache_folder()?) };
        let mut executor = Executor::<B>::new(device, cache).in_format(self.compute.format());
        if !self.tensorboard {
            return Ok((executor.execute(plan, &out, &mut progress)?, out));
        }
        run::check_folder(&out, &executor.resolve(plan.clone())?)?;
        let mut writer = tensorboard::Writer::create(&out)?;
        let mut both = |event: &Event| {
            progress.observe(event);
            writer.observe(event);
        };
        let result = executor.execute(plan, &out, &mut both)?;
        writer.finish(&result)?;
        Ok((result, out))
    }
}

/// Prints a result for people.
pub fn print(result: &RunResult, out: Option<&std::path::Path>) {
    let [low, high] = result.ci95;
    let shots = match (result.shots, result.seed) {
        (Some(shots), Some(seed)) => format!(", {shots} shots, seed {seed}"),
        _ => String::new(),
    };
    table::line(&format!(
        "{} on {}{shots}: top-1 {} (95 % interval {:.1} – {:.1} %), top-5 {}, macro {} on {} test images",
        result.method,
        result.dataset,
        table::percent(result.top1),
        low * 100.0,
        high * 100.0,
        table::percent(result.top5),
        table::percent(result.macro_accuracy),
        result.n_test
    ));
    if let Some(moved) = &result.generalisation {
        table::line(&format!(
            "base classes {}, novel classes {} (zero-shot {}), harmonic mean {}",
            table::percent(moved.base),
            table::percent(moved.novel),
            table::percent(moved.novel_zero_shot),
            table::percent(moved.harmonic_mean)
        ));
    }
    let rows: Vec<Vec<String>> = result
        .per_class
        .iter()
        .map(|class| {
            let accuracy = class.accuracy.map_or_else(|| "–".to_owned(), table::percent);
            vec![class.name.clone(), class.n.to_string(), accuracy, table::bar(class.accuracy.unwrap_or(0.0), 20)]
        })
        .collect();
    table::rows(&["class", "images", "accuracy", ""], &rows, &[1, 2]);
    if let Some(out) = out {
        progress::note(&format!("written to {}", out.display()));
    }
}
