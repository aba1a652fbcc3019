//! The checkpoint of a training under way: a safetensors file with everything that its next step depends on.

use std::sync::Arc;

use burn::tensor::backend::Backend;

use super::{
    Blob, TensorFile,
    adapter_file::{parsed, read_state, state_bytes},
};
use crate::{Error, Result, adapter::State};

/// `format` in the header.
const FORMAT: &str = "lowshot-training";

/// The bytes of a checkpoint. `run` says which run it is of: only that one may go on from it.
///
/// # Errors
/// The device cannot return the tensors.
pub async fn write<B: Backend>(state: State<B>, run: &str) -> Result<Vec<u8>> {
    state_bytes(state, &[("format", FORMAT), ("version", "1"), ("run", run)]).await
}

/// The state in a checkpoint of the run `run`; `label` names the file in messages.
///
/// # Errors
/// It is damaged, no checkpoint, or of another run.
pub fn read<B: Backend>(label: &str, blob: Arc<dyn Blob>, run: &str, device: &B::Device) -> Result<State<B>> {
    let file = TensorFile::open(label, blob)?;
    let header = file.header();
    let wrong = |why: &str| {
        let advice = "remove it to start the run again";
        Error::Adapter { file: label.into(), why: format!("{why}; {advice}") }
    };
    if header.get("format").map(String::as_str) != Some(FORMAT) {
        return Err(wrong("it is no checkpoint of a training"));
    }
    if header.get("run").map(String::as_str) != Some(run) {
        return Err(wrong("it is the checkpoint of another run (other data, shots or settings)"));
    }
    read_state(&file, parsed(label, &header, "config")?, device)
}
