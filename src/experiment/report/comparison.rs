//! Two methods held against each other: by runs that share a seed, and by what they say of the same images.

use serde::Serialize;

use super::{
    benchmark::Group,
    runs::Run,
    statistics::{mcnemar, mean, paired_t, sample_std, student_interval},
};
use crate::data::Shots;

/// What the second method gains over the first. Differences are fractions, −1..1.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The shots of both.
    pub shots: Option<Shots>,
    /// The method that is compared with.
    pub first: String,
    /// The method that is compared.
    pub second: String,
    /// The seeds that both have. Zero-shot, on which the seed has no influence, has all.
    pub seeds: Vec<u64>,
    /// Mean of the second's top-1 minus the first's.
    pub mean: f64,
    /// Standard deviation of the differences.
    pub std: Option<f64>,
    /// 95 % interval of the mean, by Student's t; nothing for a single seed.
    pub ci95: Option<[f64; 2]>,
    /// Two-sided p of the paired t-test; nothing for a single seed, or where all differences are equal.
    pub p: Option<f64>,
    /// The test of [`mcnemar`], of each seed by itself: the same image in two runs is not two images.
    pub mcnemar: Vec<McNemar>,
}

/// What two runs say of the same test images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct McNemar {
    /// The seed of both.
    pub seed: u64,
    /// Images that only the first gets right.
    pub only_first: usize,
    /// Images that only the second gets right.
    pub only_second: usize,
    /// Two-sided p.
    pub p: f64,
}

impl Comparison {
    /// The largest of the seeds' p by [`mcnemar`]: below a level only if each seed's is.
    pub fn largest_mcnemar_p(&self) -> Option<f64> {
        self.mcnemar.iter().map(|test| test.p).max_by(f64::total_cmp)
    }
}

/// All pairs of methods at each number of shots, of which they share a seed. `groups` are of one benchmark.
pub fn all(runs: &[Run], groups: &[Group]) -> Vec<Comparison> {
    let mut comparisons = Vec::new();
    for (index, first) in groups.iter().enumerate() {
        for second in groups[index + 1..].iter().filter(|second| second.shots == first.shots) {
            comparisons.extend(compare(runs, first, second));
        }
    }
    // Zero-shot is the same at any number of shots, and need not have been run at each.
    let shots_of_zero = groups.iter().filter(|group| group.is_zero_shot()).map(|group| group.shots);
    let shots_of_zero: Vec<Option<Shots>> = shots_of_zero.collect();
    if let Some(zero) = groups.iter().find(|group| group.is_zero_shot()) {
        let lacking = groups.iter().filter(|group| group.shots.is_some() && !shots_of_zero.contains(&group.shots));
        comparisons.extend(lacking.filter_map(|second| compare(runs, zero, second)));
    }
    comparisons.sort_by_key(|comparison| super::benchmark::shots_order(comparison.shots));
    comparisons
}

/// The runs of two groups by the seeds that both have.
pub fn pairs<'a>(runs: &'a [Run], first: &Group, second: &Group) -> Vec<(u64, &'a Run, &'a Run)> {
    let find = |group: &Group, seed: u64| {
        let own = group.runs.iter().map(|&index| &runs[index]).find(|run| run.result.seed == Some(seed));
        own.or_else(|| group.is_zero_shot().then(|| &runs[group.runs[0]]))
    };
    let seeds = if first.is_zero_shot() { &second.seeds } else { &first.seeds };
    seeds.iter().filter_map(|&seed| Some((seed, find(first, seed)?, find(second, seed)?))).collect()
}

fn compare(runs: &[Run], first: &Group, second: &Group) -> Option<Comparison> {
    let pairs = pairs(runs, first, second);
    if pairs.is_empty() {
        return None;
    }
    let differences: Vec<f64> = pairs.iter().map(|(_, a, b)| b.result.top1 - a.result.top1).collect();
    let mcnemar = pairs.iter().filter_map(|(seed, a, b)| {
        let (only_first, only_second) = discordant(a, b)?;
        Some(McNemar { seed: *seed, only_first, only_second, p: mcnemar(only_first, only_second) })
    });
    Some(Comparison {
        shots: second.shots,
        first: first.method.clone(),
        second: second.method.clone(),
        seeds: pairs.iter().map(|(seed, ..)| *seed).collect(),
        mean: mean(&differences),
        std: sample_std(&differences),
        ci95: student_interval(&differences),
        p: paired_t(&differences),
        mcnemar: mcnemar.collect(),
    })
}

/// How many images only `a` and only `b` gets right; nothing unless both list the same images.
fn discordant(a: &Run, b: &Run) -> Option<(usize, usize)> {
    if !same_images(a, b) {
        return None;
    }
    let both = || a.predictions.iter().zip(&b.predictions);
    let only_a = both().filter(|(a, b)| a.is_right() && !b.is_right()).count();
    let only_b = both().filter(|(a, b)| !a.is_right() && b.is_right()).count();
    Some((only_a, only_b))
}

/// Whether two runs were tested on the same images in the same order, and say so image by image.
pub fn same_images(a: &Run, b: &Run) -> bool {
    let same = |(a, b): (&super::runs::Prediction, &super::runs::Prediction)| a.path == b.path && a.label == b.label;
    !a.predictions.is_empty()
        && a.predictions.len() == b.predictions.len()
        && a.predictions.iter().zip(&b.predictions).all(same)
}
