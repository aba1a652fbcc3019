//! The precision that networks compute in. Latents, schedules and text states stay in single precision.

use std::{fmt, str::FromStr};

use burn::tensor::{DType, Tensor, backend::Backend};

use crate::{Error, Result, clip::Parameters};

/// The type of a network's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits, 10 of them after the point; on a GPU half the memory and a multiple of the speed.
    F16,
    /// 16 bits with the range of 32.
    BF16,
}

impl Precision {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::F32, Self::F16, Self::BF16];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::BF16 => "bf16",
        }
    }

    /// Burn's type.
    pub const fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
            Self::BF16 => DType::BF16,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl FromStr for Precision {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let known = || Self::ALL.map(Self::name).join(", ");
        let found = Self::ALL.into_iter().find(|precision| precision.name() == name);
        found.ok_or_else(|| Error::Usage(format!("the precision {name:?} is not known; known are {}", known())))
    }
}

/// Parameters in another precision than their source gives.
pub(super) struct InPrecision<'a, P>(pub(super) &'a mut P, pub(super) DType);

impl<B: Backend, P: Parameters<B>> Parameters<B> for InPrecision<'_, P> {
    fn tensor<const D: usize>(&mut self, name: &str, shape: [usize; D]) -> Tensor<B, D> {
        self.0.tensor(name, shape).cast(self.1)
    }

    fn scalar(&mut self, name: &str) -> f32 {
        self.0.scalar(name)
    }
}
