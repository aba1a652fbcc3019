//! The device that a command computes on.

use std::fmt;

use clap::ValueEnum;

use crate::{Result, diffusion::DiffusionBackend};

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
}

/// Work that is generic over the backend. A closure cannot be, so it is a type with one method.
pub trait Task {
    /// What it gives.
    type Output;
    /// Does it on `device`.
    fn run<B: DiffusionBackend>(self, device: &B::Device) -> Result<Self::Output>;
}

impl Device {
    /// Runs `task` on this device.
    pub fn run<T: Task>(self, task: T) -> Result<T::Output> {
        match self {
            Self::Auto | Self::Cpu => task.run::<burn_flex::Flex>(&Default::default()),
            #[cfg(feature = "candle")]
            Self::Candle => task.run::<burn_candle::Candle>(&Default::default()),
            #[cfg(not(feature = "candle"))]
            Self::Candle => Err(crate::Error::Usage(
                "this binary was built without candle; build it with '--features candle' or use --device cpu".into(),
            )),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto | Self::Cpu => "cpu",
            Self::Candle => "candle",
        })
    }
}
