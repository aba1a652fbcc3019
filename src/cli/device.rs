//! The device that a command computes on, and the format of its numbers there.

use std::{fmt, str::FromStr};

use clap::Args;

use super::progress;
#[cfg(feature = "cuda")]
use crate::platform::cuda;
#[cfg(feature = "wgpu")]
use crate::platform::gpu;
use crate::{
    Error, Result,
    clip::{Format, Precision, Storage},
    diffusion::DiffusionBackend,
};

/// What `--device` takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// The fastest that works.
    #[default]
    Auto,
    /// The processor, with this crate's own kernels.
    Cpu,
    /// The processor, by candle (in builds with the feature `candle`).
    Candle,
    /// An NVIDIA GPU, by its number (in builds with the feature `cuda`).
    Cuda(usize),
    /// A GPU, by Vulkan, Metal or DirectX and its number (in builds with the feature `wgpu`).
    Wgpu(usize),
}

impl FromStr for Device {
    type Err = String;

    /// `cuda` is `cuda:0`, `wgpu` is `wgpu:0`.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.to_ascii_lowercase();
        let (name, number) = text.split_once(':').map_or((text.as_str(), None), |(name, number)| (name, Some(number)));
        let index = || match number.map_or(Ok(0), str::parse) {
            Ok(index) => Ok(index),
            Err(_) => Err(format!("the number of a GPU is wanted after '{name}:', the first is 0")),
        };
        match (name, number) {
            ("auto", None) => Ok(Self::Auto),
            ("cpu", None) => Ok(Self::Cpu),
            ("candle", None) => Ok(Self::Candle),
            ("cuda", _) => index().map(Self::Cuda),
            ("wgpu", _) => index().map(Self::Wgpu),
            _ => Err("it is auto, cpu, candle, cuda, cuda:N, wgpu or wgpu:N".into()),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Candle => f.write_str("candle"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
            Self::Wgpu(index) => write!(f, "wgpu:{index}"),
        }
    }
}

/// The flag of a command that computes in f32.
#[derive(Args, Clone, Copy, Debug)]
pub struct Place {
    /// Where to compute: auto (the fastest that works), cpu, candle, cuda, cuda:N, wgpu or wgpu:N (N as 'lowshot doctor' lists them).
    #[arg(long, default_value_t, env = "LOWSHOT_DEVICE", hide_env_values = true)]
    pub device: Device,
}

/// The flags of a command whose towers may compute in half precision.
#[derive(Args, Clone, Copy, Debug)]
pub struct Compute {
    #[command(flatten)]
    pub place: Place,
    /// What the towers compute in: f32, f16 or bf16. Half precision is for GPUs, and bf16 for processors with AMX; whatever learns is in
    /// f32, and so is a tower while it trains.
    #[arg(long, default_value_t)]
    pub precision: Precision,
}

/// The flags of a command that loads a CLIP.
#[derive(Args, Clone, Copy, Debug)]
pub struct ClipCompute {
    #[command(flatten)]
    pub compute: Compute,
    /// How matrices lie in memory on the CPU: auto (the narrowest form that changes nothing), f32, f16 or int8.
    #[arg(long, default_value_t)]
    pub weights: Storage,
}

impl ClipCompute {
    /// What the model's numbers are to be.
    pub fn format(self) -> Format {
        Format { precision: self.compute.precision, storage: self.weights }
    }

    /// As [`Compute::run`].
    pub fn run<T: Task>(self, task: T) -> Result<T::Output> {
        self.compute.run(task)
    }
}

/// Work that is generic over the backend. A closure cannot be, so it is a type with one method.
pub trait Task {
    /// What it gives.
    type Output;
    /// Does it on `device`.
    fn run<B: DiffusionBackend>(self, device: &B::Device) -> Result<Self::Output>;
}

/// A device that was found, and compared with the CPU.
enum Started {
    Cpu,
    #[cfg(feature = "candle")]
    Candle,
    #[cfg(feature = "cuda")]
    Cuda(burn_cuda::CudaDevice),
    #[cfg(feature = "wgpu")]
    Wgpu(burn_wgpu::WgpuDevice),
}

impl Compute {
    /// Runs `task`, which loads its towers in this precision, on this device.
    pub fn run<T: Task>(self, task: T) -> Result<T::Output> {
        match self.start()? {
            Started::Cpu => task.run::<burn_flex::Flex>(&Default::default()),
            #[cfg(feature = "candle")]
            Started::Candle => task.run::<burn_candle::Candle>(&Default::default()),
            #[cfg(feature = "cuda")]
            Started::Cuda(device) => task.run::<burn_cuda::Cuda>(&device),
            #[cfg(feature = "wgpu")]
            Started::Wgpu(device) => task.run::<burn_wgpu::Wgpu>(&device),
        }
    }

    fn start(self) -> Result<Started> {
        match self.place.device {
            Device::Auto => Ok(self.fastest()),
            Device::Cpu => Ok(Started::Cpu),
            #[cfg(feature = "candle")]
            Device::Candle => Ok(Started::Candle),
            #[cfg(feature = "cuda")]
            Device::Cuda(index) => cuda::start(index, self.precision).map(Started::Cuda),
            #[cfg(feature = "wgpu")]
            Device::Wgpu(index) => gpu::adapter(index)?.start(self.precision).map(Started::Wgpu),
            #[allow(unreachable_patterns, reason = "in a build with everything")]
            absent => {
                let name = absent.to_string();
                let name = name.split(':').next().unwrap_or_default();
                let advice = format!("build it with '--features {name}' or use --device cpu");
                Err(Error::Usage(format!("this binary was built without {name}; {advice}")))
            }
        }
    }

    /// The first that works; why no GPU does, in a build that could use one, is a note.
    #[cfg_attr(
        not(any(feature = "cuda", feature = "wgpu")),
        allow(clippy::unused_self, reason = "GPUs are asked for a precision")
    )]
    fn fastest(self) -> Started {
        #[allow(unused_mut, reason = "in a build without GPUs there is nothing to be tried")]
        let mut reasons: Vec<String> = Vec::new();
        #[cfg(feature = "cuda")]
        match cuda::start(0, self.precision) {
            Ok(device) => return Started::Cuda(device),
            Err(why) => reasons.push(why.to_string()),
        }
        #[cfg(feature = "wgpu")]
        match gpu::fastest().and_then(|adapter| adapter.start(self.precision)) {
            Ok(device) => return Started::Wgpu(device),
            Err(why) => reasons.push(why.to_string()),
        }
        if !reasons.is_empty() {
            progress::note(&format!("{}: computing on the CPU", reasons.join("; ")));
        }
        Started::Cpu
    }
}

impl Device {
    /// Runs `task` on this device, in f32.
    pub fn run<T: Task>(self, task: T) -> Result<T::Output> {
        Compute { place: Place { device: self }, precision: Precision::F32 }.run(task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_with_and_without_a_number_and_written_back() {
        let cases = [
            ("auto", Device::Auto),
            ("CPU", Device::Cpu),
            ("candle", Device::Candle),
            ("cuda", Device::Cuda(0)),
            ("cuda:3", Device::Cuda(3)),
            ("wgpu", Device::Wgpu(0)),
            ("Wgpu:1", Device::Wgpu(1)),
        ];
        for (text, device) in cases {
            assert_eq!(text.parse(), Ok(device), "{text}");
            assert_eq!(device.to_string().parse(), Ok(device));
        }
        for text in ["", "abacus", "cpu:0", "auto:1", "cuda:", "cuda:-1", "cuda:one", "cuda:0:1"] {
            assert!(text.parse::<Device>().is_err(), "{text}");
        }
    }
}
