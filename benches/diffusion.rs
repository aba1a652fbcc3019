//! A step of a UNet like Stable Diffusion 1.5's, at half its width and a quarter of its places, and the operations in which such
//! networks spend their time, by the CPU backend: milliseconds each.
//!
//! By itself it measures the step and the operations on 1 and 2 threads. With `--serve FILE` it reads weights and inputs from `FILE`
//! (safetensors) and measures what it is told to on standard input, a line `THREADS OPERATION …` at a time, so that
//! `benches/peers/diffusion.py` can take turns with it.
#![allow(clippy::print_stdout)]

use std::io::{BufRead, Write};
use std::time::Instant;

use burn::tensor::{DType, Tensor, TensorData};
use burn_flex::Flex;
use lowshot::clip::Parameters;
use lowshot::diffusion::kernels::{DiffusionBackend, Placement};
use lowshot::diffusion::unet::{Reading, Unet, UnetConfig};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::{ThreadPool, ThreadPoolBuilder};
use safetensors::SafeTensors;

/// As in `benches/peers/diffusion.py`.
const CONFIG: &str = r#"{
    "_class_name": "UNet2DConditionModel", "block_out_channels": [160, 320, 640, 640], "cross_attention_dim": 768,
    "attention_head_dim": 8
}"#;
const BATCH: usize = 2;
const SIZE: usize = 32;
const TOKENS: usize = 77;
const CONTEXT: usize = 768;
const TIMESTEP: f64 = 500.0;

/// The operations that are measured by themselves: convolutions (batch, size, inputs, outputs, filter's size, stride), doubling ones
/// (batch, size, inputs, outputs), group normalisations (batch, size, channels) and attention (batch, tokens, others, heads, width of
/// a head; others are 0 where the tokens attend to each other), all but the first three lines with Stable Diffusion 1.5's own sizes.
const OPERATIONS: [&str; 14] = [
    "convolve 2 32 160 160 3 1",
    "convolve 2 16 320 320 3 1",
    "convolve 2 8 640 640 3 1",
    "convolve 2 64 320 320 3 1",
    "convolve 2 32 640 640 3 1",
    "convolve 2 16 2560 1280 3 1",
    "convolve 2 8 1280 1280 3 1",
    "convolve 2 32 640 640 3 2",
    "convolve 2 32 960 640 1 1",
    "double 2 16 1280 1280",
    "normalise 2 64 320",
    "attend 2 4096 0 8 40",
    "attend 2 1024 0 8 80",
    "attend 2 4096 77 8 40",
];

/// Random weights small enough that nothing overflows; the time does not depend on their values.
struct Random(ChaCha8Rng);

impl Parameters<Flex> for Random {
    fn tensor<const D: usize>(&mut self, _name: &str, shape: [usize; D]) -> Tensor<Flex, D> {
        random(shape, 0.02, &mut self.0)
    }

    fn scalar(&mut self, _name: &str) -> f32 {
        1.0
    }
}

/// Weights from a file.
struct File<'a>(SafeTensors<'a>);

impl Parameters<Flex> for File<'_> {
    fn tensor<const D: usize>(&mut self, name: &str, shape: [usize; D]) -> Tensor<Flex, D> {
        let view = self.0.tensor(name).expect("the peer's weights have this network's names");
        let values: Vec<f32> = view
            .data()
            .chunks_exact(4)
            .map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four bytes")))
            .collect();
        Tensor::from_data(TensorData::new(values, shape), &Default::default())
    }

    fn scalar(&mut self, _name: &str) -> f32 {
        unreachable!("a UNet has no scalars")
    }
}

fn random<const D: usize>(shape: [usize; D], scale: f32, random: &mut ChaCha8Rng) -> Tensor<Flex, D> {
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| random.random_range(-scale..scale)).collect();
    Tensor::from_data(TensorData::new(values, shape), &Default::default())
}

/// The UNet with what it is given.
struct Step {
    unet: Unet<Flex>,
    latent: Tensor<Flex, 4>,
    text: Reading<Flex>,
}

impl Step {
    fn new(parameters: &mut impl Parameters<Flex>) -> Self {
        let config = UnetConfig::parse("config.json", CONFIG.as_bytes()).expect("the config is right");
        let unet = Unet::load(parameters, &config, DType::F32);
        let latent = parameters.tensor("benchmark.latent", [BATCH, SIZE, SIZE, 4]);
        let text = unet.read(parameters.tensor("benchmark.text", [BATCH, TOKENS, CONTEXT]));
        Self { unet, latent, text }
    }

    fn run(&self) -> Tensor<Flex, 4> {
        self.unet.forward(self.latent.clone(), TIMESTEP, 1.0, &self.text)
    }
}

/// Something to be measured.
type Work = Box<dyn Fn() + Sync>;

/// An operation of [`OPERATIONS`]' form on random numbers.
fn operation(line: &str) -> Work {
    let mut words = line.split_whitespace();
    let kind = words.next().expect("an operation");
    let numbers: Vec<usize> = words.map(|word| word.parse().expect("numbers")).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let rng = &mut rng;
    match (kind, numbers.as_slice()) {
        ("convolve", &[batch, size, inputs, outputs, filter, stride]) => {
            convolve(batch, size, inputs, outputs, filter, Placement { stride, ..Placement::padded(filter / 2) })
        }
        ("double", &[batch, size, inputs, outputs]) => {
            convolve(batch, size, inputs, outputs, 3, Placement { doubled: true, ..Placement::padded(1) })
        }
        ("normalise", &[batch, size, channels]) => {
            let (x, gamma) = (random([batch, size, size, channels], 1.0, rng), random([channels], 1.0, rng));
            Box::new(move || {
                std::hint::black_box(Flex::group_norm(x.clone(), 32, &gamma, &gamma, 1e-5, true));
            })
        }
        ("attend", &[batch, tokens, 0, heads, depth]) => {
            let qkv = random([batch, tokens, 3 * heads * depth], 1.0, rng);
            Box::new(move || {
                std::hint::black_box(Flex::self_attention(qkv.clone(), heads));
            })
        }
        ("attend", &[batch, tokens, others, heads, depth]) => {
            let query = random([batch, tokens, heads * depth], 1.0, rng);
            let key_value = random([batch, others, 2 * heads * depth], 1.0, rng);
            Box::new(move || {
                std::hint::black_box(Flex::cross_attention(query.clone(), key_value.clone(), heads));
            })
        }
        _ => panic!("{line:?} is no operation"),
    }
}

fn convolve(batch: usize, size: usize, inputs: usize, outputs: usize, filter: usize, placement: Placement) -> Work {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let x = random([batch, size, size, inputs], 1.0, &mut rng);
    let weight = Flex::filter(random([outputs, inputs, filter, filter], 0.02, &mut rng), placement.stride);
    let bias = random([outputs], 1.0, &mut rng);
    Box::new(move || {
        std::hint::black_box(Flex::convolve(x.clone(), &weight, Some(&bias), placement, None));
    })
}

/// Milliseconds of one run.
fn measure(work: &(dyn Fn() + Sync), pool: &ThreadPool) -> f64 {
    let start = Instant::now();
    pool.install(work);
    start.elapsed().as_secs_f64() * 1e3
}

fn pools() -> [ThreadPool; 2] {
    [1, 2].map(|threads| ThreadPoolBuilder::new().num_threads(threads).build().expect("threads start"))
}

/// Answers standard input: `THREADS unet` and `THREADS OPERATION …` with milliseconds, `output` with the step's first numbers.
fn serve(path: &str) {
    let bytes = std::fs::read(path).expect("the weights' file");
    let step = Step::new(&mut File(SafeTensors::deserialize(&bytes).expect("safetensors")));
    drop(bytes);
    let (pools, mut kept) = (pools(), std::collections::HashMap::<String, Work>::new());
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("standard input is text");
        let answer = match line.split_once(' ') {
            None => {
                let output: Vec<f32> = step.run().into_data().to_vec().expect("numbers");
                output.iter().step_by(97).map(|number| format!("{number:e} ")).collect()
            }
            Some((threads, "unet")) => {
                let pool = &pools[threads.parse::<usize>().expect("threads") - 1];
                measure(&|| drop(step.run()), pool).to_string()
            }
            Some((threads, line)) => {
                let pool = &pools[threads.parse::<usize>().expect("threads") - 1];
                measure(kept.entry(line.to_owned()).or_insert_with(|| operation(line)), pool).to_string()
            }
        };
        println!("{answer}");
        std::io::stdout().flush().expect("standard output is open");
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--serve") {
        return serve(arguments.get(at + 1).expect("--serve FILE"));
    }
    let chosen = |name: &str| arguments[1..].iter().all(|word| word.starts_with("--") || name.contains(word));
    let pools = pools();
    let report = |name: &str, work: Work| {
        for pool in &pools {
            let mut times: Vec<f64> = (0..9).map(|_| measure(&work, pool)).collect();
            times.sort_by(f64::total_cmp);
            let threads = pool.current_num_threads();
            println!(
                "{name}, {threads} threads: {:.2} ms in the median, {:.2} at best",
                times[times.len() / 2],
                times[0]
            );
        }
    };
    if chosen("unet") {
        let step = Step::new(&mut Random(ChaCha8Rng::seed_from_u64(1)));
        report("unet", Box::new(move || drop(step.run())));
    }
    for line in OPERATIONS.into_iter().filter(|line| chosen(line)) {
        report(line, operation(line));
    }
}
