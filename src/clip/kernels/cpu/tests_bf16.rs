//! Weights in bfloat16, on tiles where there are any: nothing is lost of them, and products with rows in bfloat16 are exact to f32's
//! rounding of their sums.

use proptest::prelude::*;

use super::super::Activation;
use super::gemm::Packed;
use super::simd::Instructions;
use super::tests::{assert_close, product, random, wide};
use crate::clip::Storage;

fn rounded(values: Vec<f32>) -> Vec<f32> {
    values.into_iter().map(|value| half::bf16::from_f32(value).to_f32()).collect()
}

proptest! {
    #[test]
    fn products_are_exact(
        rows in 1_usize..90, inputs in prop_oneof![1_usize..200, 760_usize..830], outputs in 1_usize..200, seed: u64,
    ) {
        let (x, weight) = (random(rows * inputs, seed), rounded(random(outputs * inputs, seed ^ 1)));
        let (bias, residual, half) = (random(outputs, seed ^ 2), random(rows * outputs, seed ^ 3), rounded(x.clone()));
        let expected = |x: &[f32]| -> Vec<f64> {
            product(x, &weight, &bias, inputs).iter().zip(wide(&residual)).map(|(y, residual)| y + residual).collect()
        };
        let gradient = random(rows * outputs, seed ^ 4);
        let turned: Vec<f32> =
            (0..inputs).flat_map(|input| weight.iter().skip(input).step_by(inputs).copied()).collect();
        let backward = product(&gradient, &turned, &vec![0.0; inputs], outputs);
        for instructions in Instructions::available() {
            let what = format!("{instructions:?}");
            let packed = Packed::stored(Storage::Exact, &weight, outputs, inputs, instructions);
            let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&packed.unpacked()), bits(&weight));
            let (bias, residual, identity) = (Some(&bias[..]), Some(&residual[..]), Activation::Identity);
            assert_close(&packed.linear(&x, bias, identity, residual, rows), &expected(&x), 5e-6, &what);
            assert_close(&packed.linear_of(true, &half, bias, identity, residual, rows), &expected(&half), 5e-6, &what);
            assert_close(&packed.linear_backward(&gradient, rows), &backward, 5e-6, &what);
        }
    }
}

#[test]
fn what_is_not_finite_shows() {
    for instructions in Instructions::available() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::from_bits(0xffff_0000)] {
            let (mut x, mut weight) = (rounded(random(37 * 40, 71)), rounded(random(70 * 40, 72)));
            let shows = |x: &[f32], weight: &[f32]| -> Vec<bool> {
                let packed = Packed::stored(Storage::Exact, weight, 70, 40, instructions);
                let y = packed.linear_of(true, x, None, Activation::Identity, None, 37);
                y.iter().map(|y| !y.is_finite()).collect()
            };
            let sound = x.clone();
            x[20 * 40 + 39] = bad;
            let expected: Vec<bool> = (0..37 * 70).map(|index| index / 70 == 20).collect();
            assert_eq!(shows(&x, &weight), expected, "{instructions:?}: {bad} in a row");
            weight[66 * 40 + 5] = bad;
            let expected: Vec<bool> = (0..37 * 70).map(|index| index % 70 == 66).collect();
            assert_eq!(shows(&sound, &weight), expected, "{instructions:?}: {bad} in a column");
        }
    }
}
