//! The whole command on real runs: trained on the sample tiles, reported with pictures.

use std::fs;

use crate::command::{Machine, repository};

const SECTIONS: [&str; 9] =
    ["results", "accuracy", "differences", "classes", "confusion", "mistakes", "mended", "attention", "features"];

fn train(machine: &Machine, method: &str, seed: &str, extra: &[&str]) {
    let samples = repository("samples");
    let out = format!("runs/{method}-{seed}");
    let usual = ["train", "--dataset", "eurosat", "--root-path", &samples, "--shots", "4", "--seed", seed];
    machine.run(usual.iter().chain(&["--method", method, "--out", &out]).chain(extra)).done();
}

#[test]
fn a_page_of_real_runs_shows_everything_and_is_the_same_each_time() {
    let machine = Machine::new();
    for seed in ["1", "2"] {
        train(&machine, "zero-shot", seed, &[]);
        train(&machine, "tip", seed, &[]);
    }
    train(&machine, "lora", "1", &["--iters", "2", "--augment", "none"]);
    let finished = machine.run(["report", "runs", "--out", "a.html", "--csv", "a.csv", "--latex", "a.tex", "--json"]);
    let json = finished.json();
    assert_eq!(json["methods"], serde_json::json!(["zero-shot", "tip", "lora"]));
    assert_eq!(json["missing"][0]["method"], "lora");
    assert_eq!(json["missing"][0]["seeds"], serde_json::json!([2]));

    let page = fs::read_to_string(machine.path("a.html")).unwrap();
    for section in SECTIONS {
        assert!(page.contains(&format!("<section id=\"b0-{section}\">")), "no {section}");
    }
    assert!(page.contains("<section id=provenance>"));
    assert!(page.matches("data:image/webp;base64,").count() > 20, "too few pictures");
    // One column for the tower as it was, one for LoRA's.
    let attention = page.split("<table class=attention>").nth(1).unwrap().split("</thead>").next().unwrap();
    assert_eq!(attention.matches("<th scope=col>").count(), 3, "{attention}");
    assert!(page.matches("class=\"point ").count() >= 400, "not every sample tile is on the map");
    assert!(!page.contains("Could not be used"), "{page}");
    assert!(!page.contains("://"), "an address in the page");

    // In another order, with the features known by now.
    let folders = ["runs/tip-2", "runs/lora-1", "runs/zero-shot-1", "runs/tip-1", "runs/zero-shot-2"];
    machine.run(["report"].iter().chain(&folders).chain(&["--out", "b.html"])).done();
    assert!(page == fs::read_to_string(machine.path("b.html")).unwrap(), "the page differs");
}

#[test]
fn without_the_data_set_the_page_says_so() {
    let machine = Machine::new();
    train(&machine, "tip", "1", &[]);
    fs::create_dir(machine.path("empty")).unwrap();
    let finished = machine.run(["report", "runs", "--out", "page.html", "--root-path", "empty"]).done();
    assert!(finished.stderr.contains("no pictures, attention or map of features: eurosat: no "), "{finished:?}");
    let page = fs::read_to_string(machine.path("page.html")).unwrap();
    assert!(page.contains("so there are no pictures") && !page.contains("<img"), "{page}");
    for section in ["results", "accuracy", "classes", "confusion", "mistakes"] {
        assert!(page.contains(&format!("<section id=\"b0-{section}\">")), "no {section}");
    }
}

#[test]
fn the_table_is_for_people() {
    let machine = Machine::new();
    train(&machine, "tip", "1", &[]);
    train(&machine, "zero-shot", "1", &[]);
    let stdout = machine.run(["report", "runs"]).done().stdout;
    for text in ["eurosat · demo", "95 % interval", "tip − zero-shot", "McNemar"] {
        assert!(stdout.contains(text), "no {text:?} in {stdout}");
    }
}
