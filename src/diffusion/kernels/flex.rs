//! The CPU backend's own kernels: Flex tensors in and out of [`super::cpu`].

use std::sync::Arc;

use burn::tensor::Tensor;
use burn_flex::{Flex, FlexTensor};

use super::cpu::attention::{Shape, Tokens, attention};
use super::cpu::convolution::{Ending, Filter, Picture};
use super::cpu::gated_gelu::gated_gelu;
use super::cpu::group_norm::{Norm, group_norm};
use super::{DiffusionBackend, Placement};
use crate::clip::kernels::cpu::simd::Instructions;
use crate::clip::kernels::flex::{dense, tensor, values};

/// A filter in `f32`, in the form that suits its size. Clones share it.
#[derive(Clone, Debug)]
pub struct PackedFilter(Arc<Filter>);

impl DiffusionBackend for Flex {
    type Filter = PackedFilter;

    fn filter(weight: Tensor<Self, 4>, stride: usize) -> Self::Filter {
        let [outputs, inputs, size, across] = weight.dims();
        assert_eq!(size, across, "a filter has as many rows as columns");
        let weight = dense(weight);
        let filter = Filter::new(values(&weight), [outputs, inputs, size], stride, Instructions::best());
        PackedFilter(Arc::new(filter))
    }

    fn convolve(
        x: Tensor<Self, 4>,
        PackedFilter(filter): &Self::Filter,
        bias: Option<&Tensor<Self, 1>>,
        placement: Placement,
        residual: Option<Tensor<Self, 4>>,
    ) -> Tensor<Self, 4> {
        let ([batch, height, width, channels], dtype) = (x.dims(), x.dtype());
        let shape = [
            batch,
            placement.outputs(height, filter.size()),
            placement.outputs(width, filter.size()),
            filter.outputs(),
        ];
        if let Some(residual) = &residual {
            assert_eq!(residual.dims(), shape, "the residual is not shaped as the result");
        }
        let (x, bias, residual) = (dense(x), bias.cloned().map(dense), residual.map(dense));
        let picture = Picture { values: values(&x), batch, height, width, channels };
        let ending = Ending { bias: bias.as_ref().map(values), residual: residual.as_ref().map(values) };
        tensor(filter.convolve(picture, placement, ending), shape, dtype)
    }

    fn group_norm(
        x: Tensor<Self, 4>,
        groups: usize,
        gamma: &Tensor<Self, 1>,
        beta: &Tensor<Self, 1>,
        epsilon: f64,
        silu: bool,
    ) -> Tensor<Self, 4> {
        let (shape, dtype) = (x.dims(), x.dtype());
        let (x, gamma, beta) = (dense(x), dense(gamma.clone()), dense(beta.clone()));
        let norm = Norm { groups, gamma: values(&gamma), beta: values(&beta), epsilon, silu };
        tensor(group_norm(values(&x), shape[0], norm, Instructions::best()), shape, dtype)
    }

    fn self_attention(qkv: Tensor<Self, 3>, heads: usize) -> Tensor<Self, 3> {
        let ([batch, tokens, triple], dtype) = (qkv.dims(), qkv.dtype());
        assert!(
            triple.is_multiple_of(3),
            "queries, keys and values have {triple} columns together, not thrice a width"
        );
        let width = triple / 3;
        let qkv = dense(qkv);
        let part = |index: usize| part(&qkv, index * width, triple);
        let shape = Shape { batch, tokens, others: tokens, width, heads };
        let y = attention(part(0), part(1), part(2), shape, Instructions::best());
        tensor(y, [batch, tokens, width], dtype)
    }

    fn cross_attention(query: Tensor<Self, 3>, key_value: Tensor<Self, 3>, heads: usize) -> Tensor<Self, 3> {
        let ([batch, tokens, width], [images, others, double]) = (query.dims(), key_value.dims());
        assert_eq!((images, double), (batch, 2 * width), "keys and values do not fit the queries");
        let dtype = query.dtype();
        let (query, key_value) = (dense(query), dense(key_value));
        let (key, value) = (part(&key_value, 0, double), part(&key_value, width, double));
        let shape = Shape { batch, tokens, others, width, heads };
        let y = attention(part(&query, 0, width), key, value, shape, Instructions::best());
        tensor(y, [batch, tokens, width], dtype)
    }

    fn gated_gelu(x: Tensor<Self, 3>) -> Tensor<Self, 3> {
        let ([batch, tokens, double], dtype) = (x.dims(), x.dtype());
        let width = double / 2;
        let y = gated_gelu(values(&dense(x)), width, Instructions::best());
        tensor(y, [batch, tokens, width], dtype)
    }
}

/// The tokens from a column on.
fn part(tensor: &FlexTensor, column: usize, row: usize) -> Tokens<'_> {
    let values = values(tensor);
    Tokens { values: &values[column.min(values.len())..], row }
}
