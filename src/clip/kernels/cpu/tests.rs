//! Every kernel under every instruction set of this machine, against sums in double precision.

use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::Activation;
use super::attention::{Shape, attention};
use super::exp;
use super::gemm::Packed;
use super::layer_norm::layer_norm;
use super::simd::{Instructions, Kernel, Simd};

pub(super) fn random(count: usize, seed: u64) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| random.random_range(-1.0..1.0)).collect()
}

/// Fails where a number is off by more than `tolerance` of the largest expected one.
pub(super) fn assert_close(actual: &[f32], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
    for (index, (&actual, &expected)) in actual.iter().zip(expected).enumerate() {
        let error = (f64::from(actual) - expected).abs();
        assert!(error <= tolerance * largest, "{what}: {actual} at {index} instead of {expected}");
    }
}

pub(super) fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

/// `x · Wᵀ + bias` in double precision.
pub(super) fn product(x: &[f32], weight: &[f32], bias: &[f32], inputs: usize) -> Vec<f64> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    x.chunks_exact(inputs)
        .flat_map(|x| weight.chunks_exact(inputs).zip(bias).map(move |(row, &bias)| dot(x, row) + f64::from(bias)))
        .collect()
}

pub(super) fn exact_attention(qkv: &[f64], shape: Shape) -> Vec<f64> {
    let Shape { batch, tokens, width, heads, causal } = shape;
    let depth = width / heads;
    let at = |image: usize, token: usize, part: usize, column: usize| {
        qkv[(image * tokens + token) * 3 * width + part * width + column]
    };
    let mut result = vec![0.0; batch * tokens * width];
    for image in 0..batch {
        for head in 0..heads {
            let columns = head * depth..(head + 1) * depth;
            for query in 0..tokens {
                let seen = if causal { query + 1 } else { tokens };
                let scores: Vec<f64> = (0..seen)
                    .map(|key| columns.clone().map(|c| at(image, query, 0, c) * at(image, key, 1, c)).sum::<f64>())
                    .map(|score| (score / (depth as f64).sqrt()).exp())
                    .collect();
                let sum: f64 = scores.iter().sum();
                for c in columns.clone() {
                    result[(image * tokens + query) * width + c] =
                        scores.iter().enumerate().map(|(key, score)| score / sum * at(image, key, 2, c)).sum();
                }
            }
        }
    }
    result
}

/// One function of a vector over a whole slice.
struct Map<'a> {
    function: Function,
    values: &'a mut [f32],
}

#[derive(Clone, Copy, Debug)]
enum Function {
    Exp,
    Exp2,
    QuickGelu,
    Gelu,
}

impl Kernel for Map<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for lanes in self.values.chunks_mut(S::LANES) {
            let x = simd.read(lanes);
            let y = match self.function {
                Function::Exp => exp::exp(simd, x),
                Function::Exp2 => exp::exp2(simd, x),
                Function::QuickGelu => exp::quick_gelu(simd, x),
                Function::Gelu => exp::gelu(simd, x),
            };
            simd.write(lanes, y);
        }
    }
}

fn map(instructions: Instructions, function: Function, x: &[f32]) -> Vec<f32> {
    let mut values = x.to_vec();
    instructions.run(Map { function, values: &mut values });
    values
}

#[test]
fn exp_is_right_to_its_last_digits() {
    let x: Vec<f32> = (-87_000..=87_000).map(|x| x as f32 / 1000.0).collect();
    let power: Vec<f32> = (-126_000..=0).map(|x| x as f32 / 1000.0).collect();
    for instructions in Instructions::available() {
        for (&x, y) in x.iter().zip(map(instructions, Function::Exp, &x)) {
            let expected = f64::from(x).exp();
            assert!((f64::from(y) - expected).abs() <= 1.5e-7 * expected, "{instructions:?}: exp({x}) = {y}");
        }
        for (&x, y) in power.iter().zip(map(instructions, Function::Exp2, &power)) {
            let expected = f64::from(x).exp2();
            assert!((f64::from(y) - expected).abs() <= 2e-7 * expected, "{instructions:?}: exp2({x}) = {y}");
        }
        assert_eq!(map(instructions, Function::Exp2, &[0.0]), [1.0], "{instructions:?}");
    }
}

#[test]
fn activations_agree_with_scipy() {
    let reference = include_str!("../../../../tests/kernels/activations.csv");
    let rows: Vec<Vec<f64>> =
        reference.lines().skip(1).map(|line| line.split(',').map(|value| value.parse().unwrap()).collect()).collect();
    let x: Vec<f32> = rows.iter().map(|row| row[0] as f32).collect();
    for instructions in Instructions::available() {
        for (column, function) in [(1, Function::QuickGelu), (2, Function::Gelu)] {
            for (row, y) in rows.iter().zip(map(instructions, function, &x)) {
                let error = (f64::from(y) - row[column]).abs();
                // e^(−x²/2) far out has the relative rounding error of its argument, up to 85 here.
                let tolerance = row[column].abs() * if row[0] < -3.0 { 1e-5 } else { 1e-6 } + 1e-37;
                assert!(error <= tolerance, "{instructions:?}: {function:?}({}) = {y}, not {}", row[0], row[column]);
            }
        }
    }
}

#[test]
fn what_is_not_finite_stays_so() {
    let x = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1e30, 1e30, 1.0];
    for instructions in Instructions::available() {
        assert!(map(instructions, Function::Exp, &x)[0].is_nan());
        assert!(map(instructions, Function::Exp2, &x)[0].is_nan());
        for function in [Function::QuickGelu, Function::Gelu] {
            let y = map(instructions, function, &x);
            assert!(y[..3].iter().all(|y| !y.is_finite()), "{instructions:?}: {function:?} {y:?}");
            assert!(y[3..].iter().all(|y| y.is_finite()), "{instructions:?}: {function:?} {y:?}");
        }
    }
}

#[test]
fn a_weight_comes_back_to_the_bit() {
    let mut weight = random(37 * 11, 1);
    weight[..3].copy_from_slice(&[f32::NAN, -0.0, 1e-44]);
    for instructions in Instructions::available() {
        let packed = Packed::new(&weight, 37, 11, instructions);
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&packed.unpacked()), bits(&weight));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn linear_is_the_definition(rows in 1_usize..120, inputs in 1_usize..900, outputs in 1_usize..150, seed: u64) {
        let (x, weight) = (random(rows * inputs, seed), random(outputs * inputs, !seed));
        let (bias, residual) = (random(outputs, seed ^ 1), random(rows * outputs, seed ^ 2));
        let expected: Vec<f64> = product(&x, &weight, &bias, inputs)
            .iter()
            .zip(&residual)
            .map(|(&y, &residual)| y / (1.0 + (-1.702 * y).exp()) + f64::from(residual))
            .collect();
        let plain = product(&x, &weight, &vec![0.0; outputs], inputs);
        for instructions in Instructions::available() {
            let packed = Packed::new(&weight, outputs, inputs, instructions);
            let y = packed.linear(&x, Some(&bias), Activation::QuickGelu, Some(&residual), rows);
            assert_close(&y, &expected, 1e-5, &format!("{instructions:?}, everything"));
            let y = packed.linear(&x, None, Activation::Identity, None, rows);
            assert_close(&y, &plain, 1e-5, &format!("{instructions:?}, the product alone"));
        }
    }

    #[test]
    fn attention_is_the_definition(
        batch in 1_usize..3, tokens in 1_usize..90, heads in 1_usize..4, depth in 1_usize..80, causal: bool, seed: u64
    ) {
        let shape = Shape { batch, tokens, width: heads * depth, heads, causal };
        // Large enough that the softmax has winners.
        let qkv: Vec<f32> = random(batch * tokens * 3 * shape.width, seed).iter().map(|x| 4.0 * x).collect();
        let expected = exact_attention(&wide(&qkv), shape);
        for instructions in Instructions::available() {
            assert_close(&attention(&qkv, shape, instructions), &expected, 2e-5, &format!("{instructions:?}"));
        }
    }

    #[test]
    fn layer_norm_is_the_definition(rows in 1_usize..40, width in 1_usize..200, shift in -3.0_f32..3.0, seed: u64) {
        let x: Vec<f32> = random(rows * width, seed).iter().map(|x| x + shift).collect();
        let (gamma, beta) = (random(width, seed ^ 1), random(width, seed ^ 2));
        let expected: Vec<f64> = x
            .chunks_exact(width)
            .flat_map(|row| {
                let row = wide(row);
                let mean = row.iter().sum::<f64>() / width as f64;
                let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / width as f64;
                row.into_iter().map(move |x| (x - mean) / (variance + 1e-5).sqrt())
            })
            .enumerate()
            .map(|(index, x)| x * f64::from(gamma[index % width]) + f64::from(beta[index % width]))
            .collect();
        for instructions in Instructions::available() {
            let y = layer_norm(&x, &gamma, &beta, 1e-5, instructions);
            assert_close(&y, &expected, 1e-5, &format!("{instructions:?}"));
        }
    }
}
