//! Peak memory of loading a model: at most 1.3 times its weights in the type that it computes in.
//!
//! A test crate of its own, because the peak is the process's.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use burn_flex::Flex;
use lowshot::{
    clip::Clip,
    platform::native::FolderFiles,
    weights::{Checkpoint, config},
};
use support::{folders, reference::Reference, seeded::Precision};

/// The process's peak resident memory in bytes, where the system tells it.
fn peak() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? * 1024.0)
}

#[test]
fn loading_takes_little_more_than_the_weights() {
    let Some(before) = peak() else {
        println!("skipped: this system does not tell a process's peak memory");
        return;
    };
    let reference = Reference::load("vit-b-16");
    let folder = tempfile::tempdir().unwrap();
    // The file in f32 as well: its pages are resident while they are read.
    let path = folders::write(folder.path(), &reference, Precision::F32);
    let weights =
        reference.tensors.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum::<usize>() as f64 * 4.0;
    let files = FolderFiles::open(&path).unwrap();
    let checkpoint = Checkpoint::from_files(&files).unwrap();
    let shape = config::find(&files, &checkpoint).unwrap();
    let device = Default::default();
    let clip: Clip<Flex> = checkpoint.load(&device, |parameters| Clip::load(parameters, &shape, &device)).unwrap();
    checkpoint.sha256();
    let peak = peak().unwrap();
    println!("weights {:.0} MB, before {:.0} MB, peak {:.0} MB", weights / 1e6, before / 1e6, peak / 1e6);
    assert!(peak < 1.3 * weights, "peak {peak} for {weights} bytes of weights");
    drop(clip);
}
