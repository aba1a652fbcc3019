//! What is made, and what is recorded of it.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::command::repository;
use crate::studio::{KINDS, Studio, made, sha256};

/// The text of a picture's `lowshot` chunk, by the PNG specification: length, type, data and checksum, the data of `iTXt` being keyword,
/// compression flag and method, language, translated keyword and text, all but the flags ended by a zero.
fn text_in(png: &Path) -> String {
    let bytes = fs::read(png).unwrap();
    let mut rest = bytes.strip_prefix(b"\x89PNG\r\n\x1a\n").unwrap();
    while !rest.is_empty() {
        let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
        let (kind, data) = (&rest[4..8], &rest[8..8 + length]);
        if kind == b"iTXt" {
            let text = data.strip_prefix(b"lowshot\0\0\0\0\0").unwrap();
            return String::from_utf8(text.to_vec()).unwrap();
        }
        rest = &rest[12 + length..];
    }
    panic!("no text in {}", png.display());
}

#[test]
fn every_picture_is_made_and_recorded() {
    let studio = Studio::new();
    let json = studio.augment("out", "--seed 7 --json").json();
    assert_eq!(made(&json), [20, 20, 20]);
    assert_eq!(json["images"], 10);
    let out = studio.folder("out");
    out.check();
    for line in out.lines() {
        let text = |key: &str| line[key].as_str().unwrap().to_owned();
        let (picture, kind, source) = (text("picture"), text("kind"), text("source"));
        let (index, seed) = (line["index"].as_u64().unwrap(), line["seed"].as_u64().unwrap());
        assert!(index < 2 && seed < 1 << 53);
        let (source_path, stem) = match source.strip_prefix("label_breaking/") {
            Some(of) => (out.0.join(&source), of.rsplit_once('/').unwrap().0.to_owned()),
            None => {
                let path = repository(&format!("samples/eurosat/2750/{source}"));
                (path.into(), source.strip_suffix(".jpg").unwrap().to_owned())
            }
        };
        assert_eq!(source.starts_with("label_breaking/"), kind == "label_breaking_view");
        assert_eq!(picture, format!("{kind}/{stem}/{index}.png"));
        assert_eq!(text("source_sha256"), sha256(&source_path));
        let class = stem.split('/').next().unwrap();
        let name = match class {
            "River" => "River",
            "SeaLake" => "Sea or Lake",
            _ => "",
        };
        assert!(text("prompt").starts_with("a centered satellite photo of ") && text("prompt").ends_with(name));
        let strength = if kind == "label_breaking" { 0.6 } else { 0.3 };
        assert_eq!(line["strength"], strength);
        let expected = json!({
            "steps": 8, "guidance": 5.0, "scheduler": "ddim", "size": 32, "negative": "", "original_strength": false, "model": "sd",
            "lowshot": env!("CARGO_PKG_VERSION"),
        });
        for (key, value) in expected.as_object().unwrap() {
            assert_eq!(&line[key], value, "{key}");
        }
        assert_eq!(
            (text("model_sha256"), text("model_sha256").len()),
            (json["model_sha256"].as_str().unwrap().into(), 64)
        );
        // The picture says the same of itself, but for its own hash.
        let mut own: Value = serde_json::from_str(&text_in(&out.0.join(&picture))).unwrap();
        own["sha256"] = line["sha256"].clone();
        assert_eq!(own, line);
        let decoded = image::open(out.0.join(&picture)).unwrap().into_rgb8();
        assert_eq!(decoded.dimensions(), (32, 32));
    }
    // No two pictures are the same, although the two of a kind differ in nothing but their seed.
    let mut bytes: Vec<Vec<u8>> =
        out.pictures().iter().map(|name| image::open(out.0.join(name)).unwrap().into_rgb8().into_raw()).collect();
    bytes.sort();
    bytes.dedup();
    assert_eq!(bytes.len(), 60);
}

#[test]
fn only_what_was_asked_for_is_made() {
    let studio = Studio::new();
    let counts = |out: &str, kind: &str, more: &str| {
        let mut arguments = Studio::arguments(out, &format!("{more} --json --shard 1/5"));
        let at = arguments.iter().position(|argument| argument == "both").unwrap();
        arguments[at] = kind.to_owned();
        let json = studio.0.run(arguments).json();
        KINDS.map(|kind| json["pictures"][kind]["made"].as_u64())
    };
    assert_eq!(counts("both", "both", ""), [Some(4), Some(4), Some(4)]);
    assert_eq!(counts("unpaired", "both", "--breaking-pair none"), [Some(4), Some(4), None]);
    assert_eq!(counts("independent", "both", "--breaking-pair independent"), [Some(4), Some(4), None]);
    assert_eq!(counts("preserving", "preserving", ""), [Some(4), None, None]);
    assert_eq!(counts("stronger", "breaking", "--strength 0.8"), [None, Some(4), Some(4)]);
    let lines = studio.folder("stronger").lines();
    let strengths: Vec<f64> = lines.iter().map(|line| line["strength"].as_f64().unwrap()).collect();
    assert_eq!(strengths, [0.8, 0.8, 0.8, 0.8, 0.3, 0.3, 0.3, 0.3]);
}

#[test]
fn a_dry_run_writes_nothing() {
    let studio = Studio::new();
    let json = studio.augment("out", "--dry-run --json").json();
    assert_eq!(json["pictures"]["label_breaking"]["found"]["absent"], 20);
    assert_eq!(made(&json), [0, 0, 0]);
    assert!(!studio.0.path("out").exists());
    studio.augment("out", "--shard 1/2").done();
    let before = studio.folder("out").bytes();
    let json = studio.augment("out", "--dry-run --json").json();
    let found = &json["pictures"]["label_breaking_view"]["found"];
    assert_eq!((found["present"].as_u64(), found["absent"].as_u64()), (Some(10), Some(10)));
    assert_eq!(studio.folder("out").bytes(), before);
}
