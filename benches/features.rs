//! Image features of ViT-B/16 with random weights on the CPU backend: milliseconds an image, by the tower that users run.
//!
//! By itself it measures batch 1 and 8 on 1 and 2 threads. With `--serve` it measures what it is told to on standard
//! input, a line `BATCH THREADS` at a time, so that `benches/peers/features.py` can take turns with it.
#![allow(clippy::print_stdout)]

use std::io::{BufRead, Write};
use std::time::Instant;

use burn::tensor::{Tensor, TensorData};
use burn_flex::Flex;
use lowshot::clip::{
    Parameters,
    config::{TransformerConfig, VisionConfig, VitConfig},
    kernels::Activation,
    vision::Vision,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::{ThreadPool, ThreadPoolBuilder};

const SIZE: usize = 224;

/// Random weights small enough that nothing overflows; the time does not depend on their values.
struct Random(ChaCha8Rng);

impl Parameters<Flex> for Random {
    fn tensor<const D: usize>(&mut self, _name: &str, shape: [usize; D]) -> Tensor<Flex, D> {
        random(shape, 0.05, &mut self.0)
    }

    fn scalar(&mut self, _name: &str) -> f32 {
        1.0
    }
}

fn random<const D: usize>(shape: [usize; D], scale: f32, random: &mut ChaCha8Rng) -> Tensor<Flex, D> {
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| random.random_range(-scale..scale)).collect();
    Tensor::from_data(TensorData::new(values, shape), &Default::default())
}

fn vit_b_16() -> Vision<Flex> {
    let transformer = TransformerConfig {
        layers: 12,
        width: 768,
        heads: 12,
        mlp: 3072,
        activation: Activation::QuickGelu,
        epsilon: 1e-5,
    };
    let config = VisionConfig::Vit(VitConfig { image: SIZE, patch: 16, transformer });
    Vision::load(&mut Random(ChaCha8Rng::seed_from_u64(1)), &config, 512)
}

/// Milliseconds an image of one pass, of `pool`'s threads.
fn measure(tower: &Vision<Flex>, pixels: &Tensor<Flex, 4>, pool: &ThreadPool) -> f64 {
    let start = Instant::now();
    let features = pool.install(|| tower.forward(pixels.clone()));
    std::hint::black_box(features);
    start.elapsed().as_secs_f64() * 1e3 / pixels.dims()[0] as f64
}

fn main() {
    let tower = vit_b_16();
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
