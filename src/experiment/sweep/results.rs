//! `results.csv`: a line for each finished cell of a sweep, kept up to date as cells finish.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    cells::{Cell, State},
    claims::Claims,
};
use crate::{Error, Result, experiment::result::RunResult, platform::native};

const HEADER: [&str; 20] = [
    "cell",
    "dataset",
    "model",
    "method",
    "shots",
    "seed",
    "n_test",
    "top1",
    "top5",
    "macro",
    "ci95_low",
    "ci95_high",
    "base",
    "novel",
    "harmonic_mean",
    "trainable_parameters",
    "seconds_features",
    "seconds_train",
    "seconds_test",
    "device",
];

/// The table in a sweep's folder.
#[derive(Debug)]
pub struct Table {
    folder: PathBuf,
    /// Lines by the index of their cell: a finished cell does not change, so its result is read once.
    lines: BTreeMap<usize, Vec<String>>,
}

impl Table {
    /// The table of the sweep in `folder`, of which nothing is read yet.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), lines: BTreeMap::new() }
    }

    /// Writes the table with all cells that are finished, whoever finished them.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn update(&mut self, cells: &[Cell], claims: &Claims) -> Result<()> {
        // Alone, so that nobody who read the folder earlier writes later.
        claims.alone("results", || {
            for (index, cell) in cells.iter().enumerate() {
                if !self.lines.contains_key(&index)
                    && let Ok(State::Finished(result)) = cell.state(&self.folder)
                {
                    self.lines.insert(index, line(cell, &result));
                }
            }
            native::write(&self.folder.join("results.csv"), &self.csv()?)
        })
    }

    fn csv(&self) -> Result<Vec<u8>> {
        let failed = |why: String| Error::Failed(format!("the results cannot be written as CSV: {why}"));
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(HEADER).map_err(|error| failed(error.to_string()))?;
        for line in self.lines.values() {
            writer.write_record(line).map_err(|error| failed(error.to_string()))?;
        }
        writer.into_inner().map_err(|error| failed(error.to_string()))
    }
}

fn line(cell: &Cell, result: &RunResult) -> Vec<String> {
    let moved = result.generalisation.as_ref();
    let optional = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    vec![
        cell.name.clone(),
        result.dataset.clone(),
        result.backbone.clone(),
        cell.method.clone(),
        result.shots.map(|shots| shots.to_string()).unwrap_or_default(),
        result.seed.map(|seed| seed.to_string()).unwrap_or_default(),
        result.n_test.to_string(),
        result.top1.to_string(),
        result.top5.to_string(),
        result.macro_accuracy.to_string(),
        result.ci95[0].to_string(),
        result.ci95[1].to_string(),
        optional(moved.map(|moved| moved.base)),
        optional(moved.map(|moved| moved.novel)),
        optional(moved.map(|moved| moved.harmonic_mean)),
        result.trainable_parameters.to_string(),
        result.seconds.features.to_string(),
        result.seconds.train.to_string(),
        result.seconds.test.to_string(),
        result.device.clone(),
    ]
}
