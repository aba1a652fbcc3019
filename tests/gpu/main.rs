//! The towers on a GPU, in f32 and in f16, against the same reference as the CPU's, and training on it against the CPU.
//!
//! Any adapter will do; where there is no GPU, Mesa's software one (`mesa-vulkan-drivers` on Debian) shows the arithmetic. Without
//! any the tests say that they are skipped, or fail where `CI` is set.

// The helpers stand outside of test functions, where the lints do not know that they are tests.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::large_futures)]

use std::sync::{Mutex, MutexGuard, OnceLock};

use lowshot::{clip::Precision, platform::gpu};

/// What is tested; tests/cuda has the same tests of another.
type Gpu = burn_wgpu::Wgpu;
type GpuDevice = burn_wgpu::WgpuDevice;
/// Whether it has any that Burn would use for f32.
const TENSOR_CORES: bool = false;

#[path = "../support/command.rs"]
#[allow(dead_code)]
mod command;
mod gpu_command;
mod kernels;
mod samples;
#[path = "../support/mod.rs"]
mod support;
mod towers;
mod training;

/// The GPU, for one test at a time; nothing where there is none.
fn device() -> Option<(GpuDevice, MutexGuard<'static, ()>)> {
    static ALONE: Mutex<()> = Mutex::new(());
    static DEVICE: OnceLock<Option<GpuDevice>> = OnceLock::new();
    let start = || {
        let Some(adapter) = gpu::adapters().into_iter().next() else {
            assert!(std::env::var_os("CI").is_none(), "no adapter: install mesa-vulkan-drivers");
            println!("skipped: there is no adapter; Mesa's software one is in the package mesa-vulkan-drivers");
            return None;
        };
        println!("{} ({}), f16: {}", adapter.name, adapter.driver, adapter.f16);
        Some(adapter.start(Precision::F32).unwrap())
    };
    let guard = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    DEVICE.get_or_init(start).clone().map(|device| (device, guard))
}
