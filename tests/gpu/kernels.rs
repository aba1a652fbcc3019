//! Each kernel against its definition in f64, on the numbers as the GPU's format has them: widths of heads and lengths of towers that
//! exist, lengths that fill no tile, and widths that the kernels leave to Burn's operations.

use burn::tensor::{DType, FloatDType, Tensor, TensorData};
use half::{bf16, f16};
use lowshot::clip::{ClipBackend, Precision, kernels::Activation};
use statrs::function::erf::erf;

use super::{Gpu, GpuDevice, device};

const EPSILON: f64 = 1e-5;
/// Two roundings to eleven bits.
const ELEVEN_BITS: f64 = 1.0 / 1024.0;
const ACTIVATIONS: [Activation; 3] = [Activation::Identity, Activation::QuickGelu, Activation::Gelu];

/// A device and the format that is tested on it.
struct Bench<'a>(Precision, &'a GpuDevice);

impl Bench<'_> {
    /// The nearest number that the format has.
    fn round(&self, value: f64) -> f64 {
        match self.0 {
            Precision::F32 => f64::from(value as f32),
            Precision::F16 => f16::from_f64(value).to_f64(),
            Precision::Bf16 => bf16::from_f64(value).to_f64(),
        }
    }

    /// Numbers made by a rule, rounded to the format.
    fn numbers(&self, count: usize, pace: f64) -> Vec<f64> {
        let made = (0..count).map(|index| 1.3 * (1.0 + index as f64 * pace).sin() + 0.1 * (index as f64 * 7.7).cos());
        made.map(|value| self.round(value)).collect()
    }

    /// Such with at most eleven bits, so that it makes no difference whether Burn multiplies them as they are or, on tensor cores, as TF32.
    fn short_numbers(&self, count: usize, pace: f64) -> Vec<f64> {
        self.numbers(count, pace).into_iter().map(|value| self.round(f16::from_f64(value).to_f64())).collect()
    }

    fn tensor<const D: usize>(&self, values: &[f64], shape: [usize; D]) -> Tensor<Gpu, D> {
        self.vector(values, shape).cast(self.0.dtype())
    }

    /// In f32, as the vectors of layer norms.
    fn vector<const D: usize>(&self, values: &[f64], shape: [usize; D]) -> Tensor<Gpu, D> {
        let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
        Tensor::from_data(TensorData::new(values, shape), (self.1, DType::F32))
    }

    /// Nothing, or what is wrong: a number further off, relative to the largest, than two roundings in f16 (which has eleven bits) or
    /// bf16 (eight), or than f32's sums in any order.
    fn check<const D: usize>(&self, what: &str, found: Tensor<Gpu, D>, expected: &[f64]) -> Option<String> {
        let tolerance = match self.0 {
            Precision::F32 => 5e-6,
            Precision::F16 => ELEVEN_BITS,
            Precision::Bf16 => 2f64.powi(-7),
        };
        self.check_within(tolerance, what, found, expected)
    }

    /// The same of attention, by a kernel or else by Burn, whose products on tensor cores are of TF32.
    fn check_attention(&self, head: usize, what: &str, found: Tensor<Gpu, 3>, expected: &[f64]) -> Option<String> {
        let by_kernel = head.is_multiple_of(4);
        if self.0 == Precision::F32 && !by_kernel && super::TENSOR_CORES {
            return self.check_within(ELEVEN_BITS, what, found, expected);
        }
        self.check(what, found, expected)
    }

    fn check_within<const D: usize>(
        &self,
        tolerance: f64,
        what: &str,
        found: Tensor<Gpu, D>,
        expected: &[f64],
    ) -> Option<String> {
        let found = found.cast(FloatDType::F32).into_data().to_vec::<f32>().unwrap();
        let largest = expected.iter().fold(0f64, |most, value| most.max(value.abs()));
        let far = |(found, expected): (&f32, &f64)| (f64::from(*found) - expected).abs();
        let off = found.iter().zip(expected).map(far).fold(0.0, f64::max) / largest.max(1e-30);
        let finite = found.iter().all(|value| value.is_finite());
        let wrong = found.len() != expected.len() || !finite || off > tolerance;
        println!("{what} in {}: off by {off:.1e}", self.0);
        wrong.then(|| format!("{what} in {}: off by {off:.1e} of the largest", self.0))
    }
}

/// Runs a test in every format that the adapter has.
fn in_each_format(test: impl Fn(&Bench<'_>) -> Vec<Option<String>>) {
    let Some((device, _alone)) = device() else { return };
    let mut wrong = Vec::new();
    for precision in Precision::ALL {
        if <Gpu as ClipBackend>::computes_in(precision, &device) {
            wrong.extend(test(&Bench(precision, &device)).into_iter().flatten());
        } else {
            println!("skipped: this adapter does not compute in {precision}");
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Φ.
fn below(x: f64) -> f64 {
    0.5 * (1.0 + erf(x / 2f64.sqrt()))
}

fn activated(x: f64, activation: Activation) -> f64 {
    match activation {
        Activation::Identity => x,
        Activation::QuickGelu => x / (1.0 + (-1.702 * x).exp()),
        Activation::Gelu => x * below(x),
    }
}

fn mean(values: impl Iterator<Item = f64> + Clone) -> f64 {
    values.clone().sum::<f64>() / values.count() as f64
}

/// Each row minus its mean, over its deviation; and the deviations.
fn normalised(x: &[f64], width: usize) -> (Vec<f64>, Vec<f64>) {
    let mut normal = Vec::new();
    let mut deviations = Vec::new();
    for row in x.chunks(width) {
        let centre = mean(row.iter().copied());
        let deviation = (mean(row.iter().map(|value| (value - centre).powi(2))) + EPSILON).sqrt();
        normal.extend(row.iter().map(|value| (value - centre) / deviation));
        deviations.push(deviation);
    }
    (normal, deviations)
}

#[test]
fn layer_norm_and_its_gradient() {
    in_each_format(|bench| {
        let mut wrong = Vec::new();
        for [batch, tokens, width] in [[1, 1, 64], [2, 5, 16], [3, 50, 96], [1, 197, 768], [2, 3, 6]] {
            let count = batch * tokens * width;
            // Far from zero, where a careless variance loses its digits.
            let x: Vec<f64> = bench.numbers(count, 0.37).iter().map(|value| value + 8.0).collect();
            let x: Vec<f64> = x.iter().map(|&value| bench.round(value)).collect();
            let [gamma, beta] = [1.1, 2.3].map(|pace| Bench(Precision::F32, bench.1).numbers(width, pace));
            let (normal, deviations) = normalised(&x, width);
            let expected: Vec<f64> =
                normal.iter().enumerate().map(|(at, value)| value * gamma[at % width] + beta[at % width]).collect();
            let given = bench.tensor(&x, [batch, tokens, width]);
            let weight = bench.vector(&gamma, [width]);
            let found = <Gpu as ClipBackend>::layer_norm(given, &weight, &bench.vector(&beta, [width]), EPSILON);
            wrong.push(bench.check(&format!("{batch} × {tokens} × {width}"), found, &expected));
            if bench.0 == Precision::F32 {
                let gradient = bench.numbers(count, 0.77);
                let scaled: Vec<f64> =
                    gradient.iter().enumerate().map(|(at, value)| value * gamma[at % width]).collect();
                let expected = (0..count).map(|at| {
                    let row = at / width * width..(at / width + 1) * width;
                    let plain = mean(scaled[row.clone()].iter().copied());
                    let along = mean(row.map(|place| scaled[place] * normal[place]));
                    (scaled[at] - plain - normal[at] * along) / deviations[at / width]
                });
                let expected: Vec<f64> = expected.collect();
                let [given, gradient] = [&x, &gradient].map(|values| bench.tensor(values, [batch, tokens, width]));
                let found = <Gpu as ClipBackend>::layer_norm_backward(given, &weight, EPSILON, gradient);
                wrong.push(bench.check(&format!("gradient {batch} × {tokens} × {width}"), found, &expected));
            }
        }
        wrong
    });
}

#[test]
fn linear_layers_with_whatever_follows() {
    in_each_format(|bench| {
        let mut wrong = Vec::new();
        // Many rows and few; tiles that are not full in any direction, and a width that is no multiple of four.
        for [batch, tokens, inputs, outputs] in
            [[1usize, 1, 16, 20], [2, 65, 128, 72], [3, 50, 36, 132], [1, 77, 64, 64], [2, 8, 588, 64], [1, 9, 10, 7]]
        {
            let rows = batch * tokens;
            let by_kernel = inputs.is_multiple_of(4) && outputs.is_multiple_of(4);
            let [x, weight] = [(rows * inputs, 0.37), (outputs * inputs, 0.91)].map(|(count, pace)| {
                if by_kernel { bench.numbers(count, pace) } else { bench.short_numbers(count, pace) }
            });
            let bias = bench.numbers(outputs, 0.19);
            let residual = bench.numbers(rows * outputs, 0.53);
            let matrix = <Gpu as ClipBackend>::matrix(bench.tensor(&weight, [outputs, inputs]));
            let kept = <Gpu as ClipBackend>::weight(&matrix);
            wrong.push(bench.check("the weight", kept, &weight));
            for activation in ACTIVATIONS {
                for follows in [false, true] {
                    let expected = (0..rows * outputs).map(|at| {
                        let (row, column) = (at / outputs * inputs, at % outputs * inputs);
                        let products = (0..inputs).map(|place| x[row + place] * weight[column + place]);
                        let sum = products.sum::<f64>() + if follows { bias[at % outputs] } else { 0.0 };
                        activated(sum, activation) + if follows { residual[at] } else { 0.0 }
                    });
                    let expected: Vec<f64> = expected.collect();
                    let [shift, rest] = [&bias, &residual].map(Vec::as_slice);
                    let shift = follows.then(|| bench.tensor(shift, [outputs]));
                    let rest = follows.then(|| bench.tensor(rest, [batch, tokens, outputs]));
                    let given = bench.tensor(&x, [batch, tokens, inputs]);
                    // Somebody else still has the residual.
                    let shared = rest.clone();
                    let found = <Gpu as ClipBackend>::linear(given, &matrix, shift.as_ref(), activation, rest);
                    let what = format!("{rows} × {inputs} × {outputs}, {activation:?}, {follows}");
                    wrong.push(bench.check(&what, found, &expected));
                    wrong.extend(shared.map(|shared| bench.check("the residual", shared, &residual)));
                }
            }
        }
        wrong
    });
}

#[test]
fn activations_and_their_gradients() {
    in_each_format(|bench| {
        let mut wrong = Vec::new();
        for [batch, tokens, width] in [[1, 1, 4], [3, 50, 96], [1, 2, 5]] {
            let x: Vec<f64> = bench.numbers(batch * tokens * width, 0.37).iter().map(|value| value * 4.0).collect();
            for activation in ACTIVATIONS {
                let given = bench.tensor(&x, [batch, tokens, width]);
                let expected: Vec<f64> = x.iter().map(|&x| activated(x, activation)).collect();
                let found = <Gpu as ClipBackend>::activate(given.clone(), activation);
                wrong.push(bench.check(&format!("{activation:?} of {width}"), found, &expected));
                if bench.0 == Precision::F32 {
                    let gradient = bench.numbers(x.len(), 0.77);
                    let step = 1e-5;
                    let slope =
                        |x: f64| (activated(x + step, activation) - activated(x - step, activation)) / (2.0 * step);
                    let expected: Vec<f64> = x.iter().zip(&gradient).map(|(&x, along)| slope(x) * along).collect();
                    let along = bench.tensor(&gradient, [batch, tokens, width]);
                    let found = <Gpu as ClipBackend>::activate_backward(given, activation, along);
                    wrong.push(bench.check(&format!("gradient of {activation:?} of {width}"), found, &expected));
                }
            }
        }
        wrong
    });
}

/// Softmax attention of the first `queries` tokens.
fn attended(qkv: &[f64], [batch, tokens, heads, head]: [usize; 4], queries: usize, causal: bool) -> Vec<f64> {
    let width = heads * head;
    let mut out = vec![0.0; batch * queries * width];
    let at = |picture: usize, token: usize, part: usize, column: usize| {
        qkv[(picture * tokens + token) * 3 * width + part * width + column]
    };
    for place in 0..batch * queries * heads {
        let (picture, query, start) = (place / heads / queries, place / heads % queries, place % heads * head);
        let seen = if causal { query + 1 } else { tokens };
        let score = |key| (start..start + head).map(|c| at(picture, query, 0, c) * at(picture, key, 1, c)).sum::<f64>();
        let scores: Vec<f64> = (0..seen).map(|key| score(key) / (head as f64).sqrt()).collect();
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
        for column in start..start + head {
            let sum: f64 = weights.iter().enumerate().map(|(key, weight)| weight * at(picture, key, 2, column)).sum();
            out[(picture * queries + query) * width + column] = sum / weights.iter().sum::<f64>();
        }
    }
    out
}

#[test]
fn attention_of_every_token_and_of_the_first() {
    in_each_format(|bench| {
        let mut wrong = Vec::new();
        for shape in [
            [1, 1, 2, 32],
            [2, 5, 2, 8],
            [3, 50, 2, 64],
            [1, 77, 2, 64],
            [1, 197, 2, 64],
            [1, 257, 1, 80],
            [2, 7, 2, 6],
        ] {
            let [batch, tokens, heads, head] = shape;
            let values = bench.numbers(batch * tokens * 3 * heads * head, 0.73);
            let qkv = || bench.tensor(&values, [batch, tokens, 3 * heads * head]);
            for causal in [false, true] {
                let found = <Gpu as ClipBackend>::attention(qkv(), heads, causal);
                let expected = attended(&values, shape, tokens, causal);
                let what = format!("{shape:?}, causal {causal}");
                wrong.push(bench.check_attention(head, &what, found, &expected));
            }
            let found = <Gpu as ClipBackend>::attention_first(qkv(), heads);
            let (what, expected) = (format!("{shape:?}, the first"), attended(&values, shape, 1, false));
            wrong.push(bench.check_attention(head, &what, found, &expected));
        }
        wrong
    });
}

/// Which rows of `width` have something that is not a number.
fn spoilt(tensor: Tensor<Gpu, 3>, width: usize) -> Vec<usize> {
    let values = tensor.into_data().to_vec::<f32>().unwrap();
    let rows = values.chunks(width).enumerate();
    rows.filter(|(_, row)| row.iter().any(|value| value.is_nan())).map(|(row, _)| row).collect()
}

#[test]
fn what_is_not_a_number_is_passed_on_and_spoils_nobody_else() {
    let Some((device, _alone)) = device() else { return };
    let bench = Bench(Precision::F32, &device);
    let (tokens, width) = (40, 16);
    let mut values = bench.numbers(tokens * width, 0.37);
    values[35 * width + 3] = f64::NAN;
    let x = bench.tensor(&values, [1, tokens, width]);
    let vector = bench.vector(&bench.numbers(width, 1.1), [width]);
    let normal = <Gpu as ClipBackend>::layer_norm(x.clone(), &vector, &vector, EPSILON);
    assert_eq!(spoilt(normal, width), [35]);
    let matrix = <Gpu as ClipBackend>::matrix(bench.tensor(&bench.numbers(width * width, 0.91), [width, width]));
    let out = <Gpu as ClipBackend>::linear(x, &matrix, None, Activation::QuickGelu, None);
    assert_eq!(spoilt(out, width), [35]);
    // A key that is not a number reaches those who attend to it.
    let mut values = bench.numbers(tokens * 3 * width, 0.73);
    values[35 * 3 * width + width + 3] = f64::NAN;
    let qkv = bench.tensor(&values, [1, tokens, 3 * width]);
    let all = spoilt(<Gpu as ClipBackend>::attention(qkv.clone(), 1, false), width);
    let later = spoilt(<Gpu as ClipBackend>::attention(qkv, 1, true), width);
    assert_eq!((all, later), ((0..tokens).collect(), (35..tokens).collect()));
}
