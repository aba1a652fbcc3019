//! Adapter files that are damaged, or of another backbone.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::command::{Machine, each, repository, tile};
use crate::support::folders::{self, header_length};
use crate::support::reference::Reference;
use crate::support::seeded::{Precision, head};

/// Trains with the demo model; the run is in `run`.
fn trained(method: &str) -> Machine {
    let machine = Machine::new();
    let samples = repository("samples");
    let arguments =
        ["train", "--dataset", "eurosat", "--root-path", &samples, "--shots", "2", "--out", "run", "--method"];
    machine.run(arguments.into_iter().chain([method])).done();
    machine
}

/// The file with another header.
fn with_header(file: &[u8], change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let length = header_length(file);
    let mut header: Value = serde_json::from_slice(&file[8..8 + length]).unwrap();
    change(&mut header);
    [&head(&header.to_string())[..], &file[8 + length..]].concat()
}

#[test]
fn every_damaged_adapter_is_refused_in_one_line() {
    type Case = (&'static str, fn(&[u8]) -> Vec<u8>, &'static [&'static str]);
    let cases: [Case; 15] = [
        ("empty", |_| Vec::new(), &["safetensors"]),
        ("cut in the data", |file| file[..file.len() - 100].to_vec(), &["safetensors"]),
        ("cut in the header", |file| file[..200].to_vec(), &["safetensors"]),
        ("text", |_| b"This is a letter, not an adapter.".repeat(9), &["safetensors"]),
        (
            "another format",
            |file| with_header(file, |header| header["__metadata__"]["format"] = json!("pt")),
            &["no lowshot adapter"],
        ),
        (
            "a later version",
            |file| with_header(file, |header| header["__metadata__"]["version"] = json!("2")),
            &["version", "2", "update"],
        ),
        (
            "an unknown method",
            |file| with_header(file, |header| header["__metadata__"]["method"] = json!("magic")),
            &["magic"],
        ),
        (
            "another method",
            |file| with_header(file, |header| header["__metadata__"]["method"] = json!("linear-probe")),
            &[],
        ),
        (
            "no classes",
            |file| with_header(file, |header| drop(header["__metadata__"].as_object_mut().unwrap().remove("classes"))),
            &["classes"],
        ),
        (
            "one class fewer",
            |file| with_header(file, |header| header["__metadata__"]["classes"] = json!("[\"a\", \"b\"]")),
            &["2 classes", "10"],
        ),
        (
            "a config that is no JSON",
            |file| with_header(file, |header| header["__metadata__"]["config"] = json!("{\"alpha\": ")),
            &["config"],
        ),
        ("an empty config", |file| with_header(file, |header| header["__metadata__"]["config"] = json!("{}")), &[]),
        (
            "a config of another kind",
            |file| with_header(file, |header| header["__metadata__"]["config"] = json!("[1, 2]")),
            &[],
        ),
        (
            "a tensor under another name",
            |file| {
                with_header(file, |header| {
                    let header = header.as_object_mut().unwrap();
                    let name = header.keys().find(|name| *name != "__metadata__").unwrap().clone();
                    let tensor = header.remove(&name).unwrap();
                    header.insert("stranger".into(), tensor);
                })
            },
            &["missing"],
        ),
        (
            "a number that is not finite",
            |file| {
                let mut file = file.to_vec();
                let at = file.len() - 4;
                file[at..].copy_from_slice(&f32::NAN.to_le_bytes());
                file
            },
            &["NaN", "'keys'"],
        ),
    ];
    let machine = trained("tip");
    let sound = fs::read(machine.path("run/adapter.safetensors")).unwrap();
    let before = machine.files();
    let (tile, samples) = (tile(0), repository("samples"));
    each(cases, |(name, damage, words)| {
        println!("case: {name}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("damaged.safetensors");
        fs::write(&path, damage(&sound)).unwrap();
        let path = path.to_str().unwrap();
        let words = [words, &["damaged.safetensors"]].concat();
        machine.run(["classify", &tile, "--adapter", path]).refused_for(&words);
        let eval = ["eval", "--adapter", path, "--dataset", "eurosat", "--root-path", &samples, "--out", "evaluated"];
        machine.run(eval).refused_for(&words);
    });
    assert_eq!(machine.files(), before);
}

#[test]
fn an_adapter_of_another_backbone_is_refused_with_both_names() {
    let machine = trained("meta");
    let folder = tempfile::tempdir().unwrap();
    let other = folders::hf_folder(folder.path(), &Reference::load("tinyclip-8m"), Precision::F16);
    let twin = twin(&folder.path().join("twin"));
    let before = machine.files();
    let (tile, samples) = (tile(0), repository("samples"));
    for model in [&other, &twin].map(|path| path.to_str().unwrap()) {
        let words = ["run", "backbone demo", model];
        machine.run(["classify", &tile, "--adapter", "run", "--model", model]).refused_for(&words);
        let eval = ["eval", "--adapter", "run", "--dataset", "eurosat", "--root-path", &samples, "--out", "evaluated"];
        machine.run(eval.into_iter().chain(["--model", model])).refused_for(&words);
    }
    assert_eq!(machine.files(), before);
    // The same weights under another name are the same backbone.
    let same = repository("models/demo-clip");
    machine.run(["classify", &tile, "--adapter", "run", "--model", &same]).done();
}

/// The demo model with one bit of one weight changed: every shape fits, so only the hash tells it apart.
fn twin(folder: &Path) -> std::path::PathBuf {
    fs::create_dir(folder).unwrap();
    for name in ["config.json", "preprocessor_config.json", "vocab.json", "merges.txt"] {
        fs::copy(repository(&format!("models/demo-clip/{name}")), folder.join(name)).unwrap();
    }
    let mut weights = fs::read(repository("models/demo-clip/model.safetensors")).unwrap();
    let at = 8 + header_length(&weights);
    weights[at] ^= 1;
    fs::write(folder.join("model.safetensors"), weights).unwrap();
    folder.to_owned()
}

#[test]
fn an_adapter_meets_its_own_classes_or_none() {
    let machine = trained("zero-shot");
    let mut split = crate::command::sample_split();
    for list in ["train", "val", "test"] {
        for entry in split[list].as_array_mut().unwrap().iter_mut().filter(|entry| entry[1] == 1) {
            entry[2] = json!("Woods");
        }
    }
    fs::write(machine.path("woods.json"), split.to_string()).unwrap();
    let root = repository("samples/eurosat/2750");
    let arguments = ["eval", "--adapter", "run", "--dataset", "woods.json", "--root-path", &root, "--out", "evaluated"];
    machine.run(arguments).refused_for(&["Forest", "run"]);
    assert!(!machine.path("evaluated").exists());
}
