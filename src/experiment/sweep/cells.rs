//! The cells of a sweep: every combination, with its plan and the folder that its run fills.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use super::plan::{DatasetEntry, SweepPlan};
use crate::{
    Error, Result,
    clip::ClipBackend,
    data::Shots,
    experiment::{execute::Executor, plan::Plan, result::RunResult, run},
};

/// One combination.
#[derive(Clone, Debug)]
pub struct Cell {
    /// Its folder, relative to the sweep's, with `/` between parts: `eurosat/demo/tip-f-16-shots-seed-1`.
    pub name: String,
    /// The method's label.
    pub method: String,
    /// What to run, or why it cannot be.
    pub plan: Result<Plan, String>,
}

/// How far a cell is.
#[derive(Clone, Debug)]
pub enum State {
    /// Nothing that counts is in its folder.
    Missing,
    /// Its folder holds the result of this very plan.
    Finished(Box<RunResult>),
}

impl SweepPlan {
    /// All combinations, neighbours sharing as much as they can: first by model, then by data set, shots, seed and method.
    /// Their plans are as asked for; [`resolve`] makes them those that are run.
    ///
    /// # Errors
    /// [`Error::Usage`] where two combinations are the same, or have the same folder; a pattern for few-shot lists with
    /// an unknown placeholder.
    pub fn cells(&self) -> Result<Vec<Cell>> {
        let mut cells = Vec::new();
        for model in &self.models {
            for dataset in &self.datasets {
                for &shots in &self.shots {
                    for &seed in &self.seeds {
                        for method in &self.methods {
                            let folders = [dataset.label.as_str(), model].map(slug).join("/");
                            let method_folder = slug(&method.label);
                            let plan = Plan {
                                dataset: dataset.name.clone(),
                                root_path: dataset.root_path.clone().or_else(|| self.root_path.clone()),
                                shots,
                                fewshot: self.fewshot(dataset, shots, seed)?,
                                seed,
                                model: model.clone(),
                                device: String::new(),
                                templates: self.templates.clone(),
                                logit_scale: self.logit_scale,
                                base_to_novel: self.base_to_novel,
                                start: None,
                                epochs: method.epochs(shots),
                                generated: None,
                                recipe: method.recipe(shots)?,
                            };
                            cells.push(Cell {
                                name: format!("{folders}/{method_folder}-{shots}-shots-seed-{seed}"),
                                method: method.label.clone(),
                                plan: Ok(plan),
                            });
                        }
                    }
                }
            }
        }
        let mut seen = HashSet::new();
        for cell in &cells {
            // Some file systems do not tell small letters from large ones.
            if !seen.insert(cell.name.to_lowercase()) {
                let why = "remove what is listed twice, or give one of the two a label";
                return Err(Error::Usage(format!("two cells of the sweep have the folder {}: {why}", cell.name)));
            }
        }
        Ok(cells)
    }

    fn fewshot(&self, dataset: &DatasetEntry, shots: Shots, seed: u64) -> Result<Option<PathBuf>> {
        let Some(pattern) = dataset.fewshot.as_ref().or(self.fewshot.as_ref()) else { return Ok(None) };
        let path = pattern
            .replace("{dataset}", &dataset.label)
            .replace("{shots}", &shots.to_string())
            .replace("{seed}", &seed.to_string());
        if path.contains(['{', '}']) {
            let why = "has a placeholder other than {dataset}, {shots} and {seed}";
            return Err(Error::Usage(format!("fewshot = \"{pattern}\" {why}")));
        }
        Ok(Some(path.into()))
    }
}

/// Makes the cells' plans those that are run on the executor's device. A cell that cannot be run keeps the reason.
pub fn resolve<B: ClipBackend>(cells: &mut [Cell], executor: &mut Executor<B>) {
    for cell in cells {
        if let Ok(plan) = &cell.plan {
            cell.plan = executor.resolve(plan.clone()).map_err(|error| error.to_string());
        }
    }
}

impl Cell {
    /// How far the cell is, below the sweep's folder.
    ///
    /// # Errors
    /// As [`run::check_folder`].
    pub fn state(&self, folder: &Path) -> Result<State> {
        let Ok(plan) = &self.plan else { return Ok(State::Missing) };
        let folder = folder.join(&self.name);
        run::check_folder(&folder, plan)?;
        if !folder.join("plan.toml").exists() {
            return Ok(State::Missing);
        }
        let bytes = std::fs::read(folder.join("result.json")).unwrap_or_default();
        Ok(serde_json::from_slice(&bytes).map_or(State::Missing, |result| State::Finished(Box::new(result))))
    }
}

/// A name as the name of a folder: what shells and file systems take amiss becomes `-`.
fn slug(name: &str) -> String {
    let safe = |c: char| if c.is_alphanumeric() || "._+=,-".contains(c) { c } else { '-' };
    let slug: String = name.chars().map(safe).collect();
    let trimmed = slug.trim_matches(|c| c == '-' || c == '.');
    if trimmed.is_empty() { "unnamed".to_owned() } else { trimmed.to_owned() }
}
