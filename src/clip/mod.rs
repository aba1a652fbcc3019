//! CLIP, tensors only: configuration, image towers, text tower, tokenizer, preprocessing.
//!
//! Radford et al., *Learning Transferable Visual Models From Natural Language Supervision* (2021). Nothing here opens a
//! file: weights come through [`Parameters`], images and text as tensors.

pub mod attention;
pub mod config;
pub mod embedding;
pub mod kernels;
pub(crate) mod lanes;
pub mod layers;
pub mod low_rank;
pub mod model;
pub mod narrow;
pub mod parameters;
pub mod precision;
pub mod preprocess;
pub mod resample;
pub mod resnet;
pub mod text;
pub mod tokenizer;
pub mod vision;
pub mod walk;
pub(crate) mod wide;

pub use config::ClipConfig;
pub use kernels::ClipBackend;
pub use model::Clip;
pub use parameters::Parameters;
pub use precision::{Format, Precision, Storage};
pub use preprocess::Preprocess;
pub use tokenizer::Tokenizer;
