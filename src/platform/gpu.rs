//! The GPUs of this machine, on burn-wgpu: found, described, started, and compared with the CPU before they are believed.
//!
//! The shaders are WGSL as in the browser, so what is tested here holds there too.

use burn_flex::{Flex, FlexDevice};
use burn_wgpu::{
    RuntimeOptions, Wgpu, WgpuDevice, WgpuSetup,
    graphics::{AutoGraphicsApi, GraphicsApi},
    init_device,
};
use wgpu::{DeviceType, Features};

use super::{autotune, fault};
use crate::{
    Error, Result,
    clip::{Precision, kernels::self_test},
};

/// A GPU, or the processor in a GPU's clothes.
pub struct Adapter {
    /// What its driver calls it.
    pub name: String,
    /// The interface: Vulkan, Metal, DirectX 12.
    pub interface: String,
    /// It is the processor in a GPU's clothes.
    pub software: bool,
    /// It computes in f16.
    pub f16: bool,
    /// The largest tensor that it can hold, in bytes. How much memory it has in all, nobody can ask.
    pub largest_buffer: u64,
    /// Which driver, in its own words.
    pub driver: String,
    instance: wgpu::Instance,
    adapter: wgpu::Adapter,
}

/// All adapters, the likely fastest first.
pub fn adapters() -> Vec<Adapter> {
    let backend = AutoGraphicsApi::backend();
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: backend.into(),
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let mut found = pollster::block_on(instance.enumerate_adapters(backend.into()));
    found.sort_by_key(|adapter| match adapter.get_info().device_type {
        DeviceType::DiscreteGpu => 0,
        DeviceType::IntegratedGpu => 1,
        DeviceType::VirtualGpu => 2,
        DeviceType::Other => 3,
        DeviceType::Cpu => 4,
    });
    let describe = |adapter: wgpu::Adapter| {
        let (info, limits) = (adapter.get_info(), adapter.limits());
        Adapter {
            name: info.name,
            interface: format!("{backend:?}"),
            software: info.device_type == DeviceType::Cpu,
            f16: adapter.features().contains(Features::SHADER_F16),
            largest_buffer: limits.max_buffer_size.min(limits.max_storage_buffer_binding_size),
            driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
            instance: instance.clone(),
            adapter,
        }
    };
    found.into_iter().map(describe).collect()
}

/// The adapter `index` of [`adapters`].
///
/// # Errors
/// [`Error::Failed`] where there is none at all, [`Error::Usage`] where there are fewer.
pub fn adapter(index: usize) -> Result<Adapter> {
    let mut found = adapters();
    match found.len() {
        0 => {
            Err(Error::Failed(format!("no GPU was found (is its {:?} driver installed?)", AutoGraphicsApi::backend())))
        }
        count if index >= count => Err(Error::Usage(format!(
            "there is no GPU {index}: there are {count}, and the first has number 0 ('lowshot doctor' lists them)"
        ))),
        _ => Ok(found.swap_remove(index)),
    }
}

/// The likely fastest adapter, if it is more than the processor in a GPU's clothes.
///
/// # Errors
/// [`Error::Failed`] that says why there is none.
pub fn fastest() -> Result<Adapter> {
    let adapter = adapter(0)?;
    if adapter.software {
        return Err(Error::Failed(format!("the only GPU here is made of software ({})", adapter.name)));
    }
    Ok(adapter)
}

impl Adapter {
    /// Makes the device and compares what it computes in `precision` with the CPU.
    ///
    /// # Errors
    /// [`Error::Failed`]: the driver refuses, it computes wrongly, or not in that format.
    pub fn start(self, precision: Precision) -> Result<WgpuDevice> {
        let name = self.name.clone();
        let failed = |why: String| Error::Failed(format!("the GPU {name} is not used: {why}"));
        // As CubeCL asks for a device, but that a refusal is an error and not a panic.
        let wanted = self.adapter.features().difference(Features::MAPPABLE_PRIMARY_BUFFERS);
        let asked = self.adapter.request_device(&wgpu::DeviceDescriptor {
            required_features: wanted.difference(Features::all_experimental_mask()),
            required_limits: self.adapter.limits(),
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        });
        let (device, queue) = pollster::block_on(asked).map_err(|why| failed(format!("its driver refuses ({why})")))?;
        let backend = AutoGraphicsApi::backend();
        let setup = WgpuSetup { instance: self.instance, adapter: self.adapter, device, queue, backend };
        autotune::keep();
        let device = init_device(setup, RuntimeOptions::default());
        check(&device, precision).map_err(|why| failed(why.to_string()))?;
        Ok(device)
    }
}

/// Compares what a device computes in `precision` with the CPU.
///
/// # Errors
/// [`Error::Failed`]: it computes wrongly, not in that format, or not at all.
pub fn check(device: &WgpuDevice, precision: Precision) -> Result<()> {
    let compare = || pollster::block_on(self_test::compare::<Wgpu, Flex>(precision, device, &FlexDevice));
    fault::trying(compare).and_then(|result| result).map_err(Error::Failed)
}
