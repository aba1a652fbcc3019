//! A model's matrices in int8 or half precision, in a safetensors file that every loader here opens.
//!
//! A matrix in int8 is two tensors, named and shaped as the library compressed-tensors has them:
//!
//! | tensor | type | shape | |
//! |---|---|---|---|
//! | `NAME.weight` | I8 | that of the matrix, `[out, …]` | whole numbers from −127 to 127 |
//! | `NAME.weight_scale` | F32 | `[out, 1]` | a row's number is `I8 · scale` |
//!
//! Quantised is what ends in `weight` and has two or more dimensions: linear layers, the convolution over the patches, the
//! embeddings of tokens. Positions (of Hugging Face's layout too), vectors, and the projections of OpenAI's layout, whose rows are
//! inputs, keep the type that they have. [`Int8`] says which numbers these are: a model that was converted and one that was
//! quantised when it was loaded are the same to the bit, but for those projections.

use half::f16;

use super::{
    Checkpoint, TensorFile,
    tensors::{Values, encode},
};
use crate::{
    Error, Result,
    clip::narrow::{Int8, halves},
};

/// What the matrices become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Half precision.
    F16,
    /// Whole numbers with a scale for each row.
    Int8,
}

/// The name of the scales of an int8 tensor.
pub fn scale_of(name: &str) -> String {
    format!("{name}_scale")
}

/// Whether a tensor is the scales of another one in its file.
pub fn is_scale(file: &TensorFile, name: &str) -> bool {
    name.strip_suffix("_scale").is_some_and(|of| file.dtype(of) == "I8")
}

/// Whether int8 is for this tensor.
fn is_matrix(name: &str, shape: &[usize]) -> bool {
    shape.len() >= 2 && name.ends_with("weight") && !name.contains("position_embedding")
}

/// A tensor of the file to be.
enum Stored {
    F32(Vec<f32>),
    F16(Vec<f16>),
    I8(Vec<i8>),
}

/// The bytes of a safetensors file with the tensors of a model, the matrices in `form`, in the order of their names. Tensors that
/// no loader needs are left out.
///
/// # Errors
/// A damaged file, or numbers that half precision cannot hold.
pub fn converted(checkpoint: &Checkpoint, form: Form) -> Result<Vec<u8>> {
    let mut tensors: Vec<(String, Vec<usize>, Stored)> = Vec::new();
    for file in checkpoint.files() {
        let wanted = |name: &str| !is_scale(file, name) && !checkpoint.layout.ignores(name);
        for (name, shape) in file.shapes().filter(|(name, _)| wanted(name)) {
            let mut values = Vec::with_capacity(shape.iter().product());
            file.read(&name, &mut values)?;
            let stored = match form {
                Form::Int8 if is_matrix(&name, &shape) => {
                    let int8 = Int8::nearest(&values, shape[0]);
                    tensors.push((scale_of(&name), vec![shape[0], 1], Stored::F32(int8.scales)));
                    Stored::I8(int8.values)
                }
                Form::F16 if shape.len() >= 2 => Stored::F16(halves(&values).ok_or_else(|| {
                    let why = format!("tensor '{name}' has numbers beyond 65504, which f16 cannot hold; use --to int8");
                    Error::Weights { file: file.label().to_owned(), why }
                })?),
                // What is in half precision stays there, to the bit.
                _ if file.dtype(&name) == "F16" => Stored::F16(values.iter().copied().map(f16::from_f32).collect()),
                _ => Stored::F32(values),
            };
            tensors.push((name, shape, stored));
        }
    }
    tensors.sort_by(|(a, ..), (b, ..)| a.cmp(b));
    let tensors: Vec<(&str, Vec<usize>, Values<'_>)> = tensors
        .iter()
        .map(|(name, shape, stored)| {
            let values = match stored {
                Stored::F32(values) => Values::F32(values),
                Stored::F16(values) => Values::F16(values),
                Stored::I8(values) => Values::I8(values),
            };
            (name.as_str(), shape.clone(), values)
        })
        .collect();
    // The same entry as other writers of PyTorch's tensors: transformers refuses a file without it.
    encode(&tensors, &[("format", "pt")])
}
