//! Image features on the GPU by the towers that users run: milliseconds an image, wall and processor time (which is the one that says
//! something where the GPU is software). `cargo bench --features page,wgpu --bench gpu -- [demo|vit-b-16] [ROUNDS]`.
//!
//! With `CUBECL_DEBUG_LOG=stdout CUBECL_DEBUG_OPTION=profile` CubeCL prints each kernel that it launches.
#![allow(clippy::print_stdout)]

use std::{fs, time::Instant};

use burn::tensor::{Tensor, TensorData};
use burn_wgpu::{Wgpu, WgpuDevice};
use lowshot::{
    clip::{
        Clip, ClipBackend, ClipConfig, Parameters, Precision,
        config::{EndOfText, TextConfig, TransformerConfig, VisionConfig, VitConfig},
        kernels::Activation,
    },
    platform::{gpu, models::demo_files},
    session::Backbone,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Random weights small enough that nothing overflows; the time does not depend on their values.
struct Random(ChaCha8Rng, WgpuDevice);

impl Parameters<Wgpu> for Random {
    fn tensor<const D: usize>(&mut self, _name: &str, shape: [usize; D]) -> Tensor<Wgpu, D> {
        random(shape, 0.05, &mut self.0, &self.1)
    }

    fn scalar(&mut self, _name: &str) -> f32 {
        1.0
    }
}

fn random<const D: usize>(
    shape: [usize; D],
    scale: f32,
    random: &mut ChaCha8Rng,
    device: &WgpuDevice,
) -> Tensor<Wgpu, D> {
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| random.random_range(-scale..scale)).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// `ViT-B/16` with hardly any text tower.
fn vit_b_16() -> ClipConfig {
    let transformer = |width: usize, layers: usize| TransformerConfig {
        layers,
        width,
        heads: width / 64,
        mlp: 4 * width,
        activation: Activation::QuickGelu,
        epsilon: 1e-5,
    };
    ClipConfig {
        embedding: 512,
        vision: VisionConfig::Vit(VitConfig { image: 224, patch: 16, transformer: transformer(768, 12) }),
        text: TextConfig {
            vocabulary: 64,
            context: 8,
            end_of_text: EndOfText::LargestId,
            transformer: transformer(64, 1),
        },
    }
}

/// Processor time of this process until now, in milliseconds; 0 where nobody tells.
fn processor() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    10.0 * ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>()
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let name = words.first().map_or("demo", String::as_str);
    let rounds: usize = words.get(1).map_or(5, |word| word.parse().expect("a number of rounds"));
    let adapter = gpu::adapters().into_iter().next().expect("an adapter");
    println!("{} ({})", adapter.name, adapter.driver);
    let device = adapter.start(Precision::F32).expect("the adapter starts");
    let (clip, side) = if name == "demo" {
        (Backbone::<Wgpu>::load("demo", &demo_files(), &device).expect("the demo model loads").clip, 64)
    } else {
        (Clip::load(&mut Random(ChaCha8Rng::seed_from_u64(1), device.clone()), &vit_b_16(), &device), 224)
    };
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    for precision in [Precision::F32, Precision::F16] {
        if !<Wgpu as ClipBackend>::computes_in(precision, &device) {
            continue;
        }
        let clip = clip.in_precision(precision);
        for batch in [1, 8] {
            let pixels = random([batch, 3, side, side], 1.7, &mut rng, &device);
            for round in 0..=rounds {
                let (start, before) = (Instant::now(), processor());
                let features = clip.vision.forward(pixels.clone()).into_data();
                std::hint::black_box(features);
                let (wall, used) = (start.elapsed().as_secs_f64() * 1e3, processor() - before);
                let what = if round == 0 { "first (with compilation)" } else { "again" };
                let [wall, used] = [wall, used].map(|time| time / batch as f64);
                println!("{name} {precision} batch {batch}: {wall:.1} ms an image, processor {used:.1} ms, {what}");
            }
        }
    }
}
