//! The kernels of training under every instruction set of this machine, against sums in double precision; the definition
//! of attention's gradient itself against finite differences.

use proptest::prelude::*;

use super::super::{Activation, Dropout};
use super::activation::{activate, activate_backward};
use super::attention::{Shape, attention};
use super::attention_backward::attention_backward;
use super::gemm::Packed;
use super::layer_norm_backward::layer_norm_backward;
use super::low_rank::{low_rank_down, low_rank_down_backward};
use super::simd::Instructions;
use super::tests::{assert_close, exact_attention, random, wide};

/// What ∂L/∂qkv is for `L = Σ gradient · attention(qkv)`, by the chain rule.
fn exact_attention_backward(qkv: &[f64], shape: Shape, gradient: &[f64]) -> Vec<f64> {
    let Shape { batch, tokens, width, heads, causal } = shape;
    let (depth, scale) = (width / heads, ((width / heads) as f64).powf(-0.5));
    let place = |image: usize, token: usize, part: usize, column: usize| {
        (image * tokens + token) * 3 * width + part * width + column
    };
    let mut result = vec![0.0; qkv.len()];
    for (image, head) in (0..batch).flat_map(|image| (0..heads).map(move |head| (image, head))) {
        let columns = head * depth..(head + 1) * depth;
        for query in 0..tokens {
            let seen = if causal { query + 1 } else { tokens };
            let upper = |c: usize| gradient[(image * tokens + query) * width + c];
            let e: Vec<f64> = (0..seen)
                .map(|key| columns.clone().map(|c| qkv[place(image, query, 0, c)] * qkv[place(image, key, 1, c)]).sum())
                .map(|score: f64| (score * scale).exp())
                .collect();
            let sum: f64 = e.iter().sum();
            let slopes: Vec<f64> =
                (0..seen).map(|key| columns.clone().map(|c| upper(c) * qkv[place(image, key, 2, c)]).sum()).collect();
            let mean: f64 = e.iter().zip(&slopes).map(|(e, slope)| e / sum * slope).sum();
            for key in 0..seen {
                let p = e[key] / sum;
                let by_score = p * (slopes[key] - mean) * scale;
                for c in columns.clone() {
                    result[place(image, query, 0, c)] += by_score * qkv[place(image, key, 1, c)];
                    result[place(image, key, 1, c)] += by_score * qkv[place(image, query, 0, c)];
                    result[place(image, key, 2, c)] += p * upper(c);
                }
            }
        }
    }
    result
}

/// The gradient of layer normalisation, and what an error of it is measured by: the terms whose difference it is, more where
/// a row's values differ little beside their size. (Of two values alone the gradient is nearly nothing, and all its terms
/// cancel.)
fn exact_layer_norm_backward(x: &[f32], gamma: &[f32], gradient: &[f32]) -> [Vec<f64>; 2] {
    let (width, count) = (gamma.len(), gamma.len() as f64);
    let largest = |values: &[f64]| values.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
    let (mut exact, mut scale) = (Vec::new(), Vec::new());
    for (x, gradient) in x.chunks_exact(width).zip(gradient.chunks_exact(width)) {
        let x = wide(x);
        let mean = x.iter().sum::<f64>() / count;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
        let deviation = (variance + 1e-5).sqrt();
        let normal: Vec<f64> = x.iter().map(|x| (x - mean) / deviation).collect();
        let g: Vec<f64> = gradient.iter().zip(gamma).map(|(&a, &b)| f64::from(a) * f64::from(b)).collect();
        let sum = g.iter().sum::<f64>() / count;
        let along = g.iter().zip(&normal).map(|(g, n)| g * n).sum::<f64>() / count;
        exact.extend(g.iter().zip(&normal).map(|(g, n)| (g - sum - n * along) / deviation));
        let terms = largest(&g) + sum.abs() + largest(&normal) * along.abs();
        scale.extend(vec![terms / deviation * (1.0 + largest(&x) / deviation); width]);
    }
    [exact, scale]
}

/// `dropout(x) · downᵀ` and its two gradients.
fn exact_low_rank(x: &[f32], down: &[f32], width: usize, dropout: &Dropout, gradient: &[f32]) -> [Vec<f64>; 3] {
    let (rows, outputs) = (x.len() / width, down.len() / width);
    let rank = outputs / dropout.groups();
    let (mut y, mut by_x, mut by_down) = (vec![0.0; rows * outputs], vec![0.0; x.len()], vec![0.0; down.len()]);
    for output in 0..outputs {
        let mask = wide(&dropout.mask(output / rank, rows, width));
        for index in 0..rows * width {
            let (row, column) = (index / width, index % width);
            let (x, down) = (f64::from(x[index]) * mask[index], f64::from(down[output * width + column]));
            let upper = f64::from(gradient[row * outputs + output]);
            y[row * outputs + output] += x * down;
            by_x[index] += upper * down * mask[index];
            by_down[output * width + column] += upper * x;
        }
    }
    [y, by_x, by_down]
}

#[test]
fn derivatives_of_activations_agree_with_scipy() {
    let reference = include_str!("../../../../tests/kernels/activations.csv");
    let rows: Vec<Vec<f64>> =
        reference.lines().skip(1).map(|line| line.split(',').map(|value| value.parse().unwrap()).collect()).collect();
    let x: Vec<f32> = rows.iter().map(|row| row[0] as f32).collect();
    let gradient = vec![-2.0; x.len()];
    for instructions in Instructions::available() {
        for (column, activation) in [(1, Activation::QuickGelu), (2, Activation::Gelu)] {
            let (y, slopes) =
                (activate(&x, activation, instructions), activate_backward(&x, activation, &gradient, instructions));
            for ((row, y), slope) in rows.iter().zip(y).zip(slopes) {
                let what = format!("{instructions:?}: {activation:?} at {}", row[0]);
                assert!((f64::from(y) - row[column]).abs() <= 1e-5 * row[column].abs() + 1e-37, "{what} is {y}");
                // Absolute: the derivatives cross zero, and are about one where they matter.
                let error = (f64::from(slope) + 2.0 * row[column + 2]).abs();
                assert!(error <= 1e-6, "{what} has the slope {}, not {}", slope / -2.0, row[column + 2]);
            }
        }
        assert_eq!(activate(&x, Activation::Identity, instructions), x);
        assert_eq!(activate_backward(&x, Activation::Identity, &gradient, instructions), gradient);
    }
}

#[test]
fn the_gradient_of_attention_is_that_of_its_definition() {
    let shape = Shape { batch: 2, tokens: 5, width: 6, heads: 2, causal: true };
    for shape in [shape, Shape { causal: false, ..shape }] {
        let (qkv, gradient) = (wide(&random(2 * 5 * 18, 31)), wide(&random(2 * 5 * 6, 32)));
        let loss = |qkv: &[f64]| -> f64 { exact_attention(qkv, shape).iter().zip(&gradient).map(|(y, g)| y * g).sum() };
        let exact = exact_attention_backward(&qkv, shape, &gradient);
        for (index, &exact) in exact.iter().enumerate() {
            let moved = |by: f64| {
                let mut qkv = qkv.clone();
                qkv[index] += by;
                loss(&qkv)
            };
            let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((slope - exact).abs() <= 1e-8, "{slope} by {index}, not {exact}");
        }
    }
}

#[test]
fn what_is_not_finite_shows_in_its_gradient() {
    for instructions in Instructions::available() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let spoilt = |count: usize, index: usize| {
                let mut values = random(count, 41);
                values[index] = bad;
                values
            };
            let finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
            let (x, whole) = (spoilt(4 * 40, 45), random(4 * 40, 42));
            for activation in [Activation::QuickGelu, Activation::Gelu] {
                assert!(!activate_backward(&x, activation, &whole, instructions)[45].is_finite());
                assert!(!activate_backward(&whole, activation, &x, instructions)[45].is_finite());
            }
            // The second row only.
            let gamma = random(40, 43);
            for y in [
                layer_norm_backward(&x, &gamma, 1e-5, &whole, instructions),
                layer_norm_backward(&whole, &gamma, 1e-5, &x, instructions),
                Packed::new(&random(40 * 40, 44), 40, 40, instructions).linear_backward(&x, 4),
            ] {
                assert!(finite(&y[..40]) && !finite(&y[40..80]) && finite(&y[80..]), "{instructions:?}: {bad}");
            }
            let dropout = Dropout { probability: 0.5, seeds: vec![1, 2] };
            let y = low_rank_down(&x, &random(6 * 40, 45), 40, &dropout, instructions);
            assert!(finite(&y[..6]) && !finite(&y[6..12]) && finite(&y[12..]), "{instructions:?}: {bad}");
            let down = random(6 * 40, 45);
            let (by_x, by_down) = low_rank_down_backward(&x, &down, 40, &dropout, &random(24, 46), instructions);
            assert!(finite(&by_x) && !by_down[5].is_finite() && finite(&by_down[6..45]), "{instructions:?}: {bad}");
            // A value of the last token: with the causal mask nobody before it has seen it.
            let shape = Shape { batch: 1, tokens: 4, width: 8, heads: 2, causal: true };
            let by_qkv = attention_backward(&spoilt(4 * 24, 3 * 24 + 20), shape, &random(4 * 8, 47), instructions);
            assert!(!finite(&by_qkv[3 * 24..]) && finite(&by_qkv[..8]), "{instructions:?}: {bad}: {by_qkv:?}");
        }
    }
}

fn check_attention(shape: Shape, seed: u64) {
    let count = shape.batch * shape.tokens * shape.width;
    // Scores well away from equal, so that the softmax matters.
    let qkv: Vec<f32> = random(3 * count, seed).iter().map(|x| 3.0 * x).collect();
    let gradient = random(count, seed ^ 1);
    let expected = exact_attention_backward(&wide(&qkv), shape, &wide(&gradient));
    for instructions in Instructions::available() {
        let actual = attention_backward(&qkv, shape, &gradient, instructions);
        assert_close(&actual, &expected, 2e-5, &format!("{instructions:?} {shape:?}"));
        // The forward pass agrees about what the shape means.
        assert_eq!(attention(&qkv, shape, instructions).len(), gradient.len());
    }
}

#[test]
fn attention_backward_at_the_sizes_of_clip() {
    for causal in [false, true] {
        check_attention(Shape { batch: 1, tokens: 197, width: 128, heads: 2, causal }, 51);
        check_attention(Shape { batch: 2, tokens: 65, width: 100, heads: 1, causal }, 52);
        check_attention(Shape { batch: 3, tokens: 1, width: 8, heads: 2, causal }, 53);
        check_attention(Shape { batch: 1, tokens: 77, width: 80, heads: 1, causal }, 54);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn linear_backward_is_the_definition(
        rows in 1_usize..120, inputs in 1_usize..150, outputs in 1_usize..1700, seed: u64,
    ) {
        let (weight, gradient) = (random(outputs * inputs, seed), random(rows * outputs, !seed));
        let mut expected = vec![0.0; rows * inputs];
        for (gradient, expected) in gradient.chunks_exact(outputs).zip(expected.chunks_exact_mut(inputs)) {
            for (&upper, row) in gradient.iter().zip(weight.chunks_exact(inputs)) {
                for (to, &weight) in expected.iter_mut().zip(row) {
                    *to += f64::from(upper) * f64::from(weight);
                }
            }
        }
        for instructions in Instructions::available() {
            let actual = Packed::new(&weight, outputs, inputs, instructions).linear_backward(&gradient, rows);
            assert_close(&actual, &expected, 1e-5, &format!("{instructions:?}"));
        }
    }

    #[test]
    fn attention_backward_is_the_definition(
        batch in 1_usize..3, tokens in 1_usize..90, heads in 1_usize..4, depth in 1_usize..70, causal: bool, seed: u64,
    ) {
        check_attention(Shape { batch, tokens, width: heads * depth, heads, causal }, seed);
    }

    #[test]
    fn layer_norm_backward_is_the_definition(
        rows in 1_usize..40, width in 2_usize..200, shift in -3.0_f32..3.0, seed: u64,
    ) {
        let x: Vec<f32> = random(rows * width, seed).iter().map(|x| x + shift).collect();
        let (gamma, gradient) = (random(width, seed ^ 1), random(rows * width, seed ^ 2));
        let [expected, scale] = exact_layer_norm_backward(&x, &gamma, &gradient);
        for instructions in Instructions::available() {
            let actual = layer_norm_backward(&x, &gamma, 1e-5, &gradient, instructions);
            for ((&actual, &expected), &scale) in actual.iter().zip(&expected).zip(&scale) {
                let error = (f64::from(actual) - expected).abs();
                prop_assert!(error <= 5e-7 * scale, "{instructions:?}: {actual} instead of {expected}, of terms {scale}");
            }
        }
    }

    #[test]
    fn low_rank_is_the_definition(
        rows in 1_usize..200, width in 1_usize..140, groups in 1_usize..4, rank in 1_usize..6,
        probability in prop_oneof![Just(0.0_f32), 0.05_f32..0.9], seed: u64,
    ) {
        let dropout = Dropout { probability, seeds: (0..groups as u32).map(|group| seed as u32 ^ group).collect() };
        let (x, down) = (random(rows * width, seed), random(groups * rank * width, seed ^ 1));
        let gradient = random(rows * groups * rank, seed ^ 2);
        let [y, by_x, by_down] = exact_low_rank(&x, &down, width, &dropout, &gradient);
        for instructions in Instructions::available() {
            let what = format!("{instructions:?}");
            assert_close(&low_rank_down(&x, &down, width, &dropout, instructions), &y, 1e-5, &what);
            let actual = low_rank_down_backward(&x, &down, width, &dropout, &gradient, instructions);
            assert_close(&actual.0, &by_x, 1e-5, &what);
            assert_close(&actual.1, &by_down, 1e-5, &what);
        }
    }
}
