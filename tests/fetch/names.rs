//! Names, choices and what is printed.

use crate::{
    Client,
    server::{Hub, REPOSITORY},
};

#[test]
fn without_a_name_the_names_are_listed() {
    let client = Client::of(&Hub::empty());
    let finished = client.run(&["fetch"]).done();
    for name in ["ViT-B/16", "TinyCLIP-8M", "sd-1.5", "taesd", "eurosat", "ORGANISATION/NAME"] {
        assert!(finished.stdout.contains(name), "no {name} in {finished:?}");
    }
    let json = client.run(&["fetch", "--json"]).json();
    let kind = |name: &str| json.as_array().unwrap().iter().find(|one| one["name"] == name).unwrap()["kind"].clone();
    assert_eq!([kind("RN50"), kind("sd-turbo"), kind("eurosat")], ["model", "pipeline", "data"]);
}

#[test]
fn what_is_not_fetched_is_said_with_where_it_is() {
    let client = Client::of(&Hub::empty());
    client.run(&["fetch", "resnet"]).refused_for(&["'resnet'", "ViT-B/16", "sd-1.5", "eurosat", "ORGANISATION/NAME"]);
    client.run(&["fetch", "circuits"]).refused_for(&["circuit-diagrams", "figshare", "--root-path"]);
    client.run(&["fetch", "dtd"]).refused_for(&["dtd", "CoOp", "--root-path"]);
    client.run(&["fetch", "a/b/c"]).refused_for(&["'a/b/c'"]);
    let finished = client.run(&["fetch", "demo"]).done();
    assert!(finished.stderr.contains("inside the package"), "{finished:?}");
}

#[test]
fn a_dry_run_says_what_there_is_to_fetch() {
    let hub = Hub::new(5000);
    let client = Client::of(&hub);
    let finished = client.run(&["fetch", REPOSITORY, "--dry-run"]).done();
    assert!(finished.stderr.contains("model.safetensors  5.00 kB  to fetch"), "{finished:?}");
    let json = client.run(&["fetch", REPOSITORY, "--dry-run", "--json"]).json();
    assert_eq!(json[0]["files"][1], serde_json::json!({"name": "model.safetensors", "bytes": 5000, "here": false}));
    assert!(!client.cache().exists(), "nothing is written");
    let json = client.run(&["fetch", REPOSITORY, "--json"]).json();
    assert_eq!(json[0]["files"][1]["here"], true);
    assert!(std::path::Path::new(json[0]["folder"].as_str().unwrap()).join("model.safetensors").exists());
}

#[test]
fn revisions_patterns_and_variants_choose_files() {
    let hub = Hub::empty();
    let files: [(&str, &[u8]); 4] = [
        ("config.json", b"{}"),
        ("model.safetensors", b"full"),
        ("model.fp16.safetensors", b"half"),
        ("notes/a.txt", b"note"),
    ];
    hub.put_as("models", REPOSITORY, "refs%2Fpr%2F3", &"c".repeat(40), &files);
    let client = Client::of(&hub);
    let fetched = |more: &[&str]| -> Vec<String> {
        let json = client.run(&[&["fetch", REPOSITORY, "--revision", "refs/pr/3", "--json"][..], more].concat()).json();
        json[0]["files"].as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(fetched(&[]), ["config.json", "model.safetensors"]);
    assert_eq!(fetched(&["--variant", "fp16"]), ["config.json", "model.fp16.safetensors"]);
    assert_eq!(fetched(&["--include", "notes/*"]), ["notes/a.txt"]);
    // huggingface_hub keeps this revision in the same place.
    let kept = std::fs::read_to_string(client.repository().join("refs/refs/pr/3")).unwrap();
    assert_eq!(kept, "c".repeat(40));
}

#[test]
fn several_names_are_fetched_and_one_that_is_wrong_stops_all() {
    let hub = Hub::new(5000);
    hub.put("someone/other", &"d".repeat(40), &[("model.safetensors", b"other")]);
    let client = Client::of(&hub);
    client.run(&["fetch", REPOSITORY, "nothing"]).refused_for(&["nothing"]);
    assert_eq!(hub.asked().len(), 0);
    let finished = client.run(&["fetch", REPOSITORY, "someone/other"]).done();
    assert_eq!(finished.stdout.lines().count(), 2, "{finished:?}");
    assert!(client.cache().join("models--someone--other/refs/main").exists());
}
