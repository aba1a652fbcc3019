//! The runs that a report is about: found below folders, read, and held against themselves.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::{
    Error, Result,
    experiment::{
        plan::Plan,
        result::{RunResult, SCHEMA},
    },
    platform::native,
};

/// A finished run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its folder.
    pub folder: PathBuf,
    /// The numbers.
    pub result: RunResult,
    /// What was run; nothing in the folder of `lowshot eval`.
    pub plan: Option<Plan>,
    /// A line a test image, in the split's order; empty where the file is absent.
    pub predictions: Vec<Prediction>,
}

/// What was said of one test image. Classes are indices into `result.per_class`.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// The image, relative to the data set's image folder.
    pub path: String,
    /// The right class.
    pub label: usize,
    /// The class that was said.
    pub class: usize,
    /// Its softmax probability, 0..1.
    pub confidence: f64,
}

impl Prediction {
    /// Whether the label was said.
    pub fn is_right(&self) -> bool {
        self.label == self.class
    }
}

/// A folder that the report could not use, or not wholly.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// The folder or file.
    pub place: String,
    /// What is wrong, and what to do.
    pub why: String,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Runs {
    /// The usable runs, by folder.
    pub runs: Vec<Run>,
    /// What is not usable.
    pub problems: Vec<Problem>,
}

/// Reads all runs in and below `paths`. A run that is damaged or unfinished becomes a [`Problem`].
///
/// # Errors
/// A path that is not there; no run in any of them.
pub fn read(paths: &[PathBuf]) -> Result<Runs> {
    let mut folders = BTreeSet::new();
    let mut found = Runs::default();
    let mut visited = BTreeSet::new();
    for path in paths {
        fs::metadata(path).map_err(|source| Error::read(path, source))?;
        // The file that tells of a run stands for it.
        let path = if path.is_file() {
            path.parent().filter(|above| *above != Path::new("")).unwrap_or(Path::new("."))
        } else {
            path
        };
        collect(path, &mut visited, &mut folders, &mut found.problems);
    }
    for folder in folders {
        match read_run(&folder, &mut found.problems) {
            Ok(run) => found.runs.push(run),
            Err(why) => found.problems.push(Problem { place: folder.display().to_string(), why }),
        }
    }
    if found.runs.is_empty() {
        let place = paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
        let why = match found.problems.first() {
            Some(problem) => format!("no usable run there; {}: {}", problem.place, problem.why),
            None => "no run there: give folders that 'lowshot train' or 'lowshot sweep' wrote".into(),
        };
        return Err(Error::Data { place, why });
    }
    found.problems.sort();
    Ok(found)
}

/// Finds run folders; links are followed, each folder once.
fn collect(folder: &Path, visited: &mut BTreeSet<PathBuf>, runs: &mut BTreeSet<PathBuf>, problems: &mut Vec<Problem>) {
    let mut unreadable = |error: std::io::Error| {
        let why = format!("cannot be listed ({error}): check the permissions");
        problems.push(Problem { place: folder.display().to_string(), why });
    };
    match fs::canonicalize(folder) {
        Ok(path) if !visited.insert(path.clone()) => return,
        Ok(_) => {}
        Err(error) => return unreadable(error),
    }
    // A plan without the list that was drawn for it is not of a run: a sweep's folder may hold one too.
    let has = |name: &str| folder.join(name).is_file();
    if has("result.json") || (has("plan.toml") && has("fewshot.json")) {
        runs.insert(folder.to_owned());
    }
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return unreadable(error),
    };
    let mut inside: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    inside.retain(|path| path.file_name().is_some_and(|name| !name.as_encoded_bytes().starts_with(b".")));
    inside.sort();
    for path in inside {
        collect(&path, visited, runs, problems);
    }
}

fn read_run(folder: &Path, problems: &mut Vec<Problem>) -> Result<Run, String> {
    let text = |name: &str| match native::read(&folder.join(name)) {
        Ok(bytes) => String::from_utf8(bytes).map(Some).map_err(|_| format!("{name} is not text: run it again")),
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    };
    let damaged = |name: &str, error: &dyn std::fmt::Display| {
        let line = error.to_string().lines().map(str::trim).collect::<Vec<_>>().join(" ");
        format!("{name} is damaged ({line}): run it again")
    };
    let Some(result) = text("result.json")? else {
        return Err("not finished (no result.json): the same command again completes it".into());
    };
    let result: RunResult = serde_json::from_str(&result).map_err(|error| damaged("result.json", &error))?;
    check(&result).map_err(|why| format!("result.json {why}"))?;
    let plan = match text("plan.toml")? {
        Some(text) => Some(toml::from_str(&text).map_err(|error| damaged("plan.toml", &error))?),
        None => None,
    };
    let predictions = match text("predictions.csv")? {
        Some(text) => predictions(&text, &result).map_err(|why| format!("predictions.csv {why}"))?,
        None => {
            let why = "no predictions.csv, so its images are left out of tests and pictures: run it again".into();
            problems.push(Problem { place: folder.display().to_string(), why });
            Vec::new()
        }
    };
    Ok(Run { folder: folder.to_owned(), result, plan, predictions })
}

/// Holds a result against itself, so that nothing after has to.
fn check(result: &RunResult) -> Result<(), String> {
    if result.schema != SCHEMA {
        return Err(format!("is of schema {}, this program reads {SCHEMA}: update lowshot", result.schema));
    }
    let again = |why: &str| Err(format!("{why}: run it again"));
    let fractions = [result.top1, result.top5, result.macro_accuracy, result.ci95[0], result.ci95[1]];
    let per_class = result.per_class.iter().filter_map(|class| class.accuracy);
    let moved = result.generalisation.iter().flat_map(|moved| [moved.base, moved.novel, moved.harmonic_mean]);
    if !fractions.into_iter().chain(per_class).chain(moved).all(|value| (0.0..=1.0).contains(&value)) {
        return again("holds an accuracy outside of 0..1");
    }
    let waiting = result.seconds.waiting.unwrap_or_default();
    let seconds = [result.seconds.features, result.seconds.train, waiting, result.seconds.test];
    if !seconds.iter().all(|value| value.is_finite() && *value >= 0.0) {
        return again("holds a time that is none");
    }
    let classes = result.per_class.len();
    if result.confusion.len() != classes || result.confusion.iter().any(|row| row.len() != classes) {
        return again("has a confusion matrix that does not fit its classes");
    }
    let total = result.confusion.iter().flatten().try_fold(0_usize, |sum, count| sum.checked_add(*count));
    if total != Some(result.n_test) || result.n_test == 0 {
        return again("has a confusion matrix that does not add up to its test images");
    }
    let right: usize = (0..classes).map(|class| result.confusion[class][class]).sum();
    if (right as f64 / result.n_test as f64 - result.top1).abs() > 1e-9 {
        return again("has a top-1 accuracy that is not its confusion matrix's");
    }
    for (class, row) in result.per_class.iter().zip(&result.confusion) {
        if row.iter().sum::<usize>() != class.n {
            return again(&format!("counts the images of class {} in two ways", crate::data::quote(&class.name)));
        }
    }
    Ok(())
}

fn predictions(text: &str, result: &RunResult) -> Result<Vec<Prediction>, String> {
    let index: HashMap<&str, usize> =
        result.per_class.iter().enumerate().map(|(index, class)| (class.name.as_str(), index)).collect();
    if index.len() != result.per_class.len() {
        return Err("cannot be read: two classes have the same name".into());
    }
    let mut found = Vec::with_capacity(result.n_test);
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    for (number, line) in reader.deserialize::<(String, String, String, f64)>().enumerate() {
        let wrong = |why: &str| format!("is damaged ({why} of image {}): run it again", number + 1);
        let (path, label, class, confidence) = line.map_err(|_| wrong("the line"))?;
        let class_of = |name: &str| index.get(name).copied().ok_or_else(|| wrong("the class"));
        let (label, class) = (class_of(&label)?, class_of(&class)?);
        if !(0.0..=1.0).contains(&confidence) {
            return Err(wrong("the confidence"));
        }
        found.push(Prediction { path, label, class, confidence });
    }
    let mut confusion = vec![vec![0; index.len()]; index.len()];
    found.iter().for_each(|line| confusion[line.label][line.class] += 1);
    if confusion != result.confusion {
        return Err("does not agree with result.json: run it again".into());
    }
    Ok(found)
}
