//! Training with what was made.

use std::fs;

use serde_json::Value;

use crate::command::{files, repository};
use crate::studio::{Generated, KINDS, MANIFEST, Studio, made};

/// A copy of the samples whose image folder the pictures may go into.
fn samples(studio: &Studio) -> Generated {
    let (from, to) = (repository("samples/eurosat"), studio.0.path("data/eurosat"));
    for path in files(from.as_ref()).into_iter().filter(|path| path.is_file()) {
        let target = to.join(path.strip_prefix(&from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(path, target).unwrap();
    }
    Generated(to.join("2750"))
}

const AUGMENT: &str = "augment --dataset eurosat --root-path data --shots 2 --kind both --model sd --per-image 2 --size 32 --steps 8 --json";
const TRAIN: &str = "train --dataset eurosat --root-path data --shots 2 --enable_lora --iters 4 --batch_size 8 --augment none \
    --json";

#[test]
fn a_run_learns_from_the_pictures_that_were_made_for_its_shots() {
    let studio = Studio::new();
    let folder = samples(&studio);
    let run = |more: &str, out: &str| -> Value {
        let arguments = format!("{TRAIN} {more} --out {out}");
        studio.0.run(arguments.split_whitespace()).json()
    };
    // Before there are any, the line says how to come by them.
    let arguments = format!("{TRAIN} --enable_breaking_loss --preserving 1 --out early");
    studio.0.run(arguments.split_whitespace()).refused_for(&["label_preserving", "lowshot augment"]);

    assert_eq!(made(&studio.0.run(AUGMENT.split_whitespace()).json()), [40, 40, 40]);
    folder.check();
    let result = run("--enable_breaking_loss --preserving 1", "all");
    assert_eq!(result["method"], "lora+breaking");
    let adapter = |run: &str| fs::read(studio.0.path(&format!("{run}/adapter.safetensors"))).unwrap();
    run("", "plain");
    run("--enable_breaking_loss --breaking-pair independent --preserving 1", "independent");
    run("--preserving 1", "weight-1");
    run("--preserving 1 --preserving-weight 1", "given-1");
    run("--preserving 1 --preserving-weight 0.25", "weight-quarter");
    run("--preserving 2 --preserving-weight 0.25", "two");
    let names = ["all", "plain", "independent", "weight-1", "weight-quarter", "two"];
    let adapters: Vec<Vec<u8>> = names.iter().map(|name| adapter(name)).collect();
    for (index, one) in adapters.iter().enumerate() {
        assert!(adapters[..index].iter().all(|other| one != other), "{} is like another", names[index]);
    }
    // The same pictures from another folder.
    let elsewhere = studio.0.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    for kind in KINDS {
        fs::rename(folder.0.join(kind), elsewhere.join(kind)).unwrap();
    }
    run("--enable_breaking_loss --preserving 1 --generated elsewhere", "moved");
    assert_eq!(adapter("moved"), adapter("all"));
    for kind in KINDS {
        fs::rename(elsewhere.join(kind), folder.0.join(kind)).unwrap();
    }

    // The usual weight is no other than none, in the plan too.
    assert_eq!(adapter("given-1"), adapter("weight-1"));
    let plan = |run: &str| fs::read_to_string(studio.0.path(&format!("{run}/plan.toml"))).unwrap();
    assert!(!plan("weight-1").contains("preserving_weight") && plan("two").contains("preserving_weight = 0.25"));

    // What the manifest calls dropped is not used, even if the file were still there: the second picture of each takes its place.
    let lines = fs::read_to_string(folder.0.join(MANIFEST)).unwrap();
    let dropped = r#","dropped":{"similarity":0.1,"threshold":0.2,"clip":"demo","clip_sha256":"00"}}"#;
    let drop_first = |line: &str| {
        let is_first = line.contains("\"label_preserving\"") && line.contains("\"index\":0");
        if is_first { format!("{}{dropped}\n", &line[..line.len() - 1]) } else { format!("{line}\n") }
    };
    fs::write(folder.0.join(MANIFEST), lines.lines().map(drop_first).collect::<String>()).unwrap();
    let arguments = format!("{TRAIN} --preserving 1 --out dropped");
    let finished = studio.0.run(arguments.split_whitespace()).done();
    assert!(finished.stderr.contains("20 label-preserving images that were dropped are not used"), "{finished:?}");
    fs::write(folder.0.join(MANIFEST), &lines).unwrap();
    for path in
        folder.pictures().iter().filter(|name| name.starts_with("label_preserving/") && name.ends_with("/0.png"))
    {
        fs::remove_file(folder.0.join(path)).unwrap();
    }
    run("--preserving 1", "second");
    assert_eq!(adapter("dropped"), adapter("second"));
    assert_ne!(adapter("dropped"), adapter("weight-1"));
}

#[test]
fn weights_that_make_no_sense() {
    let studio = Studio::new();
    samples(&studio);
    let refused = |more: &str, words: &[&str]| {
        let arguments = format!("{TRAIN} {more} --out run");
        studio.0.run(arguments.split_whitespace()).refused_for(words);
    };
    refused("--preserving-weight 0.5", &["--preserving-weight", "--preserving"]);
    refused("--preserving 1 --preserving-weight=-1", &["-1", "label-preserving"]);
    refused("--preserving 1 --preserving-weight nan", &["NaN"]);
}
