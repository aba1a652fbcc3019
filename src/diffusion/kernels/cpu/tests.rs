//! Every kernel under every instruction set of this machine against the portable definition, and its two promises.

use burn::tensor::{Tensor, TensorData};
use burn_flex::Flex;
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::ThreadPoolBuilder;

use super::super::{Placement, portable};
use super::attention::{Shape, Tokens, attention};
use super::convolution::{Ending, Filter, Picture};
use super::gated_gelu::gated_gelu;
use super::group_norm::{Norm, group_norm};
use crate::clip::kernels::cpu::simd::Instructions;

fn random(count: usize, seed: u64) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| random.random_range(-1.0..1.0)).collect()
}

fn tensor<const D: usize>(values: &[f32], shape: [usize; D]) -> Tensor<Flex, D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), &Default::default())
}

/// Fails where a number is off by more than `tolerance` of the largest expected one.
fn assert_close<const D: usize>(actual: &[f32], expected: Tensor<Flex, D>, tolerance: f32, what: &str) {
    let expected: Vec<f32> = expected.into_data().to_vec().unwrap();
    assert_eq!(actual.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0.0, |largest: f32, value| largest.max(value.abs()));
    for (index, (&actual, &expected)) in actual.iter().zip(&expected).enumerate() {
        assert!((actual - expected).abs() <= tolerance * largest, "{what}: {actual} at {index} instead of {expected}");
    }
}

/// What `compute` gives on one thread, which must be what it gives on three, to the bit.
fn on_any_threads(compute: impl Fn() -> Vec<f32> + Sync) -> Vec<f32> {
    let on = |threads| ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(&compute);
    let result = on(1);
    assert!(bits(&result) == bits(&on(3)), "the number of threads changes the result");
    result
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// A convolution and all that it needs.
#[derive(Clone, Debug)]
struct Case {
    batch: usize,
    height: usize,
    width: usize,
    inputs: usize,
    outputs: usize,
    size: usize,
    placement: Placement,
    seed: u64,
}

impl Case {
    fn shape(&self) -> [usize; 4] {
        let [height, width] = [self.height, self.width].map(|length| self.placement.outputs(length, self.size));
        [self.batch, height, width, self.outputs]
    }

    fn x(&self) -> Vec<f32> {
        random(self.batch * self.height * self.width * self.inputs, self.seed)
    }

    fn weight(&self) -> Vec<f32> {
        random(self.outputs * self.inputs * self.size * self.size, !self.seed)
    }

    fn picture<'a>(&self, values: &'a [f32]) -> Picture<'a> {
        Picture { values, batch: self.batch, height: self.height, width: self.width, channels: self.inputs }
    }

    fn filter(&self, instructions: Instructions) -> Filter {
        let dims = [self.outputs, self.inputs, self.size];
        Filter::new(&self.weight(), dims, self.placement.stride, instructions)
    }

    fn check(&self) {
        let (x, bias) = (self.x(), random(self.outputs, self.seed ^ 1));
        let residual = random(self.shape().iter().product(), self.seed ^ 2);
        let wide = tensor(&x, [self.batch, self.height, self.width, self.inputs]);
        let weight = tensor(&self.weight(), [self.outputs, self.inputs, self.size, self.size]);
        let plain = portable::convolve(wide.clone(), &weight, None, self.placement, None);
        let ended = portable::convolve(
            wide,
            &weight,
            Some(&tensor(&bias, [self.outputs])),
            self.placement,
            Some(tensor(&residual, self.shape())),
        );
        for instructions in Instructions::available() {
            let (what, filter) = (format!("{instructions:?}, {self:?}"), self.filter(instructions));
            let ending = Ending { bias: Some(&bias), residual: Some(&residual) };
            let y = on_any_threads(|| filter.convolve(self.picture(&x), self.placement, ending));
            assert_close(&y, ended.clone(), 1e-5, &what);
            let y = on_any_threads(|| filter.convolve(self.picture(&x), self.placement, Ending::default()));
            assert_close(&y, plain.clone(), 1e-5, &what);
        }
    }
}

fn placements() -> impl Strategy<Value = (usize, Placement)> {
    let placement = |stride, before, after, doubled| Placement { stride, before, after, doubled };
    prop_oneof![
        Just((3, placement(1, 1, 1, false))),
        Just((3, placement(1, 1, 1, true))),
        Just((3, placement(1, 0, 2, true))),
        Just((3, placement(1, 0, 1, false))),
        Just((3, placement(2, 1, 1, false))),
        Just((3, placement(2, 0, 1, false))),
        Just((1, placement(1, 0, 0, false))),
        Just((1, placement(2, 0, 0, false))),
        Just((1, placement(1, 0, 0, true))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn convolution_is_the_definition(
        batch in 1_usize..3, height in 2_usize..14, width in 2_usize..14, inputs in 1_usize..70, outputs in 1_usize..150,
        (size, placement) in placements(), seed: u64
    ) {
        Case { batch, height, width, inputs, outputs, size, placement, seed }.check();
    }

    #[test]
    fn group_norm_is_the_definition(
        batch in 1_usize..3, height in 1_usize..40, width in 1_usize..40, groups in 1_usize..9, each in 1_usize..12,
        shift in -30.0_f32..30.0, silu: bool, seed: u64
    ) {
        let channels = groups * each;
        let shape = [batch, height, width, channels];
        let x: Vec<f32> = random(shape.iter().product(), seed).iter().map(|x| x + shift).collect();
        let (gamma, beta) = (random(channels, seed ^ 1), random(channels, seed ^ 2));
        // A single number has no variance, and nothing to tell what is right of it but epsilon.
        let epsilon = 1e-3;
        let (gammas, betas) = (tensor(&gamma, [channels]), tensor(&beta, [channels]));
        let expected = portable::group_norm(tensor(&x, shape), groups, &gammas, &betas, epsilon, silu);
        let norm = Norm { groups, gamma: &gamma, beta: &beta, epsilon, silu };
        for instructions in Instructions::available() {
            let y = on_any_threads(|| group_norm(&x, batch, norm, instructions));
            assert_close(&y, expected.clone(), 1e-4, &format!("{instructions:?}"));
        }
    }

    #[test]
    fn attention_is_the_definition(
        batch in 1_usize..3, tokens in 1_usize..150, others in 1_usize..250, heads in 1_usize..4, depth in 1_usize..80, seed: u64
    ) {
        let width = heads * depth;
        // Large enough that the softmax has winners, and that the largest score so far is found late.
        let query: Vec<f32> = random(batch * tokens * width, seed).iter().map(|x| 8.0 * x).collect();
        let key_value: Vec<f32> = random(batch * others * 2 * width, !seed).iter().map(|x| 4.0 * x).collect();
        let shape = Shape { batch, tokens, others, width, heads };
        let expected = portable::cross_attention(
            tensor(&query, [batch, tokens, width]), tensor(&key_value, [batch, others, 2 * width]), heads
        );
        for instructions in Instructions::available() {
            let y = on_any_threads(|| cross(&query, &key_value, shape, instructions));
            assert_close(&y, expected.clone(), 2e-5, &format!("{instructions:?}"));
        }
    }

    #[test]
    fn gated_gelu_is_the_definition(rows in 1_usize..300, width in 1_usize..120, seed: u64) {
        let x: Vec<f32> = random(rows * 2 * width, seed).iter().map(|x| 4.0 * x).collect();
        let expected = portable::gated_gelu(tensor(&x, [1, rows, 2 * width]));
        for instructions in Instructions::available() {
            let y = on_any_threads(|| gated_gelu(&x, width, instructions));
            assert_close(&y, expected.clone(), 1e-5, &format!("{instructions:?}"));
        }
    }
}

fn cross(query: &[f32], key_value: &[f32], shape: Shape, instructions: Instructions) -> Vec<f32> {
    let width = shape.width;
    let (key, value) =
        (Tokens { values: key_value, row: 2 * width }, Tokens { values: &key_value[width..], row: 2 * width });
    attention(Tokens { values: query, row: width }, key, value, shape, instructions)
}

/// Cases of the sizes of real networks: deeper than a block of the products, more tiles than a task takes.
fn large() -> [Case; 3] {
    let case = |size, inputs, outputs, placement| Case {
        batch: 1,
        height: size,
        width: size,
        inputs,
        outputs,
        size: 3,
        placement,
        seed: 7,
    };
    [
        case(8, 1600, 96, Placement::padded(1)),
        case(40, 32, 80, Placement { doubled: true, ..Placement::padded(1) }),
        case(16, 320, 320, Placement { stride: 2, ..Placement::padded(1) }),
    ]
}

#[test]
fn large_convolutions_are_the_definition() {
    large().iter().for_each(Case::check);
}

#[test]
fn the_rest_of_a_batch_changes_no_bit() {
    for instructions in Instructions::available() {
        for case in large() {
            let filter = case.filter(instructions);
            let alone = filter.convolve(case.picture(&case.x()), case.placement, Ending::default());
            let many = Case { batch: 3, ..case.clone() };
            let x = [random(case.x().len(), 3), case.x(), random(case.x().len(), 4)].concat();
            let y = filter.convolve(many.picture(&x), many.placement, Ending::default());
            assert!(bits(&y[alone.len()..2 * alone.len()]) == bits(&alone), "{instructions:?}: {case:?}");
        }

        let (places, channels) = (3000, 32);
        let (gamma, beta) = (random(channels, 1), random(channels, 2));
        let norm = Norm { groups: 4, gamma: &gamma, beta: &beta, epsilon: 1e-5, silu: true };
        let x = random(2 * places * channels, 5);
        let both = group_norm(&x, 2, norm, instructions);
        let second = group_norm(&x[places * channels..], 1, norm, instructions);
        assert!(bits(&both[places * channels..]) == bits(&second), "{instructions:?}: group norm");

        // Of the tokens of one picture, none knows who asks beside it.
        let shape = Shape { batch: 1, tokens: 70, others: 300, width: 24, heads: 2 };
        let (query, key_value) = (random(70 * 24, 6), random(300 * 48, 7));
        let all = cross(&query, &key_value, shape, instructions);
        let last = cross(&query[69 * 24..], &key_value, Shape { tokens: 1, ..shape }, instructions);
        assert!(bits(&all[69 * 24..]) == bits(&last), "{instructions:?}: attention");
    }
}

#[test]
fn a_nan_is_seen() {
    for instructions in Instructions::available() {
        for bad in [f32::NAN, f32::INFINITY] {
            for case in large() {
                let mut x = case.x();
                // In the middle, where every filter sees it.
                let middle = ((case.height + 1) * case.width / 2) * case.inputs;
                x[middle] = bad;
                let y = case.filter(instructions).convolve(case.picture(&x), case.placement, Ending::default());
                let spoilt = y.iter().filter(|y| !y.is_finite()).count();
                assert!(spoilt >= case.outputs, "{instructions:?}: {bad} in {case:?} spoils {spoilt} numbers");
            }

            let mut x = random(64 * 16, 1);
            x[5] = bad;
            let norm = Norm { groups: 4, gamma: &[1.0; 16], beta: &[0.0; 16], epsilon: 1e-5, silu: true };
            let y = group_norm(&x, 1, norm, instructions);
            assert!(y.chunks(16).all(|row| row[4..8].iter().all(|y| y.is_nan())), "{instructions:?}: group norm");
            assert!(y.chunks(16).all(|row| row[..4].iter().all(|y| y.is_finite())), "{instructions:?}: group norm");

            for part in 0..3 {
                let (mut query, mut key_value) = (random(70 * 24, 6), random(300 * 48, 7));
                match part {
                    0 => query[24..36].fill(bad),
                    // The second head of a late key, then of its value.
                    part => key_value[200 * 48 + 24 * (part - 1) + 12..][..12].fill(bad),
                }
                let shape = Shape { batch: 1, tokens: 70, others: 300, width: 24, heads: 2 };
                let y = cross(&query, &key_value, shape, instructions);
                let spoilt = |token: usize, head: usize| !y[token * 24 + head * 12].is_finite();
                if part == 0 {
                    assert!(spoilt(1, 0) && !spoilt(1, 1) && !spoilt(0, 0), "{instructions:?}: {bad} in a query");
                } else {
                    let some = (0..70).filter(|&token| spoilt(token, 1)).count();
                    assert!(some >= 20, "{instructions:?}: {bad} in key or value {part} spoils {some}");
                    assert!((0..70).all(|token| !spoilt(token, 0)), "{instructions:?}: the other head");
                }
            }

            let y = gated_gelu(&[1.0, bad, 1.0, bad], 2, instructions);
            assert!(y[0].is_finite() && !y[1].is_finite(), "{instructions:?}: gated GELU");
        }
    }
}
