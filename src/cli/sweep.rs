//! `lowshot sweep`: every combination of data sets, models, shots, seeds and methods, each once.

use std::{
    collections::HashSet,
    ffi::OsStr,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use serde_json::json;

use super::{
    device::{Compute, Device, Place, Task},
    progress::{self, Progress},
    table,
};
use crate::{
    Error, Result,
    clip::{ClipBackend, Precision},
    experiment::{
        Event, Observer,
        execute::Executor,
        sweep::{
            self, Summary,
            cells::{self, Cell, State},
            claims::Claims,
            kubernetes,
            plan::SweepPlan,
            shard::Shard,
            slurm::{self, Job},
        },
    },
    platform::native,
};

/// Run every combination of data sets, models, shots, seeds and methods that a plan lists.
///
/// What is finished is not computed again, so the same command goes on where it was stopped; several at once share the
/// work.
#[derive(Args)]
pub struct Sweep {
    /// The plan, a TOML file.
    plan: PathBuf,
    /// The sweep's folder; without it the plan's own 'out', or a folder beside the plan with its name.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Only part i of n, from 1/n to n/n; in a job array of Slurm or Kubernetes its part by default.
    #[arg(long, value_name = "I/N", conflicts_with = "submit")]
    shard: Option<Shard>,
    /// Show the cells and how far they are, and compute nothing.
    #[arg(long, conflicts_with = "submit")]
    dry_run: bool,
    /// Run it as a job array: write its script into the sweep's folder, and submit it to Slurm (for Kubernetes: show how).
    #[arg(long, value_enum)]
    submit: Option<Scheduler>,
    /// Where to compute; without it the plan's own 'device', then what the variable `LOWSHOT_DEVICE` says.
    #[arg(long)]
    device: Option<Device>,
    /// What the towers compute in: f32, f16 or bf16; without it the plan's own 'precision', then f32.
    #[arg(long)]
    precision: Option<Precision>,
    /// Print what became of the cells as JSON.
    #[arg(long)]
    json: bool,
}

/// Who runs a sweep on many machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Scheduler {
    /// A job array of Slurm.
    Slurm,
    /// An Indexed Job of Kubernetes.
    #[value(alias = "kubernetes")]
    K8s,
}

impl Sweep {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        let place = self.plan.display().to_string();
        let text = String::from_utf8(native::read(&self.plan)?)
            .map_err(|_| Error::Config { file: place.clone(), why: "not UTF-8: write the plan as text".into() })?;
        let plan = SweepPlan::from_toml(&text, &place)?;
        let cells = plan.cells()?;
        let folder = self.out.clone().or_else(|| plan.out.clone()).unwrap_or_else(|| self.plan.with_extension(""));
        if folder == self.plan {
            return Err(Error::Usage(format!(
                "{place} has no extension that a folder beside it could lack; give --out"
            )));
        }
        if let Some(scheduler) = self.submit {
            return submit(scheduler, &plan, &text, &folder, cells.len());
        }
        let variable = |name: &str| std::env::var(name).ok();
        let named = |(place, name): (&str, String)| {
            name.parse().map_err(|why| Error::Usage(format!("{place}: there is no device '{name}': {why}")))
        };
        let of_plan = plan.device.clone().map(|name| (place.as_str(), name));
        let elsewhere = of_plan.or_else(|| Some(("LOWSHOT_DEVICE", variable("LOWSHOT_DEVICE")?)));
        let device = match self.device {
            Some(device) => device,
            None => elsewhere.map(named).transpose()?.unwrap_or_default(),
        };
        let shard = self.shard.map_or_else(|| Shard::from_environment(variable), |shard| Ok(Some(shard)))?;
        let precision = self.precision.or(plan.precision).unwrap_or_default();
        let compute = Compute { place: Place { device }, precision };
        compute.run(Work { precision, cells, folder, shard, dry_run: self.dry_run, json: self.json })
    }
}

/// Writes what a scheduler needs into the sweep's folder, with a copy of the plan: it may be edited before the job starts.
fn submit(scheduler: Scheduler, plan: &SweepPlan, text: &str, folder: &Path, cells: usize) -> Result<()> {
    native::create_folder(folder)?;
    let absolute = |path: &Path| std::path::absolute(path).map_err(|source| Error::read(path, source));
    let (folder, start) = (absolute(folder)?, absolute(Path::new("."))?);
    let program = std::env::current_exe().map_err(|source| Error::read("the running program", source))?;
    let copy = folder.join("sweep.toml");
    native::write(&copy, text.as_bytes())?;
    let name = folder.file_name().unwrap_or(OsStr::new("sweep")).to_string_lossy().into_owned();
    let job = Job { name: &name, program: &program, plan: &copy, folder: &folder, start: &start, cells };
    match scheduler {
        Scheduler::Slurm => {
            let script = slurm::write(&plan.slurm, &job)?;
            progress::note(&format!("written to {}", script.display()));
            table::line(&slurm::submit(&script)?);
        }
        Scheduler::K8s => {
            let manifest = kubernetes::write(&plan.kubernetes, &job)?;
            progress::note(&format!("written to {}; to start it:", manifest.display()));
            table::line(&format!("kubectl apply -f {}", manifest.display()));
        }
    }
    Ok(())
}

/// What is left to do once the device is known.
struct Work {
    precision: Precision,
    cells: Vec<Cell>,
    folder: PathBuf,
    shard: Option<Shard>,
    dry_run: bool,
    json: bool,
}

impl Task for Work {
    type Output = ();

    fn run<B: ClipBackend>(mut self, device: &B::Device) -> Result<()> {
        let mut executor = Executor::<B>::new(device, Some(native::cache_folder()?)).in_format(self.precision.into());
        cells::resolve(&mut self.cells, &mut executor);
        if self.dry_run {
            return self.show();
        }
        let part = self.shard.map_or(0..self.cells.len(), |shard| shard.part(self.cells.len()));
        let mut notes = OnceEach { progress: Progress::new(), seen: HashSet::new() };
        let summary = sweep::run(&mut executor, &self.cells, part.clone(), &self.folder, &mut notes)?;
        drop(notes);
        self.report(part.len(), &summary)
    }
}

impl Work {
    /// Prints every cell and how far it is.
    fn show(&self) -> Result<()> {
        // Looking must not make the folder.
        let claims = if self.folder.join(".claims").is_dir() { Some(Claims::open(&self.folder)?) } else { None };
        let part = self.shard.map_or(0..self.cells.len(), |shard| shard.part(self.cells.len()));
        let mut rows = Vec::new();
        for cell in &self.cells[part] {
            let state = match (&cell.plan, cell.state(&self.folder)) {
                (Err(why), _) => format!("cannot run: {why}"),
                (_, Err(error)) => format!("in the way: {error}"),
                (_, Ok(State::Finished(result))) => format!("finished, top-1 {}", table::percent(result.top1)),
                (_, Ok(State::Missing)) => {
                    let last = claims.as_ref().and_then(|claims| claims.history(&cell.name).pop());
                    last.map_or_else(|| "missing".to_owned(), |last| format!("missing, last {last}"))
                }
            };
            rows.push(vec![cell.name.clone(), state]);
        }
        if self.json {
            let cells: Vec<_> = rows.iter().map(|row| json!({"cell": row[0], "state": row[1]})).collect();
            return table::json(&cells);
        }
        table::rows(&["cell", "state"], &rows, &[]);
        Ok(())
    }

    /// Says what became of the cells; those that failed are an error.
    fn report(&self, part: usize, summary: &Summary) -> Result<()> {
        let Summary { found, finished, failed, elsewhere } = summary;
        let name = |index: &usize| self.cells[*index].name.as_str();
        for (index, owner) in elsewhere {
            progress::note(&format!("left to another process: {} ({owner})", name(index)));
        }
        if self.json {
            let cells = |list: &[(usize, String)]| -> Vec<_> {
                list.iter().map(|(index, why)| json!({"cell": name(index), "why": why})).collect()
            };
            let names = |list: &[usize]| list.iter().map(|index| name(index).to_owned()).collect::<Vec<_>>();
            table::json(&json!({
                "cells": part, "found": names(found), "finished": names(finished), "failed": cells(failed),
                "elsewhere": cells(elsewhere), "results": self.folder.join("results.csv"),
            }))?;
        } else {
            let shard = self.shard.map(|shard| format!(" of shard {shard}")).unwrap_or_default();
            table::line(&format!(
                "{part} cells{shard}: {} finished, {} of them now; {} failed, {} with other processes; results in {}",
                found.len() + finished.len(),
                finished.len(),
                failed.len(),
                elsewhere.len(),
                self.folder.join("results.csv").display()
            ));
        }
        match failed.as_slice() {
            [] => Ok(()),
            failed => {
                let list: Vec<String> = failed.iter().map(|(index, why)| format!("{} ({why})", name(index))).collect();
                let why = format!("{} of {part} cells failed: {}", failed.len(), list.join("; "));
                Err(Error::Failed(format!("{why}; run the same command again when they are mended")))
            }
        }
    }
}

/// Progress whose notes are shown once each: what is said of a data set would else be said in every cell.
struct OnceEach {
    progress: Progress,
    seen: HashSet<String>,
}

impl Observer for OnceEach {
    fn observe(&mut self, event: &Event) {
        match event {
            Event::Note { text } if !self.seen.insert(text.clone()) => {}
            event => self.progress.observe(event),
        }
    }
}
