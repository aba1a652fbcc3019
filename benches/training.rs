//! A LoRA step on ViT-B/16 on the CPU backend: seconds a step, and the process's peak memory.
//!
//! 8 pictures of 224 pixels, 10 prompts, rank 2 on queries, keys and values of both towers, dropout .25, `AdamW`. By itself it has
//! random weights and runs each configuration in a process of its own, because the peak is the process's (weights and loading
//! included); with `--json` each gives one line of JSON; `--only VARIANT` and `--threads N` choose. With `--serve FOLDER` it reads a
//! model and inputs from `FOLDER` and answers a line `step` by milliseconds, so that `benches/peers/training.py` can take turns with it.
#![allow(clippy::print_stdout)]

#[path = "support/model.rs"]
mod model;
mod support;

use std::{process::Command, time::Instant};

use burn::tensor::{DType, Tensor};
use burn_flex::{Flex, FlexDevice};
use lowshot::{
    adapter::{
        Labelled,
        lora::{LoraConfig, Position},
        tuning::{Batch, Learning, Training, TuningConfig},
    },
    bench::{Subject, architectures::architecture, machine::peak_memory_mib, random::Random},
    clip::{Clip, ClipConfig},
};
use rayon::ThreadPoolBuilder;

use model::Model;

const SIZE: usize = 224;
const BATCH: usize = 8;
const CLASSES: usize = 10;
/// Steps that are timed, after one that is not.
const STEPS: usize = 5;
const VARIANTS: [&str; 4] = ["plain", "checkpoint-blocks", "accumulate-4", "position-up"];

fn recipe(variant: &str) -> TuningConfig {
    let mut config = TuningConfig { batch: BATCH, steps: 10_000, ..TuningConfig::default() };
    let mut lora = LoraConfig::default();
    match variant {
        "checkpoint-blocks" => config.checkpoint_blocks = true,
        "accumulate-4" => config.accumulate = 4,
        "position-up" => lora.position = Position::Up,
        _ => {}
    }
    config.lora = Some(lora);
    config
}

/// A training that has done nothing yet.
fn training(variant: &str, clip: &Clip<Flex>, shape: &ClipConfig, prompts: Vec<Vec<u32>>) -> Training<Flex> {
    let learning = Learning {
        clip,
        shape,
        prompts,
        classes: CLASSES,
        scale: 100.0,
        shots: Labelled { features: Tensor::zeros([0, shape.embedding], &FlexDevice), labels: Vec::new() },
    };
    Training::start(recipe(variant), learning, 1).expect("settings that fit")
}

/// Does a step with these pixels `[BATCH, 3, SIZE, SIZE]`; its loss.
fn step(training: &mut Training<Flex>, pixels: &Tensor<Flex, 4>) -> f32 {
    let labels = (0..BATCH).map(|picture| picture % CLASSES).collect();
    let batch = Batch { pixels: pixels.clone(), labels, weights: Vec::new(), breaking: None };
    pollster::block_on(training.step(batch)).expect("a finite loss").loss
}

/// Seconds of each timed step.
fn measure(variant: &str) -> Vec<f64> {
    let Subject { clip, config, .. } = Subject::<Flex>::random(architecture("ViT-B/16").expect("a shape"), &FlexDevice);
    // Start, "a photo of a", a word of its own, full stop, end.
    let prompts = (0..CLASSES as u32).map(|class| vec![49406, 320, 1125, 539, 320, 1000 + class, 269, 49407]).collect();
    let mut training = training(variant, &clip, &config, prompts);
    let pixels = Random::new(2, DType::F32, &FlexDevice).numbers([BATCH, 3, SIZE, SIZE], 1.7);
    let mut times = Vec::new();
    for _ in 0..=STEPS {
        let start = Instant::now();
        step(&mut training, &pixels);
        times.push(start.elapsed().as_secs_f64());
    }
    times.split_off(1)
}

/// Answers `step` by milliseconds and `output loss` by the first step's loss, in which dropout has no part yet: the branches are 0.
fn serve(folder: &str) {
    let model = Model::open(folder);
    let variant = support::after("--only").unwrap_or_else(|| "plain".into());
    let mut training = training(&variant, &model.clip, &model.config, model.texts(CLASSES).to_vec());
    let pixels = model.images(BATCH);
    drop(model);
    let first = f64::from(step(&mut training, &pixels));
    support::serve(|line| match line {
        "output loss" => vec![first],
        _ => vec![support::milliseconds(|| step(&mut training, &pixels))],
    });
}

/// One configuration, in a process of its own.
fn child(threads: usize, variant: &str, json: bool) {
    let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("threads start");
    let mut times = pool.install(|| measure(variant));
    times.sort_by(f64::total_cmp);
    let (step, peak) = (times[times.len() / 2], peak_memory_mib());
    if json {
        let line = serde_json::json!({
            "threads": threads, "batch": BATCH, "variant": variant, "step_s": step, "peak_rss_mib": peak,
        });
        println!("{line}");
    } else {
        let peak = peak.map_or_else(|| "unknown".into(), |peak| format!("{peak:.0} MiB"));
        println!(
            "{variant}, {threads} threads: {step:.2} s a step in the median, {:.2} at best, peak {peak}",
            times[0]
        );
    }
}

fn main() {
    if let Some(folder) = support::after("--serve") {
        return serve(&folder);
    }
    let arguments: Vec<String> = std::env::args().collect();
    let json = arguments.iter().any(|one| one == "--json");
    let threads = support::after("--threads").map(|number| number.parse::<usize>().expect("--threads takes a number"));
    let only = support::after("--only");
    let only = only.as_deref();
    if let (true, Some(threads), Some(variant)) = (arguments.iter().any(|one| one == "--child"), threads, only) {
        return child(threads, variant, json);
    }
    for threads in threads.map_or(vec![1, 2], |threads| vec![threads]) {
        for variant in VARIANTS.into_iter().filter(|variant| only.is_none_or(|only| only == *variant)) {
            let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
            command.args(["--child", "--threads", &threads.to_string(), "--only", variant]);
            if json {
                command.arg("--json");
            }
            let status = command.status().expect("this program starts");
            assert!(status.success(), "{variant} on {threads} threads failed");
        }
    }
}
