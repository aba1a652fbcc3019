//! Similarity to the class: the contact sheet, and dropping what has lost it.

use std::fs;
use std::path::Path;

use safetensors::SafeTensors;
use serde_json::Value;

use crate::studio::{Generated, Studio, made};

/// Rows of unit features that `lowshot embed` has written.
fn rows(file: &Path, name: &str) -> Vec<Vec<f32>> {
    let bytes = fs::read(file).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = tensors.tensor(name).unwrap();
    let values: Vec<f32> =
        tensor.data().chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
    values.chunks_exact(tensor.shape()[1]).map(<[f32]>::to_vec).collect()
}

/// The cosine of each label-preserving picture and its class, worked out from `lowshot embed`.
fn cosines(studio: &Studio, folder: &Generated) -> Vec<(String, f64)> {
    let lines = folder.lines();
    let lines: Vec<&Value> = lines.iter().filter(|line| line["kind"] == "label_preserving").collect();
    let files = lines.iter().map(|line| folder.0.join(line["picture"].as_str().unwrap()).to_str().unwrap().to_owned());
    let texts = lines.iter().map(|line| format!("{}.", line["prompt"].as_str().unwrap()));
    let mut arguments = vec!["embed".to_owned()];
    arguments.extend(files.chain(texts));
    arguments.extend(["--out", "features.safetensors"].map(str::to_owned));
    studio.0.run(arguments).done();
    let file = studio.0.path("features.safetensors");
    let (images, texts) = (rows(&file, "image_features"), rows(&file, "text_features"));
    assert_eq!((images.len(), texts.len()), (lines.len(), lines.len()));
    let cosine = |(image, text): (&Vec<f32>, &Vec<f32>)| {
        image.iter().zip(text).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>()
    };
    let names = lines.iter().map(|line| line["picture"].as_str().unwrap().to_owned());
    names.zip(images.iter().zip(&texts).map(cosine)).collect()
}

#[test]
fn what_falls_below_the_threshold_is_dropped_recorded_and_not_made_again() {
    let studio = Studio::new();
    studio.augment("out", "").done();
    let folder = studio.folder("out");
    let whole = folder.bytes();
    let mut cosines = cosines(&studio, &folder);
    cosines.sort_by(|a, b| a.1.total_cmp(&b.1));
    // Between the eighth and the ninth of twenty.
    let threshold = f64::midpoint(cosines[7].1, cosines[8].1);
    let json = studio.augment("out", &format!("--filter {threshold} --json")).json();
    let mut expected: Vec<String> = cosines[..8].iter().map(|(name, _)| name.clone()).collect();
    expected.sort();
    let dropped = json["dropped"].as_array().unwrap();
    let names: Vec<&str> = dropped.iter().map(|entry| entry["picture"].as_str().unwrap()).collect();
    assert_eq!(names, expected);
    folder.check();
    for (name, cosine) in &cosines {
        let line = folder.line(name);
        assert_eq!(folder.0.join(name).exists(), line["dropped"].is_null(), "{name}");
        if expected.contains(name) {
            let dropped = &line["dropped"];
            assert!((dropped["similarity"].as_f64().unwrap() - cosine).abs() < 1e-6);
            assert_eq!((dropped["threshold"].as_f64(), dropped["clip"].as_str()), (Some(threshold), Some("demo")));
            assert_eq!(dropped["clip_sha256"].as_str().unwrap().len(), 64);
        }
    }
    // The kinds that are meant to lose their class are left alone.
    assert_eq!(folder.pictures().len(), 52);

    // Neither without the filter nor with it are they made again.
    for more in ["", &format!("--filter {threshold}")] {
        let json = studio.augment("out", &format!("{more} --json")).json();
        assert_eq!(made(&json), [0, 0, 0], "{more}");
        assert_eq!(json["pictures"]["label_preserving"]["found"]["dropped"], 8);
        folder.check();
    }
    // A file that a killed process had dropped and not yet removed goes.
    fs::write(folder.0.join(&expected[0]), &whole[&expected[0]]).unwrap();
    studio.augment("out", "").done();
    folder.check();
    // A lower threshold brings back those that reach it, and other settings make new ones.
    let lower = f64::midpoint(cosines[4].1, cosines[5].1);
    assert_eq!(made(&studio.augment("out", &format!("--filter {lower} --json")).json()), [3, 0, 0]);
    folder.check();
    assert_eq!(folder.bytes().keys().filter(|name| whole.contains_key(*name)).count(), 60 + 1 - 5);
    assert!(
        folder.bytes().iter().filter(|(name, _)| name.ends_with(".png")).all(|(name, bytes)| whole[name] == *bytes)
    );
    assert_eq!(made(&studio.augment("out", "--negative x --json").json()), [20, 20, 20]);
}

#[test]
fn the_contact_sheet_shows_every_picture_with_its_similarity() {
    let studio = Studio::new();
    let finished = studio.augment("out", "--shard 1/5 --review").done();
    assert!(finished.stderr.contains("out/augment-1-of-5.html"), "{finished:?}");
    let folder = studio.folder("out");
    let cosines = cosines(&studio, &folder);
    let page = fs::read_to_string(folder.0.join("augment-1-of-5.html")).unwrap();
    let pictures = folder.pictures();
    assert_eq!(page.matches("<img src=\"data:image/webp;base64,").count(), pictures.len() + 2);
    for picture in &pictures {
        assert_eq!(page.matches(&format!("alt=\"{picture}\"")).count(), 1, "{picture}");
    }
    for (name, cosine) in &cosines {
        let after = page.split(&format!("alt=\"{name}\"")).nth(1).unwrap();
        let caption = after.split("<figcaption>").nth(1).unwrap();
        assert!(caption.starts_with(&format!("{cosine:.3} <small>").replace('-', "−")), "{name} {cosine}: {caption}");
    }
    assert!(!page.contains("http://") && !page.contains("https://") && page.contains("default-src 'none'"));
    for text in ["Annual Crop Land", "a centered satellite photo of {class}", "2 training images"] {
        assert!(page.contains(text), "{text}");
    }

    // What is missing or dropped has a place all the same.
    fs::remove_file(folder.0.join(&pictures[0])).unwrap();
    studio.augment("out", "--shard 1/5 --filter 2 --review sheet.html").done();
    let page = fs::read_to_string(studio.0.path("sheet.html")).unwrap();
    assert_eq!(page.matches("<small class=wrong>dropped</small>").count(), 4);
    assert_eq!(page.matches("<img ").count(), pictures.len() + 2 - 4);
}
