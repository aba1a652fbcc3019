//! Features of some pictures, in memory or in a file of the feature cache.

use std::{collections::HashMap, path::Path};

use crate::{
    Error, Result, hash,
    platform::native,
    weights::{TensorFile, tensors},
};

/// What a picture's features are known by: the SHA-256 of its file's content.
pub type Key = [u8; 32];

/// Features of some pictures, a row each.
pub enum Segment {
    /// In memory.
    Held(Vec<f32>),
    /// In a file, whose pages are in memory only while they are read.
    Stored(TensorFile),
}

impl Segment {
    /// Opens a file of rows of `width` and reads whose features they are, row by row.
    ///
    /// # Errors
    /// It is no segment, or damaged.
    pub fn open(path: &Path, width: usize) -> Result<(Self, Vec<Key>)> {
        let file = TensorFile::open(path.display().to_string(), native::map(path)?)?;
        let wrong = |why: &str| Error::Weights { file: file.label().into(), why: why.into() };
        let shapes: HashMap<String, Vec<usize>> = file.shapes().collect();
        let (Some([count, columns]), Some([keys, 32])) =
            (shapes.get("features").map(Vec::as_slice), shapes.get("hashes").map(Vec::as_slice))
        else {
            return Err(wrong("not a segment of the feature cache"));
        };
        if count != keys {
            return Err(wrong("features and hashes differ in number"));
        }
        if *columns != width || file.dtype("features") != "F32" {
            return Err(wrong("its features are of another width or type"));
        }
        // Once through all of them, so that what is damaged is found while it can still be computed again.
        file.read("features", &mut Vec::with_capacity(count * width))?;
        let keys = file.bytes("hashes")?.as_chunks::<32>().0.to_vec();
        Ok((Self::Stored(file), keys))
    }

    /// Appends a row of `width` features to `values`.
    ///
    /// # Errors
    /// None that is known: [`Segment::open`] has looked.
    pub fn append(&self, row: usize, width: usize, values: &mut Vec<f32>) -> Result<()> {
        match self {
            Self::Held(held) => values.extend(&held[row * width..][..width]),
            Self::Stored(file) => {
                let words = file.bytes("features")?.as_chunks::<4>().0;
                values.extend(words[row * width..][..width].iter().map(|word| f32::from_le_bytes(*word)));
            }
        }
        Ok(())
    }

    /// A hint that nothing will be read for a while.
    pub fn release(&self) {
        if let Self::Stored(file) = self {
            file.release();
        }
    }
}

/// The name and the bytes of the file that holds the features `values` of `keys`, a row each.
///
/// # Errors
/// Features that do not fill the rows.
pub fn encode(keys: &[Key], values: &[f32]) -> Result<(String, Vec<u8>)> {
    let width = values.len() / keys.len().max(1);
    let bytes = tensors::encode(
        &[
            ("features", vec![keys.len(), width], tensors::Values::F32(values)),
            ("hashes", vec![keys.len(), 32], tensors::Values::U8(keys.as_flattened())),
        ],
        &[("format", "lowshot-features")],
    )?;
    let name = hash::sha256(keys.as_flattened());
    Ok((format!("{}.safetensors", &name[..32]), bytes))
}
