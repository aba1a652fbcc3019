//! Data sets, splits and few-shot lists that cannot be learnt from.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::command::{Finished, Machine, each, repository, sample_split};

/// Three classes with four training, two validation and five test tiles each, under `tiles/` in the working folder.
struct Sample {
    machine: Machine,
    split: Value,
}

impl Sample {
    fn new() -> Self {
        let machine = Machine::new();
        let mut split = sample_split();
        for (list, count) in [("train", 4), ("val", 2), ("test", 5)] {
            let mut left = [count; 3];
            split[list].as_array_mut().unwrap().retain(|entry| {
                let label = entry[1].as_u64().unwrap() as usize;
                label < 3 && left[label] > 0 && {
                    left[label] -= 1;
                    true
                }
            });
            for entry in split[list].as_array().unwrap() {
                let name = entry[0].as_str().unwrap();
                let to = machine.path("tiles").join(name);
                fs::create_dir_all(to.parent().unwrap()).unwrap();
                fs::copy(repository(&format!("samples/eurosat/2750/{name}")), to).unwrap();
            }
        }
        Self { machine, split }
    }

    fn write(&self, name: &str, value: &Value) {
        fs::write(self.machine.path(name), value.to_string()).unwrap();
    }

    fn train(&self, extra: &[&str]) -> Finished {
        self.write("split.json", &self.split);
        let usual =
            ["train", "--dataset", "split.json", "--root-path", "tiles", "--method", "tip", "--out", "run/here"];
        self.machine.run(usual.iter().chain(extra))
    }

    /// Trains, and expects a refusal that names `words` and leaves no run.
    fn refused(&self, extra: &[&str], words: &[&str]) {
        // As many shots as there are images: more would be noted, and a refusal is one line.
        self.train(&[&["--shots", "2"], extra].concat()).refused_for(words);
        assert!(!self.machine.path("run").exists(), "{words:?}: a failed run left {:?}", self.machine.files());
    }
}

type Case = (&'static str, fn(&mut Sample), Vec<&'static str>);

fn entries<'a>(sample: &'a mut Sample, list: &str) -> &'a mut Vec<Value> {
    sample.split[list].as_array_mut().unwrap()
}

#[test]
fn every_split_that_is_wrong_is_refused_and_leaves_no_run() {
    let cases: Vec<Case> = vec![
        (
            "a path above the root",
            |sample| entries(sample, "train")[0][0] = json!("../../secret.jpg"),
            vec!["split.json", "../../secret.jpg"],
        ),
        (
            "a path that goes down and then above the root",
            |sample| entries(sample, "test")[0][0] = json!("AnnualCrop/../../secret.jpg"),
            vec!["split.json", "secret.jpg"],
        ),
        (
            "an absolute path",
            |sample| entries(sample, "val")[0][0] = json!("/etc/passwd"),
            vec!["split.json", "/etc/passwd"],
        ),
        (
            "a Windows path",
            |sample| entries(sample, "train")[0][0] = json!("..\\secret.jpg"),
            vec!["split.json", "secret.jpg"],
        ),
        (
            "labels with a gap",
            |sample| {
                for list in ["train", "val", "test"] {
                    entries(sample, list)
                        .iter_mut()
                        .filter(|entry| entry[1] == 1)
                        .for_each(|entry| entry[1] = json!(7));
                }
            },
            vec!["split.json", "label 1", "7"],
        ),
        ("a negative label", |sample| entries(sample, "train")[0][1] = json!(-1), vec!["split.json", "-1"]),
        (
            "a class without training images",
            |sample| entries(sample, "train").retain(|entry| entry[1] != 1),
            vec!["Forest"],
        ),
        (
            "a test image that is not there",
            |sample| entries(sample, "test")[3][0] = json!("AnnualCrop/none.jpg"),
            vec!["AnnualCrop/none.jpg", "not found"],
        ),
        (
            "a training image that is not there",
            |sample| entries(sample, "train")[0][0] = json!("AnnualCrop/none.jpg"),
            vec!["AnnualCrop/none.jpg", "not found"],
        ),
        (
            "a text named .jpg",
            |sample| {
                let path = entries(sample, "test").last().unwrap()[0].as_str().unwrap().to_owned();
                fs::write(sample.machine.path("tiles").join(path), "This is a letter.\n".repeat(50)).unwrap();
            },
            vec!["tiles", ".jpg"],
        ),
        (
            "a test image to learn from",
            |sample| {
                let test = entries(sample, "test")[0].clone();
                entries(sample, "train").push(test);
            },
            vec!["split.json", "train", "test"],
        ),
        (
            "two names for a label",
            |sample| entries(sample, "test")[0][2] = json!("Lake"),
            vec!["split.json", "label 0", "Lake"],
        ),
        (
            "no test list",
            |sample| drop(sample.split.as_object_mut().unwrap().remove("test")),
            vec!["split.json", "test"],
        ),
        ("nothing to test on", |sample| entries(sample, "test").clear(), vec!["split", "no test images"]),
        ("a list of nothing", |sample| sample.split = json!({"train": [], "val": [], "test": []}), vec!["split.json"]),
        ("another kind of JSON", |sample| sample.split = json!([1, 2, 3]), vec!["split.json"]),
        ("an entry of two", |sample| entries(sample, "train")[1] = json!(["a.jpg", 0]), vec!["split.json", "train[1]"]),
    ];
    each(cases, |(name, spoil, words)| {
        println!("case: {name}");
        let mut sample = Sample::new();
        spoil(&mut sample);
        sample.refused(&[], &words);
    });
}

#[test]
fn files_that_are_no_data_set_are_refused() {
    let sample = Sample::new();
    let train = |dataset: &str, words: &[&str]| {
        let arguments = ["train", "--dataset", dataset, "--method", "tip", "--out", "run"];
        sample.machine.run(arguments).refused_for(words);
        assert!(!sample.machine.path("run").exists(), "{dataset}");
    };
    fs::write(sample.machine.path("cut.json"), "{\"train\": [[\"a.jpg\", 0").unwrap();
    fs::write(sample.machine.path("notes.txt"), "hello").unwrap();
    fs::write(sample.machine.path("binary.csv"), [0xff, 0xfe, 0x00, 0x41]).unwrap();
    fs::create_dir(sample.machine.path("empty")).unwrap();
    train("cut.json", &["cut.json"]);
    train("notes.txt", &["notes.txt", ".json", ".csv"]);
    train("binary.csv", &["binary.csv"]);
    train("empty", &["empty"]);
    train("eurosat", &["eurosat", "split_zhou_EuroSAT.json"]);
    train("euro-sat-5", &["euro-sat-5", "eurosat", "circuit-diagrams", "oxford_pets"]);
}

#[test]
fn a_few_shot_list_must_fit_its_data_set() {
    let mut sample = Sample::new();
    let test = entries(&mut sample, "test")[0].clone();
    let train = entries(&mut sample, "train").clone();
    let mut other_label = train[0].clone();
    other_label[1] = json!(2);
    let stranger = json!(["AnnualCrop/stranger.jpg", 0, "Annual Crop Land"]);
    for (entry, words) in [
        (&test, vec!["list.json", "train[12]", test[0].as_str().unwrap(), "test image"]),
        (&other_label, vec!["list.json", "train[12]", "label 2"]),
        (&stranger, vec!["list.json", "train[12]", "AnnualCrop/stranger.jpg"]),
    ] {
        let mut list = train.clone();
        list.push(entry.clone());
        sample.write("list.json", &json!({"train": list}));
        sample.refused(&["--fewshot", "list.json"], &words);
    }
    sample.refused(&["--fewshot", "absent.json"], &["absent.json"]);
}

/// Not an error: the images that there are serve, and a note says how many.
#[test]
fn more_shots_than_images_are_noted() {
    let sample = Sample::new();
    let finished = sample.train(&["--shots", "16", "--json"]).done();
    let notes: Vec<&str> = finished.stderr.lines().filter(|line| line.starts_with("note: ")).collect();
    assert_eq!(notes.len(), 1, "{finished:?}");
    for word in ["16 shots", "3 of 3 classes", "\"Forest\" has 4", "replacement"] {
        assert!(notes[0].contains(word), "no {word:?} in {notes:?}");
    }
    assert_eq!(finished.json()["n_test"], 15);
    let run: PathBuf = sample.machine.path("run/here");
    let list: Value = serde_json::from_slice(&fs::read(run.join("fewshot.json")).unwrap()).unwrap();
    assert_eq!(list["train"].as_array().unwrap().len(), 48);
    assert!(fs::read_to_string(run.join("events.jsonl")).unwrap().contains("16 shots asked"));
}
