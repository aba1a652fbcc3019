//! Sweeps: every combination of data sets, models, shots, seeds and methods, each in a run folder of its own.
//!
//! | module | what it is |
//! |---|---|
//! | [`plan`] | the file that says which combinations |
//! | [`method`] | a method with changes to its default settings |
//! | [`cells`] | the combinations, each with its plan and its folder |
//! | [`shard`] | the part of them that one process computes |
//! | [`claims`] | who computes what, among processes that share the folder |
//! | [`results`] | the table of what is finished |
//! | [`slurm`], [`kubernetes`] | the same on many machines |

pub mod cells;
pub mod claims;
pub mod kubernetes;
pub mod method;
pub mod plan;
pub mod results;
pub mod shard;
pub mod slurm;

use std::{ops::Range, path::Path};

use self::{
    cells::{Cell, State},
    claims::{Attempt, Claim, Claims},
    results::Table,
};
use super::{Event, Observer, execute::Executor};
use crate::{Error, Result, clip::ClipBackend, platform::interrupt};

/// What became of the cells that a process was to see to, by their index.
#[derive(Debug, Default)]
pub struct Summary {
    /// Were finished already, or were finished by another process meanwhile.
    pub found: Vec<usize>,
    /// Finished by this process.
    pub finished: Vec<usize>,
    /// Failed here, and why.
    pub failed: Vec<(usize, String)>,
    /// Being computed by another living process, and by which.
    pub elsewhere: Vec<(usize, String)>,
}

/// Computes those of `cells[part]` that are not finished, each below `folder`, and keeps the table of results up to date.
///
/// Any number of processes may do this at once, with or without parts of their own: a cell belongs to whoever claims it
/// first, for as long as that process lives. This returns when each cell is finished, has failed here, or is another
/// living process's. A cell that fails does not stop the others.
///
/// # Errors
/// A folder holds the run of another plan (nothing is computed then); the folder cannot be written; [`Error::Interrupted`]
/// when the program is asked to stop, which it does after a cell on features, and anywhere in training through the towers.
pub fn run<B: ClipBackend>(
    executor: &mut Executor<B>,
    cells: &[Cell],
    part: Range<usize>,
    folder: &Path,
    observer: &mut dyn Observer,
) -> Result<Summary> {
    interrupt::listen();
    let claims = Claims::open(folder)?;
    let mut table = Table::new(folder);
    let mut summary = Summary::default();
    let mut open = Vec::new();
    for index in part {
        match cells[index].state(folder)? {
            State::Finished(_) => summary.found.push(index),
            State::Missing => open.push(index),
        }
    }
    if !claims.work {
        let why = "does not lock files, so what runs at the same time must be disjoint shards (--shard)";
        observer.observe(&Event::note(format!("{} {why}", folder.display())));
    }
    loop {
        let before = open.len();
        summary.elsewhere.clear();
        let mut left = Vec::new();
        for index in open {
            let cell = &cells[index];
            if interrupt::asked() {
                return Err(interrupted(&format!("before {}", cell.name)));
            }
            let mut claim = match claims.attempt(&cell.name)? {
                Attempt::Ours(claim) => claim,
                Attempt::Elsewhere(owner) => {
                    summary.elsewhere.push((index, owner));
                    left.push(index);
                    continue;
                }
            };
            // Whoever had the claim before may have finished the cell.
            if matches!(cell.state(folder)?, State::Finished(_)) {
                summary.found.push(index);
                continue;
            }
            match compute(executor, cell, &mut claim, folder, observer) {
                Ok(top1) => {
                    table.update(cells, &claims)?;
                    summary.finished.push(index);
                    let (done, all) = (index + 1, cells.len());
                    let text = format!("{} ({done} of {all}): top-1 {:.1} %", cell.name, top1 * 100.0);
                    observer.observe(&Event::note(text));
                }
                Err(Error::Interrupted(_)) => return Err(interrupted(&format!("in {}", cell.name))),
                Err(error) => {
                    observer.observe(&Event::note(format!("{} failed: {error}", cell.name)));
                    summary.failed.push((index, error.to_string()));
                }
            }
        }
        open = left;
        // What others had claimed is looked at again, for as long as this process has found work meanwhile: they may have
        // died.
        if open.is_empty() || open.len() == before {
            break;
        }
    }
    table.update(cells, &claims)?;
    Ok(summary)
}

fn interrupted(place: &str) -> Error {
    Error::Interrupted(format!("interrupted {place}: the same command goes on from there"))
}

/// Computes a claimed cell, and records in its claim what became of it.
fn compute<B: ClipBackend>(
    executor: &mut Executor<B>,
    cell: &Cell,
    claim: &mut Claim,
    folder: &Path,
    observer: &mut dyn Observer,
) -> Result<f64> {
    claim.begin()?;
    let result = match &cell.plan {
        Ok(plan) => executor.execute(plan.clone(), &folder.join(&cell.name), observer),
        Err(why) => Err(Error::Failed(why.clone())),
    };
    claim.record(&match &result {
        Ok(_) => "finished".to_owned(),
        Err(Error::Interrupted(_)) => "interrupted".to_owned(),
        Err(error) => format!("failed: {error}"),
    })?;
    result.map(|result| result.top1)
}
