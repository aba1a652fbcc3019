//! The GPU that the browser has, on burn-wgpu.

use burn::tensor::{Tensor, TensorData, backend::Backend};
use burn_flex::Flex;
use burn_wgpu::{RuntimeOptions, Wgpu, WgpuDevice, graphics::WebGpu, init_setup_async};

use crate::{
    clip::{ClipBackend, kernels::Activation},
    train,
};

/// What towers run on.
pub type Gpu = Wgpu;

/// The only device that a page gets.
pub const DEVICE: Option<WgpuDevice> = Some(WgpuDevice::DefaultDevice);
/// How far the GPU may be from the CPU in the self-test, relative to the CPU's largest value.
const TOLERANCE: f32 = 1e-3;

/// Starts the device and compares what it computes with the CPU; `name` names it in messages.
///
/// # Errors
/// Why it is not to be used.
pub async fn start(name: &str) -> Result<(), String> {
    let device = WgpuDevice::DefaultDevice;
    let setup = init_setup_async::<WebGpu>(&device, RuntimeOptions::default()).await;
    // Otherwise a refused shader is a line in the log, and what it should have written is what was there before.
    setup.device.on_uncaptured_error(std::sync::Arc::new(|error| log::error!("WebGPU: {error}")));
    let found = sample::<Wgpu>(&device).await?;
    let expected = sample::<Flex>(&Default::default()).await?;
    let largest = expected.iter().fold(0f32, |most, value| most.max(value.abs()));
    let off = found.iter().zip(&expected).map(|(found, expected)| (found - expected).abs()).fold(0.0, f32::max);
    // What is not a number is in no range.
    if found.len() == expected.len() && (0.0..=TOLERANCE * largest).contains(&off) {
        return Ok(());
    }
    Err(format!("{name} computes wrongly (off by {off} of {largest}), so it is not used"))
}

/// A small part of a transformer on numbers made by a rule: layer norm, a linear layer with its activation, attention.
async fn sample<B: ClipBackend>(device: &B::Device) -> Result<Vec<f32>, String> {
    let x = made::<B, 3>([2, 5, 16], 0.37, device);
    let gamma = made::<B, 1>([16], 1.1, device);
    let beta = made::<B, 1>([16], 2.3, device);
    let weight = <B as ClipBackend>::matrix(made::<B, 2>([48, 16], 0.73, device));
    let bias = made::<B, 1>([48], 0.19, device);
    let x = <B as ClipBackend>::layer_norm(x, &gamma, &beta, 1e-5);
    let qkv = <B as ClipBackend>::linear(x, &weight, Some(&bias), Activation::QuickGelu, None);
    let out = <B as ClipBackend>::attention(qkv, 2, false);
    train::read(out).await.map_err(|error| error.to_string())
}

fn made<B: Backend, const D: usize>(shape: [usize; D], pace: f32, device: &B::Device) -> Tensor<B, D> {
    let values: Vec<f32> = (0..shape.iter().product()).map(|index: usize| (1.0 + index as f32 * pace).sin()).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}
