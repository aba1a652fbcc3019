//! The CPU backend's own kernels: Flex tensors in and out of [`super::cpu`].

use std::sync::Arc;

use burn::tensor::{Bytes, DType, Shape, Tensor, TensorPrimitive};
use burn_flex::{Flex, FlexTensor, Layout};

use super::cpu::attention::{Shape as AttentionShape, attention};
use super::cpu::gemm::Packed;
use super::cpu::layer_norm::layer_norm;
use super::cpu::simd::Instructions;
use super::{Activation, ClipBackend};

/// A weight in packed `f32` panels, in the place of the tensor that it was made of. Clones share it.
#[derive(Clone, Debug)]
pub struct PackedWeight {
    packed: Arc<Packed>,
    /// What the checkpoint's tensor was: half precision comes back as it went in.
    dtype: DType,
}

impl ClipBackend for Flex {
    type Matrix = PackedWeight;

    fn matrix(weight: Tensor<Self, 2>) -> Self::Matrix {
        let [outputs, inputs] = weight.dims();
        let dtype = weight.dtype();
        let packed = Packed::new(values(&dense(weight)), outputs, inputs, Instructions::best());
        PackedWeight { packed: Arc::new(packed), dtype }
    }

    fn weight(matrix: &Self::Matrix) -> Tensor<Self, 2> {
        tensor(matrix.packed.unpacked(), matrix.packed.shape(), matrix.dtype)
    }

    fn linear(
        x: Tensor<Self, 3>,
        matrix: &Self::Matrix,
        bias: Option<&Tensor<Self, 1>>,
        activation: Activation,
        residual: Option<Tensor<Self, 3>>,
    ) -> Tensor<Self, 3> {
        let ([batch, tokens, _], dtype) = (x.dims(), x.dtype());
        let (x, bias, residual) = (dense(x), bias.cloned().map(dense), residual.map(dense));
        let y = matrix.packed.linear(
            values(&x),
            bias.as_ref().map(values),
            activation,
            residual.as_ref().map(values),
            batch * tokens,
        );
        tensor(y, [batch, tokens, matrix.packed.shape()[0]], dtype)
    }

    fn layer_norm(
        x: Tensor<Self, 3>,
        gamma: &Tensor<Self, 1>,
        beta: &Tensor<Self, 1>,
        epsilon: f64,
    ) -> Tensor<Self, 3> {
        let (shape, dtype) = (x.dims(), x.dtype());
        let (x, gamma, beta) = (dense(x), dense(gamma.clone()), dense(beta.clone()));
        let y = layer_norm(values(&x), values(&gamma), values(&beta), epsilon as f32, Instructions::best());
        tensor(y, shape, dtype)
    }

    fn attention(qkv: Tensor<Self, 3>, heads: usize, causal: bool) -> Tensor<Self, 3> {
        let ([batch, tokens, triple], dtype) = (qkv.dims(), qkv.dtype());
        assert!(
            triple.is_multiple_of(3),
            "queries, keys and values have {triple} columns together, not thrice a width"
        );
        let width = triple / 3;
        let y = attention(
            values(&dense(qkv)),
            AttentionShape { batch, tokens, width, heads, causal },
            Instructions::best(),
        );
        tensor(y, [batch, tokens, width], dtype)
    }
}

/// The tensor in `f32` and in order, whatever it was; free if it already is.
fn dense<const D: usize>(tensor: Tensor<Flex, D>) -> FlexTensor {
    let tensor = if tensor.dtype() == DType::F32 { tensor } else { tensor.cast(DType::F32) };
    let tensor = tensor.into_primitive().tensor();
    if tensor.as_slice::<f32>().is_some() { tensor } else { tensor.to_contiguous() }
}

/// The numbers of a tensor from [`dense`].
fn values(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("a dense f32 tensor is one slice")
}

/// Numbers as a tensor of `dtype`.
fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D], dtype: DType) -> Tensor<Flex, D> {
    let layout = Layout::contiguous(Shape::from(shape));
    let primitive = FlexTensor::new(Bytes::from_elems(values), layout, DType::F32);
    let tensor = Tensor::from_primitive(TensorPrimitive::Float(primitive));
    if dtype == DType::F32 { tensor } else { tensor.cast(dtype) }
}
