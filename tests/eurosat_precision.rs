//! Frozen towers in half precision, and with weights in int8, beside the same in f32: every method learns from the same shots of EuroSAT and answers for the same
//! tiles, so that what differs is a difference of pairs.
//!
//! On the device that `LOWSHOT_DEVICE` names (the processor without it), in each format that it has. Needs the data that
//! `LOWSHOT_DATA` names, as `eurosat_accuracy` does; without it, or on a device without a format, the test says that it is skipped.
//! `LOWSHOT_TEST_TILES` is how many of the 8,100 test tiles are seen (600 without it), spread over the classes as all are.
#![cfg(feature = "native")]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use assert_cmd::cargo::cargo_bin;
use serde_json::Value;

const SEEDS: [u64; 3] = [1, 2, 3];

/// What is compared with f32, and how the program is asked for it.
const FORMATS: [(&str, [&str; 2]); 3] =
    [("f16", ["--precision", "f16"]), ("bf16", ["--precision", "bf16"]), ("int8", ["--weights", "int8"])];

/// The methods, and how much less accurate one may be in such a format, as a fraction, beside chance: what learns through the towers
/// takes a path of its own from the first rounding on, as it does with another seed.
const METHODS: [(&str, f64); 4] = [("zero-shot", 0.002), ("tip", 0.005), ("meta", 0.005), ("lora", 0.015)];

/// As `eurosat_accuracy` trains through the towers.
const THROUGH_TOWERS: [&str; 10] =
    ["--lr", "2e-3", "--iters", "200", "--batch-size", "32", "--draw", "replacement", "--augment", "none"];

/// EuroSAT with `tiles` test tiles, in a folder of its own whose images are links; nothing where the data is not here.
fn part(data: &Path, folder: &Path, tiles: usize) -> Option<PathBuf> {
    let whole = std::env::var_os("LOWSHOT_EUROSAT").map(PathBuf::from).or_else(|| {
        let unpacked = Command::new("tar").arg("-xf").arg(data.join("eurosat.tar")).arg("-C").arg(folder).status();
        unpacked.is_ok_and(|status| status.success()).then(|| folder.join("eurosat"))
    })?;
    let mut split: Value = serde_json::from_slice(&fs::read(whole.join("split_zhou_EuroSAT.json")).unwrap()).unwrap();
    let all = split["test"].as_array().unwrap();
    let tiles = tiles.min(all.len());
    // The list is sorted by class.
    split["test"] = (0..tiles).map(|index| all[index * all.len() / tiles].clone()).collect();
    let root = folder.join("part/eurosat");
    fs::create_dir_all(&root).unwrap();
    fs::write(root.join("split_zhou_EuroSAT.json"), split.to_string()).unwrap();
    let images = std::path::absolute(whole.join("2750")).unwrap();
    std::os::unix::fs::symlink(images, root.join("2750")).unwrap();
    Some(folder.join("part"))
}

/// Whether each tile was answered rightly; or why not in this format. A run that was made is read.
fn right(root: &Path, data: &Path, folder: &Path, run: (&str, u64, &str)) -> Result<Vec<bool>, String> {
    let (method, seed, format) = run;
    let out = folder.join(format!("{method}-{seed}-{format}"));
    if !out.exists() {
        let device = std::env::var("LOWSHOT_DEVICE").unwrap_or_else(|_| "cpu".into());
        let output = Command::new(cargo_bin("lowshot"))
            .args(["train", "--dataset", "eurosat", "--model", "demo", "--method", method, "--root-path"])
            .arg(root)
            .arg("--fewshot")
            .arg(data.join(format!("eurosat/fewshot/shots_16-seed_{seed}.json")))
            .args(if method == "lora" { &THROUGH_TOWERS[..] } else { &[] })
            .args(FORMATS.iter().find(|(name, _)| *name == format).map_or(&[][..], |(_, flags)| &flags[..]))
            .args(["--device", &device, "--seed", &seed.to_string(), "--out"])
            .arg(&out)
            .env("LOWSHOT_CACHE", folder.join("cache"))
            .output()
            .unwrap();
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        if ["does not compute in", "holds weights in what it computes in"].iter().any(|lack| message.contains(lack)) {
            return Err(message.trim().to_owned());
        }
        assert!(output.status.success(), "{method} in {format}: {message}");
    }
    let table = fs::read_to_string(out.join("predictions.csv")).unwrap();
    let mut lines = table.lines();
    let columns: Vec<&str> = lines.next().unwrap().split(',').collect();
    let [label, answer] =
        ["label", "prediction"].map(|name| columns.iter().position(|column| *column == name).unwrap());
    Ok(lines.map(|line| line.split(',').collect::<Vec<_>>()).map(|row| row[label] == row[answer]).collect())
}

#[test]
fn methods_are_as_accurate_in_every_format_as_in_f32() {
    let data = std::env::var_os("LOWSHOT_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let tiles = std::env::var("LOWSHOT_TEST_TILES").map_or(600, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let lists = data.join("eurosat/fewshot").is_dir();
    let Some(root) = lists.then(|| part(&data, folder.path(), tiles)).flatten() else {
        println!("skipped: no EuroSAT in {}; set LOWSHOT_DATA", data.display());
        return;
    };
    let mut worse = Vec::new();
    for (format, _) in FORMATS {
        // Before anything is learnt in f32 for nothing.
        if let Err(why) = right(&root, &data, folder.path(), ("zero-shot", 1, format)) {
            println!("skipped: {why}");
            continue;
        }
        for (method, less) in METHODS {
            // Zero-shot knows no seed.
            let seeds = if method == "zero-shot" { &SEEDS[..1] } else { &SEEDS };
            let (mut differences, mut means) = (Vec::new(), [0.0; 2]);
            for &seed in seeds {
                let single = right(&root, &data, folder.path(), (method, seed, "f32")).unwrap();
                let other = right(&root, &data, folder.path(), (method, seed, format)).unwrap();
                assert_eq!(single.len(), other.len());
                for (mean, answers) in means.iter_mut().zip([&single, &other]) {
                    *mean += share(answers) / seeds.len() as f64;
                }
                println!("{method:10} seed {seed}  f32 {:.4}  {format} {:.4}", share(&single), share(&other));
                differences.extend(single.iter().zip(&other).map(|(one, other)| f64::from(*other) - f64::from(*one)));
            }
            let count = differences.len() as f64;
            let mean = differences.iter().sum::<f64>() / count;
            let variance = differences.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
            let half_width = 1.96 * (variance / count).sqrt();
            let other = differences.iter().filter(|value| **value != 0.0).count();
            println!(
                "{method:10} mean    f32 {:.4}  {format} {:.4}  difference {mean:+.4} ± {half_width:.4} (95 %), \
                 {other} of {count} tiles right in one alone",
                means[0], means[1]
            );
            // Worse by more than is allowed, even where chance was against it.
            if mean + half_width < -less || mean < -2.0 * less {
                worse.push(format!("{method} in {format}: {mean:+.4} ± {half_width:.4}"));
            }
        }
    }
    assert!(worse.is_empty(), "{worse:#?}");
}

fn share(right: &[bool]) -> f64 {
    right.iter().filter(|right| **right).count() as f64 / right.len() as f64
}
