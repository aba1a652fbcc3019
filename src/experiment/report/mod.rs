//! What finished runs say together: means with intervals, differences with tests, and a page that shows why.
//!
//! | module | what it is |
//! |---|---|
//! | [`runs`] | run folders, found and checked |
//! | [`variants`] | what to call a method where its settings vary |
//! | [`benchmark`] | runs that can be compared, grouped; the cells that are missing |
//! | [`statistics`], [`comparison`] | intervals and tests |
//! | [`tables`] | CSV and LaTeX |
//! | [`failures`] | which pictures are worth looking at |
//! | [`evidence`] | what needs the data set and the model: pictures, attention, features |
//! | [`pictures`], [`attention`], [`map`] | its parts |
//! | [`page`] | the HTML page, from its sections |
//! | [`html`], [`plots`], [`axis`], [`palette`] | what the sections are made with |

pub mod attention;
pub mod axis;
pub mod benchmark;
pub mod comparison;
pub mod evidence;
pub mod failures;
pub mod html;
pub mod map;
pub mod page;
pub mod palette;
pub mod pictures;
pub mod plots;
pub mod runs;
mod sections;
pub mod statistics;
pub mod tables;
pub mod variants;

use std::path::PathBuf;

use serde::Serialize;

use self::{
    benchmark::{Benchmark, Missing},
    runs::{Problem, Run},
};
use crate::{Error, Result};

/// All that is known from the run folders alone.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Comparable runs, by data set and backbone.
    pub benchmarks: Vec<Benchmark>,
    /// Cells that others have.
    pub missing: Vec<Missing>,
    /// Folders that could not be used, or not wholly.
    pub problems: Vec<Problem>,
    /// The labels of all methods, in the order in which they are shown.
    pub methods: Vec<String>,
    /// The runs.
    #[serde(skip)]
    pub runs: Vec<Run>,
}

impl Report {
    /// Reads the runs in and below `paths`. The same runs give the same report, in whatever order they are given.
    ///
    /// # Errors
    /// As [`runs::read`].
    pub fn read(paths: &[PathBuf]) -> Result<Self> {
        let runs::Runs { runs, mut problems } = runs::read(paths)?;
        let benchmarks = benchmark::group(&runs, &mut problems);
        let mut methods: Vec<String> = benchmarks.iter().flat_map(|benchmark| benchmark.methods.clone()).collect();
        methods.sort_by_key(|method| variants::rank(method));
        methods.dedup();
        problems.sort();
        Ok(Self { missing: benchmark::missing(&benchmarks), benchmarks, problems, methods, runs })
    }

    /// The report for programs.
    ///
    /// # Errors
    /// None that is known: all of it has a form in JSON.
    pub fn to_json(&self) -> Result<String> {
        let text = serde_json::to_string_pretty(self);
        Ok(text.map_err(|error| Error::Failed(format!("the report cannot be written as JSON: {error}")))? + "\n")
    }
}
