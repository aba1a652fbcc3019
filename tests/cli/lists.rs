//! `lowshot models` and `lowshot doctor`.

use crate::command::Machine;

#[test]
fn models_are_listed() {
    let machine = Machine::new();
    let json = machine.run(["models", "--json"]).json();
    let models = json.as_array().unwrap();
    assert_eq!(models[0]["name"], "demo");
    assert_eq!(models[0]["place"], "inside the package");
    assert!(models.iter().any(|model| model["name"] == "ViT-B/16" && model["place"].is_null()), "{json}");
    let finished = machine.run(["models"]).done();
    for model in models {
        let name = model["name"].as_str().unwrap();
        assert!(finished.stdout.contains(name), "no {name} in {finished:?}");
    }
    assert_eq!(finished.stderr, "");
}

/// A downloaded model is found where Hugging Face's own tools put it.
#[test]
fn a_downloaded_model_is_found() {
    let machine = Machine::new();
    let snapshot = machine.work().join("../hub/models--openai--clip-vit-base-patch16/snapshots/0123");
    std::fs::create_dir_all(&snapshot).unwrap();
    std::fs::write(snapshot.join("model.safetensors"), "here").unwrap();
    let json = machine.run(["models", "--json"]).json();
    let model = json.as_array().unwrap().iter().find(|model| model["name"] == "ViT-B/16").unwrap();
    assert!(model["place"].as_str().unwrap().ends_with("snapshots/0123"), "{model}");
}

#[test]
fn the_doctor_checks_this_machine() {
    let machine = Machine::new();
    let json = machine.run(["doctor", "--json"]).json();
    let text = json.to_string();
    for word in ["cpu", "works", "bf16", "int8", "threads", "cache", "demo"] {
        assert!(text.contains(word), "no {word:?} in {text}");
    }
    assert!(!text.contains("FAILS"), "{text}");
    assert!(machine.files().is_empty() && crate::command::files(&machine.cache()).is_empty(), "the doctor cleans up");
    let finished = machine.run(["doctor"]).done();
    assert!(finished.stdout.contains("cpu") && finished.stderr.is_empty(), "{finished:?}");
}
