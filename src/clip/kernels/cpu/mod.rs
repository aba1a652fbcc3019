//! The kernels on plain `f32` slices, written once over [`simd::Simd`] and compiled for each instruction set.
//!
//! | file | what it is |
//! |---|---|
//! | [`simd`] | vectors: one trait, one implementation for each instruction set, chosen at run time |
//! | [`tile`] | the microkernel: a few rows times a panel of columns, and the memory it works in |
//! | `panels` | a packed weight's numbers in memory: f32, half precision, int8 |
//! | [`gemm`] | packed weights and the product with them, ending in bias, activation and residual |
//! | [`gemm_backward`] | the product with the same packed weights the other way round |
//! | `amx`, `tiles`, `gemm_tiles` | tiles of bfloat16 numbers, the microkernel on them, and the product with packed weights |
//! | `split` | f32 as a sum of bfloat16 numbers, without loss |
//! | `tiled` | a weight that is in bfloat16, as tiles read it |
//! | [`attention`], [`attention_backward`] | softmax attention, one head of one image at a time |
//! | [`layer_norm`], [`layer_norm_backward`] | layer normalisation, a row at a time |
//! | [`activation`] | the activations outside of a product, and their derivatives |
//! | [`low_rank`] | the thin products of a low-rank branch, with their dropout |
//! | [`convert`] | half precision to f32 and back |
//! | [`exp`] | the exponential and what is made of it |
//!
//! Two promises hold everywhere. Every element of a result is summed in one fixed order, so neither the number of
//! threads nor the other rows of a batch change a bit of it. And nothing hides a NaN or an infinity: what is not finite
//! going in is not finite coming out.

#![allow(clippy::inline_always, reason = "a kernel must be inlined into the function that enables its instructions")]

pub mod activation;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod amx;
pub mod attention;
pub mod attention_backward;
pub mod convert;
pub mod exp;
pub mod gemm;
pub mod gemm_backward;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod gemm_tiles;
pub mod layer_norm;
pub mod layer_norm_backward;
pub mod low_rank;
mod panels;
pub mod simd;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod split;
pub mod tile;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod tiled;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod tiles;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_backward;
#[cfg(test)]
mod tests_bf16;
#[cfg(test)]
mod tests_storage;
#[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
mod tests_tiles;
