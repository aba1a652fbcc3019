//! Data sets, splits, few-shot lists and the sampler: bytes in, structures out.
pub mod decode;
pub mod jpeg;
