//! Which pictures are worth looking at: confident mistakes, and what one method mends or spoils of another's.

use std::collections::HashMap;

use super::{
    Report,
    benchmark::{Benchmark, Group},
    comparison::same_images,
    runs::Prediction,
};
use crate::data::Shots;

/// Pictures shown in a row of them.
const MOST: usize = 8;
/// Of them at most this many of the same kind, so that a row shows more than one mistake.
const MOST_ALIKE: usize = 2;

/// The runs of a benchmark that are shown picture by picture: one a method, all with the same shots and seed.
#[derive(Clone, Debug)]
pub struct Detail {
    /// Their shots.
    pub shots: Option<Shots>,
    /// Their seed.
    pub seed: Option<u64>,
    /// The methods' labels, and which of the report's runs is theirs.
    pub runs: Vec<(String, usize)>,
    /// Each method's most confident mistakes, as indices into its run's predictions.
    pub mistakes: Vec<Vec<usize>>,
    /// What the best method mends and spoils of another.
    pub exchanges: Vec<Exchange>,
}

/// Images on which exactly one of two methods is right, as indices into either's predictions.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Index into [`Detail::runs`] of the method that is compared with.
    pub first: usize,
    /// Index of the method that is compared.
    pub second: usize,
    /// How many images only the second gets right.
    pub mended: usize,
    /// How many images only the first gets right.
    pub spoilt: usize,
    /// Some that only the second gets right, its most confident first.
    pub shown_mended: Vec<usize>,
    /// Some that only the first gets right, the second's most confident mistakes first.
    pub shown_spoilt: Vec<usize>,
}

impl Detail {
    /// Chooses by what the benchmark has: the shots of [`Benchmark::detailed_shots`], and the first of the seeds that most
    /// methods have there. Nothing where no run lists its images.
    pub fn choose(report: &Report, benchmark: &Benchmark) -> Option<Self> {
        let shots = benchmark.detailed_shots();
        let mut groups: Vec<&Group> = benchmark.at(shots).collect();
        if !groups.iter().any(|group| group.is_zero_shot()) {
            // It is the same at any number of shots.
            groups.extend(benchmark.groups.iter().find(|group| group.is_zero_shot()));
            groups.sort_by_key(|group| super::variants::rank(&group.method));
        }
        let mut seeds: Vec<u64> = groups.iter().flat_map(|group| &group.seeds).copied().collect();
        seeds.sort_unstable();
        seeds.dedup();
        let holders = |seed: u64| groups.iter().filter(|group| group.seeds.contains(&seed)).count();
        let seed = seeds.into_iter().rev().max_by_key(|seed| holders(*seed));
        let mut runs: Vec<(String, usize)> = groups
            .iter()
            .filter_map(|group| {
                let own = group.runs.iter().copied().find(|&index| report.runs[index].result.seed == seed);
                let index = own.or_else(|| group.is_zero_shot().then(|| group.runs[0]))?;
                Some((group.method.clone(), index))
            })
            .filter(|(_, index)| !report.runs[*index].predictions.is_empty())
            .collect();
        let first = runs.first()?.1;
        runs.retain(|(_, index)| same_images(&report.runs[first], &report.runs[*index]));
        let predictions = |index: usize| report.runs[runs[index].1].predictions.as_slice();
        let mistakes = (0..runs.len()).map(|index| mistakes(predictions(index))).collect();
        // By the mean of all seeds, so that the same method is "best" everywhere on the page.
        let mean = |index: usize| {
            let group = groups.iter().find(|group| group.method == runs[index].0);
            group.map_or(0.0, |group| group.top1.mean)
        };
        let mut order: Vec<usize> = (0..runs.len()).collect();
        order.sort_by(|a, b| mean(*b).total_cmp(&mean(*a)));
        let mut pairs = Vec::new();
        if let [best, .., last] = order[..] {
            pairs.push((last, best));
            pairs.extend(order[1..].first().filter(|second| **second != last).map(|second| (*second, best)));
        }
        let exchanges = pairs
            .into_iter()
            .map(|(first, second)| exchange((first, predictions(first)), (second, predictions(second))))
            .collect();
        Some(Self { shots, seed, runs, mistakes, exchanges })
    }

    /// The images of all rows, each once, in the order of the page.
    pub fn shown(&self) -> Vec<usize> {
        let rows =
            self.exchanges.iter().flat_map(|exchange| exchange.shown_mended.iter().chain(&exchange.shown_spoilt));
        let mut seen = std::collections::HashSet::new();
        self.mistakes.iter().flatten().chain(rows).copied().filter(|index| seen.insert(*index)).collect()
    }

    /// A few images whose attention is worth comparing: those that the best method mends, and its own worst mistakes.
    pub fn attended(&self) -> Vec<usize> {
        const MENDED: usize = 4;
        const MISTAKEN: usize = 2;
        let best = self.exchanges.first();
        let mended = best.into_iter().flat_map(|exchange| exchange.shown_mended.iter().take(MENDED));
        let own = self.mistakes.get(best.map_or(0, |exchange| exchange.second));
        let mistaken = own.into_iter().flat_map(|own| own.iter().take(MISTAKEN));
        mended.chain(mistaken).copied().collect()
    }
}

/// The most confident mistakes, not too many of which confuse the same two classes.
fn mistakes(predictions: &[Prediction]) -> Vec<usize> {
    let wrong = (0..predictions.len()).filter(|&index| !predictions[index].is_right()).collect();
    pick(wrong, predictions, |line| (line.label, line.class))
}

fn exchange(first: (usize, &[Prediction]), second: (usize, &[Prediction])) -> Exchange {
    let only = |a: &[Prediction], b: &[Prediction]| -> Vec<usize> {
        (0..a.len()).filter(|&index| a[index].is_right() && !b[index].is_right()).collect()
    };
    let (mended, spoilt) = (only(second.1, first.1), only(first.1, second.1));
    Exchange {
        first: first.0,
        second: second.0,
        mended: mended.len(),
        spoilt: spoilt.len(),
        shown_mended: pick(mended, second.1, |line| (line.label, line.label)),
        shown_spoilt: pick(spoilt, second.1, |line| (line.label, line.class)),
    }
}

/// The most confident of `candidates`, at most [`MOST_ALIKE`] of a kind; of equals the first by path.
fn pick<K: Eq + std::hash::Hash>(
    mut candidates: Vec<usize>,
    predictions: &[Prediction],
    kind: impl Fn(&Prediction) -> K,
) -> Vec<usize> {
    let line = |index: &usize| &predictions[*index];
    candidates.sort_by(|a, b| {
        line(b).confidence.total_cmp(&line(a).confidence).then_with(|| line(a).path.cmp(&line(b).path))
    });
    let mut alike: HashMap<K, usize> = HashMap::new();
    candidates.retain(|index| {
        let count = alike.entry(kind(line(index))).or_default();
        *count += 1;
        *count <= MOST_ALIKE
    });
    candidates.truncate(MOST);
    candidates
}
