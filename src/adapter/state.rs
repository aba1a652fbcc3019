//! What an adapter file holds: settings as JSON and named matrices.

use burn::tensor::{DType, Tensor, TensorData, backend::Backend};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{Error, Result, train::read};

/// An adapter taken apart. Every tensor is a matrix in `f32`.
#[derive(Clone, Debug)]
pub struct State<B: Backend> {
    /// The method's settings and chosen hyper-parameters, with the recipe it was fitted by.
    pub config: Value,
    /// Names and matrices, in a fixed order.
    pub tensors: Vec<(String, Tensor<B, 2>)>,
}

impl<B: Backend> State<B> {
    /// Puts host tensors (from a safetensors file, say; any float type) on a device. `file` is for messages.
    ///
    /// # Errors
    /// [`Error::Adapter`] for a tensor that is not a matrix of finite floats.
    pub fn from_data(
        file: &str,
        config: Value,
        tensors: impl IntoIterator<Item = (String, TensorData)>,
        device: &B::Device,
    ) -> Result<Self> {
        let tensors = tensors.into_iter().map(|(name, data)| {
            let refuse = |why: String| Error::Adapter { file: file.into(), why: format!("tensor {name}: {why}") };
            if !data.dtype.is_float() {
                return Err(refuse(format!("type {:?}, not a float: write the adapter again", data.dtype)));
            }
            if data.shape.len() != 2 {
                return Err(refuse(format!("shape {:?}, not a matrix: write the adapter again", data.shape)));
            }
            let data = data.convert::<f32>();
            if data.iter::<f32>().any(|value| !value.is_finite()) {
                return Err(refuse("holds a number that is not finite: train the adapter again".into()));
            }
            let tensor = Tensor::from_data(data, (device, DType::F32));
            Ok((name, tensor))
        });
        Ok(Self { config, tensors: tensors.collect::<Result<_>>()? })
    }

    /// Reads all tensors back to the host, as `f32`, in order.
    ///
    /// # Errors
    /// [`Error::Failed`] when the device fails.
    pub async fn into_data(self) -> Result<(Value, Vec<(String, TensorData)>)> {
        let mut tensors = Vec::with_capacity(self.tensors.len());
        for (name, tensor) in self.tensors {
            let shape = tensor.dims();
            tensors.push((name, TensorData::new(read(tensor).await?, shape)));
        }
        Ok((self.config, tensors))
    }

    pub(super) fn new(
        config: &impl Serialize,
        tensors: impl IntoIterator<Item = (&'static str, Tensor<B, 2>)>,
    ) -> Self {
        let tensors = tensors.into_iter().map(|(name, tensor)| (name.to_owned(), tensor)).collect();
        // The settings are plain structures with string keys, for which writing JSON cannot fail.
        Self { config: serde_json::to_value(config).unwrap_or_default(), tensors }
    }

    /// From names made when it runs.
    pub(super) fn named(config: &impl Serialize, tensors: Vec<(String, Tensor<B, 2>)>) -> Self {
        Self { config: serde_json::to_value(config).unwrap_or_default(), tensors }
    }

    /// The settings, typed.
    pub(super) fn settings<T: DeserializeOwned>(&self) -> Result<T, String> {
        T::deserialize(&self.config).map_err(|why| format!("settings: {why}"))
    }

    /// Takes a tensor out by name.
    pub(super) fn take(&mut self, name: &str) -> Result<Tensor<B, 2>, String> {
        let at = self.tensors.iter().position(|(other, _)| other == name);
        let at = at.ok_or_else(|| format!("tensor {name} is missing"))?;
        Ok(self.tensors.remove(at).1)
    }

    /// Takes a tensor out by name and refuses another shape than `expected`.
    pub(super) fn take_shaped(&mut self, name: &str, expected: [usize; 2]) -> Result<Tensor<B, 2>, String> {
        let tensor = self.take(name)?;
        let found = tensor.dims();
        if found == expected { Ok(tensor) } else { Err(format!("tensor {name} is {found:?}, expected {expected:?}")) }
    }

    /// Refuses tensors that nobody took.
    pub(super) fn finish(self) -> Result<(), String> {
        if self.tensors.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = self.tensors.into_iter().map(|(name, _)| name).collect();
        Err(format!("unexpected tensors: {}", names.join(", ")))
    }
}

/// Refuses stored labels that do not go with the stored tensors.
pub(super) fn check_stored_labels(labels: &[usize], rows: usize, classes: usize) -> Result<(), String> {
    if labels.len() != rows {
        return Err(format!("{} labels for {rows} stored shots", labels.len()));
    }
    match labels.iter().find(|&&label| label >= classes) {
        Some(label) => Err(format!("label {label} among {classes} classes")),
        None => Ok(()),
    }
}
