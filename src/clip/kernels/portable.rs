//! The kernels in Burn's own operations: right on every backend, and the definition that a fused one is tested against.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use burn::tensor::{Bool, DType, ElementConversion, FloatDType, Int, Tensor, TensorData, activation, backend::Backend};

use super::{
    Activation, ClipBackend, Dropout,
    dropout::{MULTIPLIERS, SHIFTS, STRIDE, seed_terms},
};

/// `[out, in]` → `[in, out]`, the order in which Burn multiplies.
pub fn matrix<B: Backend>(weight: Tensor<B, 2>) -> Tensor<B, 2> {
    weight.transpose()
}

/// The reverse of [`matrix`].
pub fn weight<B: Backend>(matrix: &Tensor<B, 2>) -> Tensor<B, 2> {
    matrix.clone().transpose()
}

/// See [`super::ClipBackend::linear`].
pub fn linear<B: Backend>(
    x: Tensor<B, 3>,
    matrix: &Tensor<B, 2>,
    bias: Option<&Tensor<B, 1>>,
    activation: Activation,
    residual: Option<Tensor<B, 3>>,
) -> Tensor<B, 3> {
    let [batch, tokens, width] = x.dims();
    let mut y = x.reshape([batch * tokens, width]).matmul(matrix.clone());
    if let Some(bias) = bias {
        y = y + bias.clone().unsqueeze();
    }
    let y = apply(y, activation);
    let out = y.dims()[1];
    let y = y.reshape([batch, tokens, out]);
    match residual {
        Some(residual) => residual + y,
        None => y,
    }
}

/// The activation by itself.
pub fn apply<B: Backend, const D: usize>(x: Tensor<B, D>, activation: Activation) -> Tensor<B, D> {
    match activation {
        Activation::Identity => x,
        Activation::QuickGelu => x.clone() * activation::sigmoid(x.mul_scalar(1.702)),
        Activation::Gelu => in_f32(x, activation::gelu),
    }
}

/// What loses too much in half precision: computed in f32, given back in the format that it came in.
pub(crate) fn in_f32<B: Backend, const D: usize>(
    x: Tensor<B, D>,
    compute: impl FnOnce(Tensor<B, D>) -> Tensor<B, D>,
) -> Tensor<B, D> {
    let format = x.dtype();
    compute(x.cast(FloatDType::F32)).cast(format)
}

/// Softmax over the last dimension.
pub fn softmax<B: Backend, const D: usize>(scores: Tensor<B, D>) -> Tensor<B, D> {
    in_f32(scores, |scores| activation::softmax(scores, D - 1))
}

/// See [`super::ClipBackend::layer_norm`].
pub fn layer_norm<B: Backend>(
    x: Tensor<B, 3>,
    gamma: &Tensor<B, 1>,
    beta: &Tensor<B, 1>,
    epsilon: f64,
) -> Tensor<B, 3> {
    let [gamma, beta] = [gamma, beta].map(|vector| vector.clone().cast(FloatDType::F32).unsqueeze());
    in_f32(x, |x| {
        let centred = x.clone() - x.mean_dim(2);
        let variance = centred.clone().powi_scalar(2).mean_dim(2);
        centred / (variance + epsilon).sqrt() * gamma + beta
    })
}

/// See [`super::ClipBackend::attention`].
pub fn attention<B: Backend>(qkv: Tensor<B, 3>, heads: usize, causal: bool) -> Tensor<B, 3> {
    let [batch, tokens, triple] = qkv.dims();
    let (probabilities, [_, _, value]) = probabilities(&qkv, heads, causal);
    probabilities.matmul(value).swap_dims(1, 2).reshape([batch, tokens, triple / 3])
}

/// See [`super::ClipBackend::attention_first`].
pub fn attention_first<B: Backend>(qkv: &Tensor<B, 3>, heads: usize) -> Tensor<B, 3> {
    let [batch, _, triple] = qkv.dims();
    let attended = first_probabilities(qkv, heads).matmul(heads_of(qkv, heads, 2));
    attended.swap_dims(1, 2).reshape([batch, 1, triple / 3])
}

/// How much the first token attends to each, `[batch, heads, 1, tokens]`, from `qkv` `[batch, tokens, 3 · width]`.
pub fn first_probabilities<B: Backend>(qkv: &Tensor<B, 3>, heads: usize) -> Tensor<B, 4> {
    let head = qkv.dims()[2] / 3 / heads;
    let query = heads_of(&qkv.clone().narrow(1, 0, 1), heads, 0).mul_scalar((head as f64).powf(-0.5));
    softmax(query.matmul(heads_of(qkv, heads, 1).transpose()))
}

/// Queries (0), keys (1) or values (2) of `qkv` `[batch, tokens, 3 · width]`, `[batch, heads, tokens, head]`.
fn heads_of<B: Backend>(qkv: &Tensor<B, 3>, heads: usize, index: usize) -> Tensor<B, 4> {
    let [batch, tokens, triple] = qkv.dims();
    let width = triple / 3;
    qkv.clone().narrow(2, index * width, width).reshape([batch, tokens, heads, width / heads]).swap_dims(1, 2)
}

/// Attention's probabilities `[batch, heads, tokens, tokens]`, and queries (times 1/√head), keys and values
/// `[batch, heads, tokens, head]`.
fn probabilities<B: Backend>(qkv: &Tensor<B, 3>, heads: usize, causal: bool) -> (Tensor<B, 4>, [Tensor<B, 4>; 3]) {
    let [_, tokens, triple] = qkv.dims();
    let [query, key, value] = [0, 1, 2].map(|index| heads_of(qkv, heads, index));
    let query = query.mul_scalar(((triple / 3 / heads) as f64).powf(-0.5));
    let mut scores = query.clone().matmul(key.clone().transpose());
    if causal {
        let hidden = Tensor::<B, 2, Bool>::tril_mask([tokens, tokens], 0, &scores.device());
        scores = scores.mask_fill(hidden.unsqueeze(), f32::NEG_INFINITY);
    }
    (softmax(scores), [query, key, value])
}

/// See [`super::ClipBackend::low_rank_down`].
pub fn low_rank_down<B: ClipBackend>(x: &Tensor<B, 3>, down: &Tensor<B, 2>, dropout: &Dropout) -> Tensor<B, 3> {
    let [batch, tokens, _] = x.dims();
    let [outputs, _] = down.dims();
    let seen = groups(x, down, dropout).map(|(_, seen, down)| seen.matmul(down.transpose()));
    Tensor::cat(seen.collect(), 1).reshape([batch, tokens, outputs])
}

/// Each group's mask, what it sees of `x`, and its rows of `down`, all matrices.
fn groups<'a, B: ClipBackend>(
    x: &Tensor<B, 3>,
    down: &'a Tensor<B, 2>,
    dropout: &'a Dropout,
) -> impl Iterator<Item = (Option<Tensor<B, 2>>, Tensor<B, 2>, Tensor<B, 2>)> + use<'a, B> {
    let [batch, tokens, width] = x.dims();
    let rows = batch * tokens;
    let x = x.clone().reshape([rows, width]);
    let rank = down.dims()[0] / dropout.seeds.len();
    (0..dropout.seeds.len()).map(move |group| {
        let mask = (!dropout.is_none()).then(|| {
            if B::MIXES_BITS {
                return mask(dropout, group, [rows, width], &x.device());
            }
            let data = TensorData::new(dropout.mask(group, rows, width), [rows, width]);
            Tensor::<B, 2>::from_data(data, (&x.device(), DType::F32))
        });
        let seen = mask.clone().map_or_else(|| x.clone(), |mask| x.clone() * mask);
        (mask, seen, down.clone().narrow(0, group * rank, rank))
    })
}

/// [`Dropout::mask`] for an input of this `shape`, computed on the device: to the bit the same, because it is made of whole numbers.
/// What goes there is a number a row and a number a column.
pub fn mask<B: Backend>(dropout: &Dropout, group: usize, shape: [usize; 2], device: &B::Device) -> Tensor<B, 2> {
    let [rows, width] = shape;
    let [first, second] = seed_terms(dropout.seeds[group]);
    let terms = |values: Vec<u32>, shape: [usize; 2]| {
        Tensor::<B, 2, Int>::from_data(TensorData::new(values, shape), (device, DType::U32))
    };
    let of_rows = (0..rows).map(|row| ((row * width) as u32).wrapping_mul(STRIDE)).collect();
    let of_columns = (0..width).map(|column| (column as u32).wrapping_mul(STRIDE).wrapping_add(first)).collect();
    let mix = |bits: Tensor<B, 2, Int>, by: u32| bits.clone().bitwise_xor(bits.bitwise_right_shift_scalar(by.elem()));
    let bits = terms(of_rows, [rows, 1]) + terms(of_columns, [1, width]);
    let bits = mix(bits, SHIFTS[0]).mul_scalar(MULTIPLIERS[0]);
    let bits = mix(bits, SHIFTS[1]).add_scalar(second).mul_scalar(MULTIPLIERS[1]);
    let kept = mix(bits, SHIFTS[2]).greater_equal_elem(dropout.threshold());
    kept.float().cast(FloatDType::F32).mul_scalar(dropout.scale())
}

/// See [`super::ClipBackend::linear_backward`]; `weight` is `[out, in]`.
pub fn linear_backward<B: Backend>(gradient: Tensor<B, 3>, weight: Tensor<B, 2>) -> Tensor<B, 3> {
    let [batch, tokens, outputs] = gradient.dims();
    let inputs = weight.dims()[1];
    gradient.reshape([batch * tokens, outputs]).matmul(weight).reshape([batch, tokens, inputs])
}

/// See [`super::ClipBackend::activate_backward`].
pub fn activate_backward<B: Backend>(x: Tensor<B, 3>, activation: Activation, gradient: Tensor<B, 3>) -> Tensor<B, 3> {
    match activation {
        Activation::Identity => gradient,
        Activation::QuickGelu => {
            // σ(1.702 x) (1 + 1.702 x (1 − σ(1.702 x)))
            let scaled = x.mul_scalar(1.702);
            let gate = activation::sigmoid(scaled.clone());
            let rest = gate.clone().neg().add_scalar(1.0);
            gradient * gate * (scaled * rest).add_scalar(1.0)
        }
        Activation::Gelu => {
            // Φ(x) + x φ(x)
            let below = x.clone().mul_scalar(FRAC_1_SQRT_2).erf().add_scalar(1.0).mul_scalar(0.5);
            let density = x.clone().powi_scalar(2).mul_scalar(-0.5).exp().div_scalar((2.0 * PI).sqrt());
            gradient * (below + x * density)
        }
    }
}

/// See [`super::ClipBackend::layer_norm_backward`].
pub fn layer_norm_backward<B: Backend>(
    x: Tensor<B, 3>,
    gamma: &Tensor<B, 1>,
    epsilon: f64,
    gradient: Tensor<B, 3>,
) -> Tensor<B, 3> {
    let centred = x.clone() - x.mean_dim(2);
    let deviation = (centred.clone().powi_scalar(2).mean_dim(2) + epsilon).sqrt();
    let normal = centred / deviation.clone();
    let gradient = gradient * gamma.clone().unsqueeze();
    let along = (gradient.clone() * normal.clone()).mean_dim(2);
    (gradient.clone() - gradient.mean_dim(2) - normal * along) / deviation
}

/// See [`super::ClipBackend::attention_backward`].
pub fn attention_backward<B: Backend>(
    qkv: Tensor<B, 3>,
    heads: usize,
    causal: bool,
    gradient: Tensor<B, 3>,
) -> Tensor<B, 3> {
    let [batch, tokens, width] = gradient.dims();
    let head = width / heads;
    let (probabilities, [query, key, value]) = probabilities(&qkv, heads, causal);
    let gradient = gradient.reshape([batch, tokens, heads, head]).swap_dims(1, 2);
    let by_value = probabilities.clone().transpose().matmul(gradient.clone());
    let by_probabilities = gradient.matmul(value.transpose());
    let mean = (by_probabilities.clone() * probabilities.clone()).sum_dim(3);
    let by_scores = probabilities * (by_probabilities - mean);
    let by_query = by_scores.clone().matmul(key).mul_scalar((head as f64).powf(-0.5));
    let by_key = by_scores.transpose().matmul(query);
    let parts = [by_query, by_key, by_value].map(|part| part.swap_dims(1, 2).reshape([batch, tokens, width]));
    Tensor::cat(parts.into(), 2)
}

/// See [`super::ClipBackend::low_rank_down_backward`].
pub fn low_rank_down_backward<B: ClipBackend>(
    x: &Tensor<B, 3>,
    down: &Tensor<B, 2>,
    dropout: &Dropout,
    gradient: Tensor<B, 3>,
) -> (Tensor<B, 3>, Tensor<B, 2>) {
    let [batch, tokens, width] = x.dims();
    let (rank, rows) = (down.dims()[0] / dropout.seeds.len(), batch * tokens);
    let gradient = gradient.reshape([rows, down.dims()[0]]);
    let mut by_x = Tensor::zeros([rows, width], &x.device());
    let mut by_down = Vec::new();
    for (group, (mask, seen, down)) in groups(x, down, dropout).enumerate() {
        let gradient = gradient.clone().narrow(1, group * rank, rank);
        by_down.push(gradient.clone().transpose().matmul(seen));
        let by_seen = gradient.matmul(down);
        by_x = by_x + mask.map_or_else(|| by_seen.clone(), |mask| by_seen.clone() * mask);
    }
    (by_x.reshape([batch, tokens, width]), Tensor::cat(by_down, 0))
}
