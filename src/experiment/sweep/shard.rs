//! The part of a sweep that one process of several computes.

use std::{fmt, ops::Range, str::FromStr};

use crate::{Error, Result};

/// Part `index` of `count`, counted from 1 as people and test runners do: `1/4` … `4/4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    count: usize,
}

impl Shard {
    /// Part `index` of `count`, from 1.
    ///
    /// # Errors
    /// [`Error::Usage`] where there is no such part.
    pub fn new(index: usize, count: usize) -> Result<Self> {
        if index == 0 || index > count {
            let why = "parts are counted from 1 to their number, as in 1/4 … 4/4";
            return Err(Error::Usage(format!("there is no shard {index}/{count}: {why}")));
        }
        Ok(Self { index, count })
    }

    /// The part that a job array gave to this process, by the variables of Slurm (`SLURM_ARRAY_TASK_ID`,
    /// `SLURM_ARRAY_TASK_COUNT`, `SLURM_ARRAY_TASK_MIN`) or Kubernetes (`JOB_COMPLETION_INDEX`, and `JOB_COMPLETIONS`,
    /// which Kubernetes does not set and the manifest therefore does). Nothing outside of one.
    ///
    /// # Errors
    /// [`Error::Usage`] where they do not say which part of how many.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        let arrays = [
            ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", Some("SLURM_ARRAY_TASK_MIN")),
            ("JOB_COMPLETION_INDEX", "JOB_COMPLETIONS", None),
        ];
        let number = |name: &str| variable(name).and_then(|text| text.trim().parse::<usize>().ok());
        for (id, count, first) in arrays {
            if variable(id).is_none() {
                continue;
            }
            let place = || {
                let first = first.and_then(number).unwrap_or(0);
                Self::new(number(id)?.checked_sub(first)?.checked_add(1)?, number(count)?).ok()
            };
            let why = format!("{id} is set, but with {count} it does not say which part of how many");
            return place().map(Some).ok_or_else(|| Error::Usage(format!("{why}; give --shard i/n")));
        }
        Ok(None)
    }

    /// The cells of this part, of `cells` in all. Parts are runs of neighbours, which share their model and data set, and
    /// among which every method occurs.
    pub fn part(self, cells: usize) -> Range<usize> {
        let start = |index: usize| (index as u128 * cells as u128 / self.count as u128) as usize;
        start(self.index - 1)..start(self.index)
    }
}

impl FromStr for Shard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers = text.split_once('/').and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
        let (index, count) =
            numbers.ok_or_else(|| Error::Usage(format!("shard '{text}' is not of the form i/n, such as 1/4")))?;
        Self::new(index, count)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}
