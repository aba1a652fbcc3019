//! CLIP, tensors only: configuration, image towers, text tower, tokenizer, preprocessing.

pub mod kernels;
pub mod preprocess;
pub mod resample;
pub mod tokenizer;
pub(crate) mod wide;
