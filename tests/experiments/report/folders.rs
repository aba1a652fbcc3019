//! Run folders made up for tests, consistent unless a test breaks them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use lowshot::{
    adapter::{Method, Recipe},
    data::Shots,
    experiment::{
        plan::{LogitScale, Plan},
        report::Report,
        result::{ClassResult, RunResult, SCHEMA, Seconds},
    },
};
use serde_json::Value;
use tempfile::TempDir;

/// The reference values of `reference.py`.
pub fn reference(key: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("reference.json")).unwrap();
    all[key].clone()
}

pub fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

/// A run to be written.
#[derive(Clone)]
pub struct Made {
    pub dataset: String,
    pub backbone: String,
    pub method: Method,
    pub shots: Shots,
    pub seed: u64,
    pub classes: Vec<String>,
    /// Of each test image its path, label and prediction.
    pub lines: Vec<(String, usize, usize)>,
    /// Changes to the method's usual settings.
    pub recipe: Option<Recipe>,
}

impl Made {
    /// 20 images of two classes, of which the first `wrong` are mistaken.
    pub fn new(method: &str, shots: usize, seed: u64, wrong: usize) -> Self {
        Self {
            dataset: "pots".into(),
            backbone: "demo".into(),
            method: method.parse().unwrap(),
            shots: Shots::PerClass(shots),
            seed,
            classes: vec!["jug".into(), "vase".into()],
            lines: (0..20).map(|n| (format!("{n:02}.png"), n % 2, if n < wrong { 1 - n % 2 } else { n % 2 })).collect(),
            recipe: None,
        }
    }

    pub fn result(&self) -> RunResult {
        let classes = self.classes.len();
        let mut confusion = vec![vec![0; classes]; classes];
        self.lines.iter().for_each(|(_, label, class)| confusion[*label][*class] += 1);
        let n = self.lines.len();
        let right = (0..classes).map(|class| confusion[class][class]).sum::<usize>();
        let of_class = |class: usize| confusion[class].iter().sum::<usize>();
        let accuracy =
            |class: usize| (of_class(class) > 0).then(|| confusion[class][class] as f64 / of_class(class) as f64);
        let accuracies: Vec<f64> = (0..classes).filter_map(accuracy).collect();
        RunResult {
            schema: SCHEMA,
            dataset: self.dataset.clone(),
            backbone: self.backbone.clone(),
            backbone_sha256: format!("{:064}", self.backbone.len()),
            method: self.method.to_string(),
            shots: Some(self.shots),
            seed: Some(self.seed),
            n_test: n,
            top1: right as f64 / n as f64,
            top5: 1.0,
            macro_accuracy: accuracies.iter().sum::<f64>() / accuracies.len() as f64,
            ci95: lowshot::train::metrics::wilson(right, n),
            per_class: (0..classes)
                .map(|class| ClassResult {
                    name: self.classes[class].clone(),
                    n: of_class(class),
                    accuracy: accuracy(class),
                })
                .collect(),
            confusion,
            trainable_parameters: 1234,
            seconds: Seconds { features: 1.0, train: 2.0, waiting: None, test: 0.5 },
            device: "flex".into(),
            lowshot: "0.1.0".into(),
            split_sha256: format!("{:064}", self.dataset.len()),
            generalisation: None,
        }
    }

    pub fn plan(&self) -> Plan {
        Plan {
            dataset: "nowhere/to/be/found".into(),
            root_path: None,
            shots: self.shots,
            fewshot: None,
            seed: self.seed,
            model: self.backbone.clone(),
            device: "flex".into(),
            templates: vec!["a photo of a {}.".into()],
            logit_scale: LogitScale::Fixed(100.0),
            base_to_novel: false,
            start: None,
            epochs: None,
            generated: None,
            recipe: self.recipe.clone().unwrap_or_else(|| Recipe::from(self.method)),
        }
    }

    pub fn predictions(&self) -> Vec<u8> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["path", "label", "prediction", "confidence"]).unwrap();
        for (path, label, class) in &self.lines {
            writer.write_record([path, &self.classes[*label], &self.classes[*class], "0.750000"]).unwrap();
        }
        writer.into_inner().unwrap()
    }
}

/// Folders of runs.
pub struct Shelf {
    folder: TempDir,
}

impl Shelf {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a run below the shelf and returns its folder.
    pub fn put(&self, name: &str, run: &Made) -> PathBuf {
        let folder = self.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("plan.toml"), run.plan().to_toml().unwrap()).unwrap();
        fs::write(folder.join("fewshot.json"), "{}").unwrap();
        fs::write(folder.join("predictions.csv"), run.predictions()).unwrap();
        fs::write(folder.join("result.json"), run.result().to_json().unwrap()).unwrap();
        folder
    }

    /// Changes the text of a file.
    pub fn change(&self, file: &str, from: &str, to: &str) {
        let path = self.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "no {from:?} in {file}: {text}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    pub fn report(&self) -> Report {
        Report::read(&[self.path().to_owned()]).unwrap()
    }
}
