//! Image features of ViT-B/16 with seeded random weights on the CPU backend: milliseconds an image.
//!
//! By itself it measures batch 1 and 8 on 1 and 2 threads. With `--serve` it measures what it is told to on standard
//! input, a line `BATCH THREADS` at a time, so that `benches/peers/features.py` can take turns with it.
#![allow(clippy::print_stdout)]

use std::io::{BufRead, Write};
use std::time::Instant;

use burn::tensor::{Tensor, TensorData};
use burn_flex::{Flex, FlexDevice};
use lowshot::clip::kernels::{Activation, ClipBackend};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::{ThreadPool, ThreadPoolBuilder};

const LAYERS: usize = 12;
const WIDTH: usize = 768;
const HEADS: usize = 12;
const PATCH: usize = 16;
const SIZE: usize = 224;
const EMBEDDING: usize = 512;
const EPSILON: f64 = 1e-5;

type Matrix = <Flex as ClipBackend>::Matrix;

struct Norm {
    gamma: Tensor<Flex, 1>,
    beta: Tensor<Flex, 1>,
}

impl Norm {
    fn new() -> Self {
        Self { gamma: Tensor::ones([WIDTH], &FlexDevice), beta: Tensor::zeros([WIDTH], &FlexDevice) }
    }

    fn forward(&self, x: Tensor<Flex, 3>) -> Tensor<Flex, 3> {
        Flex::layer_norm(x, &self.gamma, &self.beta, EPSILON)
    }
}

struct Linear {
    weight: Matrix,
    bias: Tensor<Flex, 1>,
}

struct Block {
    norms: [Norm; 2],
    qkv: Linear,
    out: Linear,
    up: Linear,
    down: Linear,
}

struct Tower {
    patches: Matrix,
    class: Tensor<Flex, 3>,
    positions: Tensor<Flex, 3>,
    pre: Norm,
    blocks: Vec<Block>,
    post: Norm,
    projection: Matrix,
}

fn random<const D: usize>(shape: [usize; D], scale: f32, random: &mut ChaCha8Rng) -> Tensor<Flex, D> {
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| random.random_range(-scale..scale)).collect();
    Tensor::from_data(TensorData::new(values, shape), &FlexDevice)
}

impl Tower {
    fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut linear = |outputs: usize, inputs: usize| Linear {
            weight: Flex::matrix(random([outputs, inputs], (3.0 / inputs as f32).sqrt() * 0.5, &mut rng)),
            bias: random([outputs], 0.02, &mut rng),
        };
        let mut block = || Block {
            norms: [Norm::new(), Norm::new()],
            qkv: linear(3 * WIDTH, WIDTH),
            out: linear(WIDTH, WIDTH),
            up: linear(4 * WIDTH, WIDTH),
            down: linear(WIDTH, 4 * WIDTH),
        };
        let blocks = (0..LAYERS).map(|_| block()).collect();
        let grid = SIZE / PATCH;
        Self {
            patches: Flex::matrix(random([WIDTH, 3 * PATCH * PATCH], 0.02, &mut rng)),
            class: random([1, 1, WIDTH], 0.02, &mut rng),
            positions: random([1, grid * grid + 1, WIDTH], 0.02, &mut rng),
            pre: Norm::new(),
            blocks,
            post: Norm::new(),
            projection: Flex::matrix(random([EMBEDDING, WIDTH], 0.02, &mut rng)),
        }
    }

    /// `[batch, 3, 224, 224]` → `[batch, 1, 512]`
    fn forward(&self, pixels: Tensor<Flex, 4>) -> Tensor<Flex, 3> {
        let batch = pixels.dims()[0];
        let grid = SIZE / PATCH;
        let patches = pixels.reshape([batch, 3, grid, PATCH, grid, PATCH]).permute([0, 2, 4, 1, 3, 5]).reshape([
            batch,
            grid * grid,
            3 * PATCH * PATCH,
        ]);
        let patches = Flex::linear(patches, &self.patches, None, Activation::Identity, None);
        let x = Tensor::cat(vec![self.class.clone().repeat_dim(0, batch), patches], 1) + self.positions.clone();
        let mut x = self.pre.forward(x);
        let linear = |x, layer: &Linear, activation, residual| {
            Flex::linear(x, &layer.weight, Some(&layer.bias), activation, residual)
        };
        for block in &self.blocks {
            let qkv = linear(block.norms[0].forward(x.clone()), &block.qkv, Activation::Identity, None);
            let attended = Flex::attention(qkv, HEADS, false);
            x = linear(attended, &block.out, Activation::Identity, Some(x));
            let hidden = linear(block.norms[1].forward(x.clone()), &block.up, Activation::QuickGelu, None);
            x = linear(hidden, &block.down, Activation::Identity, Some(x));
        }
        let class = self.post.forward(x.narrow(1, 0, 1));
        Flex::linear(class, &self.projection, None, Activation::Identity, None)
    }
}

/// Milliseconds an image of one pass, of `pool`'s threads.
fn measure(tower: &Tower, pixels: &Tensor<Flex, 4>, pool: &ThreadPool) -> f64 {
    let start = Instant::now();
    let features = pool.install(|| tower.forward(pixels.clone()));
    std::hint::black_box(features);
    start.elapsed().as_secs_f64() * 1e3 / pixels.dims()[0] as f64
}

fn main() {
    let tower = Tower::new(1);
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let pixels = |batch: usize, rng: &mut ChaCha8Rng| random([batch, 3, SIZE, SIZE], 1.7, rng);
    let images = [(1, pixels(1, &mut rng)), (8, pixels(8, &mut rng))];
    let pools = [1, 2].map(|threads| ThreadPoolBuilder::new().num_threads(threads).build().expect("threads start"));
    if std::env::args().any(|argument| argument == "--serve") {
        println!("ready");
        for line in std::io::stdin().lock().lines() {
            let line = line.expect("standard input is text");
            let mut numbers = line.split_whitespace().map(|word| word.parse::<usize>().expect("BATCH THREADS"));
            let (Some(batch), Some(threads)) = (numbers.next(), numbers.next()) else { break };
            let (_, pixels) = images.iter().find(|(size, _)| *size == batch).expect("a batch of 1 or 8");
            println!("{}", measure(&tower, pixels, &pools[threads - 1]));
            std::io::stdout().flush().expect("standard output is open");
        }
        return;
    }
    for (batch, pixels) in &images {
        for pool in &pools {
            let mut times: Vec<f64> = (0..7).map(|_| measure(&tower, pixels, pool)).collect();
            times.sort_by(f64::total_cmp);
            println!(
                "batch {batch}, {} threads: {:.1} ms an image in the median, {:.1} at best",
                pool.current_num_threads(),
                times[times.len() / 2],
                times[0]
            );
        }
    }
}
