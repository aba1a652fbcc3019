//! The kernels on plain `f32` slices, over the vectors and the microkernel of [`crate::clip::kernels::cpu`], with its two promises:
//! every element is summed in one fixed order, and what is not finite going in is not finite coming out.
//!
//! | file | what it is |
//! |---|---|
//! | [`convolution`] | a filter in the form that suits it; the one that gathers patches and multiplies |
//! | [`winograd`] | the form for 3 × 3 at every place, with four ninths of the multiplications or fewer |
//! | [`group_norm`] | group normalisation with SiLU |
//! | [`attention`] | softmax attention between any numbers of tokens, a block of keys at a time |
//! | [`gated_gelu`] | the gated activation of the transformers' feed-forward layers |

pub mod attention;
pub mod convolution;
pub mod gated_gelu;
pub mod group_norm;
pub mod winograd;

// The tests choose the number of threads.
#[cfg(feature = "native")]
#[cfg(test)]
mod tests;
