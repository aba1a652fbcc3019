//! The format of the numbers that towers compute in, and how towers get into another one.
//!
//! In half precision weights take half the memory and GPUs multiply two to eight times as fast. What goes into a tower (pixels) and
//! what comes out (features) is f32 in any case. Inside, matrix products add up in f32 and give half precision; statistics of
//! layer norms, softmax and the functions of activations are computed in f32 (Micikevicius and others, "Mixed precision training",
//! 2018). What learns is in f32, and so is a tower that trains.

use std::{fmt, str::FromStr};

use burn::{
    backend::Autodiff,
    tensor::{FloatDType, Tensor},
};
use serde::{Deserialize, Serialize};

use super::ClipBackend;
use crate::Error;

/// The format of a tower's weights and of what passes between its layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// IEEE single precision: 8 bits of exponent, 23 of fraction.
    #[default]
    F32,
    /// IEEE half precision: 5 bits of exponent, 10 of fraction.
    F16,
    /// Half precision with the range of f32: 8 bits of exponent, 7 of fraction.
    Bf16,
}

impl Precision {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::F32, Self::F16, Self::Bf16];

    /// Its name on the command line and in JavaScript.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }

    /// As Burn calls it.
    pub fn dtype(self) -> FloatDType {
        match self {
            Self::F32 => FloatDType::F32,
            Self::F16 => FloatDType::F16,
            Self::Bf16 => FloatDType::BF16,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Precision {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|precision| precision.name() == name)
            .ok_or_else(|| Error::Usage(format!("precision {name:?}: choose f32, f16 or bf16")))
    }
}

/// The form in which a tower's matrices lie in memory, whatever it computes in.
///
/// On the CPU a narrow form becomes f32 block by block inside the product, so that it costs next to no time and saves half or three
/// quarters of the memory. Vectors (biases, layer norms, positions) are f32 in any case. Other devices hold weights in the format
/// that they compute in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    /// For each matrix the narrowest that changes none of its numbers; in f32 where half would save less than half a MiB. What was saved in half precision (OpenAI's models were,
    /// though their files on the hub are in single) takes half the memory, what was saved in int8 a quarter.
    #[default]
    #[serde(rename = "auto")]
    Exact,
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// Whole numbers of eight bits, with a scale for each output.
    Int8,
}

impl Storage {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Exact, Self::F32, Self::F16, Self::Int8];

    /// Its name on the command line and in JavaScript.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "auto",
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Int8 => "int8",
        }
    }
}

/// What a model's numbers are: what its towers compute in, and how their matrices lie in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Format {
    /// What is computed in.
    pub precision: Precision,
    /// How matrices lie in memory.
    pub storage: Storage,
}

impl From<Precision> for Format {
    fn from(precision: Precision) -> Self {
        Self { precision, ..Self::default() }
    }
}

impl Format {
    /// What sets results apart from those of a model in f32 with the weights of its file; empty where nothing does.
    pub fn difference(self) -> String {
        let precision = (self.precision != Precision::F32).then(|| self.precision.to_string());
        let lossy = matches!(self.storage, Storage::F16 | Storage::Int8);
        let storage = lossy.then(|| format!("weights in {}", self.storage));
        precision.into_iter().chain(storage).collect::<Vec<_>>().join(", ")
    }

    /// Whether a model's numbers can be so on this device.
    ///
    /// # Errors
    /// [`Error::Usage`] where the device does not compute in that precision or cannot hold matrices in that form.
    pub fn check<B: ClipBackend>(self, device: &B::Device) -> Result<(), Error> {
        let Self { precision, storage } = self;
        if !B::stores_in(storage) {
            let advice = "weights in f16 and int8 are for the CPU; use --precision f16 here, or --device cpu";
            return Err(Error::Usage(format!("{} holds weights in what it computes in: {advice}", B::name(device))));
        }
        if !B::computes_in(precision, device) {
            let why = format!("{} does not compute in {precision} here; use f32", B::name(device));
            return Err(Error::Usage(why));
        }
        Ok(())
    }
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Storage {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|storage| storage.name() == name)
            .ok_or_else(|| Error::Usage(format!("weights {name:?}: choose auto, f32, f16 or int8")))
    }
}

/// How the tensors of a tower on `B` become those of the same tower on `C`.
pub(super) trait Conversion<B: ClipBackend, C: ClipBackend> {
    /// A tensor that is in the tower's format.
    fn tensor<const D: usize>(&self, tensor: &Tensor<B, D>) -> Tensor<C, D>;

    /// A vector that is f32 in every tower.
    fn vector(&self, vector: &Tensor<B, 1>) -> Tensor<C, 1>;

    /// A frozen matrix.
    fn matrix(&self, matrix: &B::Matrix) -> C::Matrix;
}

/// To where gradients can be recorded; the matrices are shared.
pub(super) struct Tracked;

impl<B: ClipBackend> Conversion<B, Autodiff<B>> for Tracked {
    fn tensor<const D: usize>(&self, tensor: &Tensor<B, D>) -> Tensor<Autodiff<B>, D> {
        Tensor::from_inner(tensor.clone())
    }

    fn vector(&self, vector: &Tensor<B, 1>) -> Tensor<Autodiff<B>, 1> {
        Tensor::from_inner(vector.clone())
    }

    fn matrix(&self, matrix: &B::Matrix) -> B::Matrix {
        matrix.clone()
    }
}

impl<B: ClipBackend> Conversion<B, B> for Precision {
    fn tensor<const D: usize>(&self, tensor: &Tensor<B, D>) -> Tensor<B, D> {
        tensor.clone().cast(self.dtype())
    }

    fn vector(&self, vector: &Tensor<B, 1>) -> Tensor<B, 1> {
        vector.clone()
    }

    fn matrix(&self, matrix: &B::Matrix) -> B::Matrix {
        B::matrix(B::weight(matrix).cast(self.dtype()))
    }
}
