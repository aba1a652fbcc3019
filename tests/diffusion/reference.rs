//! The expected values in `tests/parity/diffusion/`, which `tests/parity/diffusion.py` writes.

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{Tensor, TensorData};
use burn_flex::Flex;
use lowshot::clip::Parameters;
use safetensors::SafeTensors;
use serde_json::Value;
use sha2::{Digest, Sha256};

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

/// A source of seeded weights that remembers what it was asked for.
pub struct Seeded {
    asked: Vec<String>,
    faint: bool,
}

impl Seeded {
    /// `faint` divides by 32 all that is no normalisation's, and not the last layers', as Python's function of that name.
    pub fn new(faint: bool) -> Self {
        Self { asked: Vec::new(), faint }
    }

    /// How many tensors were asked for, and the SHA-256 of their names and shapes, a line each, sorted.
    pub fn inventory(mut self) -> (usize, String) {
        self.asked.sort();
        (self.asked.len(), format!("{:x}", Sha256::digest(self.asked.concat())))
    }
}

impl Parameters<Flex> for Seeded {
    fn tensor<const D: usize>(&mut self, name: &str, shape: [usize; D]) -> Tensor<Flex, D> {
        self.asked.push(format!("{name} {shape:?}\n"));
        let weights = Tensor::from_data(TensorData::new(seeded::tensor(name, &shape), shape), &Default::default());
        let kept = ["norm", "conv_out", "quant_conv"].iter().any(|kept| name.contains(kept));
        if self.faint && !kept { weights / 32.0 } else { weights }
    }

    fn scalar(&mut self, name: &str) -> f32 {
        panic!("these networks have no scalars, and none called {name}")
    }
}

/// What Python's `sampled` keeps: every so-many-th number of what has more than 1500.
pub fn sampled(numbers: &[f32]) -> Vec<f32> {
    let step = numbers.len().div_ceil(1500);
    numbers.iter().step_by(step + 1 - step % 2).copied().collect()
}

/// A tensor's numbers, of which `sampled` would keep these.
pub fn kept<const D: usize>(tensor: Tensor<Flex, D>) -> Vec<f32> {
    sampled(&tensor.to_data().to_vec::<f32>().expect("f32"))
}

/// The errors of a test, of which it prints the largest.
pub struct Errors(Vec<(String, f64)>);

impl Errors {
    /// Relative, ten times below what is asked for; f32 loses a tenth of it.
    pub const TOLERANCE: f64 = 1e-4;

    pub fn new() -> Self {
        Self(Vec::new())
    }

    /// Holds what was computed against what is expected under that name.
    pub fn check(&mut self, tensors: &Tensors, name: &str, actual: &[f32]) {
        let (_, expected) = tensors.get(name).unwrap_or_else(|| panic!("{name} is in the file"));
        let error = off(actual, &expected);
        println!("{name}: {error:.1e}");
        self.0.push((name.to_owned(), error));
    }

    /// Fails with all that is too far off.
    pub fn finish(self, count: usize) {
        assert_eq!(self.0.len(), count);
        let wrong: Vec<_> = self.0.iter().filter(|(_, error)| *error > Self::TOLERANCE).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
        let worst = self.0.iter().max_by(|a, b| a.1.total_cmp(&b.1)).expect("some were compared");
        println!("largest relative error of {count}: {:.1e} ({})", worst.1, worst.0);
    }
}

/// The largest difference over the expected values' root mean square; infinite where a number is none.
pub fn off(actual: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(actual.len(), expected.len());
    let square: f64 = expected.iter().map(|value| f64::from(*value).powi(2)).sum();
    let scale = (square / expected.len() as f64).sqrt();
    let differences = actual.iter().zip(expected).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs());
    // `f64::max` would lose a NaN.
    differences.map(|one| if one.is_nan() { f64::INFINITY } else { one }).fold(0.0, f64::max) / scale
}
