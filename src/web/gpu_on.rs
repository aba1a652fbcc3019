//! The GPU that the browser has, on burn-wgpu.

use burn_flex::{Flex, FlexDevice};
use burn_wgpu::{RuntimeOptions, Wgpu, WgpuDevice, graphics::WebGpu, init_setup_async};

use crate::clip::{Precision, kernels::self_test};

/// What towers run on.
pub type Gpu = Wgpu;

/// The only device that a page gets.
pub const DEVICE: Option<WgpuDevice> = Some(WgpuDevice::DefaultDevice);

/// Starts the device.
///
/// # Errors
/// None here.
pub async fn start() -> Result<(), String> {
    let setup = init_setup_async::<WebGpu>(&WgpuDevice::DefaultDevice, RuntimeOptions::default()).await;
    // Otherwise a refused shader is a line in the log, and what it should have written is what was there before.
    setup.device.on_uncaptured_error(std::sync::Arc::new(|error| log::error!("WebGPU: {error}")));
    Ok(())
}

/// Compares what the started device computes in `precision` with the CPU.
///
/// # Errors
/// Why it is not to be used so.
pub async fn check(precision: Precision) -> Result<(), String> {
    self_test::compare::<Wgpu, Flex>(precision, &WgpuDevice::DefaultDevice, &FlexDevice).await
}
