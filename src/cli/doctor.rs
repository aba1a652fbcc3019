//! `lowshot doctor`: what this binary and this machine can do, checked rather than assumed.

use std::time::Instant;

use burn::tensor::{Distribution, Tensor};
use clap::Args;
use serde_json::json;

use super::{
    device::{Device, Task},
    table,
};
#[cfg(feature = "wgpu")]
use crate::platform::gpu;
#[cfg(feature = "cuda")]
use crate::platform::{cuda, nvidia};
use crate::{
    Error, Result,
    clip::{
        ClipBackend, Precision, Storage,
        kernels::{Activation, cpu::simd::Instructions, portable},
    },
    platform::{models::demo_files, native},
    session::Backbone,
    train,
};

/// Check devices, kernels, the cache and the model inside the package.
#[derive(Args)]
pub struct Doctor {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Doctor {
    /// Runs the command; fails when a check fails.
    pub fn run(self) -> Result<()> {
        let devices = [
            ("cpu", Ok(Device::Cpu)),
            (
                "candle",
                if cfg!(feature = "candle") {
                    Ok(Device::Candle)
                } else {
                    Err("not compiled in (build with --features candle)")
                },
            ),
        ];
        let mut checks: Vec<Check> = Vec::new();
        let mut failed = false;
        for (name, device) in devices {
            match device.map(|device| device.run(SelfTest)) {
                Ok(Ok(speed)) => checks.push((name.into(), "works", speed)),
                Ok(Err(error)) => {
                    failed = true;
                    checks.push((name.into(), "FAILS", error.to_string()));
                }
                Err(reason) => checks.push((name.into(), "absent", reason.to_owned())),
            }
        }
        for (what, state, detail) in [cuda(), gpus(), autotune()].concat() {
            failed |= state == "FAILS";
            checks.push((what, state, detail));
        }
        let threads = rayon::current_num_threads();
        checks.push(("threads".into(), "", format!("{threads} (set RAYON_NUM_THREADS to change)")));
        checks.push(("processor".into(), "", processor().join(" ")));
        checks.push(("kernels".into(), "", format!("{} (the best of these)", Instructions::best().name())));
        match native::cache_folder().and_then(|folder| {
            let probe = folder.join("probe");
            native::write(&probe, b"lowshot")?;
            std::fs::remove_file(&probe).map_err(|source| Error::write(&probe, source))?;
            Ok(folder)
        }) {
            Ok(folder) => checks.push(("cache".into(), "works", folder.display().to_string())),
            Err(error) => {
                checks.push(("cache".into(), "FAILS", format!("{error}; set LOWSHOT_CACHE to another folder")))
            }
        }
        let start = Instant::now();
        match Backbone::<burn_flex::Flex>::load("demo", &demo_files(), &Default::default()) {
            Ok(_) => {
                checks.push(("demo model".into(), "works", format!("loads in {} ms", start.elapsed().as_millis())))
            }
            Err(error) => {
                failed = true;
                checks.push(("demo model".into(), "FAILS", error.to_string()));
            }
        }
        if self.json {
            let checks: Vec<_> = checks
                .iter()
                .map(|(what, state, detail)| json!({"what": what, "state": state, "detail": detail}))
                .collect();
            table::json(&json!({"lowshot": env!("CARGO_PKG_VERSION"), "checks": checks}))?;
        } else {
            table::line(&format!("lowshot {}", env!("CARGO_PKG_VERSION")));
            let rows: Vec<Vec<String>> =
                checks.into_iter().map(|(what, state, detail)| vec![what, state.into(), detail]).collect();
            table::rows(&["what", "state", "detail"], &rows, &[]);
        }
        if failed { Err(Error::Failed("a check failed; the lines above say which".into())) } else { Ok(()) }
    }
}

/// Each GPU that Vulkan, Metal or DirectX know of, compared with the CPU in each format that it has.
#[cfg(feature = "wgpu")]
fn gpus() -> Vec<Check> {
    let adapters = gpu::adapters();
    if adapters.is_empty() {
        return vec![("wgpu".into(), "absent", "no GPU was found (is its driver installed?)".to_owned())];
    }
    let check = |(index, adapter): (usize, gpu::Adapter)| {
        let megabytes = adapter.largest_buffer >> 20;
        let kind = if adapter.software { ", made of software: slower than cpu" } else { "" };
        let precision = if adapter.f16 { Precision::F16 } else { Precision::F32 };
        let device =
            format!("{}{kind} ({}, {}), tensors to {megabytes} MiB", adapter.name, adapter.interface, adapter.driver);
        let what = format!("wgpu:{index}");
        match adapter.start(Precision::F32).and_then(|device| gpu::check(&device, precision)) {
            Ok(()) if precision == Precision::F16 => (what, "works", format!("{device}, f32 and f16")),
            Ok(()) => (what, "works", format!("{device}, f32 alone")),
            Err(why) => (what, "FAILS", format!("{device}: {why}")),
        }
    };
    adapters.into_iter().enumerate().map(check).collect()
}

#[cfg(not(feature = "wgpu"))]
fn gpus() -> Vec<Check> {
    vec![("wgpu".into(), "absent", "not compiled in (build with --features wgpu)".to_owned())]
}

/// Each NVIDIA GPU, compared with the CPU in each format that it has; where there is none, what is missing.
#[cfg(feature = "cuda")]
fn cuda() -> Vec<Check> {
    let machine = nvidia::Machine::look();
    let Some(Ok(driver)) = &machine.driver else {
        let why = machine.gpu(0).err().map_or_else(String::new, |lack| lack.to_string());
        return vec![("cuda".into(), "absent", why)];
    };
    let compiler = match &machine.compiler {
        Some(Ok(compiler)) => format!("NVRTC {}", compiler.version),
        _ => "no NVRTC".to_owned(),
    };
    let headers =
        machine.toolkit.as_ref().map_or_else(String::new, |folder| format!(", headers in {}", folder.display()));
    let versions = format!("driver for CUDA {}, {compiler}{headers}", driver.version);
    if driver.gpus.is_empty() {
        let why = machine.gpu(0).err().map_or_else(String::new, |lack| lack.to_string());
        return vec![("cuda".into(), "absent", format!("{versions}: {why}"))];
    }
    let check = |(index, gpu): (usize, &nvidia::Gpu)| {
        let nvidia::Gpu { name, capability, memory } = gpu;
        let gigabytes = *memory as f64 / f64::from(1 << 30);
        let device = format!("{name} (compute capability {capability}, {gigabytes:.0} GiB), {versions}");
        let what = format!("cuda:{index}");
        match cuda::start(index, Precision::F32).and_then(|device| cuda::formats(&device)) {
            Ok(formats) => (what, "works", format!("{device}, {formats}")),
            Err(why) => (what, "FAILS", format!("{device}: {why}")),
        }
    };
    driver.gpus.iter().enumerate().map(check).collect()
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> Vec<Check> {
    vec![("cuda".into(), "absent", "not compiled in (build with --features cuda)".to_owned())]
}

/// Where measurements of kernels are kept between runs.
#[cfg(any(feature = "cuda", feature = "wgpu"))]
fn autotune() -> Vec<Check> {
    if cfg!(not(feature = "cuda")) {
        let why = "off: what is measured in builds with the feature 'cuda' alone";
        return vec![("autotune".into(), "", why.to_owned())];
    }
    let folder = crate::platform::autotune::folder();
    let what = folder.map_or_else(|| "not kept: no cache".to_owned(), |folder| format!("kept in {}", folder.display()));
    vec![("autotune".into(), "", what)]
}

#[cfg(not(any(feature = "cuda", feature = "wgpu")))]
fn autotune() -> Vec<Check> {
    Vec::new()
}

/// What was checked, what came of it, and more about it.
type Check = (String, &'static str, String);

/// The instruction sets that the kernels choose from.
fn processor() -> Vec<&'static str> {
    let mut sets = vec![std::env::consts::ARCH];
    #[cfg(target_arch = "x86_64")]
    {
        for (name, there) in [
            ("avx2", std::arch::is_x86_feature_detected!("avx2")),
            ("fma", std::arch::is_x86_feature_detected!("fma")),
            ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
            ("avx512bf16", std::arch::is_x86_feature_detected!("avx512bf16")),
            ("avx512fp16", std::arch::is_x86_feature_detected!("avx512fp16")),
            ("avx512vnni", std::arch::is_x86_feature_detected!("avx512vnni")),
        ] {
            if there {
                sets.push(name);
            }
        }
    }
    sets
}

/// Names, with commas between them.
fn list(names: impl Iterator<Item = impl ToString>) -> String {
    names.map(|name| name.to_string()).collect::<Vec<_>>().join(", ")
}

/// Compares a device's kernels with the portable definition, and measures them.
struct SelfTest;

/// Products that the speed is measured over.
const ROUNDS: u32 = 10;

impl Task for SelfTest {
    type Output = String;

    fn run<B: ClipBackend>(self, device: &B::Device) -> Result<String> {
        let random = |shape: [usize; 2]| Tensor::<B, 2>::random(shape, Distribution::Normal(0.0, 0.5), device);
        let x = random([197, 768]).unsqueeze::<3>();
        let weight = random([3072, 768]);
        let expected =
            portable::linear(x.clone(), &portable::matrix(weight.clone()), None, Activation::QuickGelu, None);
        let matrix = B::matrix(weight);
        let product = || <B as ClipBackend>::linear(x.clone(), &matrix, None, Activation::QuickGelu, None);
        let expected = pollster::block_on(train::read(expected))?;
        let found = pollster::block_on(train::read(product()))?;
        let scale = expected.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        let error = expected.iter().zip(&found).fold(0.0_f32, |largest, (a, b)| largest.max((a - b).abs())) / scale;
        if error.is_nan() || error >= 1e-4 {
            return Err(Error::Failed(format!("a linear layer is off by {error:e} of its largest value")));
        }
        let start = Instant::now();
        for _ in 0..ROUNDS {
            pollster::block_on(train::read(product().slice([0..1, 0..1, 0..1])))?;
        }
        let flops = 2.0 * 197.0 * 768.0 * 3072.0 * f64::from(ROUNDS);
        let speed = flops / start.elapsed().as_secs_f64() / 1e9;
        let precisions = Precision::ALL.into_iter().filter(|precision| B::computes_in(*precision, device));
        let forms = Storage::ALL.into_iter().filter(|storage| *storage != Storage::Exact && B::stores_in(*storage));
        Ok(format!(
            "{}, {speed:.0} GFLOP/s on a ViT-B/16 layer in f32; computes in {}; weights in {}",
            B::name(device),
            list(precisions),
            list(forms)
        ))
    }
}
