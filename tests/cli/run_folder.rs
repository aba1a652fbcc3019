//! A run's folder, read as a script would read it, and held against itself.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::command::{Finished, Machine, repository};

/// What a run folder holds, sorted.
pub const FILES: [&str; 6] =
    ["adapter.safetensors", "events.jsonl", "fewshot.json", "plan.toml", "predictions.csv", "result.json"];

/// Trains on the sample tiles, 16 shots, seed 1.
pub fn train(machine: &Machine, method: &str, out: &str, extra: &[&str]) -> Finished {
    let samples = repository("samples");
    let usual = ["train", "--dataset", "eurosat", "--root-path", &samples, "--shots", "16", "--seed", "1"];
    machine.run(usual.iter().chain(&["--method", method, "--out", out]).chain(extra))
}

/// A run's folder.
pub struct Run {
    folder: PathBuf,
}

impl Run {
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.folder.join(name)).unwrap_or_else(|error| panic!("{name} in {}: {error}", self.folder.display()))
    }

    pub fn text(&self, name: &str) -> String {
        String::from_utf8(self.bytes(name)).unwrap()
    }

    pub fn result(&self) -> Value {
        serde_json::from_slice(&self.bytes("result.json")).unwrap()
    }

    /// The names in the folder, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.folder).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub fn events(&self) -> Vec<Value> {
        self.text("events.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// How many pictures went through the tower, and how many did not have to.
    pub fn pictures(&self) -> (u64, u64) {
        let features: Vec<Value> = self.events().into_iter().filter(|event| event["event"] == "features").collect();
        let sum = |key: &str| features.iter().map(|event| event[key].as_u64().unwrap()).sum();
        (sum("computed"), sum("cached"))
    }

    /// The lines of `predictions.csv` as (path, label, prediction, confidence).
    pub fn predictions(&self) -> Vec<(String, String, String, f64)> {
        let bytes = self.bytes("predictions.csv");
        let mut reader = csv::Reader::from_reader(bytes.as_slice());
        assert_eq!(reader.headers().unwrap(), vec!["path", "label", "prediction", "confidence"]);
        reader.deserialize().map(|line| line.unwrap()).collect()
    }

    /// Holds `result.json` against `predictions.csv`: everything that can be counted again is.
    pub fn check(&self) {
        let (result, lines) = (self.result(), self.predictions());
        let n = lines.len();
        assert_eq!(result["n_test"], n);
        assert!(lines.iter().all(|(.., confidence)| (0.0..=1.0).contains(confidence)));
        let right = lines.iter().filter(|(_, label, prediction, _)| label == prediction).count();
        let top1 = right as f64 / n as f64;
        let number = |key: &str| result[key].as_f64().unwrap_or_else(|| panic!("no number {key}: {result}"));
        assert_eq!(number("top1"), top1);
        assert!((top1..=1.0).contains(&number("top5")), "top-5 {} under top-1 {top1}", number("top5"));

        let per_class = result["per_class"].as_array().unwrap();
        let names: Vec<&str> = per_class.iter().map(|class| class["name"].as_str().unwrap()).collect();
        let confusion: Vec<Vec<usize>> = serde_json::from_value(result["confusion"].clone()).unwrap();
        assert_eq!(confusion.len(), names.len());
        let mut counted = vec![vec![0; names.len()]; names.len()];
        for (_, label, prediction, _) in &lines {
            let index = |name: &str| names.iter().position(|other| *other == name).unwrap();
            counted[index(label)][index(prediction)] += 1;
        }
        assert_eq!(confusion, counted);
        let mut accuracies = Vec::new();
        for (label, class) in per_class.iter().enumerate() {
            let of_class: usize = counted[label].iter().sum();
            assert_eq!(class["n"], of_class);
            let accuracy = counted[label][label] as f64 / of_class as f64;
            assert_eq!(class["accuracy"].as_f64().unwrap(), accuracy);
            accuracies.push(accuracy);
        }
        let mean = accuracies.iter().sum::<f64>() / accuracies.len() as f64;
        assert!((number("macro") - mean).abs() < 1e-12, "macro {} is not {mean}", number("macro"));
        let [low, high] = wilson(right as f64, n as f64);
        assert!((result["ci95"][0].as_f64().unwrap() - low).abs() < 1e-9, "{} is not {low}", result["ci95"]);
        assert!((result["ci95"][1].as_f64().unwrap() - high).abs() < 1e-9, "{} is not {high}", result["ci95"]);
    }
}

/// The 95 % interval of a fraction (Wilson, 1927).
pub fn wilson(right: f64, n: f64) -> [f64; 2] {
    let z = 1.959_963_984_540_054;
    let p = right / n;
    let middle = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let half = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    [middle - half, middle + half]
}
