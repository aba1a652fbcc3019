//! Peak memory of learning from all of a data set: it grows by paths and indices, not by pictures.
//!
//! A test crate of its own, because the peak is the process's.
#![cfg(feature = "native")]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::{fs, path::Path};

use burn_flex::Flex;
use image::{Rgb, RgbImage};
use lowshot::{
    adapter::{Method, Parts, Recipe},
    data::Shots,
    experiment::{
        Event,
        execute::Executor,
        plan::{LogitScale, Plan},
        result::RunResult,
    },
};
use support::{folders, reference::Reference, seeded::Precision};

const CLASSES: [&str; 4] = ["blue", "green", "grey", "red"];

/// Half of the pictures are learnt from, more than the few that are kept decoded.
const SMALL: usize = 8_400;
const LARGE: usize = 4 * SMALL;

/// The process's peak resident memory in bytes, where the system tells it.
fn peak() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<usize>().ok()? * 1024)
}

/// A folder of `count` pictures of 64 × 64, which are links to one of each class.
fn pictures(folder: &Path, count: usize) {
    for (label, class) in CLASSES.iter().enumerate() {
        let class_folder = folder.join(class);
        fs::create_dir_all(&class_folder).unwrap();
        let first = class_folder.join("0.png");
        let shade = |x: u32, y: u32| Rgb([(x * 3) as u8, (y * 3) as u8, 60 * label as u8]);
        RgbImage::from_fn(64, 64, shade).save(&first).unwrap();
        for number in 1..count / CLASSES.len() {
            fs::hard_link(&first, class_folder.join(format!("{number}.png"))).unwrap();
        }
    }
}

/// Passes once over all training images, then tests.
fn run(folder: &Path, model: &str, count: usize) -> (RunResult, u64) {
    let (data, out) = (folder.join(count.to_string()), folder.join(format!("run-{count}")));
    pictures(&data, count);
    let parts = Parts { lora: true, ..Parts::default() };
    let plan = Plan {
        dataset: data.display().to_string(),
        root_path: None,
        shots: Shots::All,
        fewshot: None,
        seed: 1,
        model: model.to_owned(),
        device: String::new(),
        templates: Vec::new(),
        logit_scale: LogitScale::Fixed(100.0),
        base_to_novel: false,
        start: None,
        epochs: Some(1),
        generated: None,
        recipe: Recipe::from(Method::Tuning(parts)),
    };
    let mut steps = 0;
    let mut observe = |event: &Event| steps += usize::from(matches!(event, Event::Step(_)));
    let mut executor = Executor::<Flex>::new(&Default::default(), None);
    let result = executor.execute(plan, &out, &mut observe).unwrap();
    assert_eq!(steps, (count / 2).div_ceil(24), "a pass over half of {count} pictures, 24 a step");
    (result, fs::metadata(out.join("checkpoint.safetensors")).unwrap().len())
}

#[test]
fn memory_grows_by_paths_and_indices_alone() {
    if peak().is_none() {
        println!("skipped: this system does not tell a process's peak memory");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let model = folders::write(folder.path(), &Reference::load("tiny"), Precision::F32).display().to_string();
    let (_, small_checkpoint) = run(folder.path(), &model, SMALL);
    let small = peak().unwrap();
    let (result, large_checkpoint) = run(folder.path(), &model, LARGE);
    let large = peak().unwrap();
    let each = (large - small) / (LARGE - SMALL);
    let megabytes = |bytes: usize| bytes / 1_000_000;
    println!("{SMALL} pictures {} MB, {LARGE} {} MB: {each} bytes each", megabytes(small), megabytes(large));
    // A decoded picture has 12,288.
    assert!(each < 1000, "{each} bytes for each picture more");
    assert_eq!(small_checkpoint, large_checkpoint, "bytes of a checkpoint");
    let waiting = result.seconds.waiting.unwrap();
    assert!((0.0..=result.seconds.train).contains(&waiting), "{:?}", result.seconds);
    assert_eq!(result.n_test, LARGE * 3 / 10);
}
