//! Every method on all 8,100 test tiles of EuroSAT, with the demo model and exact lists of shots, against what an independent
//! PyTorch implementation reaches.
//!
//! Needs the data, which is too large for the repository: `eurosat.tar` (or an unpacked tree), few-shot lists and the reference,
//! in the folder that `LOWSHOT_DATA` names. Without it the test says that it is skipped.
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

/// How far below the reference's mean over the seeds a method may be, and how far above, in fractions.
const BANDS: [(&str, f64, f64); 8] = [
    ("zero-shot", 0.001, 0.001),
    ("tip", 0.01, 0.01),
    ("tip-f", 0.015, 1.0),
    ("meta", 0.015, 1.0),
    ("linear-probe", 0.015, 1.0),
    ("lora", 0.015, 1.0),
    ("bitfit", 0.015, 1.0),
    ("lora+bitfit", 0.015, 1.0),
];

/// The reference's recipe for what trains through the towers.
const THROUGH_TOWERS: [&str; 10] =
    ["--lr", "2e-3", "--iters", "200", "--batch-size", "32", "--draw", "replacement", "--augment", "none"];

/// The unpacked data set, unpacking it into `folder` where only the archive is there.
fn eurosat(data: &Path, folder: &Path) -> Option<PathBuf> {
    if let Some(root) = std::env::var_os("LOWSHOT_EUROSAT") {
        return Some(root.into());
    }
    let archive = data.join("eurosat.tar");
    let unpacked = Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(folder).status();
    unpacked.is_ok_and(|status| status.success()).then(|| folder.join("eurosat"))
}

fn top1(root: &Path, data: &Path, folder: &Path, method: &str, seed: u64) -> f64 {
    let run = folder.join(format!("{method}-{seed}"));
    let output = Command::new(cargo_bin("lowshot"))
        .args(["train", "--dataset", "eurosat", "--model", "demo", "--method", method, "--root-path"])
        .arg(root)
        .arg("--fewshot")
        .arg(data.join(format!("eurosat/fewshot/shots_16-seed_{seed}.json")))
        .args(if method.contains("lora") || method.contains("bitfit") { &THROUGH_TOWERS[..] } else { &[] })
        .args(["--seed", &seed.to_string(), "--out"])
        .arg(&run)
        .env("LOWSHOT_CACHE", folder.join("cache"))
        .env("LOWSHOT_DEVICE", "cpu")
        .output()
        .unwrap();
    assert!(output.status.success(), "{method}: {}", String::from_utf8_lossy(&output.stderr));
    let result: Value = serde_json::from_slice(&fs::read(run.join("result.json")).unwrap()).unwrap();
    assert_eq!(result["n_test"], 8100);
    result["top1"].as_f64().unwrap()
}

#[test]
fn every_method_is_as_accurate_as_the_reference() {
    let data = std::env::var_os("LOWSHOT_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let folder = tempfile::tempdir().unwrap();
    let reference = fs::read(data.join("reference/eurosat-demo-clip.json"));
    let (Ok(reference), Some(root)) = (reference, eurosat(&data, folder.path())) else {
        println!("skipped: no EuroSAT with its reference in {}; set LOWSHOT_DATA", data.display());
        return;
    };
    let reference: Value = serde_json::from_slice(&reference).unwrap();
    let mut wrong = Vec::new();
    for (method, below, above) in BANDS {
        let found: Vec<f64> = SEEDS.iter().map(|seed| top1(&root, &data, folder.path(), method, *seed)).collect();
        let mean = found.iter().sum::<f64>() / found.len() as f64;
        let expected = reference["results"][method]["mean_top1"].as_f64().unwrap();
        println!("{method:14} {found:.4?} mean {mean:.4}, reference {expected:.4}");
        if mean < expected - below || mean > expected + above {
            wrong.push(method);
        }
    }
    assert!(wrong.is_empty(), "not as the reference: {wrong:?}");
}
