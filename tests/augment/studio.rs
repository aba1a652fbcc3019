//! A machine with a small Stable Diffusion and some training images, and what `lowshot augment` leaves in a folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::command::{Finished, Machine, files, repository};
use crate::support::pipeline;

/// The manifest's name.
pub const MANIFEST: &str = "augment.jsonl";
/// The folders of the three kinds.
pub const KINDS: [&str; 3] = ["label_preserving", "label_breaking", "label_breaking_view"];

/// A machine with a model `sd`, which shares its features with no other.
#[derive(Debug)]
pub struct Studio(pub Machine);

impl Studio {
    pub fn new() -> Self {
        let machine = Machine::new();
        pipeline::write(&machine.path("sd"));
        Self(machine)
    }

    /// The command with small settings: two pictures of each kind for one image of each of the ten classes, 5 and 2 steps of 8.
    pub fn arguments(out: &str, more: &str) -> Vec<String> {
        let usual =
            "augment --dataset eurosat --shots 1 --kind both --model sd --per-image 2 --size 32 --steps 8 --out";
        let root = ["--root-path".to_owned(), repository("samples")];
        usual.split(' ').chain([out]).chain(more.split_whitespace()).map(str::to_owned).chain(root).collect()
    }

    /// Runs it.
    pub fn augment(&self, out: &str, more: &str) -> Finished {
        self.0.run(Self::arguments(out, more))
    }

    pub fn folder(&self, out: &str) -> Generated {
        Generated(self.0.path(out))
    }
}

/// A folder of generated pictures.
#[derive(Clone, Debug)]
pub struct Generated(pub PathBuf);

impl Generated {
    /// The pictures and the manifest, by their paths, with their bytes.
    pub fn bytes(&self) -> BTreeMap<String, Vec<u8>> {
        let mut found = BTreeMap::new();
        for path in self.pictures() {
            found.insert(path.clone(), fs::read(self.0.join(&path)).unwrap());
        }
        found.insert(MANIFEST.into(), fs::read(self.0.join(MANIFEST)).unwrap());
        found
    }

    /// The pictures' paths.
    pub fn pictures(&self) -> Vec<String> {
        let all = files(&self.0).into_iter().filter(|path| path.extension().is_some_and(|end| end == "png"));
        let relative = |path: PathBuf| path.strip_prefix(&self.0).unwrap().to_str().unwrap().to_owned();
        all.map(relative).collect()
    }

    /// The manifest's lines.
    pub fn lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.0.join(MANIFEST)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The line of a picture.
    pub fn line(&self, picture: &str) -> Value {
        let mut lines = self.lines();
        lines.retain(|line| line["picture"] == picture);
        assert_eq!(lines.len(), 1, "{picture}");
        lines.remove(0)
    }

    /// Fails the test unless the manifest lists just the pictures that are there, in order, each with its file's hash.
    pub fn check(&self) {
        let lines = self.lines();
        let names: Vec<&str> = lines.iter().map(|line| line["picture"].as_str().unwrap()).collect();
        assert!(names.is_sorted());
        let listed: Vec<&str> = lines
            .iter()
            .filter(|line| line["dropped"].is_null())
            .map(|line| line["picture"].as_str().unwrap())
            .collect();
        let mut pictures = self.pictures();
        pictures.sort();
        assert_eq!(listed, pictures);
        for line in lines.iter().filter(|line| line["dropped"].is_null()) {
            let path = self.0.join(line["picture"].as_str().unwrap());
            assert_eq!(line["sha256"], sha256(&path), "{}", path.display());
        }
    }

    /// Fails the test unless both folders hold the same pictures and manifest.
    pub fn check_equal(&self, other: &Self) {
        let (here, there) = (self.bytes(), other.bytes());
        let names = |bytes: &BTreeMap<String, Vec<u8>>| bytes.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&here), names(&there));
        for (name, bytes) in &here {
            assert!(*bytes == there[name], "{name} differs");
        }
    }
}

/// SHA-256 of a file, in hexadecimal.
pub fn sha256(path: &Path) -> String {
    Sha256::digest(fs::read(path).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How many pictures of each kind `--json` says were made.
pub fn made(json: &Value) -> [u64; 3] {
    KINDS.map(|kind| json["pictures"][kind]["made"].as_u64().unwrap_or(0))
}
