//! `lowshot bench`: how fast this machine is, as a table or as JSON.

use std::process::Command;

use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::{
    device::{ClipCompute, Task},
    progress::Progress,
    table,
};
use crate::{
    Error, Result,
    bench::{self, Machine, Measurement, Plan, Spread, Subject, UnetChoice, What, architectures::architecture, first},
    clip::{Format, Precision, Storage},
    diffusion::DiffusionBackend,
    experiment::{Event, Observer},
    platform::{interrupt, models},
    session::Backbone,
};

/// Measure how fast this machine computes: pictures, texts, training, denoising, and the way to the first answer.
///
/// Each measurement is repeated for some seconds; the table shows medians. Ctrl-C ends it with what was measured by then. The
/// processor times are those of all threads together, which tell more than the clock where the machine does something else too.
#[derive(Args)]
pub struct Bench {
    /// A model's name, folder or safetensors file.
    #[arg(long, alias = "backbone", default_value = "demo")]
    model: String,
    /// Random weights in the named model's shape, which need not be on this machine.
    #[arg(long)]
    random: bool,
    #[command(flatten)]
    compute: ClipCompute,
    /// Measurements to make: first (from a process's start to its first answer), pictures (JPEG files to pixels), files (to
    /// features, all stages at once), images and texts (the towers), steps (training with LoRA, 8 pictures each), unet (denoising;
    /// Stable Diffusion). All of them without it.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<What>,
    /// Numbers of threads [default: 1 and as many as there are processors]
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=1024), value_name = "NUMBERS")]
    threads: Vec<u32>,
    /// How many pictures or texts go through a tower together.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8], value_parser = clap::value_parser!(u32).range(1..=4096),
          value_name = "NUMBERS")]
    batch: Vec<u32>,
    /// Seconds that each measurement is repeated for, at least three times.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// half or full (Stable Diffusion 1.5's shape with random weights), or a pipeline's name or folder.
    #[arg(long, default_value = "half", value_name = "UNET")]
    unet: UnetChoice,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Be a process that is measured on its way to the first answer.
    #[arg(long, hide = true)]
    answer: bool,
}

/// All that is printed; docs/bench.md describes it.
#[derive(Serialize)]
pub struct Report {
    lowshot: &'static str,
    machine: Machine,
    model: String,
    random_weights: bool,
    device: String,
    precision: Precision,
    /// How its matrices lie in memory.
    weights: Storage,
    /// Whether it was stopped before all was measured.
    interrupted: bool,
    measurements: Vec<Measurement>,
}

impl Bench {
    /// Runs the command.
    pub fn run(mut self) -> Result<()> {
        if !(0.0..=3600.0).contains(&self.seconds) {
            return Err(Error::Usage(format!("--seconds {} must be from 0 to 3600", self.seconds)));
        }
        if self.random && self.only.contains(&What::First) {
            let why =
                "the way to the first answer begins with a model's files, so --only first does not go with --random";
            return Err(Error::Usage(why.into()));
        }
        if self.only.is_empty() {
            self.only = What::ALL.into_iter().filter(|what| !(self.random && *what == What::First)).collect();
        }
        if self.threads.is_empty() {
            let all = std::thread::available_parallelism().map_or(1, usize::from) as u32;
            self.threads = if all > 1 { vec![1, all] } else { vec![1] };
        }
        let (json, answer, compute) = (self.json, self.answer, self.compute);
        if !answer {
            interrupt::listen();
        }
        let report = compute.run(self)?;
        let Some(report) = report else { return Ok(()) };
        if json {
            table::json(&report)?;
        } else {
            report.print();
        }
        if report.interrupted {
            return Err(Error::Interrupted("stopped before all was measured; what there is is above".into()));
        }
        Ok(())
    }

    fn plan(&self) -> Plan {
        let numbers = |numbers: &[u32]| numbers.iter().map(|&number| number as usize).collect();
        Plan {
            what: self.only.clone(),
            threads: numbers(&self.threads),
            batches: numbers(&self.batch),
            seconds: self.seconds,
            unet: self.unet.clone(),
        }
    }

    fn load<B: DiffusionBackend>(&self, device: &B::Device) -> Result<Backbone<B>> {
        let files = models::find(&self.model).map_err(|error| match architecture(&self.model) {
            Some(_) => Error::Usage(format!("{error}, or measure its shape with --random")),
            None => error,
        })?;
        Backbone::load_in(self.compute.format(), &self.model, files.as_ref(), device)
    }

    fn subject<B: DiffusionBackend>(&self, device: &B::Device) -> Result<Subject<B>> {
        if !self.random {
            let Backbone { clip, config, preprocess, .. } = self.load(device)?;
            return Ok(Subject { clip, config, preprocess });
        }
        let config = architecture(&self.model).ok_or_else(|| {
            let names: Vec<&str> = crate::session::models::MODELS.iter().map(|model| model.name).collect();
            Error::Usage(format!("--random knows no shape of '{}', only of {}", self.model, names.join(", ")))
        })?;
        Subject::random(config, self.compute.format(), device)
    }
}

/// This program with the same arguments, as a process that is measured with so many threads.
fn answering(threads: usize) -> Result<Command> {
    let program = std::env::current_exe()
        .map_err(|error| Error::Failed(format!("this program does not know where it lies: {error}")))?;
    let mut command = Command::new(program);
    command.args(std::env::args_os().skip(1)).arg("--answer").env("RAYON_NUM_THREADS", threads.to_string());
    Ok(command)
}

impl Task for Bench {
    type Output = Option<Report>;

    fn run<B: DiffusionBackend>(self, device: &B::Device) -> Result<Self::Output> {
        if self.answer {
            let tell = |told| table::line(&json!(told).to_string());
            return first::answer(|| self.load::<B>(device), tell).map(|()| None);
        }
        let (plan, machine, Format { precision, storage }) = (self.plan(), Machine::here(), self.compute.format());
        // Before anything is measured, so that a model that is not there is said at once.
        let subject = self.subject::<B>(device)?;
        let mut progress = Progress::new();
        let mut measurements = Vec::new();
        if plan.what.contains(&What::First) {
            progress.observe(&Event::note("measuring first, in processes of their own"));
            measurements.extend(first::measure(answering, &plan.threads)?);
        }
        measurements.extend(bench::run(&plan, &subject, &mut progress)?);
        Ok(Some(Report {
            lowshot: env!("CARGO_PKG_VERSION"),
            machine,
            model: self.model,
            random_weights: self.random,
            device: B::name(device),
            precision,
            weights: storage,
            interrupted: interrupt::asked(),
            measurements,
        }))
    }
}

impl Report {
    fn print(&self) {
        let Machine { processor, instructions, cores, load, date, .. } = &self.machine;
        let whose = if self.random_weights { "RANDOM weights in its shape" } else { "its own weights" };
        table::line(&format!(
            "lowshot {}, model {} ({whose}, held in {}), {}, {}",
            self.lowshot, self.model, self.weights, self.device, self.precision
        ));
        let processor = processor.as_deref().unwrap_or("unknown processor");
        let load = load.map_or_else(String::new, |load| format!("; load {load:.1} before"));
        table::line(&format!("{processor}, {cores} cores, {}{load}; {date}\n", instructions.join(" ")));
        // Three digits that mean something.
        let number = |value: f64| {
            let digits = (2.0 - value.max(1e-6).log10().floor()).clamp(0.0, 6.0) as usize;
            format!("{value:.digits$}")
        };
        let spread =
            |spread: Spread| format!("{} ({} – {})", number(spread.median), number(spread.q1), number(spread.q3));
        let row = |found: &Measurement| {
            let what =
                found.case.as_ref().map_or_else(|| found.what.to_string(), |case| format!("{}, {case}", found.what));
            vec![
                what,
                found.threads.to_string(),
                found.batch.to_string(),
                format!("{} {}s", number(found.per_second), found.item),
                spread(found.wall_ms),
                found.processor_ms.map_or_else(|| "–".into(), spread),
                found.peak_memory_mib.map_or_else(|| "–".into(), |memory| format!("{memory:.0} MiB")),
                found.rounds.to_string(),
            ]
        };
        let rows: Vec<Vec<String>> = self.measurements.iter().map(row).collect();
        let header =
            ["what", "threads", "batch", "a second", "wall, ms each", "processor, ms each", "peak memory", "rounds"];
        table::rows(&header, &rows, &[1, 2, 3, 4, 5, 6, 7]);
    }
}
