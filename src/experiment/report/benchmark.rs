//! Runs that can be compared: those on the same test images of one data set by the same backbone, grouped by method and shots.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    comparison::Comparison,
    runs::{Problem, Run},
    statistics::{Estimate, Interval, accuracy_interval, mean},
    variants,
};
use crate::{adapter::Method, data::Shots, experiment::result::Seconds};

/// All runs on one data set with one backbone.
#[derive(Clone, Debug, Serialize)]
pub struct Benchmark {
    /// The data set's name, with more where the name alone is ambiguous.
    pub dataset: String,
    /// The backbone's name, likewise.
    pub backbone: String,
    /// The labels of the methods, in the order in which they are shown.
    pub methods: Vec<String>,
    /// By shots, then method.
    pub groups: Vec<Group>,
    /// Differences between methods, by shots.
    pub comparisons: Vec<Comparison>,
}

/// The runs of one method at one number of shots. Fractions are 0..1.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    /// Images of each class; `null` where an adapter was tested that was trained elsewhere.
    pub shots: Option<Shots>,
    /// The method's label.
    pub method: String,
    /// How many runs there are.
    pub n: usize,
    /// Their seeds.
    pub seeds: Vec<u64>,
    /// Test images.
    pub n_test: usize,
    /// Top-1 accuracy.
    pub top1: Estimate,
    /// Its 95 % interval.
    pub ci95: Interval,
    /// Mean accuracy of the classes.
    #[serde(rename = "macro")]
    pub macro_accuracy: Estimate,
    /// Top-5 accuracy.
    pub top5: Estimate,
    /// Base and novel classes, where the runs were asked for them.
    pub generalisation: Option<Moved>,
    /// Numbers that were trained.
    pub trainable_parameters: usize,
    /// Mean times.
    pub seconds: Seconds,
    /// Which of the report's runs these are.
    #[serde(skip)]
    pub runs: Vec<usize>,
}

/// Base-to-novel generalisation.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Moved {
    /// Top-1 among the base classes.
    pub base: Estimate,
    /// Top-1 among the novel classes.
    pub novel: Estimate,
    /// Harmonic mean of each run's two.
    pub harmonic_mean: Estimate,
}

/// A cell that others of the report have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// The data set.
    pub dataset: String,
    /// The backbone.
    pub backbone: String,
    /// The method's label.
    pub method: String,
    /// The shots.
    pub shots: Shots,
    /// The seeds, of those that others have there.
    pub seeds: Vec<u64>,
}

/// What a benchmark is told by.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    dataset: String,
    backbone: String,
    base_to_novel: bool,
    split_sha256: String,
    backbone_sha256: String,
}

impl Key {
    fn of(run: &Run) -> Self {
        let result = &run.result;
        Self {
            dataset: result.dataset.clone(),
            backbone: result.backbone.clone(),
            base_to_novel: result.generalisation.is_some(),
            split_sha256: result.split_sha256.clone(),
            backbone_sha256: result.backbone_sha256.clone(),
        }
    }
}

/// The place of a number of shots on an axis.
pub fn shots_order(shots: Option<Shots>) -> usize {
    match shots {
        Some(Shots::PerClass(shots)) => shots,
        Some(Shots::All) => usize::MAX - 1,
        None => usize::MAX,
    }
}

/// Groups runs. A run that repeats another's cell is reported and left out.
pub fn group(runs: &[Run], problems: &mut Vec<Problem>) -> Vec<Benchmark> {
    let labels = variants::labels(runs);
    let mut benchmarks: BTreeMap<Key, Vec<usize>> = BTreeMap::new();
    for (index, run) in runs.iter().enumerate() {
        benchmarks.entry(Key::of(run)).or_default().push(index);
    }
    let keys: Vec<Key> = benchmarks.keys().cloned().collect();
    benchmarks
        .into_iter()
        .map(|(key, members)| {
            let mut cells: BTreeMap<(usize, (usize, String)), Vec<usize>> = BTreeMap::new();
            for index in members {
                let cell = (shots_order(runs[index].result.shots), variants::rank(&labels[index]));
                let cell = cells.entry(cell).or_default();
                let seed = runs[index].result.seed;
                let same = cell.iter().find(|other| seed.is_some() && runs[**other].result.seed == seed);
                match same {
                    Some(&other) => problems.push(Problem {
                        place: runs[index].folder.display().to_string(),
                        why: format!("repeats the run in {}: left out", runs[other].folder.display()),
                    }),
                    None => cell.push(index),
                }
            }
            let groups: Vec<Group> =
                cells.into_iter().map(|((_, (_, method)), members)| Group::new(runs, members, method)).collect();
            let mut methods: Vec<String> = groups.iter().map(|group| group.method.clone()).collect();
            methods.sort_by_key(|method| variants::rank(method));
            methods.dedup();
            let comparisons = super::comparison::all(runs, &groups);
            let (dataset, backbone) = names(&key, &keys);
            Benchmark { dataset, backbone, methods, groups, comparisons }
        })
        .collect()
}

/// Names that tell a benchmark from the others.
fn names(key: &Key, all: &[Key]) -> (String, String) {
    let short = |hash: &str| hash.get(..8).unwrap_or(hash).to_owned();
    let (mut dataset, mut backbone) = (key.dataset.clone(), key.backbone.clone());
    if all.iter().any(|other| other.dataset == key.dataset && other.split_sha256 != key.split_sha256) {
        dataset = format!("{dataset} (split {})", short(&key.split_sha256));
    }
    if key.base_to_novel {
        dataset = format!("{dataset} (base classes)");
    }
    if all.iter().any(|other| other.backbone == key.backbone && other.backbone_sha256 != key.backbone_sha256) {
        backbone = format!("{backbone} (weights {})", short(&key.backbone_sha256));
    }
    (dataset, backbone)
}

impl Group {
    fn new(all: &[Run], mut members: Vec<usize>, method: String) -> Self {
        members.sort_by_key(|&index| (all[index].result.seed, index));
        let runs: Vec<&Run> = members.iter().map(|&index| &all[index]).collect();
        let values = |of: &dyn Fn(&Run) -> f64| runs.iter().map(|run| of(run)).collect::<Vec<f64>>();
        let top1 = values(&|run| run.result.top1);
        let first = &runs[0].result;
        let seconds = |of: fn(&Seconds) -> f64| mean(&values(&|run| of(&run.result.seconds)));
        let moved = |of: fn(&crate::experiment::result::Generalisation) -> f64| {
            let values: Vec<f64> = runs.iter().filter_map(|run| run.result.generalisation.as_ref().map(of)).collect();
            Estimate::new(&values)
        };
        Self {
            shots: first.shots,
            method,
            n: runs.len(),
            seeds: runs.iter().filter_map(|run| run.result.seed).collect(),
            n_test: first.n_test,
            top1: Estimate::new(&top1),
            ci95: accuracy_interval(&top1, first.n_test),
            macro_accuracy: Estimate::new(&values(&|run| run.result.macro_accuracy)),
            top5: Estimate::new(&values(&|run| run.result.top5)),
            generalisation: first.generalisation.is_some().then(|| Moved {
                base: moved(|moved| moved.base),
                novel: moved(|moved| moved.novel),
                harmonic_mean: moved(|moved| moved.harmonic_mean),
            }),
            trainable_parameters: first.trainable_parameters,
            seconds: Seconds {
                features: seconds(|seconds| seconds.features),
                train: seconds(|seconds| seconds.train),
                waiting: first.seconds.waiting.map(|_| seconds(|seconds| seconds.waiting.unwrap_or_default())),
                test: seconds(|seconds| seconds.test),
            },
            runs: members,
        }
    }

    /// Whether shots and seed change nothing in these runs.
    pub fn is_zero_shot(&self) -> bool {
        is_zero_shot(&self.method)
    }
}

/// Whether a method's label is that of zero-shot, on which neither shots nor seeds have an influence.
pub fn is_zero_shot(label: &str) -> bool {
    label.split(' ').next().is_some_and(|name| name == Method::ZeroShot.name())
}

impl Benchmark {
    /// The numbers of shots, ascending.
    pub fn shots(&self) -> Vec<Option<Shots>> {
        let mut shots: Vec<Option<Shots>> = self.groups.iter().map(|group| group.shots).collect();
        shots.dedup();
        shots
    }

    /// The group of a method at a number of shots.
    pub fn find(&self, shots: Option<Shots>, method: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.shots == shots && group.method == method)
    }

    /// The groups at a number of shots.
    pub fn at(&self, shots: Option<Shots>) -> impl Iterator<Item = &Group> {
        self.groups.iter().filter(move |group| group.shots == shots)
    }

    /// The number of shots whose runs are shown in detail: where most methods are, and of those the largest.
    pub fn detailed_shots(&self) -> Option<Shots> {
        let known = |shots: &Option<Shots>| shots.is_some();
        let count = |shots: &Option<Shots>| (known(shots), self.at(*shots).count(), shots_order(*shots));
        self.shots().into_iter().max_by_key(count).flatten()
    }
}

/// The cells that some runs have and others lack: for each data set, backbone, shots and seed that any run has, the methods
/// that any run has. Zero-shot needs one run only, and base-to-novel runs are held against their like.
pub fn missing(benchmarks: &[Benchmark]) -> Vec<Missing> {
    let is_moved = |benchmark: &Benchmark| benchmark.groups.iter().any(|group| group.generalisation.is_some());
    let mut missing = Vec::new();
    for benchmark in benchmarks {
        let like = benchmarks.iter().filter(|other| is_moved(other) == is_moved(benchmark));
        let mut methods: Vec<&String> = like.flat_map(|other| &other.methods).collect();
        methods.sort_by_key(|method| variants::rank(method));
        methods.dedup();
        for method in methods {
            if is_zero_shot(method) && benchmark.methods.contains(method) {
                continue;
            }
            for shots in benchmark.shots().into_iter().flatten() {
                let others = benchmark.at(Some(shots)).filter(|group| !group.is_zero_shot());
                let seeds: BTreeSet<u64> = others.flat_map(|group| &group.seeds).copied().collect();
                let there = benchmark.find(Some(shots), method).map_or(&[][..], |group| &group.seeds);
                let seeds: Vec<u64> = seeds.into_iter().filter(|seed| !there.contains(seed)).collect();
                if !seeds.is_empty() {
                    let (dataset, backbone) = (benchmark.dataset.clone(), benchmark.backbone.clone());
                    missing.push(Missing { dataset, backbone, method: method.clone(), shots, seeds });
                }
            }
        }
    }
    missing
}
