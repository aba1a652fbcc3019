//! A step of a UNet like Stable Diffusion 1.5's, at half its width and a quarter of its places, and the operations in which such
//! networks spend their time, by the CPU backend: milliseconds each.
//!
//! By itself it measures the step and the operations on 1 and 2 threads. With `--serve FILE` it reads weights and inputs from `FILE`
//! (safetensors) and answers a line `unet` or `OPERATION …` by milliseconds, on as many threads as `RAYON_NUM_THREADS` says, so that
//! `benches/peers/diffusion.py` can take turns with it.
#![allow(clippy::print_stdout)]

mod support;

use burn::tensor::{DType, Tensor, TensorData};
use burn_flex::Flex;
use lowshot::bench::random::Random;
use lowshot::clip::Parameters;
use lowshot::diffusion::kernels::{DiffusionBackend, Placement};
use lowshot::diffusion::unet::{Reading, Unet, UnetConfig};
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

/// The same random numbers each time.
fn random() -> Random<Flex> {
    Random::new(1, DType::F32, &Default::default())
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
    let mut rng = random();
    match (kind, numbers.as_slice()) {
        ("convolve", &[batch, size, inputs, outputs, filter, stride]) => {
            convolve(batch, size, inputs, outputs, filter, Placement { stride, ..Placement::padded(filter / 2) })
        }
        ("double", &[batch, size, inputs, outputs]) => {
            convolve(batch, size, inputs, outputs, 3, Placement { doubled: true, ..Placement::padded(1) })
        }
        ("normalise", &[batch, size, channels]) => {
            let (x, gamma) = (rng.numbers([batch, size, size, channels], 1.0), rng.numbers([channels], 1.0));
            Box::new(move || {
                std::hint::black_box(Flex::group_norm(x.clone(), 32, &gamma, &gamma, 1e-5, true));
            })
        }
        ("attend", &[batch, tokens, 0, heads, depth]) => {
            let qkv = rng.numbers([batch, tokens, 3 * heads * depth], 1.0);
            Box::new(move || {
                std::hint::black_box(Flex::self_attention(qkv.clone(), heads));
            })
        }
        ("attend", &[batch, tokens, others, heads, depth]) => {
            let query = rng.numbers([batch, tokens, heads * depth], 1.0);
            let key_value = rng.numbers([batch, others, 2 * heads * depth], 1.0);
            Box::new(move || {
                std::hint::black_box(Flex::cross_attention(query.clone(), key_value.clone(), heads));
            })
        }
        _ => panic!("{line:?} is no operation"),
    }
}

fn convolve(batch: usize, size: usize, inputs: usize, outputs: usize, filter: usize, placement: Placement) -> Work {
    let mut rng = random();
    let x = rng.numbers([batch, size, size, inputs], 1.0);
    let weight = Flex::filter(rng.numbers([outputs, inputs, filter, filter], 0.02), placement.stride);
    let bias = rng.numbers([outputs], 1.0);
    Box::new(move || {
        std::hint::black_box(Flex::convolve(x.clone(), &weight, Some(&bias), placement, None));
    })
}

/// Milliseconds of one run, of `pool`'s threads.
fn measure(work: &(dyn Fn() + Sync), pool: &ThreadPool) -> f64 {
    support::milliseconds(|| pool.install(work))
}

/// Answers standard input: the step or an operation by milliseconds, `output unet` by some of the numbers that come out.
fn serve(path: &str) {
    let bytes = std::fs::read(path).expect("the weights' file");
    let step = Step::new(&mut File(SafeTensors::deserialize(&bytes).expect("safetensors")));
    drop(bytes);
    let mut kept = std::collections::HashMap::<String, Work>::new();
    support::serve(|line| match line {
        "output unet" => step.run().into_data().iter::<f64>().step_by(97).collect(),
        "unet" => vec![support::milliseconds(|| step.run())],
        line => vec![support::milliseconds(kept.entry(line.to_owned()).or_insert_with(|| operation(line)))],
    });
}

fn main() {
    if let Some(path) = support::after("--serve") {
        return serve(&path);
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let chosen = |name: &str| arguments.iter().all(|word| word.starts_with("--") || name.contains(word.as_str()));
    let pools = [1, 2].map(|threads| ThreadPoolBuilder::new().num_threads(threads).build().expect("threads start"));
    let report = |name: &str, work: Work| {
        for pool in &pools {
            let (median, best) = support::summary((0..9).map(|_| measure(&work, pool)).collect());
            let threads = pool.current_num_threads();
            println!("{name}, {threads} threads: {median:.2} ms in the median, {best:.2} at best");
        }
    };
    if chosen("unet") {
        let step = Step::new(&mut random());
        report("unet", Box::new(move || drop(step.run())));
    }
    for line in OPERATIONS.into_iter().filter(|line| chosen(line)) {
        report(line, operation(line));
    }
}
