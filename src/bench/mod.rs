//! How fast this machine is: what `lowshot bench` measures.
//!
//! Each measurement is repeated for a while, and what is told of it is its median and spread, in wall time and in processor time.
//! Comparisons with other software are in `benches/peers`.

pub mod architectures;
pub mod clock;
pub mod first;
pub mod machine;
pub mod random;
pub mod work;

use std::{fmt, str::FromStr};

use serde::Serialize;

pub use clock::{Measurement, Spread};
pub use machine::Machine;
pub use work::{Subject, run};

use crate::Error;

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// A process's way to its first answer about a picture.
    First,
    /// JPEG files in memory to pixels as the image tower takes them.
    Pictures,
    /// JPEG files in memory to features, as pictures of a data set take that way.
    Files,
    /// The image tower.
    Images,
    /// The text tower.
    Texts,
    /// Training steps with `LoRA` in both towers.
    Steps,
    /// Steps of Stable Diffusion's UNet.
    Unet,
}

impl What {
    /// All of them, in the order in which they are measured.
    pub const ALL: [Self; 7] =
        [Self::First, Self::Pictures, Self::Files, Self::Images, Self::Texts, Self::Steps, Self::Unet];

    /// What `--only` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Pictures => "pictures",
            Self::Files => "files",
            Self::Images => "images",
            Self::Texts => "texts",
            Self::Steps => "steps",
            Self::Unet => "unet",
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for What {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|what| what.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::Usage(format!("there is no measurement {name:?}: choose of {names}"))
        })
    }
}

/// What is to be measured, and for how long.
#[derive(Clone, Debug)]
pub struct Plan {
    /// In this order.
    pub what: Vec<What>,
    /// Numbers of the CPU's threads.
    pub threads: Vec<usize>,
    /// How many pictures or texts go through a tower together.
    pub batches: Vec<usize>,
    /// Seconds that a measurement is repeated for.
    pub seconds: f64,
    /// Which UNet.
    pub unet: UnetChoice,
}

/// Which UNet is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnetChoice {
    /// Stable Diffusion 1.5's at half its width, on latents of 32 × 32, with random weights.
    Half,
    /// Stable Diffusion 1.5's, on latents of 64 × 64, with random weights.
    Full,
    /// The UNet of the pipeline that has this name or lies in this folder, on latents of 64 × 64.
    Pipeline(String),
}

impl FromStr for UnetChoice {
    type Err = std::convert::Infallible;

    fn from_str(choice: &str) -> Result<Self, Self::Err> {
        Ok(match choice {
            "half" => Self::Half,
            "full" => Self::Full,
            name => Self::Pipeline(name.to_owned()),
        })
    }
}
