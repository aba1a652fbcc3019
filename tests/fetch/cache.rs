//! The cache is that of Hugging Face's tools, both ways.

use std::{
    fs::{self, read_link},
    path::Path,
};

use sha2::{Digest, Sha256};

use crate::{
    Client,
    command::repository,
    server::{Hub, REPOSITORY, hex},
};

const PIPELINE: &str = "someone/pipeline";
const COMMIT: &str = "89abcdef0123456789abcdef0123456789abcdef";

/// The repository of `layout.py`.
fn pipeline() -> Hub {
    let hub = Hub::empty();
    let weights: Vec<u8> = (0..4096).map(|index| index as u8).collect();
    let files: [(&str, &[u8]); 4] = [
        ("model_index.json", b"{}"),
        ("scheduler/scheduler_config.json", b"{}"),
        ("unet/config.json", br#"{"a": 1}"#),
        ("unet/diffusion_pytorch_model.safetensors", &weights),
    ];
    hub.put(PIPELINE, COMMIT, &files);
    hub
}

/// The files below a folder, with where links lead and what files hash to, as `layout.py` writes them.
fn layout(root: &Path) -> String {
    let mut lines: Vec<String> = Vec::new();
    for path in crate::command::files(root) {
        let is_link = fs::symlink_metadata(&path).unwrap().is_symlink();
        let what = match read_link(&path) {
            Ok(target) => target.to_str().unwrap().to_owned(),
            Err(_) if path.is_dir() => continue,
            Err(_) => hex(&Sha256::digest(fs::read(&path).unwrap())),
        };
        assert!(!is_link || path.exists(), "a link to nothing: {}", path.display());
        lines.push(format!("{} -> {what}\n", path.strip_prefix(root).unwrap().to_str().unwrap()));
    }
    lines.sort();
    lines.concat()
}

/// `layout.txt` is what `huggingface_hub` makes of the same repository.
#[cfg(unix)]
#[test]
fn fetched_by_both() {
    let hub = pipeline();
    let client = Client::of(&hub);
    let root = client.cache().join("models--someone--pipeline");
    client.run(&["fetch", PIPELINE]).done();
    let mut expected: Vec<&str> = include_str!("layout.txt").split_inclusive('\n').collect();
    expected.sort_unstable();
    assert_eq!(layout(&root), expected.concat());
    // For `layout.py CACHE`.
    if let Some(kept) = std::env::var_os("LOWSHOT_KEEP_CACHE") {
        let copied = std::process::Command::new("cp").arg("-a").arg(client.cache()).arg(kept).status().unwrap();
        assert!(copied.success());
    }
}

#[test]
fn what_another_tool_has_fetched_is_not_fetched_again() {
    let hub = Hub::new(5000);
    let client = Client::of(&hub);
    client.fetch().done();
    // As huggingface_hub leaves it where links are not possible: files in the snapshot, none in `blobs`.
    for name in ["config.json", "model.safetensors"] {
        let content = fs::read(client.file(name)).unwrap();
        fs::remove_file(client.file(name)).unwrap();
        fs::write(client.file(name), content).unwrap();
    }
    fs::remove_dir_all(client.repository().join("blobs")).unwrap();
    let before = hub.asked().len();
    client.fetch().done();
    assert_eq!(hub.asked().len(), before + 1, "only the list: {:?}", hub.asked());
}

#[test]
fn a_file_that_is_too_short_is_fetched_again() {
    let hub = Hub::new(5000);
    let client = Client::of(&hub);
    client.fetch().done();
    let blob = fs::canonicalize(client.file("model.safetensors")).unwrap();
    fs::write(&blob, b"cut").unwrap();
    client.fetch().done();
    assert_eq!(fs::read(client.file("model.safetensors")).unwrap(), crate::server::bytes(5000));
}

#[test]
fn offline_what_is_here_is_used_and_nothing_is_asked() {
    let hub = Hub::new(5000);
    let client = Client::of(&hub).with("HF_HUB_OFFLINE", "1");
    client.fetch().refused_for(&[REPOSITORY, "not on this machine", "HF_HUB_OFFLINE"]);
    let mut online = client;
    online.variables.retain(|(name, _)| *name != "HF_HUB_OFFLINE");
    let folder = online.fetch().done().stdout;
    let asked = hub.asked().len();
    let offline = online.with("HF_HUB_OFFLINE", "1");
    assert_eq!(offline.fetch().done().stdout, folder);
    assert_eq!(hub.asked().len(), asked);
}

/// `--model` takes what was fetched, by the repository's name.
#[test]
fn a_fetched_model_is_used_by_its_name() {
    let files = ["config.json", "preprocessor_config.json", "vocab.json", "merges.txt", "model.safetensors"];
    let contents = files.map(|name| fs::read(repository(&format!("models/demo-clip/{name}"))).unwrap());
    let listed: Vec<(&str, &[u8])> = files.iter().zip(&contents).map(|(name, content)| (*name, &**content)).collect();
    let hub = Hub::empty();
    hub.put("someone/clip", &"a".repeat(40), &listed);
    hub.put("openai/clip-vit-base-patch16", &"b".repeat(40), &listed);
    let client = Client::of(&hub);
    for (model, place) in
        [("someone/clip", "models--someone--clip"), ("ViT-B/16", "models--openai--clip-vit-base-patch16")]
    {
        let embed = ["embed", "a cat", "--out", "out.safetensors", "--model", model];
        client.run(&embed).refused_for(&[model, &format!("lowshot fetch {model}")]);
        client.run(&["fetch", &model.to_lowercase()]).done();
        client.run(&embed).done();
        assert!(client.cache().join(place).is_dir());
    }
    let models = client.run(&["models", "--json"]).json();
    let model = models.as_array().unwrap().iter().find(|model| model["name"] == "ViT-B/16").unwrap();
    assert!(model["place"].as_str().unwrap().ends_with(&"b".repeat(40)), "{model}");
}
