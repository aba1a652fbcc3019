//! The CPU's fused kernels through the trait that the towers use: equal to the portable definition, the same bits on any
//! number of threads and in any batch, and honest about what is not a number.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

use burn::tensor::{DType, Tensor, TensorData};
use burn_flex::{Flex, FlexDevice};
use lowshot::clip::{
    Precision,
    kernels::{Activation, ClipBackend, Dropout, portable, self_test},
};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn random<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<Flex, D> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| random.random_range(-1.0..1.0)).collect();
    Tensor::from_data(TensorData::new(values, shape), &FlexDevice)
}

fn values<const D: usize>(tensor: Tensor<Flex, D>) -> Vec<f32> {
    tensor.into_data().to_vec().expect("a tensor of f32")
}

fn bits<const D: usize>(tensor: Tensor<Flex, D>) -> Vec<u32> {
    values(tensor).into_iter().map(f32::to_bits).collect()
}

fn assert_close<const D: usize>(actual: Tensor<Flex, D>, expected: Tensor<Flex, D>) {
    assert_eq!(actual.dims(), expected.dims());
    let (actual, expected) = (values(actual), values(expected));
    let largest = expected.iter().fold(0.0, |largest: f32, value| largest.max(value.abs()));
    for (index, (actual, expected)) in actual.iter().zip(&expected).enumerate() {
        assert!((actual - expected).abs() <= 1e-5 * largest, "{actual} at {index} instead of {expected}");
    }
}

const ACTIVATIONS: [Activation; 3] = [Activation::Identity, Activation::QuickGelu, Activation::Gelu];

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn linear_agrees_with_the_portable_definition(
        batch in 1_usize..4, tokens in 1_usize..70, inputs in 1_usize..300, outputs in 1_usize..300,
        activation in 0_usize..3, biased: bool, residual: bool, seed: u64,
    ) {
        let x = random([batch, tokens, inputs], seed);
        let weight = random([outputs, inputs], seed ^ 1);
        let bias = biased.then(|| random([outputs], seed ^ 2));
        let residual = residual.then(|| random([batch, tokens, outputs], seed ^ 3));
        let activation = ACTIVATIONS[activation];
        let matrix = Flex::matrix(weight.clone());
        prop_assert_eq!(bits(Flex::weight(&matrix)), bits(weight.clone()));
        assert_close(
            Flex::linear(x.clone(), &matrix, bias.as_ref(), activation, residual.clone()),
            portable::linear(x, &portable::matrix(weight), bias.as_ref(), activation, residual),
        );
    }

    #[test]
    fn layer_norm_agrees_with_the_portable_definition(
        batch in 1_usize..4, tokens in 1_usize..40, width in 1_usize..200, seed: u64,
    ) {
        let x = random([batch, tokens, width], seed);
        let (gamma, beta) = (random([width], seed ^ 1), random([width], seed ^ 2));
        assert_close(
            Flex::layer_norm(x.clone(), &gamma, &beta, 1e-5),
            portable::layer_norm(x, &gamma, &beta, 1e-5),
        );
    }

    #[test]
    fn attention_agrees_with_the_portable_definition(
        batch in 1_usize..4, tokens in 1_usize..100, heads in 1_usize..5, depth in 1_usize..70, causal: bool, seed: u64,
    ) {
        let qkv = random([batch, tokens, 3 * heads * depth], seed);
        assert_close(Flex::attention(qkv.clone(), heads, causal), portable::attention(qkv, heads, causal));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn gradients_agree_with_the_portable_definition(
        batch in 1_usize..4, tokens in 1_usize..70, heads in 1_usize..4, depth in 1_usize..70, outputs in 1_usize..300,
        causal: bool, activation in 0_usize..3, seed: u64,
    ) {
        let width = heads * depth;
        let (x, gradient) = (random([batch, tokens, width], seed), random([batch, tokens, width], seed ^ 1));
        let activation = ACTIVATIONS[activation];
        assert_close(Flex::activate(x.clone(), activation), portable::apply(x.clone(), activation));
        assert_close(
            Flex::activate_backward(x.clone(), activation, gradient.clone()),
            portable::activate_backward(x.clone(), activation, gradient.clone()),
        );
        let weight = random([outputs, width], seed ^ 2);
        let upper = random([batch, tokens, outputs], seed ^ 3);
        assert_close(
            Flex::linear_backward(upper.clone(), &Flex::matrix(weight.clone())),
            portable::linear_backward(upper, weight),
        );
        let qkv = random([batch, tokens, 3 * width], seed ^ 4);
        assert_close(
            Flex::attention_backward(qkv.clone(), heads, causal, gradient.clone()),
            portable::attention_backward(qkv, heads, causal, gradient.clone()),
        );
        // Rows of two or three numbers may have nearly no variance, and then neither definition has many right digits.
        if width > 8 {
            let gamma = random([width], seed ^ 5);
            assert_close(
                Flex::layer_norm_backward(x.clone(), &gamma, 1e-5, gradient.clone()),
                portable::layer_norm_backward(x, &gamma, 1e-5, gradient),
            );
        }
    }

    #[test]
    fn low_rank_agrees_with_the_portable_definition(
        batch in 1_usize..4, tokens in 1_usize..70, width in 1_usize..200, groups in 1_usize..4, rank in 1_usize..5,
        probability in prop_oneof![Just(0.0_f32), 0.05_f32..0.9], seed: u64,
    ) {
        let dropout = Dropout { probability, seeds: (0..groups as u32).map(|group| seed as u32 ^ group).collect() };
        let (x, down) = (random([batch, tokens, width], seed), random([groups * rank, width], seed ^ 1));
        let gradient = random([batch, tokens, groups * rank], seed ^ 2);
        assert_close(Flex::low_rank_down(&x, &down, &dropout), portable::low_rank_down(&x, &down, &dropout));
        let (by_x, by_down) = Flex::low_rank_down_backward(&x, &down, &dropout, gradient.clone());
        let expected = portable::low_rank_down_backward(&x, &down, &dropout, gradient);
        assert_close(by_x, expected.0);
        assert_close(by_down, expected.1);
    }
}

/// The gradients of a block's operations at a width of 192 in three heads, one after the other.
fn block_backward(x: &Tensor<Flex, 3>) -> Vec<u32> {
    let [batch, tokens, width] = x.dims();
    let dropout = Dropout { probability: 0.25, seeds: vec![5, 6, 7] };
    let matrix = Flex::matrix(random([3 * width, width], 31) * 0.1);
    let qkv = random([1, tokens, 3 * width], 32).repeat_dim(0, batch);
    let gradient = Flex::activate_backward(x.clone(), Activation::QuickGelu, x.clone());
    let gradient = Flex::attention_backward(qkv, 3, true, gradient);
    let gradient = Flex::linear_backward(gradient, &matrix);
    let gradient = Flex::layer_norm_backward(x.clone(), &random([width], 33), 1e-5, gradient);
    let seen = Flex::low_rank_down(x, &random([6, width], 34), &dropout);
    let (by_x, by_down) = Flex::low_rank_down_backward(x, &random([6, width], 34), &dropout, seen);
    [bits(gradient), bits(by_x), bits(by_down)].concat()
}

/// A block's operations at a width of 192 in three heads.
fn block(x: Tensor<Flex, 3>) -> Tensor<Flex, 3> {
    let width = x.dims()[2];
    let weight = |outputs: usize, inputs: usize, seed: u64| Flex::matrix(random([outputs, inputs], seed) * 0.1);
    let normal = Flex::layer_norm(x.clone(), &random([width], 1), &random([width], 2), 1e-5);
    let qkv = Flex::linear(normal, &weight(3 * width, width, 3), None, Activation::Identity, None);
    let attended = Flex::attention(qkv, 3, false);
    let bias = random([4 * width], 4);
    let hidden = Flex::linear(attended, &weight(4 * width, width, 5), Some(&bias), Activation::QuickGelu, None);
    Flex::linear(hidden, &weight(width, 4 * width, 6), None, Activation::Identity, Some(x))
}

#[cfg(feature = "native")]
#[test]
fn threads_change_no_bit() {
    let x = random([5, 197, 192], 11);
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads start");
        pool.install(|| [bits(block(x.clone())), block_backward(&x)].concat())
    };
    let one = on(1);
    for threads in [2, 3, 7] {
        assert!(on(threads) == one, "{threads} threads give other bits than one");
    }
}

#[test]
fn the_batch_changes_no_bit() {
    let x = random([9, 101, 192], 12);
    let together = bits(block(x.clone()));
    let apart: Vec<u32> = (0..9).flat_map(|image| bits(block(x.clone().narrow(0, image, 1)))).collect();
    assert!(together == apart, "an image's result depends on the batch");
}

#[test]
fn the_batch_changes_no_bit_of_a_gradient() {
    let (x, qkv) = (random([9, 101, 192], 35), random([9, 101, 3 * 192], 36));
    let (matrix, gamma) = (Flex::matrix(random([3 * 192, 192], 37)), random([192], 38));
    let gradients = |x: Tensor<Flex, 3>, qkv: Tensor<Flex, 3>| {
        let attended = Flex::attention_backward(qkv, 3, false, x.clone());
        Flex::layer_norm_backward(x, &gamma, 1e-5, Flex::linear_backward(attended, &matrix))
    };
    let together = bits(gradients(x.clone(), qkv.clone()));
    let apart = |image: usize| bits(gradients(x.clone().narrow(0, image, 1), qkv.clone().narrow(0, image, 1)));
    assert!(together == (0..9).flat_map(apart).collect::<Vec<_>>(), "an image's gradient depends on the batch");
}

#[test]
fn nan_and_infinity_are_not_hidden() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let put = |x: Tensor<Flex, 3>| {
            let mut data = values(x);
            data[5] = bad;
            Tensor::<Flex, 3>::from_data(TensorData::new(data, [2, 20, 48]), &FlexDevice)
        };
        let x = put(random([2, 20, 48], 13));
        let rows = |y: Tensor<Flex, 3>| {
            let width = y.dims()[2];
            values(y).chunks_exact(width).map(|row| row.iter().all(|y| y.is_finite())).collect::<Vec<_>>()
        };
        for activation in ACTIVATIONS {
            let y = rows(Flex::linear(x.clone(), &Flex::matrix(random([7, 48], 14)), None, activation, None));
            assert!(!y[0] && y[1..].iter().all(|&finite| finite), "{bad} through {activation:?}: {y:?}");
        }
        let y = rows(Flex::layer_norm(x.clone(), &random([48], 15), &random([48], 16), 1e-5));
        assert!(!y[0] && y[1..].iter().all(|&finite| finite), "{bad} through layer_norm: {y:?}");
        // Column 5 is a query's: it spoils its own token.
        let y = rows(Flex::attention(x, 2, false));
        assert!(!y[0] && y[1..].iter().all(|&finite| finite), "{bad} through attention: {y:?}");
    }
}

#[test]
fn views_and_half_precision_are_taken_as_they_are() {
    let wide = random([2, 9, 80], 17);
    let weight = random([24, 40], 18);
    let view = wide.clone().narrow(2, 8, 40);
    let expected = portable::linear(view.clone(), &portable::matrix(weight.clone()), None, Activation::Gelu, None);
    // The weight as a view of its transpose.
    let turned = Tensor::<Flex, 2>::from_data(weight.clone().transpose().into_data(), &FlexDevice).transpose();
    assert_close(Flex::linear(view, &Flex::matrix(turned), None, Activation::Gelu, None), expected);

    let half = random([24, 40], 19).cast(DType::F16);
    let back = Flex::weight(&Flex::matrix(half.clone()));
    assert_eq!(back.dtype(), DType::F16);
    assert_eq!(back.into_data(), half.into_data());
}

#[test]
fn nothing_in_gives_nothing_out() {
    let x = Tensor::<Flex, 3>::zeros([0, 5, 12], &FlexDevice);
    assert_eq!(
        Flex::linear(x.clone(), &Flex::matrix(random([7, 12], 20)), None, Activation::Gelu, None).dims(),
        [0, 5, 7]
    );
    assert_eq!(Flex::attention(x.clone(), 2, true).dims(), [0, 5, 4]);
    assert_eq!(Flex::layer_norm(x.clone(), &random([12], 21), &random([12], 22), 1e-5).dims(), [0, 5, 12]);
    assert_eq!(Flex::attention_backward(x.clone(), 2, true, Tensor::zeros([0, 5, 4], &FlexDevice)).dims(), [0, 5, 12]);
    assert_eq!(Flex::linear_backward(x.clone(), &Flex::matrix(random([12, 7], 23))).dims(), [0, 5, 7]);
    assert_eq!(Flex::activate_backward(x.clone(), Activation::Gelu, x.clone()).dims(), [0, 5, 12]);
    assert_eq!(Flex::layer_norm_backward(x.clone(), &random([12], 24), 1e-5, x.clone()).dims(), [0, 5, 12]);
    let (down, dropout) = (random([4, 12], 25), Dropout { probability: 0.5, seeds: vec![1, 2] });
    let seen = Flex::low_rank_down(&x, &down, &dropout);
    assert_eq!(seen.dims(), [0, 5, 4]);
    let (by_x, by_down) = Flex::low_rank_down_backward(&x, &down, &dropout, seen);
    assert_eq!(by_x.dims(), [0, 5, 12]);
    assert!(values(by_down).iter().all(|&value| value == 0.0), "no rows, no gradient");
}

#[test]
fn a_block_in_half_precision_is_near_to_one_in_f32() {
    for precision in [Precision::F16, Precision::Bf16] {
        let compared = self_test::compare::<Flex, Flex>(precision, &FlexDevice, &FlexDevice);
        assert_eq!(pollster::block_on(compared), Ok(()));
    }
}
