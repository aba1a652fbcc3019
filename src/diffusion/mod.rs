//! Stable Diffusion from image to image (Rombach et al., 2022; Meng et al., 2022), as diffusers stores and defines it.
//!
//! Pictures and feature maps are `[batch, height, width, channels]` everywhere: the channels of a place lie side by side, so that a
//! convolution is a matrix product of gathered places, and a feature map is a list of tokens without being turned round.

pub mod autoencoder;
mod folder;
pub mod image_to_image;
mod json;
pub mod kernels;
pub mod layers;
pub mod noise;
pub mod pipeline;
mod pixels;
mod precision;
pub mod residual;
pub mod schedule;
pub mod text;
pub mod unet;

pub use image_to_image::{Request, Settings};
pub use kernels::DiffusionBackend;
pub use noise::Noise;
pub use pipeline::{Loading, Pipeline};
