//! What the program computes with, compiled by NVIDIA's own compiler for a GPU that is not there: `hollow.c` takes the compiled
//! kernels and does nothing with them. That they compute rightly only a GPU can show.
//!
//! `LOWSHOT_TEST_CUDA` names where NVRTC and its headers lie, of PyPI or a toolkit (docs/cluster.md says how to get them, no GPU is
//! needed); without, the tests say that they are skipped. It is not `CUDA_PATH`, for which the program would be built anew.

use std::{env, fs, path::PathBuf, process::Command};

use burn::tensor::Tensor;
use burn_cuda::{Cuda, CudaDevice};
use lowshot::{
    adapter::{
        Labelled,
        bitfit::BitFitConfig,
        lora::LoraConfig,
        tuning::{Batch, BreakingConfig, Learning, LiveMetaConfig, Training, TuningConfig},
    },
    bench::{self, Plan, Subject, UnetChoice, What, architectures::architecture},
    clip::{Format, Precision},
    diffusion::{Loading, Noise, Pipeline, Request, Settings, schedule::SchedulerKind},
    experiment::Event,
    platform::{cuda, native::FolderFiles},
};

use super::{
    command::{Machine, tile},
    library,
    support::pipeline,
};

/// What stands in for a GPU.
pub enum Driver {
    /// It does nothing with kernels.
    Hollow,
    /// It executes them.
    Emulated,
}

/// A machine with such a GPU, and where NVRTC lies; nothing where there is no NVRTC or no compiler.
pub fn machine(driver: Driver, (major, minor): (u32, u32)) -> Option<(Machine, Vec<(&'static str, PathBuf)>)> {
    let toolkit = env::var_os("LOWSHOT_TEST_CUDA").map(PathBuf::from).filter(|path| path.join("include").is_dir());
    let Some(toolkit) = toolkit else {
        println!("skipped: LOWSHOT_TEST_CUDA names no toolkit (docs/cluster.md says how to get one without a GPU)");
        return None;
    };
    let machine = Machine::new();
    let mut values = vec![("MAJOR", major), ("MINOR", minor)];
    let emulator = match driver {
        Driver::Hollow => None,
        Driver::Emulated => Some("ptx"),
    };
    values.extend(emulator.map(|_| ("EMULATED", 1)));
    library("hollow.c", emulator, &machine.path("lib/libcuda.so.1"), &values)?;
    fs::copy(machine.path("lib/libcuda.so.1"), machine.path("lib/libcuda.so")).unwrap();
    let surroundings = vec![("LD_LIBRARY_PATH", machine.path("lib")), ("CUDA_PATH", toolkit)];
    Some((machine, surroundings))
}

#[test]
fn a_gpu_that_computes_nothing_is_found_out() {
    let Some((machine, surroundings)) = machine(Driver::Hollow, (9, 0)) else { return };
    let done = machine
        .command()
        .envs(surroundings)
        .args(["classify", &tile(9), "--classes", "dog,boat", "--device", "cuda"])
        .output()
        .unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    println!("{}", said.trim());
    assert!(done.status.code() == Some(1) && said.contains("hollow is not used: it computes wrongly in f32"), "{said}");
}

/// The loader takes the driver from where it is told before the process begins, so the work is done by another. It takes ten minutes a
/// precision, since of each product all forms are compiled that a GPU would be measured with.
#[test]
fn every_kernel_compiles_in_every_precision() {
    for (capability, precision) in [((9, 0), "f32"), ((9, 0), "bf16"), ((8, 0), "f16")] {
        let Some((machine, surroundings)) = machine(Driver::Hollow, capability) else { return };
        let done = Command::new(env::current_exe().unwrap())
            .args(["--exact", "hollow::computes_everything", "--ignored", "--nocapture"])
            .envs(surroundings)
            .env(PRECISION, precision)
            .env("LOWSHOT_CACHE", machine.cache())
            .output()
            .unwrap();
        let [told, said] = [done.stdout, done.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        let counts = said.lines().rev().find(|line| line.starts_with("hollow: ") && !line.starts_with("hollow: 0 "));
        println!("{capability:?} {precision}: {}", counts.unwrap_or("nothing was compiled"));
        assert!(done.status.success() && counts.is_some() && told.contains("1 passed"), "{told}\n{said}");
    }
}

/// What the other process is told to compute in.
const PRECISION: &str = "LOWSHOT_TEST_PRECISION";

#[test]
#[ignore = "the test before runs it, with the driver that it needs"]
fn computes_everything() {
    let precision: Precision = env::var(PRECISION).unwrap().parse().unwrap();
    // It is found out here too; by then NVRTC is open, as for a GPU that computes.
    let refusal = cuda::start(0, precision).unwrap_err().to_string();
    assert!(refusal.contains("computes wrongly"), "{refusal}");
    let device = CudaDevice::new(0);
    for (name, what) in [("ViT-B/16", &[What::Images, What::Texts, What::Steps][..]), ("RN50", &[What::Images])] {
        let subject = Subject::<Cuda>::random(architecture(name).unwrap(), Format::from(precision), &device).unwrap();
        let plan =
            Plan { what: what.to_vec(), threads: vec![1], batches: vec![8], seconds: 0.0, unet: UnetChoice::Half };
        let found = bench::run(&plan, &subject, &mut |event: &Event| println!("{name}: {event:?}")).unwrap();
        assert!(found.len() >= what.len(), "{found:?}");
    }
    learns_in_every_way(precision, &device);
    makes_pictures(precision, &device);
}

/// LoRA, BitFit, a Meta-Adapter and the breaking loss together, in parts and with blocks computed twice.
fn learns_in_every_way(precision: Precision, device: &CudaDevice) {
    const CLASSES: usize = 3;
    let config = architecture("demo").unwrap();
    let subject = Subject::<Cuda>::random(config.clone(), Format::from(precision), device).unwrap();
    let learning = Learning {
        clip: &subject.clip,
        shape: &config,
        prompts: (0..CLASSES as u32).map(|class| vec![49406, 1 + class, 49407]).collect(),
        classes: CLASSES,
        scale: 100.0,
        shots: Labelled { features: Tensor::ones([6, config.embedding], device), labels: vec![0, 0, 1, 1, 2, 2] },
    };
    let recipe = TuningConfig {
        batch: 4,
        accumulate: 2,
        checkpoint_blocks: true,
        lora: Some(LoraConfig { dropout: 0.25, ..LoraConfig::default() }),
        bitfit: Some(BitFitConfig::default()),
        meta: Some(LiveMetaConfig { dropout: 0.1 }),
        breaking: Some(BreakingConfig::default()),
        ..TuningConfig::default()
    };
    let mut training = Training::start(recipe, learning, 1).unwrap();
    let side = config.vision.image();
    let pictures = |count: usize| Tensor::<Cuda, 4>::ones([count, 3, side, side], device);
    for _ in 0..3 {
        let breaking = Some([pictures(2), pictures(2)]);
        let batch =
            Batch { pixels: pictures(4), labels: vec![0, 1, 2, 0], weights: vec![1.0, 1.0, 0.5, 0.5], breaking };
        pollster::block_on(training.step(batch)).unwrap();
    }
}

/// From a picture to two others, through text encoder, autoencoder, UNet and every scheduler.
fn makes_pictures(precision: Precision, device: &CudaDevice) {
    let folder = tempfile::tempdir().unwrap();
    let files = FolderFiles::open(&pipeline::write(&folder.path().join("small"))).unwrap();
    let loading = Loading { precision, ..Loading::default() };
    let made = Pipeline::<Cuda>::load(&files, &loading, device).unwrap();
    let picture = image::RgbImage::from_fn(64, 64, |x, y| image::Rgb([x as u8, y as u8, 7]));
    let request = |seed| Request { picture: &picture, prompt: "a dog", negative_prompt: "", noise: Noise::Seed(seed) };
    for scheduler in SchedulerKind::ALL {
        let settings =
            Settings { scheduler: Some(scheduler), steps: 4, strength: 0.5, guidance: 7.5, ..Settings::default() };
        let pictures = made.image_to_image(&[request(1), request(2)], &settings, &mut |_, _| Ok(())).unwrap();
        assert_eq!(pictures[1].dimensions(), (64, 64));
    }
}
