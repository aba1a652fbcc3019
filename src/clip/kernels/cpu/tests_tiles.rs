//! The product on tiles beside the product on vectors: as exact, for numbers of every size, and the same bits for a row whatever is
//! computed beside it. Without tiles these tests say that they are skipped.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::Activation;
use super::gemm::Packed;
use super::simd::Instructions;
use super::tests::random;

/// The two sets of instructions, tiles first; nothing where there are no tiles.
#[allow(clippy::print_stderr, reason = "a test that is skipped says why")]
fn both() -> Option<[Instructions; 2]> {
    let available = Instructions::available();
    if !available[0].has_tiles() {
        eprintln!("skipped: this processor has no tiles (AMX), or the system does not lend them");
        return None;
    }
    Some([available[0], available[1]])
}

/// The largest and the mean error of `x · Wᵀ`, in units of f32's rounding of the sum of the products' magnitudes. No algorithm
/// that rounds each product or sum can promise a smaller unit.
fn errors(x: &[f32], weight: &[f32], inputs: usize, instructions: Instructions) -> [f64; 2] {
    let (rows, outputs) = (x.len() / inputs, weight.len() / inputs);
    let packed = Packed::new(weight, outputs, inputs, instructions);
    let y = packed.linear(x, None, Activation::Identity, None, rows);
    let (mut largest, mut squares) = (0.0_f64, 0.0);
    for (x, y) in x.chunks_exact(inputs).zip(y.chunks_exact(outputs)) {
        for (weight, &y) in weight.chunks_exact(inputs).zip(y) {
            let products = x.iter().zip(weight).map(|(&x, &weight)| f64::from(x) * f64::from(weight));
            let (sum, size) = products.fold((0.0, 0.0), |(sum, size), product| (sum + product, size + product.abs()));
            let error = (f64::from(y) - sum).abs() / (size * f64::from(f32::EPSILON) / 2.0);
            largest = largest.max(error);
            squares += error * error;
        }
    }
    [largest, (squares / (rows * outputs) as f64).sqrt()]
}

#[test]
fn tiles_are_as_exact_as_vectors() {
    let Some(both) = both() else { return };
    let mut rng = ChaCha8Rng::seed_from_u64(61);
    let mut numbers = |count: usize, kind: usize| -> Vec<f32> {
        (0..count)
            .map(|_| {
                let value: f32 = rng.random_range(-1.0..1.0);
                match kind {
                    // Positive, as pixels or probabilities are: errors of one sign add up.
                    1 => value.abs(),
                    // Over sixty binary orders of magnitude.
                    2 => value * (rng.random_range(-30.0..30.0_f32)).exp2(),
                    // A few numbers a thousand times as large as the rest, as in the activations of transformers.
                    3 if rng.random_range(0..100) == 0 => value * 1000.0,
                    // At the ends of what is left of f32 when two of them are multiplied.
                    4 => value * 1e-15,
                    5 => value * 1e15,
                    _ => value,
                }
            })
            .collect()
    };
    let mut failures = 0;
    for inputs in [40, 768, 3072] {
        for kind in 0..7 {
            let (mut x, mut weight) = (numbers(45 * inputs, kind), numbers(70 * inputs, kind));
            if kind == 6 {
                // Cancellation: the second half takes away what the first half adds, but for a little.
                for values in [&mut x, &mut weight] {
                    for row in values.chunks_exact_mut(inputs) {
                        let (first, second) = row.split_at_mut(inputs / 2);
                        second.copy_from_slice(first);
                    }
                }
                for row in x.chunks_exact_mut(inputs) {
                    row[inputs / 2..].iter_mut().for_each(|value| *value *= -1.0 + 1e-6);
                }
            }
            let [tiles, vectors] = both.map(|instructions| errors(&x, &weight, inputs, instructions));
            println!(
                "{inputs} inputs, kind {kind}: largest error {:.2} on tiles, {:.2} on vectors; mean {:.3}, {:.3}",
                tiles[0], vectors[0], tiles[1], vectors[1]
            );
            // Where one product decides the sum, vectors round little but that; tiles round its parts too.
            let allowed = if kind == 2 { 1.25 } else { 1.0 };
            let worse = tiles.iter().zip(vectors).any(|(&tiles, vectors)| tiles > allowed * vectors);
            failures += usize::from(worse);
        }
    }
    assert_eq!(failures, 0, "tiles are worse in so many of the cases above");
}

#[test]
fn narrow_weights_are_as_exact_with_fewer_products() {
    let Some(both) = both() else { return };
    let (x, weight) = (random(45 * 768, 62), random(70 * 768, 63));
    let bf16 = |value: f32| half::bf16::from_f32(value).to_f32();
    // Some of these are subnormal in half precision.
    let f16 = |value: f32| half::f16::from_f32(value * 1e-4).to_f32();
    for (parts, weight) in
        [(1, weight.iter().copied().map(bf16).collect()), (2, weight.iter().copied().map(f16).collect())]
    {
        let weight: Vec<f32> = weight;
        assert_eq!(Packed::new(&weight, 70, 768, both[0]).parts, parts);
        let [tiles, vectors] = both.map(|instructions| errors(&x, &weight, 768, instructions));
        assert!(tiles[0] <= vectors[0] && tiles[1] <= vectors[1], "{parts} parts: {tiles:?}, {vectors:?}");
    }
}

#[test]
fn the_largest_numbers_stay_finite() {
    let Some(both) = both() else { return };
    let mut x = vec![0.0; 40];
    (x[0], x[39]) = (f32::MAX, f32::MIN);
    let weight: Vec<f32> =
        (0..3).flat_map(|output| (0..40).map(move |input| if input == 13 * output { 0.5 } else { 0.0 })).collect();
    for instructions in both {
        let y = Packed::new(&weight, 3, 40, instructions).linear(&x, None, Activation::Identity, None, 1);
        assert_eq!(y, [f32::MAX / 2.0, 0.0, 0.0], "{instructions:?}");
        let y = Packed::new(&x, 1, 40, instructions).linear(&weight, None, Activation::Identity, None, 3);
        assert_eq!(y, [f32::MAX / 2.0, 0.0, 0.0], "{instructions:?}");
    }
}

#[test]
fn what_is_not_finite_stays_in_its_row_and_column() {
    for instructions in Instructions::available() {
        for bad in
            [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::from_bits(0x7f80_0001), f32::from_bits(0xffff_ffff)]
        {
            for place in [0, 5, 31, 39] {
                let (mut x, mut weight) = (random(37 * 40, 64), random(70 * 40, 65));
                x[20 * 40 + place] = bad;
                let shows = |x: &[f32], weight: &[f32]| -> Vec<bool> {
                    let y = Packed::new(weight, 70, 40, instructions).linear(x, None, Activation::Identity, None, 37);
                    y.iter().map(|y| !y.is_finite()).collect()
                };
                let expected: Vec<bool> = (0..37 * 70).map(|index| index / 70 == 20).collect();
                assert_eq!(shows(&x, &weight), expected, "{instructions:?}: {bad} in a row");
                weight[66 * 40 + place] = bad;
                let expected: Vec<bool> = (0..37 * 70).map(|index| index % 70 == 66).collect();
                assert_eq!(shows(&random(37 * 40, 64), &weight), expected, "{instructions:?}: {bad} in a column");
            }
        }
    }
}

#[cfg(feature = "native")]
#[test]
fn a_row_has_the_same_bits_among_any_others() {
    let (inputs, outputs, rows) = (800, 200, 300);
    let (x, weight, bias) = (random(rows * inputs, 66), random(outputs * inputs, 67), random(outputs, 68));
    let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
    for instructions in Instructions::available() {
        let packed = Packed::new(&weight, outputs, inputs, instructions);
        let some = |first: usize, count: usize| {
            let x = &x[first * inputs..][..count * inputs];
            bits(packed.linear(x, Some(&bias), Activation::Gelu, None, count))
        };
        let whole = some(0, rows);
        for threads in [1, 3, 16] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            for (first, count) in
                [(0, rows), (7, 1), (12, 5), (0, 16), (3, 17), (100, 33), (9, 50), (50, 71), (40, 260), (299, 1)]
            {
                let part = pool.install(|| some(first, count));
                assert!(
                    part == whole[first * outputs..][..count * outputs],
                    "{instructions:?}: {count} rows from {first}"
                );
            }
        }
    }
}
