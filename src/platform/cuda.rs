//! NVIDIA's GPUs, on burn-cuda. Its first operation would panic where something is missing, so all that it needs is looked for
//! before: the driver, a device, NVRTC (CUDA compiles kernels while it runs) and the headers that kernels include.

use std::{
    ffi::{c_int, c_uint},
    path::PathBuf,
};

use burn_cuda::{Cuda, CudaDevice};
use burn_flex::{Flex, FlexDevice};
use libloading::{Library, Symbol};

use crate::{
    Error, Result,
    clip::{Precision, kernels::self_test},
};

/// The oldest CUDA that kernels are made for.
const OLDEST: c_int = 12;

/// Names of the driver's library, by system.
const DRIVER: [&str; 3] = ["libcuda.so.1", "libcuda.so", "nvcuda.dll"];

/// Names of the run-time compiler's library.
const COMPILER: [&str; 5] =
    ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so", "nvrtc64_130_0.dll", "nvrtc64_120_0.dll"];

/// What the driver says of itself.
pub struct Driver {
    /// How many GPUs it has.
    pub devices: usize,
    /// The newest CUDA that it can run, major and minor.
    pub version: (c_int, c_int),
}

/// Looks for the driver and everything else.
///
/// # Errors
/// [`Error::Failed`] that says what is missing and what to do.
pub fn look() -> Result<Driver> {
    let missing = |why: String| Error::Failed(why);
    let library = open(&DRIVER).ok_or_else(|| missing("no NVIDIA driver was found (libcuda)".into()))?;
    let driver = ask(&library).map_err(|why| missing(format!("the NVIDIA driver fails: {why}")))?;
    let (major, minor) = driver.version;
    if major < OLDEST {
        return Err(missing(format!("the NVIDIA driver is for CUDA {major}.{minor}, {OLDEST}.0 is needed: update it")));
    }
    if driver.devices == 0 {
        return Err(missing("the NVIDIA driver has no GPU (does CUDA_VISIBLE_DEVICES hide it?)".into()));
    }
    if open(&COMPILER).is_none() {
        let how = "install CUDA's package cuda-nvrtc, or say where it is in LD_LIBRARY_PATH";
        return Err(missing(format!("NVRTC, CUDA's run-time compiler, was not found: {how}")));
    }
    if !headers().is_some_and(|folder| folder.join("include/cuda_fp16.h").exists()) {
        let how = "install CUDA's package cuda-cudart-dev, or say in CUDA_PATH where the folder 'include' is";
        return Err(missing(format!("CUDA's headers were not found: {how}")));
    }
    Ok(driver)
}

/// Where CubeCL will look for the headers.
fn headers() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("CUDA_PATH") {
        return Some(path.into());
    }
    let usual = ["/usr/local/cuda", "/opt/cuda", "/usr", "C:/Program Files/NVIDIA GPU Computing Toolkit/CUDA/"];
    usual.into_iter().map(PathBuf::from).find(|path| path.exists())
}

/// The GPU `index`, compared with the CPU in `precision`.
///
/// # Errors
/// As [`look`]; there are fewer GPUs; it computes wrongly, or not in that format.
pub fn start(index: usize, precision: Precision) -> Result<CudaDevice> {
    let Driver { devices, .. } = look()?;
    if index >= devices {
        return Err(Error::Failed(format!("there is no GPU {index}: the first of {devices} has number 0")));
    }
    let device = CudaDevice::new(index);
    check(&device, precision).map_err(|why| Error::Failed(format!("CUDA's GPU {index} is not used: {why}")))?;
    Ok(device)
}

/// Compares what a device computes in `precision` with the CPU.
///
/// # Errors
/// [`Error::Failed`]: it computes wrongly, or not in that format.
pub fn check(device: &CudaDevice, precision: Precision) -> Result<()> {
    let compared = self_test::compare::<Cuda, Flex>(precision, device, &FlexDevice);
    pollster::block_on(compared).map_err(Error::Failed)
}

fn open(names: &[&str]) -> Option<Library> {
    // SAFETY: these are NVIDIA's libraries, whose initialisers may run at any time.
    names.iter().find_map(|name| unsafe { Library::new(name) }.ok())
}

fn ask(library: &Library) -> Result<Driver, String> {
    type Ask = unsafe extern "C" fn(*mut c_int) -> c_int;
    let call = |name: &str| {
        let mut found = 0;
        // SAFETY: both functions that are asked for have this type (CUDA's driver API, "Version Management", "Device Management").
        let code = unsafe {
            let function: Symbol<'_, Ask> = library.get(name.as_bytes()).map_err(|why| why.to_string())?;
            function(&raw mut found)
        };
        if code == 0 { Ok(found) } else { Err(format!("{name} says {code}")) }
    };
    // SAFETY: the function's type in the driver API, "Initialization"; its only argument must be 0.
    let code = unsafe {
        let start: Symbol<'_, unsafe extern "C" fn(c_uint) -> c_int> =
            library.get(b"cuInit").map_err(|why| why.to_string())?;
        start(0)
    };
    // 100: there is no device, which the count will say.
    if code != 0 && code != 100 {
        return Err(format!("cuInit says {code}"));
    }
    let version = call("cuDriverGetVersion")?;
    let devices = if code == 0 { call("cuDeviceGetCount")? } else { 0 };
    Ok(Driver { devices: devices.max(0) as usize, version: (version / 1000, version % 1000 / 10) })
}
