//! What every kernel here needs to be launched: tensors in the form that kernels read, and new ones for their results.

use burn::tensor::{DType, Shape, Tensor, TensorMetadata, TensorPrimitive};
use burn_cubecl::{
    BoolElement, CubeBackend, CubeRuntime, FloatElement, IntElement, cubecl::prelude::*, kernel,
    ops::numeric::empty_device_contiguous_dtype, tensor::CubeTensor,
};

/// Four numbers side by side, which is how kernels read and write memory.
pub(super) type Four<E> = Vector<E, Const<4>>;

/// Workgroups in one dimension: WebGPU allows no more.
pub(super) const MOST_WORKGROUPS: usize = 65_535;

/// The tensor as it lies in memory, without gaps and in order.
pub(super) fn lay<R, F, I, BT, const D: usize>(tensor: Tensor<CubeBackend<R, F, I, BT>, D>) -> CubeTensor<R>
where
    R: CubeRuntime,
    F: FloatElement,
    I: IntElement,
    BT: BoolElement,
{
    kernel::into_contiguous(tensor.into_primitive().tensor())
}

/// The reverse of [`lay`].
pub(super) fn raise<R, F, I, BT, const D: usize>(tensor: CubeTensor<R>) -> Tensor<CubeBackend<R, F, I, BT>, D>
where
    R: CubeRuntime,
    F: FloatElement,
    I: IntElement,
    BT: BoolElement,
{
    Tensor::from_primitive(TensorPrimitive::Float(tensor))
}

/// Memory for a result, on the device of `like` and in its format. What is in it is not defined.
pub(super) fn empty<R: CubeRuntime, const D: usize>(like: &CubeTensor<R>, shape: [usize; D]) -> CubeTensor<R> {
    empty_device_contiguous_dtype(like.client.clone(), like.device.clone(), Shape::from(shape), like.dtype)
}

/// Memory that a kernel can write over `tensor`'s values in: its own, if nobody else holds it.
pub(super) fn owned<R: CubeRuntime>(tensor: CubeTensor<R>) -> CubeTensor<R> {
    if tensor.can_mut() { tensor } else { tensor.copy() }
}

/// Whether kernels here compute in this format.
pub(super) fn is_float(format: DType) -> bool {
    matches!(format, DType::F32 | DType::F16 | DType::BF16)
}

/// Whether this device has units that multiply small matrices (tensor cores), and Burn's products therefore use them.
pub(super) fn multiplies_matrices<R: CubeRuntime>(device: &R::Device) -> bool {
    !R::client(device).properties().features.matmul.cmma.is_empty()
}

/// How many rows of the last dimension a tensor has.
pub(super) fn rows<R: CubeRuntime>(tensor: &CubeTensor<R>) -> usize {
    let shape = tensor.shape();
    shape.num_elements() / shape[shape.num_dims() - 1].max(1)
}
