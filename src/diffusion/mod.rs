//! Stable Diffusion from image to image (Rombach et al., 2022; Meng et al., 2022), as diffusers stores and defines it.
//!
//! Pictures and feature maps are `[batch, height, width, channels]` everywhere: the channels of a place lie side by side, so that a
//! convolution is a matrix product of gathered places, and a feature map is a list of tokens without being turned round.

pub mod autoencoder;
mod json;
pub mod kernels;
pub mod layers;
pub mod residual;
pub mod text;
pub mod unet;
