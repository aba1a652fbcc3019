//! The CPU backend's own kernels: Flex tensors in and out of [`super::cpu`].

use std::sync::Arc;

use burn::tensor::{Bytes, DType, Shape, Tensor, TensorPrimitive};
use burn_flex::{Flex, FlexTensor, Layout};

use super::cpu::activation::{activate, activate_backward};
use super::cpu::attention::{Shape as AttentionShape, attention};
use super::cpu::attention_backward::attention_backward;
use super::cpu::convert;
use super::cpu::gemm::Packed;
use super::cpu::layer_norm::layer_norm;
use super::cpu::layer_norm_backward::layer_norm_backward;
use super::cpu::low_rank::{low_rank_down, low_rank_down_backward};
use super::cpu::simd::Instructions;
use super::{Activation, ClipBackend, Dropout};
use crate::clip::{Precision, Storage};

/// A weight in packed panels, in the place of the tensor that it was made of. Clones share it.
#[derive(Clone, Debug)]
pub struct PackedWeight {
    packed: Arc<Packed>,
    /// What the checkpoint's tensor was: half precision comes back as it went in.
    dtype: DType,
}

impl ClipBackend for Flex {
    type Matrix = PackedWeight;

    fn computes_in(_: Precision, _: &Self::Device) -> bool {
        true
    }

    fn stores_in(_: Storage) -> bool {
        true
    }

    fn matrix(weight: Tensor<Self, 2>) -> Self::Matrix {
        Self::matrix_in(Storage::Exact, weight)
    }

    fn matrix_in(storage: Storage, weight: Tensor<Self, 2>) -> Self::Matrix {
        let [outputs, inputs] = weight.dims();
        let dtype = weight.dtype();
        let packed = Packed::stored(storage, values(&dense(weight)), outputs, inputs, Instructions::best());
        PackedWeight { packed: Arc::new(packed), dtype }
    }

    fn rows(matrix: &Self::Matrix, ids: &[u32]) -> Tensor<Self, 2> {
        let rows = matrix.packed.rows(ids.iter().map(|&id| id as usize));
        tensor(rows, [ids.len(), matrix.packed.shape()[1]], matrix.dtype)
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
        let y = matrix.packed.linear_of(
            dtype == DType::BF16,
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
        let (shape, dtype) = (attention_shape(&qkv, heads, causal), qkv.dtype());
        let y = attention(values(&dense(qkv)), shape, Instructions::best());
        tensor(y, [shape.batch, shape.tokens, shape.width], dtype)
    }

    fn activate(x: Tensor<Self, 3>, activation: Activation) -> Tensor<Self, 3> {
        let (shape, dtype) = (x.dims(), x.dtype());
        tensor(activate(values(&dense(x)), activation, Instructions::best()), shape, dtype)
    }

    fn low_rank_down(x: &Tensor<Self, 3>, down: &Tensor<Self, 2>, dropout: &Dropout) -> Tensor<Self, 3> {
        let ([batch, tokens, width], [outputs, _], dtype) = (x.dims(), down.dims(), x.dtype());
        let (x, down) = (dense(x.clone()), dense(down.clone()));
        let y = low_rank_down(values(&x), values(&down), width, dropout, Instructions::best());
        tensor(y, [batch, tokens, outputs], dtype)
    }

    fn linear_backward(gradient: Tensor<Self, 3>, matrix: &Self::Matrix) -> Tensor<Self, 3> {
        let ([batch, tokens, _], dtype) = (gradient.dims(), gradient.dtype());
        let by_x = matrix.packed.linear_backward(values(&dense(gradient)), batch * tokens);
        tensor(by_x, [batch, tokens, matrix.packed.shape()[1]], dtype)
    }

    fn activate_backward(x: Tensor<Self, 3>, activation: Activation, gradient: Tensor<Self, 3>) -> Tensor<Self, 3> {
        let (shape, dtype) = (x.dims(), gradient.dtype());
        let (x, gradient) = (dense(x), dense(gradient));
        tensor(activate_backward(values(&x), activation, values(&gradient), Instructions::best()), shape, dtype)
    }

    fn layer_norm_backward(
        x: Tensor<Self, 3>,
        gamma: &Tensor<Self, 1>,
        epsilon: f64,
        gradient: Tensor<Self, 3>,
    ) -> Tensor<Self, 3> {
        let (shape, dtype) = (x.dims(), gradient.dtype());
        let (x, gamma, gradient) = (dense(x), dense(gamma.clone()), dense(gradient));
        let (x, gamma, gradient) = (values(&x), values(&gamma), values(&gradient));
        tensor(layer_norm_backward(x, gamma, epsilon as f32, gradient, Instructions::best()), shape, dtype)
    }

    fn attention_backward(
        qkv: Tensor<Self, 3>,
        heads: usize,
        causal: bool,
        gradient: Tensor<Self, 3>,
    ) -> Tensor<Self, 3> {
        let (shape, dims, dtype) = (attention_shape(&qkv, heads, causal), qkv.dims(), gradient.dtype());
        let (qkv, gradient) = (dense(qkv), dense(gradient));
        tensor(attention_backward(values(&qkv), shape, values(&gradient), Instructions::best()), dims, dtype)
    }

    fn low_rank_down_backward(
        x: &Tensor<Self, 3>,
        down: &Tensor<Self, 2>,
        dropout: &Dropout,
        gradient: Tensor<Self, 3>,
    ) -> (Tensor<Self, 3>, Tensor<Self, 2>) {
        let ((dims, dtype), (down_dims, down_dtype)) = ((x.dims(), x.dtype()), (down.dims(), down.dtype()));
        let (x, down, gradient) = (dense(x.clone()), dense(down.clone()), dense(gradient));
        let (x, down, gradient) = (values(&x), values(&down), values(&gradient));
        let (by_x, by_down) = low_rank_down_backward(x, down, dims[2], dropout, gradient, Instructions::best());
        (tensor(by_x, dims, dtype), tensor(by_down, down_dims, down_dtype))
    }
}

/// What the kernels need to know of `qkv` `[batch, tokens, 3 · width]`.
fn attention_shape(qkv: &Tensor<Flex, 3>, heads: usize, causal: bool) -> AttentionShape {
    let [batch, tokens, triple] = qkv.dims();
    assert!(triple.is_multiple_of(3), "queries, keys and values have {triple} columns together, not thrice a width");
    AttentionShape { batch, tokens, width: triple / 3, heads, causal }
}

const IN_ORDER: &str = "a tensor in order is one slice";

/// The tensor in `f32` and in order, whatever it was; free if it already is.
pub(crate) fn dense<const D: usize>(tensor: Tensor<Flex, D>) -> FlexTensor {
    let (dims, dtype) = (tensor.dims(), tensor.dtype());
    let tensor = if matches!(dtype, DType::F32 | DType::F16 | DType::BF16) { tensor } else { tensor.cast(DType::F32) };
    let tensor = tensor.into_primitive().tensor();
    let tensor = if tensor.is_contiguous() { tensor } else { tensor.to_contiguous() };
    let wide = match dtype {
        DType::BF16 => convert::from_bf16(tensor.as_slice().expect(IN_ORDER), Instructions::best()),
        DType::F16 => convert::from_f16(tensor.as_slice().expect(IN_ORDER)),
        _ => return tensor,
    };
    primitive(Bytes::from_elems(wide), dims, DType::F32)
}

/// The numbers of a tensor from [`dense`].
pub(crate) fn values(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect(IN_ORDER)
}

/// Numbers as a tensor of `dtype`.
pub(crate) fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D], dtype: DType) -> Tensor<Flex, D> {
    let (bytes, format) = match dtype {
        DType::BF16 => (Bytes::from_elems(convert::to_bf16(&values, Instructions::best())), dtype),
        DType::F16 => (Bytes::from_elems(convert::to_f16(&values)), dtype),
        _ => (Bytes::from_elems(values), DType::F32),
    };
    let tensor = Tensor::from_primitive(TensorPrimitive::Float(primitive(bytes, shape, format)));
    if format == dtype { tensor } else { tensor.cast(dtype) }
}

fn primitive<const D: usize>(values: Bytes, shape: [usize; D], dtype: DType) -> FlexTensor {
    FlexTensor::new(values, Layout::contiguous(Shape::from(shape)), dtype)
}
