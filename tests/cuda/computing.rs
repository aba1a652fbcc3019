//! What tests/gpu tests of GPUs in general, on CUDA: on the machine's GPU, and on one that is emulated where `emulated.rs` runs these.

use std::sync::{Mutex, MutexGuard, OnceLock};

use lowshot::{clip::Precision, platform::cuda};

use super::support;

type Gpu = burn_cuda::Cuda;
type GpuDevice = burn_cuda::CudaDevice;
const TENSOR_CORES: bool = true;

#[path = "../gpu/kernels.rs"]
mod kernels;
#[path = "../gpu/samples.rs"]
mod samples;
#[path = "../gpu/towers.rs"]
mod towers;
#[path = "../gpu/training.rs"]
mod training;

/// Set where there must be a GPU.
pub const NEEDED: &str = "LOWSHOT_TEST_CUDA_GPU";

/// The GPU, for one test at a time; nothing where there is none.
fn device() -> Option<(GpuDevice, MutexGuard<'static, ()>)> {
    static ALONE: Mutex<()> = Mutex::new(());
    static DEVICE: OnceLock<Option<GpuDevice>> = OnceLock::new();
    let start = || match cuda::start(0, Precision::F32) {
        Ok(device) => Some(device),
        Err(why) => {
            assert!(std::env::var_os(NEEDED).is_none(), "{why}");
            println!("skipped: {why}");
            None
        }
    };
    let guard = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    DEVICE.get_or_init(start).clone().map(|device| (device, guard))
}
