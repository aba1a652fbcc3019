//! The expected values in `tests/parity/diffusion/`, which `tests/parity/diffusion.py` writes.

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{Tensor, TensorData};
use burn_flex::Flex;
use safetensors::SafeTensors;
use serde_json::Value;

use crate::support::seeded;

/// The file of that name.
pub fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/diffusion").join(file)
}

/// The description `NAME.json`.
pub fn read(name: &str) -> Value {
    serde_json::from_slice(&fs::read(path(&format!("{name}.json"))).expect("the committed file")).expect("JSON")
}

/// The tensors of `NAME.safetensors`.
pub struct Tensors(Vec<u8>);

impl Tensors {
    pub fn read(name: &str) -> Self {
        Self(fs::read(path(&format!("{name}.safetensors"))).expect("the committed file"))
    }

    /// A tensor's shape and numbers, where there is one of that name.
    pub fn get(&self, name: &str) -> Option<(Vec<usize>, Vec<f32>)> {
        let file = SafeTensors::deserialize(&self.0).expect("safetensors");
        let tensor = file.tensor(name).ok()?;
        let numbers = tensor.data().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
        Some((tensor.shape().to_vec(), numbers.collect()))
    }
}

/// Seeded numbers of unit variance, as Python's `values`.
pub fn values<const D: usize>(name: &str, shape: [usize; D]) -> Tensor<Flex, D> {
    let numbers: Vec<f32> = seeded::uniform(name, shape.iter().product()).map(|u| u * 3f64.sqrt() as f32).collect();
    Tensor::from_data(TensorData::new(numbers, shape), &Default::default())
}

/// The largest difference over the expected values' root mean square.
pub fn off(actual: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(actual.len(), expected.len());
    let square: f64 = expected.iter().map(|value| f64::from(*value).powi(2)).sum();
    let scale = (square / expected.len() as f64).sqrt();
    let differences = actual.iter().zip(expected).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs());
    // A NaN must not be lost, as `f64::max` would lose it.
    differences.fold(0.0, |most: f64, one| if one <= most { most } else { one }) / scale
}
