//! Intervals and tests, on fractions of 0..1.
//!
//! Seeds are the unit of repetition: a method's spread is that of its runs' accuracies, and two methods are compared by the
//! runs that share a seed. The images of a single run are compared by [`mcnemar`].

use serde::Serialize;
use statrs::distribution::{Binomial, ContinuousCDF, DiscreteCDF, StudentsT};

use crate::train::metrics::wilson;

/// How an interval was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Student's t over the runs: what other seeds would give.
    Student,
    /// Wilson's, of one run (or of runs that do not differ): what other test images would give.
    Wilson,
}

/// A mean over runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// The sample's standard deviation (with n − 1); nothing where there is one run.
    pub std: Option<f64>,
}

impl Estimate {
    /// The mean and spread of `values`, of which there is at least one.
    pub fn new(values: &[f64]) -> Self {
        Self { mean: mean(values), std: sample_std(values) }
    }
}

/// A 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// How it was made.
    pub kind: Kind,
}

/// The arithmetic mean; 0 of nothing.
pub fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

/// The standard deviation of a sample, with n − 1; nothing for fewer than two values. Exactly 0 for equal values.
pub fn sample_std(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    // The mean of equal values may differ from them in the last bit.
    if values.iter().all(|value| *value == values[0]) {
        return Some(0.0);
    }
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

/// The 95 % interval of the mean by Student's t (Student, "The probable error of a mean", 1908); nothing for fewer than two
/// values.
pub fn student_interval(values: &[f64]) -> Option<[f64; 2]> {
    let std = sample_std(values)?;
    let half = student(values.len() - 1)?.inverse_cdf(0.975) * std / (values.len() as f64).sqrt();
    let mean = mean(values);
    Some([mean - half, mean + half])
}

/// The interval of accuracies: Student's over runs that differ, cut to 0..1; else Wilson's of one run on `n_test` images.
pub fn accuracy_interval(accuracies: &[f64], n_test: usize) -> Interval {
    let differ = sample_std(accuracies).is_some_and(|std| std > 0.0);
    match student_interval(accuracies).filter(|_| differ) {
        Some([low, high]) => Interval { low: low.max(0.0), high: high.min(1.0), kind: Kind::Student },
        None => {
            let correct = accuracies.first().map_or(0.0, |accuracy| accuracy * n_test as f64).round() as usize;
            let [low, high] = wilson(correct, n_test);
            Interval { low, high, kind: Kind::Wilson }
        }
    }
}

/// Two-sided p of the paired t-test that `differences` have mean 0; nothing for fewer than two, or where all are equal, when
/// the statistic does not exist.
pub fn paired_t(differences: &[f64]) -> Option<f64> {
    let std = sample_std(differences).filter(|std| *std > 0.0)?;
    let t = mean(differences) / (std / (differences.len() as f64).sqrt());
    // The lower tail keeps its digits where 1 − cdf would lose them.
    Some((2.0 * student(differences.len() - 1)?.cdf(-t.abs())).min(1.0))
}

fn student(freedom: usize) -> Option<StudentsT> {
    StudentsT::new(0.0, 1.0, freedom as f64).ok()
}

/// Two-sided p of `McNemar`'s exact test (`McNemar`, "Note on the sampling error of the difference between correlated proportions
/// or percentages", 1947; by the binomial distribution instead of its approximation): of the images that exactly one of two
/// methods gets right, `only_first` are the first's and `only_second` the second's.
pub fn mcnemar(only_first: usize, only_second: usize) -> f64 {
    let discordant = only_first + only_second;
    match Binomial::new(0.5, discordant as u64) {
        Ok(binomial) if discordant > 0 => (2.0 * binomial.cdf(only_first.min(only_second) as u64)).min(1.0),
        _ => 1.0,
    }
}
