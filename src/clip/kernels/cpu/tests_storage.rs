//! Weights in half precision and int8 under every instruction set of this machine, against their products in f32.

use half::f16;
use proptest::prelude::*;

use super::super::Activation;
use super::gemm::Packed;
use super::simd::{Instructions, Kernel, Simd};
use super::tests::{assert_close, random, wide};
use crate::clip::Storage;

const NARROW: [Storage; 2] = [Storage::F16, Storage::Int8];

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Every half, or every whole number of eight bits, as f32.
enum Load<'a> {
    Half(&'a [u16]),
    Int8(&'a [i8]),
}

impl Kernel for Load<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Vec<f32> {
        let mut values = Vec::new();
        match self {
            Self::Half(halves) => {
                for halves in halves.chunks_exact(S::LANES) {
                    // SAFETY: a chunk is a vector long.
                    let vector = unsafe { simd.load_half(halves.as_ptr()) };
                    values.extend_from_slice(&simd.lanes(vector)[..S::LANES]);
                }
            }
            Self::Int8(integers) => {
                for integers in integers.chunks_exact(S::LANES) {
                    // SAFETY: a chunk is a vector long.
                    let vector = unsafe { simd.load_int8(integers.as_ptr()) };
                    values.extend_from_slice(&simd.lanes(vector)[..S::LANES]);
                }
            }
        }
        values
    }
}

#[test]
fn every_narrow_number_is_read() {
    let halves: Vec<u16> = (0..=u16::MAX).collect();
    let integers: Vec<i8> = (i8::MIN..=i8::MAX).collect();
    for instructions in Instructions::available() {
        let values = instructions.run(Load::Half(&halves));
        for (half, value) in halves.iter().zip(values) {
            let expected = f16::from_bits(*half).to_f32();
            let same = if expected.is_nan() { value.is_nan() } else { value.to_bits() == expected.to_bits() };
            assert!(same, "{instructions:?}: {half:#x} is {value}, not {expected}");
        }
        let expected: Vec<f32> = integers.iter().map(|&integer| f32::from(integer)).collect();
        assert_eq!(instructions.run(Load::Int8(&integers)), expected, "{instructions:?}");
    }
}

#[test]
fn int8_is_the_nearest_of_its_row() {
    let (outputs, inputs) = (37, 50);
    let weight = random(outputs * inputs, 1);
    for instructions in Instructions::available() {
        let packed = Packed::stored(Storage::Int8, &weight, outputs, inputs, instructions);
        let stored = packed.unpacked();
        for (row, stored) in weight.chunks(inputs).zip(stored.chunks(inputs)) {
            let step = row.iter().fold(0.0, |largest: f32, value| largest.max(value.abs())) / 127.0;
            for (before, after) in row.iter().zip(stored) {
                assert!((before - after).abs() <= 0.501 * step, "{before} became {after} in steps of {step}");
                let number = after / step;
                assert!((number - number.round()).abs() < 1e-2, "{after} is {number} steps");
            }
        }
        // Stored again it is the same, to the bit, and so it is recognised.
        for storage in [Storage::Int8, Storage::Exact] {
            let again = Packed::stored(storage, &stored, outputs, inputs, instructions);
            assert_eq!(again.storage(), Some(Storage::Int8));
            assert_eq!(bits(&again.unpacked()), bits(&stored));
        }
    }
}

#[test]
fn exact_storage_loses_nothing() {
    // Large enough for a narrow form to be worth it.
    let (outputs, inputs) = (521, 509);
    let halves: Vec<f32> = random(outputs * inputs, 2).iter().map(|&value| f16::from_f32(value).to_f32()).collect();
    let mut off = halves.clone();
    off[400] = 0.1;
    let mut large = halves.clone();
    large[3] = 1e5;
    for instructions in Instructions::available() {
        for (weight, expected) in [(&halves, Storage::F16), (&off, Storage::F32), (&large, Storage::F32)] {
            let packed = Packed::stored(Storage::Exact, weight, outputs, inputs, instructions);
            assert_eq!(packed.storage(), Some(expected), "{instructions:?}");
            assert!(bits(&packed.unpacked()) == bits(weight), "{instructions:?}: {expected} is not what it was");
        }
        let few = Packed::stored(Storage::Exact, &halves[..37 * 11], 37, 11, instructions);
        assert_eq!((few.storage(), bits(&few.unpacked())), (Some(Storage::F32), bits(&halves[..37 * 11])));
        // What half precision cannot hold is not made infinite.
        let packed = Packed::stored(Storage::F16, &large, outputs, inputs, instructions);
        assert_eq!(packed.storage(), Some(Storage::F32), "{instructions:?}");
        assert!(bits(&packed.unpacked()) == bits(&large), "{instructions:?}: what is large was changed");
    }
}

#[test]
fn a_weight_that_is_not_finite_shows() {
    let x = random(3 * 40, 3);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut weight = random(20 * 40, 4);
        weight[2 * 40 + 7] = bad;
        for instructions in Instructions::available() {
            for storage in NARROW {
                let y = Packed::stored(storage, &weight, 20, 40, instructions).linear(
                    &x,
                    None,
                    Activation::Identity,
                    None,
                    3,
                );
                for row in y.chunks(20) {
                    let finite: Vec<bool> = row.iter().map(|y| y.is_finite()).collect();
                    let expected: Vec<bool> = (0..20).map(|output| output != 2).collect();
                    assert_eq!(finite, expected, "{storage} {instructions:?}: {bad}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn products_are_those_of_what_is_stored(
        rows in 1_usize..120, inputs in 1_usize..900, outputs in 1_usize..150, seed: u64
    ) {
        let (x, weight) = (random(rows * inputs, seed), random(outputs * inputs, !seed));
        let (bias, residual) = (random(outputs, seed ^ 1), random(rows * outputs, seed ^ 2));
        let gradient = random(rows * outputs, seed ^ 3);
        for instructions in Instructions::available() {
            for storage in NARROW {
                let packed = Packed::stored(storage, &weight, outputs, inputs, instructions);
                prop_assert_eq!(packed.storage(), Some(storage));
                let same = Packed::new(&packed.unpacked(), outputs, inputs, instructions);
                let linear = |packed: &Packed, x: &[f32], residual: &[f32], rows: usize| {
                    packed.linear(x, Some(&bias), Activation::QuickGelu, Some(residual), rows)
                };
                let (y, expected) = (linear(&packed, &x, &residual, rows), linear(&same, &x, &residual, rows));
                let (back, by_x) = (packed.linear_backward(&gradient, rows), same.linear_backward(&gradient, rows));
                // int8 is multiplied by its scale at the end; half precision is the same numbers all the way.
                if storage == Storage::F16 {
                    prop_assert_eq!(bits(&y), bits(&expected));
                }
                assert_close(&y, &wide(&expected), 1e-5, &format!("{storage} {instructions:?}"));
                prop_assert_eq!(bits(&back), bits(&by_x));
                // A row by itself has the same bits as among others.
                let last = rows - 1;
                let alone = linear(&packed, &x[last * inputs..], &residual[last * outputs..], 1);
                prop_assert_eq!(bits(&alone), bits(&y[last * outputs..]));
            }
        }
    }
}
