//! A sweep's folder, read as a script would read it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::command::{Machine, repository};

/// What every cell must hold, but for `result.json` (which has times in it) and `events.jsonl`.
const REPEATABLE: [&str; 4] = ["plan.toml", "fewshot.json", "adapter.safetensors", "predictions.csv"];

/// Writes a plan on the sample tiles into the machine's working folder: `lists` after the data set.
pub fn write_plan(machine: &Machine, name: &str, lists: &str) {
    let text = format!("dataset = \"eurosat\"\nroot-path = {:?}\n{lists}\n", repository("samples"));
    fs::write(machine.path(name), text).unwrap();
}

/// A sweep's folder.
pub struct SweepFolder(pub PathBuf);

impl SweepFolder {
    /// The names of the cells that are finished, sorted.
    pub fn finished(&self) -> Vec<String> {
        let mut names = Vec::new();
        for path in crate::command::files(&self.0) {
            if path.ends_with("result.json") && serde_json::from_slice::<Value>(&fs::read(&path).unwrap()).is_ok() {
                let name = path.parent().unwrap().strip_prefix(&self.0).unwrap();
                names.push(name.to_str().unwrap().to_owned());
            }
        }
        names.sort();
        names
    }

    /// What has been recorded of a cell: each claim, and what came of it.
    pub fn history(&self, cell: &str) -> Vec<String> {
        let path = self.0.join(".claims").join(format!("{}.txt", cell.replace('/', "__")));
        fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// The lines of `results.csv` by the names of its columns.
    pub fn results(&self) -> Vec<std::collections::BTreeMap<String, String>> {
        let bytes = fs::read(self.0.join("results.csv")).unwrap();
        csv::Reader::from_reader(bytes.as_slice()).deserialize().map(|line| line.unwrap()).collect()
    }

    /// How many pictures went through the tower in all cells.
    pub fn computed(&self) -> u64 {
        let mut computed = 0;
        for cell in self.finished() {
            let events = fs::read_to_string(self.0.join(cell).join("events.jsonl")).unwrap();
            let events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            computed += events.filter_map(|event| event["computed"].as_u64()).sum::<u64>();
        }
        computed
    }

    /// Holds every cell against the same cell of another sweep, to the byte.
    #[track_caller]
    pub fn check_equal(&self, other: &Self, count: usize) {
        let cells = self.finished();
        assert_eq!(cells.len(), count);
        assert_eq!(cells, other.finished());
        for cell in &cells {
            for name in REPEATABLE {
                let read = |folder: &Path| fs::read(folder.join(cell).join(name)).unwrap();
                assert!(read(&self.0) == read(&other.0), "{cell}/{name} differs");
            }
        }
    }

    /// The table has a line for each finished cell, with the accuracy of its result.
    #[track_caller]
    pub fn check_results(&self) {
        let lines = self.results();
        let mut names: Vec<String> = lines.iter().map(|line| line["cell"].clone()).collect();
        names.sort();
        assert_eq!(names, self.finished());
        for line in lines {
            let result = fs::read(self.0.join(&line["cell"]).join("result.json")).unwrap();
            let result: Value = serde_json::from_slice(&result).unwrap();
            for (column, key) in [("top1", "top1"), ("macro", "macro"), ("seed", "seed"), ("n_test", "n_test")] {
                assert_eq!(line[column].parse::<f64>().unwrap(), result[key].as_f64().unwrap(), "{column}: {line:?}");
            }
        }
    }
}
