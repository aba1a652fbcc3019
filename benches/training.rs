//! A LoRA step on ViT-B/16 with random weights on the CPU backend: seconds a step, and the process's peak memory.
//!
//! 8 pictures of 224 pixels, 10 prompts, rank 2 on queries, keys and values of both towers, dropout .25, `AdamW`. Each
//! configuration runs in a process of its own, because the peak is the process's (weights and loading included). With `--json`
//! each gives one line of JSON; `--only VARIANT` and `--threads N` choose.
#![allow(clippy::print_stdout)]

use std::{process::Command, time::Instant};

use burn::tensor::{Tensor, TensorData};
use burn_flex::{Flex, FlexDevice};
use lowshot::{
    adapter::{
        Labelled,
        lora::{LoraConfig, Position},
        tuning::{Batch, Learning, Training, TuningConfig},
    },
    clip::{
        Clip, ClipConfig, Parameters,
        config::{EndOfText, TextConfig, TransformerConfig, VisionConfig, VitConfig},
        kernels::Activation,
    },
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::ThreadPoolBuilder;

const SIZE: usize = 224;
const BATCH: usize = 8;
const CLASSES: usize = 10;
/// Steps that are timed, after one that is not.
const STEPS: usize = 5;
const VARIANTS: [&str; 4] = ["plain", "checkpoint-blocks", "accumulate-4", "position-up"];

/// Random weights small enough that nothing overflows; the time does not depend on their values.
struct Random(ChaCha8Rng);

impl Random {
    fn numbers<const D: usize>(&mut self, shape: [usize; D], scale: f32) -> Tensor<Flex, D> {
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| self.0.random_range(-scale..scale)).collect();
        Tensor::from_data(TensorData::new(values, shape), &FlexDevice)
    }
}

impl Parameters<Flex> for Random {
    fn tensor<const D: usize>(&mut self, _name: &str, shape: [usize; D]) -> Tensor<Flex, D> {
        self.numbers(shape, 0.05)
    }

    fn scalar(&mut self, _name: &str) -> f32 {
        1.0
    }
}

fn vit_b_16() -> ClipConfig {
    let transformer = |width: usize| TransformerConfig {
        layers: 12,
        width,
        heads: width / 64,
        mlp: 4 * width,
        activation: Activation::QuickGelu,
        epsilon: 1e-5,
    };
    ClipConfig {
        embedding: 512,
        vision: VisionConfig::Vit(VitConfig { image: SIZE, patch: 16, transformer: transformer(768) }),
        text: TextConfig {
            vocabulary: 49408,
            context: 77,
            end_of_text: EndOfText::LargestId,
            transformer: transformer(512),
        },
    }
}

fn recipe(variant: &str) -> TuningConfig {
    let mut config = TuningConfig { batch: BATCH, steps: STEPS + 1, ..TuningConfig::default() };
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

/// Seconds of each timed step.
fn measure(variant: &str) -> Vec<f64> {
    let shape = vit_b_16();
    let mut random = Random(ChaCha8Rng::seed_from_u64(1));
    let clip = Clip::load(&mut random, &shape, &FlexDevice);
    // Start, "a photo of a", a word of its own, full stop, end.
    let prompts = (0..CLASSES as u32).map(|class| vec![49406, 320, 1125, 539, 320, 1000 + class, 269, 49407]).collect();
    let learning = Learning {
        clip: &clip,
        shape: &shape,
        prompts,
        classes: CLASSES,
        scale: 100.0,
        shots: Labelled { features: Tensor::zeros([0, shape.embedding], &FlexDevice), labels: Vec::new() },
    };
    let mut training = Training::start(recipe(variant), learning, 1).expect("settings that fit");
    let pixels = random.numbers([BATCH, 3, SIZE, SIZE], 1.7);
    let mut times = Vec::new();
    for _ in 0..=STEPS {
        let labels = (0..BATCH).map(|picture| picture % CLASSES).collect();
        let start = Instant::now();
        let step = training.step(Batch { pixels: pixels.clone(), labels, weights: Vec::new(), breaking: None });
        pollster::block_on(step).expect("a finite loss");
        times.push(start.elapsed().as_secs_f64());
    }
    times.split_off(1)
}

/// The process's peak resident memory in MiB, where the system tells it.
fn peak_rss_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}

/// One configuration, in a process of its own.
fn child(threads: usize, variant: &str, json: bool) {
    let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("threads start");
    let mut times = pool.install(|| measure(variant));
    times.sort_by(f64::total_cmp);
    let (step, peak) = (times[times.len() / 2], peak_rss_mib());
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
    let arguments: Vec<String> = std::env::args().collect();
    let after = |flag: &str| arguments.iter().position(|one| one == flag).and_then(|at| arguments.get(at + 1));
    let json = arguments.iter().any(|one| one == "--json");
    let threads = after("--threads").map(|number| number.parse::<usize>().expect("--threads takes a number"));
    let only = after("--only").map(String::as_str);
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
