//! NVIDIA's GPUs, on burn-cuda. Its first operation would panic where something is missing, so all that it needs is looked for
//! before ([`nvidia`]).

use burn_cuda::{Cuda, CudaDevice};
use burn_flex::{Flex, FlexDevice};

use super::{autotune, fault, nvidia};
use crate::{
    Error, Result,
    clip::{ClipBackend, Precision, kernels::self_test},
};

/// The GPU `index`, compared with the CPU in `precision`.
///
/// # Errors
/// Something is missing, or does not fit together; there is no such GPU; it computes wrongly, or not in that format.
pub fn start(index: usize, precision: Precision) -> Result<CudaDevice> {
    let machine = nvidia::Machine::look();
    let gpu = machine.gpu(index).map_err(|lack| match lack {
        nvidia::Lack::Index(why) => Error::Usage(why),
        nvidia::Lack::Machine(why) => Error::Failed(why),
    })?;
    autotune::keep();
    let device = CudaDevice::new(index);
    check(&device, precision).map_err(|why| Error::Failed(format!("the GPU {} is not used: {why}", gpu.name)))?;
    Ok(device)
}

/// Compares what a device computes in `precision` with the CPU.
///
/// # Errors
/// [`Error::Failed`]: it computes wrongly, not in that format, or not at all.
pub fn check(device: &CudaDevice, precision: Precision) -> Result<()> {
    let compare = || pollster::block_on(self_test::compare::<Cuda, Flex>(precision, device, &FlexDevice));
    fault::trying(compare).and_then(|result| result).map_err(Error::Failed)
}

/// The formats that a device computes in as the CPU does, of those that it has: older GPUs lack bf16.
///
/// # Errors
/// It computes wrongly in one of them.
pub fn formats(device: &CudaDevice) -> Result<String> {
    let has = |precision: &Precision| <Cuda as ClipBackend>::computes_in(*precision, device);
    let formats: Vec<Precision> = Precision::ALL.into_iter().filter(has).collect();
    for precision in &formats {
        check(device, *precision)?;
    }
    Ok(formats.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
}
