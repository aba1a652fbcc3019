//! `lowshot train`: the run folder, repeats, base to novel, and the student project's spelling.

use std::fs;

use serde_json::Value;

use crate::command::{Machine, repository};
use crate::run_folder::{FILES, Run, train};

/// What is made of a file's bytes.
type Damage = fn(&[u8]) -> Vec<u8>;

const KEYS: [&str; 19] = [
    "schema",
    "dataset",
    "backbone",
    "backbone_sha256",
    "method",
    "shots",
    "seed",
    "n_test",
    "top1",
    "top5",
    "macro",
    "ci95",
    "per_class",
    "confusion",
    "trainable_parameters",
    "seconds",
    "device",
    "lowshot",
    "split_sha256",
];

/// Each method and the numbers that it trains on the demo model: D = 256, 10 classes, 160 shots.
const METHODS: [(&str, u64); 5] = [
    ("zero-shot", 0),
    ("tip", 0),
    ("tip-f", 160 * 256),
    ("meta", 2 * 256 * 256 + 256 + 1),
    ("linear-probe", 10 * 256 + 10),
];

#[test]
fn every_method_fills_its_run_folder_and_repeats_to_the_byte() {
    let machine = Machine::new();
    for (index, (method, parameters)) in METHODS.into_iter().enumerate() {
        let printed = train(&machine, method, method, &["--json"]).json();
        let run = Run::new(machine.path(method));
        assert_eq!(run.names(), FILES, "{method}");
        assert_eq!(printed, run.result(), "{method}: stdout and result.json differ");
        let result = run.result();
        let keys: Vec<&String> = result.as_object().unwrap().keys().collect();
        assert_eq!(keys, KEYS, "{method}");
        for (key, value) in [("schema", 1), ("shots", 16), ("seed", 1), ("n_test", 400)] {
            assert_eq!(result[key], value, "{method}: {key}");
        }
        assert_eq!(result["trainable_parameters"], parameters, "{method}");
        for (key, value) in [("dataset", "eurosat"), ("backbone", "demo"), ("method", method)] {
            assert_eq!(result[key], value, "{key}");
        }
        assert_eq!(result["lowshot"], env!("CARGO_PKG_VERSION"));
        for hash in ["backbone_sha256", "split_sha256"] {
            let hash = result[hash].as_str().unwrap();
            assert!(hash.len() == 64 && hash.bytes().all(|digit| digit.is_ascii_hexdigit()), "{hash}");
        }
        for phase in ["features", "train", "test"] {
            assert!(result["seconds"][phase].as_f64().unwrap() >= 0.0, "{method}: {phase}");
        }
        run.check();
        check_paths(&run);
        check_header(&run, method);
        let list: Value = serde_json::from_slice(&run.bytes("fewshot.json")).unwrap();
        assert_eq!(list["train"].as_array().unwrap().len(), 160);
        assert_eq!(list["val"].as_array().unwrap().len(), 40);

        // 160 shots, 40 for validation and 400 to test on; the first run computes them and no other does.
        let first = if index == 0 { (600, 0) } else { (0, 600) };
        assert_eq!(run.pictures(), first, "{method}");
        let before =
            ["predictions.csv", "adapter.safetensors", "plan.toml", "fewshot.json"].map(|name| run.bytes(name));
        let again = format!("{method}-again");
        train(&machine, method, &again, &[]).done();
        let other = Run::new(machine.path(&again));
        let after =
            ["predictions.csv", "adapter.safetensors", "plan.toml", "fewshot.json"].map(|name| other.bytes(name));
        assert!(before == after, "{method}: a second run differs");
        assert_eq!(other.pictures(), (0, 600), "{method}");
    }
    let top1 = |method: &str| Run::new(machine.path(method)).result()["top1"].as_f64().unwrap();
    for method in ["tip", "tip-f", "meta", "linear-probe"] {
        assert!(top1(method) > top1("zero-shot") + 0.1, "{method} learns: {}", top1(method));
    }
}

/// The predictions are those of the test list, in its order.
fn check_paths(run: &Run) {
    let split = crate::command::sample_split();
    let expected = split["test"].as_array().unwrap().iter();
    let expected: Vec<(&str, &str)> =
        expected.map(|entry| (entry[0].as_str().unwrap(), entry[2].as_str().unwrap())).collect();
    let predictions = run.predictions();
    let found: Vec<(&str, &str)> =
        predictions.iter().map(|(path, label, ..)| (path.as_str(), label.as_str())).collect();
    assert_eq!(found, expected);
}

/// The adapter is a safetensors file that says what it is.
fn check_header(run: &Run, method: &str) {
    let bytes = run.bytes("adapter.safetensors");
    safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let header = header.metadata().clone().unwrap();
    assert_eq!(header["format"], "lowshot-adapter");
    assert_eq!(header["method"], method);
    assert_eq!(header["backbone"], "demo");
    assert_eq!(header["backbone_sha256"], run.result()["backbone_sha256"].as_str().unwrap());
    let classes: Vec<String> = serde_json::from_str(&header["classes"]).unwrap();
    let result = run.result();
    let names: Vec<&str> =
        result["per_class"].as_array().unwrap().iter().map(|class| class["name"].as_str().unwrap()).collect();
    assert_eq!(classes, names);
    assert_eq!(header["templates"], "[\"a centered satellite photo of {}.\"]");
    let config: Value = serde_json::from_str(&header["config"]).unwrap();
    assert!(config.is_object(), "{config}");
    assert!(header.contains_key("version"));
}

#[test]
fn a_folder_of_another_plan_is_left_alone() {
    let machine = Machine::new();
    train(&machine, "tip", "run", &[]).done();
    let before: Vec<Vec<u8>> = FILES.iter().map(|name| Run::new(machine.path("run")).bytes(name)).collect();
    train(&machine, "zero-shot", "run", &[]).refused_for(&["run", "another plan", "--out"]);
    train(&machine, "tip", "run", &["--logit-scale", "50"]).refused_for(&["another plan"]);
    let after: Vec<Vec<u8>> = FILES.iter().map(|name| Run::new(machine.path("run")).bytes(name)).collect();
    assert!(before == after);
    // The same plan is welcome.
    train(&machine, "tip", "run", &[]).done();
    assert_eq!(Run::new(machine.path("run")).names(), FILES);
}

#[test]
fn people_get_a_table_on_stdout_and_notes_on_stderr() {
    let machine = Machine::new();
    let finished = train(&machine, "tip", "run", &["--batch_size", "24"]).done();
    assert!(finished.stdout.starts_with("tip on eurosat, 16 shots, seed 1: top-1 "), "{finished:?}");
    assert!(finished.stdout.contains("Forest"), "{finished:?}");
    assert!(finished.stderr.contains("note: --batch_size has no effect"), "{finished:?}");
    assert!(finished.stderr.contains("written to run"), "{finished:?}");
}

#[test]
fn base_to_novel_reports_both_halves_and_their_harmonic_mean() {
    let machine = Machine::new();
    let result = train(&machine, "meta", "run", &["--base-to-novel", "--json"]).json();
    let run = Run::new(machine.path("run"));
    run.check();
    assert_eq!(result["n_test"], 200);
    let number = |key: &str| result["generalisation"][key].as_f64().unwrap();
    let (base, novel) = (number("base"), number("novel"));
    assert_eq!(base, result["top1"].as_f64().unwrap());
    assert!((number("harmonic_mean") - 2.0 * base * novel / (base + novel)).abs() < 1e-12, "{result}");
    assert!((0.0..=1.0).contains(&number("novel_zero_shot")));
    // It learns from images of classes that it was not trained on.
    assert!(novel > number("novel_zero_shot"), "{result}");
    for method in ["tip-f", "linear-probe"] {
        train(&machine, method, "other", &["--base-to-novel"]).refused_for(&[method]);
        assert!(!machine.path("other").exists());
    }
}

/// The flags of the student project, spelled as there.
#[test]
fn the_student_projects_spelling_works() {
    let machine = Machine::new();
    let samples = repository("samples");
    let flags = [
        ["--root_path", &samples],
        ["--dataset", "eurosat"],
        ["--backbone", "demo"],
        ["--n_iters", "2"],
        ["--batch_size", "24"],
        ["--shots", "16"],
        ["--seed", "1"],
        ["--lr", "2e-4"],
        ["--dropout_rate_MetaAdapter", "0.4"],
        ["--save_path", "runs"],
        ["--filename", "first"],
    ];
    let arguments = ["train", "--enable_MetaAdapter", "--json"].into_iter().chain(flags.into_iter().flatten());
    let result = machine.run(arguments).json();
    assert_eq!(result["method"], "meta");
    let run = Run::new(machine.path("runs/first"));
    assert_eq!(run.names(), FILES);
    run.check();
    let plan: toml::Table = run.text("plan.toml").parse().unwrap();
    let recipe = plan["recipe"].to_string();
    for word in ["steps = 32", "learning_rate = 0.0002", "dropout = 0.4", "meta"] {
        assert!(recipe.contains(word), "no {word:?} in {recipe}");
    }
    assert_eq!(run.events().iter().filter(|event| event["event"] == "step").count(), 32);
}

/// An exact list in place of the drawn one; the list that a run wrote gives that run again.
#[test]
fn a_run_is_repeated_from_its_few_shot_list() {
    let machine = Machine::new();
    let samples = repository("samples");
    let usual = ["train", "--dataset", "eurosat", "--root-path", &samples, "--method", "tip"];
    machine.run(usual.iter().chain(&["--shots", "3", "--seed", "7", "--out", "first"])).done();
    machine.run(usual.iter().chain(&["--fewshot", "first/fewshot.json", "--out", "second"])).done();
    let (first, second) = (Run::new(machine.path("first")), Run::new(machine.path("second")));
    assert_eq!(first.text("fewshot.json"), second.text("fewshot.json"));
    assert!(first.bytes("predictions.csv") == second.bytes("predictions.csv"));
    assert!(first.bytes("adapter.safetensors") == second.bytes("adapter.safetensors"));
}

#[test]
fn a_broken_segment_of_the_cache_is_reported_and_survived() {
    let machine = Machine::new();
    train(&machine, "tip", "first", &[]).done();
    let is_segment = |path: &std::path::PathBuf| path.extension().is_some_and(|extension| extension == "safetensors");
    let segments = || -> Vec<_> { crate::command::files(&machine.cache()).into_iter().filter(is_segment).collect() };
    assert!(!segments().is_empty());
    let predictions = Run::new(machine.path("first")).bytes("predictions.csv");
    let damages: [(&str, Damage); 3] = [
        ("garbage", |_| b"garbage ".repeat(400)),
        ("cut", |bytes| bytes[..bytes.len() / 2].to_vec()),
        ("empty", |_| Vec::new()),
    ];
    for (name, damage) in damages {
        let broken = segments()[0].clone();
        fs::write(&broken, damage(&fs::read(&broken).unwrap())).unwrap();
        let finished = train(&machine, "tip", name, &["--json"]).done();
        let file = broken.file_name().unwrap().to_str().unwrap();
        assert!(finished.stderr.contains(file) && finished.stderr.contains("computed again"), "{name}: {finished:?}");
        finished.json();
        let run = Run::new(machine.path(name));
        assert!(run.bytes("predictions.csv") == predictions, "{name}");
        assert!(run.pictures().0 > 0, "{name}: nothing was computed again");
        // What was computed again has mended the cache.
        let mended = format!("{name}-mended");
        let finished = train(&machine, "tip", &mended, &[]).done();
        assert!(!finished.stderr.contains("computed again"), "{name}: {finished:?}");
        assert_eq!(Run::new(machine.path(&mended)).pictures().0, 0, "{name}");
    }
}

#[test]
fn without_a_cache_nothing_is_kept() {
    let machine = Machine::new();
    train(&machine, "zero-shot", "run", &["--no-cache", "--json"]).json();
    assert!(!machine.cache().exists());
}
