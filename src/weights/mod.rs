//! Safetensors in and out: checkpoints of every layout, the adapter file, the checkpoint of a training.
//!
//! Weights cross a boundary only as safetensors, and nothing unpickles. Everything here works on bytes; files are found
//! and mapped by [`crate::platform`]. Models may hold their matrices in int8, see [`quantised`].

pub mod adapter_file;
pub mod checkpoint;
pub mod config;
pub mod files;
pub mod names;
pub mod peft;
pub mod quantised;
pub mod tensors;
pub mod tokenizer;
pub mod training_file;

pub use adapter_file::{AdapterFile, AdapterInfo};
pub use checkpoint::Checkpoint;
pub use files::{Blob, ModelFiles};
pub use tensors::TensorFile;
