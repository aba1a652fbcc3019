//! One safetensors file: a checked header over bytes, tensors decoded one at a time.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensorError, SafeTensors, tensor::Metadata};
use sha2::{Digest, Sha256};

use super::{Blob, quantised};
use crate::{Error, Result};

/// A safetensors file whose header has been checked against its length.
pub struct TensorFile {
    label: String,
    blob: Arc<dyn Blob>,
    metadata: Metadata,
    data_start: usize,
}

impl TensorFile {
    /// Checks the header; `label` names the file in messages.
    ///
    /// # Errors
    /// Anything that is not a whole, honest safetensors file, with what it is instead where that can be told.
    pub fn open(label: impl Into<String>, blob: Arc<dyn Blob>) -> Result<Self> {
        let label = label.into();
        let (length, metadata) = SafeTensors::read_metadata(blob.bytes())
            .map_err(|error| Error::Weights { file: label.clone(), why: explain(&error, blob.bytes()) })?;
        Ok(Self { label, blob, metadata, data_start: length + 8 })
    }

    /// What the file is called in messages.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Names and shapes, in no particular order.
    pub fn shapes(&self) -> impl Iterator<Item = (String, Vec<usize>)> {
        self.metadata.tensors().into_iter().map(|(name, info)| (name, info.shape.clone()))
    }

    /// The type of a tensor's numbers as the header spells it; empty where there is no such tensor.
    pub fn dtype(&self, name: &str) -> String {
        self.metadata.info(name).map_or_else(String::new, |info| format!("{:?}", info.dtype))
    }

    /// The `__metadata__` of the header.
    pub fn header(&self) -> HashMap<String, String> {
        self.metadata.metadata().clone().unwrap_or_default()
    }

    /// Appends the tensor `name`, as f32, to `values`; one in int8 times its scales (see [`super::quantised`]).
    ///
    /// # Errors
    /// No such tensor, a type other than f32, f16, bf16 or int8, int8 without scales, or a value that is not finite.
    pub fn read(&self, name: &str, values: &mut Vec<f32>) -> Result<()> {
        let wrong = |why: String| Error::Weights { file: self.label.clone(), why };
        let info = self.metadata.info(name).ok_or_else(|| wrong(format!("there is no tensor '{name}'")))?;
        let range = self.data_start + info.data_offsets.0..self.data_start + info.data_offsets.1;
        let bytes = &self.blob.bytes()[range.clone()];
        let start = values.len();
        match info.dtype {
            Dtype::F32 => values.extend(words::<4>(bytes).map(f32::from_le_bytes)),
            Dtype::F16 => values.extend(words::<2>(bytes).map(|word| f16::from_le_bytes(word).to_f32())),
            Dtype::BF16 => values.extend(words::<2>(bytes).map(|word| bf16::from_le_bytes(word).to_f32())),
            Dtype::I8 => {
                let rows = info.shape.first().copied().unwrap_or(1);
                let scales = self.scales(name, rows)?;
                let columns = bytes.len() / rows.max(1);
                for (row, scale) in bytes.chunks_exact(columns.max(1)).zip(scales) {
                    values.extend(row.iter().map(|&byte| f32::from(byte as i8) * scale));
                }
            }
            other => {
                let advice = "convert the weights to f32, f16 or bf16";
                return Err(wrong(format!("tensor '{name}' holds {other:?}; {advice}")));
            }
        }
        self.blob.release(range);
        if let Some(at) = values[start..].iter().position(|value| !value.is_finite()) {
            let value = values[start + at];
            let advice = "the file is damaged or its training diverged; get it again";
            return Err(wrong(format!("tensor '{name}' holds {value} at index {at}; {advice}")));
        }
        Ok(())
    }

    /// The scales of the rows of the int8 tensor `name`.
    fn scales(&self, name: &str, rows: usize) -> Result<Vec<f32>> {
        let scale = quantised::scale_of(name);
        let info = self.metadata.info(&scale);
        if info.is_none_or(|info| info.dtype != Dtype::F32 || info.shape.iter().product::<usize>() != rows) {
            let why = format!(
                "tensor '{name}' holds I8, but there is no '{scale}' of F32 [{rows}, 1] beside it; convert the model anew"
            );
            return Err(Error::Weights { file: self.label.clone(), why });
        }
        let mut scales = Vec::with_capacity(rows);
        self.read(&scale, &mut scales)?;
        Ok(scales)
    }

    /// The raw bytes of the tensor `name`.
    ///
    /// # Errors
    /// No such tensor.
    pub fn bytes(&self, name: &str) -> Result<&[u8]> {
        let info = self
            .metadata
            .info(name)
            .ok_or_else(|| Error::Weights { file: self.label.clone(), why: format!("there is no tensor '{name}'") })?;
        Ok(&self.blob.bytes()[self.data_start + info.data_offsets.0..self.data_start + info.data_offsets.1])
    }

    /// A hint that nothing of it will be read for a while.
    pub fn release(&self) {
        self.blob.release(0..self.blob.bytes().len());
    }

    /// Feeds the whole file to a hash.
    pub fn hash_into(&self, hash: &mut Sha256) {
        // In pieces, each released, so that hashing a mapped file does not make all of it resident.
        const PIECE: usize = 8 << 20;
        let bytes = self.blob.bytes();
        for start in (0..bytes.len()).step_by(PIECE) {
            let range = start..bytes.len().min(start + PIECE);
            hash.update(&bytes[range.clone()]);
            self.blob.release(range);
        }
    }
}

/// Values to write.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    /// As f32.
    F32(&'a [f32]),
    /// As f16.
    F16(&'a [f16]),
    /// As int8.
    I8(&'a [i8]),
    /// As bytes.
    U8(&'a [u8]),
}

/// The bytes of a safetensors file with these tensors (name, shape, values) and header entries.
///
/// The same content always gives the same bytes, which the safetensors crate's writer does not promise: its header entries
/// come out of a hash map. Here they are in the order of their keys.
///
/// # Errors
/// A shape that does not fit its values.
pub fn encode(tensors: &[(&str, Vec<usize>, Values<'_>)], header: &[(&str, &str)]) -> Result<Vec<u8>> {
    let mut offset = 0;
    let mut entries = serde_json::Map::new();
    if !header.is_empty() {
        let sorted: BTreeMap<&str, &str> = header.iter().copied().collect();
        entries.insert("__metadata__".into(), serde_json::json!(sorted));
    }
    for (name, shape, values) in tensors {
        let (dtype, length, count) = match values {
            Values::F32(values) => ("F32", values.len() * 4, values.len()),
            Values::F16(values) => ("F16", values.len() * 2, values.len()),
            Values::I8(values) => ("I8", values.len(), values.len()),
            Values::U8(values) => ("U8", values.len(), values.len()),
        };
        if shape.iter().product::<usize>() != count {
            return Err(Error::Failed(format!("tensor '{name}' has {count} values, which do not fill {shape:?}")));
        }
        let entry = serde_json::json!({"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + length]});
        entries.insert((*name).into(), entry);
        offset += length;
    }
    let mut text = serde_json::Value::Object(entries).to_string();
    // Tensors begin at a multiple of eight bytes, as other writers have it.
    text.extend(std::iter::repeat_n(' ', text.len().next_multiple_of(8) - text.len()));
    let mut bytes = Vec::with_capacity(8 + text.len() + offset);
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
    for (_, _, values) in tensors {
        match values {
            Values::F32(values) => values.iter().for_each(|value| bytes.extend(value.to_le_bytes())),
            Values::F16(values) => values.iter().for_each(|value| bytes.extend(value.to_le_bytes())),
            Values::I8(values) => bytes.extend(values.iter().map(|&value| value as u8)),
            Values::U8(values) => bytes.extend_from_slice(values),
        }
    }
    Ok(bytes)
}

fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.as_chunks::<N>().0.iter().copied()
}

/// What is wrong with the bytes, and what to do.
fn explain(error: &SafeTensorError, bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "the file is empty; get it again".into();
    }
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"\x80\x02") {
        return "this is a PyTorch archive (pickle or TorchScript), which is never unpickled here; \
                use the model.safetensors of the same model, for OpenAI's CLIP that of openai/clip-vit-base-patch16 \
                and its sisters on the Hugging Face hub"
            .into();
    }
    if bytes.starts_with(b"version https://git-lfs") {
        return "this is a Git LFS pointer, not the file itself; run 'git lfs pull' or download the file".into();
    }
    let what = match error {
        SafeTensorError::HeaderTooLarge => "its header claims to be over 100 MB long".to_owned(),
        SafeTensorError::HeaderTooSmall => "it is too short to hold a header".to_owned(),
        SafeTensorError::InvalidHeaderLength => "its header is longer than the file".to_owned(),
        SafeTensorError::InvalidHeader(_) | SafeTensorError::InvalidHeaderDeserialization(_) => {
            "its header is not the JSON that it should be".to_owned()
        }
        SafeTensorError::MetadataIncompleteBuffer => {
            "its length does not agree with its header (cut off, or with bytes added)".to_owned()
        }
        SafeTensorError::InvalidOffset(name) => {
            format!("the place of tensor '{name}' overlaps another or leaves a gap")
        }
        SafeTensorError::TensorInvalidInfo => "a tensor's shape does not agree with its size".to_owned(),
        other => other.to_string().replace('\n', " "),
    };
    format!("{what}; download it again")
}
