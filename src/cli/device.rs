//! The device that a command computes on, and the format of its numbers there.

use clap::{Args, ValueEnum};

#[cfg(feature = "wgpu")]
use super::progress;
#[cfg(feature = "wgpu")]
use crate::platform::gpu;
use crate::{
    Error, Result,
    clip::{ClipBackend, Precision},
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

/// Work that is generic over the backend. A closure cannot be, so it is a type with one method.
pub trait Task {
    /// What it gives.
    type Output;
    /// Does it on `device`.
    fn run<B: ClipBackend>(self, device: &B::Device) -> Result<Self::Output>;
}

impl Compute {
    /// Runs `task`, which loads its towers in this precision, on this device.
    pub fn run<T: Task>(self, task: T) -> Result<T::Output> {
        match self.device {
            #[cfg(feature = "wgpu")]
            Device::Auto => match gpu::fastest(true).and_then(|adapter| adapter.start(self.precision)) {
                Ok(device) => task.run::<burn_wgpu::Wgpu>(&device),
                Err(why) => {
                    progress::note(&format!("{why}: computing on the CPU"));
                    task.run::<burn_flex::Flex>(&Default::default())
                }
            },
            #[cfg(not(feature = "wgpu"))]
            Device::Auto => task.run::<burn_flex::Flex>(&Default::default()),
            Device::Cpu => task.run::<burn_flex::Flex>(&Default::default()),
            #[cfg(feature = "candle")]
            Device::Candle => task.run::<burn_candle::Candle>(&Default::default()),
            #[cfg(not(feature = "candle"))]
            Device::Candle => Err(absent("candle")),
            #[cfg(feature = "wgpu")]
            Device::Wgpu => task.run::<burn_wgpu::Wgpu>(&gpu::fastest(false)?.start(self.precision)?),
            #[cfg(not(feature = "wgpu"))]
            Device::Wgpu => Err(absent("wgpu")),
        }
    }
}

impl Device {
    /// Runs `task` on this device, in f32.
    pub fn run<T: Task>(self, task: T) -> Result<T::Output> {
        Compute { device: self, precision: Precision::F32 }.run(task)
    }
}

#[cfg(not(all(feature = "candle", feature = "wgpu")))]
fn absent(feature: &str) -> Error {
    Error::Usage(format!(
        "this binary was built without {feature}; build it with '--features {feature}' or use --device cpu"
    ))
}
