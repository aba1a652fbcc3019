//! A model's weights in half precision or int8.

use std::path::Path;

use super::Written;
use crate::{
    Error, Result,
    platform::{models, native},
    weights::{
        Checkpoint,
        quantised::{Form, converted},
    },
};

/// Writes the weights of `model` in `form`: into a file that ends in `.safetensors`, else into a folder, with the model's configs
/// and vocabulary beside them.
///
/// # Errors
/// No such model, a damaged one, numbers that the form cannot hold, or a place that cannot be written to.
pub fn convert(model: &str, form: Form, out: Option<&Path>) -> Result<Written> {
    let Some(out) = out else {
        let why = "give --out: a folder, or a file that ends in .safetensors for the weights alone";
        return Err(Error::Usage(why.into()));
    };
    let files = models::find(model)?;
    let checkpoint = Checkpoint::from_files(files.as_ref())?;
    let weights = converted(&checkpoint, form)?;
    let (out, tensors) = (out.to_owned(), checkpoint.names().count());
    if out.extension().is_some_and(|ending| ending == "safetensors") {
        native::write(&out, &weights)?;
        return Ok(Written { out, tensors, left_out: 0 });
    }
    let mut written = vec![("model.safetensors".to_owned(), weights)];
    for name in files.names()? {
        let is_text = [".json", ".txt"].iter().any(|ending| name.ends_with(ending));
        if let Some(blob) = files.open(&name)?.filter(|_| is_text && !name.contains(".index.")) {
            written.push((name, blob.bytes().to_vec()));
        }
    }
    let written: Vec<(&str, &[u8])> = written.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).collect();
    native::write_files(&out, &written)?;
    Ok(Written { out, tensors, left_out: 0 })
}
