//! `lowshot classify`: by words and by an adapter.

use std::fs;

use serde_json::Value;

use crate::command::{Machine, tile};
use crate::run_folder::{Run, train};

/// The classes of each picture, best first; checks that they are probabilities in order.
fn answers(json: &Value, total: bool) -> Vec<Vec<(String, f64)>> {
    let answers = json.as_array().unwrap().iter().map(|answer| {
        let classes = answer["classes"].as_array().unwrap().iter();
        let classes: Vec<(String, f64)> = classes
            .map(|class| (class["name"].as_str().unwrap().to_owned(), class["probability"].as_f64().unwrap()))
            .collect();
        assert!(classes.is_sorted_by(|a, b| a.1 >= b.1), "{classes:?}");
        let sum: f64 = classes.iter().map(|class| class.1).sum();
        assert!(if total { (sum - 1.0).abs() < 1e-5 } else { sum <= 1.0 + 1e-5 }, "{sum}: {classes:?}");
        classes
    });
    answers.collect()
}

#[test]
fn words_alone_classify() {
    let machine = Machine::new();
    let (first, second) = (tile(1), tile(9));
    let words = ["classify", &first, &second, "--classes", "dog, boat,tree", "--json"];
    let json = machine.run(words).json();
    let found = answers(&json, true);
    assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3]);
    assert_eq!(json[0]["path"], first);
    assert_eq!(json[1]["path"], second);
    let mut names: Vec<&str> = found[0].iter().map(|class| class.0.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["boat", "dog", "tree"]);
    // A picture's answer does not depend on its company.
    let alone = machine.run(["classify", &second, "--classes", "dog,boat,tree", "--json"]).json();
    assert_eq!(alone[0], json[1]);
    assert_eq!(machine.files().len(), 0, "classify writes nothing");
}

#[test]
fn a_single_class_gets_everything() {
    let machine = Machine::new();
    let only = machine.run(["classify", &tile(0), "--classes", "field", "--json"]).json();
    assert_eq!(answers(&only, true), [[("field".to_owned(), 1.0)]]);
}

#[test]
fn half_precision_rounds_and_gives_nearly_the_same() {
    let machine = Machine::new();
    let tile = tile(0);
    let confidences = |precision: &str| -> Vec<f64> {
        let words = ["classify", &tile, "--classes", "dog,boat,tree", "--json", "--precision", precision];
        let mut found = answers(&machine.run(words).json(), true).remove(0);
        found.sort_by(|one, other| one.0.cmp(&other.0));
        found.into_iter().map(|class| class.1).collect()
    };
    let exact = confidences("f32");
    for (precision, tolerance) in [("f16", 1e-3), ("bf16", 1e-2)] {
        let half = confidences(precision);
        let off = exact.iter().zip(&half).map(|(exact, half)| (exact - half).abs()).fold(0.0, f64::max);
        assert!(off > 0.0 && off <= tolerance, "{precision}: {half:?}, not {exact:?}");
    }
}

#[test]
fn devices_and_precisions_that_are_not_there_are_refused() {
    let machine = Machine::new();
    let tile = tile(0);
    let classify = ["classify", &tile, "--classes", "field"];
    machine.run([&classify[..], &["--precision", "f8"]].concat()).refused_for(&["f8", "f32, f16 or bf16"]);
    machine.run([&classify[..], &["--device", "abacus"]].concat()).refused_for(&["abacus", "--device"]);
    if cfg!(not(feature = "wgpu")) {
        machine.run([&classify[..], &["--device", "wgpu"]].concat()).refused_for(&["--features wgpu", "--device cpu"]);
    }
    let mut command = machine.command();
    let output = command.args(classify).env("LOWSHOT_DEVICE", "abacus").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("abacus"));
}

#[test]
fn an_adapter_classifies_as_its_run_did() {
    let machine = Machine::new();
    train(&machine, "meta", "run", &[]).done();
    let run = Run::new(machine.path("run"));
    let (path, _, prediction, confidence) = run.predictions()[7].clone();
    let picture = crate::command::repository(&format!("samples/eurosat/2750/{path}"));
    for adapter in ["run", "run/adapter.safetensors"] {
        let json = machine.run(["classify", &picture, "--adapter", adapter, "--json", "--top", "10"]).json();
        let found = &answers(&json, true)[0];
        assert_eq!(found.len(), 10);
        assert_eq!(found[0].0, prediction);
        assert!((found[0].1 - confidence).abs() < 1e-5, "{} is not {confidence}", found[0].1);
        let json = machine.run(["classify", &picture, "--adapter", adapter, "--json", "--top", "2"]).json();
        assert_eq!(answers(&json, false)[0], found[..2]);
    }
    // The content decides, not the name, the folder or the ending.
    fs::copy(&picture, machine.path("picture of a field.png")).unwrap();
    let json = machine.run(["classify", "picture of a field.png", "--adapter", "run", "--json"]).json();
    assert_eq!(answers(&json, false)[0][0].0, prediction);
}

#[test]
fn people_get_a_list() {
    let tile = tile(0);
    let finished = Machine::new().run(["classify", &tile, "--classes", "dog,boat"]).done();
    assert_eq!(finished.stdout.lines().next(), Some(tile.as_str()));
    assert_eq!(finished.stdout.lines().count(), 3, "{finished:?}");
    assert_eq!(finished.stderr, "");
}
