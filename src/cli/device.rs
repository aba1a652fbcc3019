//! The device that a command computes on, and the format of its numbers there.

use clap::{Args, ValueEnum};

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Device {
    /// The fastest that works.
    #[default]
    Auto,
    /// The processor, with this crate's own kernels.
    Cpu,
    /// The processor, by candle (in builds with the feature `candle`).
    Candle,
    /// An NVIDIA GPU (in builds with the feature `cuda`).
    Cuda,
    /// A GPU, by Vulkan, Metal or DirectX (in builds with the feature `wgpu`).
    Wgpu,
}

/// The flags of a command whose towers may compute in half precision.
#[derive(Args, Clone, Copy, Debug)]
pub struct Compute {
    /// Where to compute.
    #[arg(long, value_enum, default_value_t, env = "LOWSHOT_DEVICE", hide_env_values = true)]
    pub device: Device,
    /// What the towers compute in: f32, f16 or bf16. Half precision is for GPUs; whatever learns is in f32.
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
        match self.device {
            Device::Auto => Ok(self.fastest()),
            Device::Cpu => Ok(Started::Cpu),
            #[cfg(feature = "candle")]
            Device::Candle => Ok(Started::Candle),
            #[cfg(feature = "cuda")]
            Device::Cuda => cuda::start(0, self.precision).map(Started::Cuda),
            #[cfg(feature = "wgpu")]
            Device::Wgpu => gpu::fastest(false)?.start(self.precision).map(Started::Wgpu),
            #[allow(unreachable_patterns, reason = "in a build with everything")]
            absent => {
                let name = absent.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
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
        match gpu::fastest(true).and_then(|adapter| adapter.start(self.precision)) {
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
        Compute { device: self, precision: Precision::F32 }.run(task)
    }
}
