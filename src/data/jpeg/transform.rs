//! The inverse cosine transform of libjpeg's accurate integer method: Loeffler, Ligtenberg and Moschytz 1989, "Practical
//! fast 1-D DCT algorithms with 11 multiplications", with constants of 13 bits and two extra bits between the passes.
//!
//! Decoders may differ in the last bit here (T.81 allows it); the roundings below are libjpeg's, so the bytes are too.

use super::Component;

/// Bits after the point of the constants.
const CONSTANT_BITS: u32 = 13;
/// Bits kept between the first pass and the second.
const BETWEEN_BITS: u32 = 2;

/// Eight numbers that go through the same steps.
type Lanes = [i32; 8];

const fn fixed(value: f64) -> i32 {
    (value * (1 << CONSTANT_BITS) as f64 + 0.5) as i32
}

#[inline(always)]
fn add(a: Lanes, b: Lanes) -> Lanes {
    std::array::from_fn(|i| a[i].wrapping_add(b[i]))
}

#[inline(always)]
fn subtract(a: Lanes, b: Lanes) -> Lanes {
    std::array::from_fn(|i| a[i].wrapping_sub(b[i]))
}

#[inline(always)]
fn times(a: Lanes, constant: i32) -> Lanes {
    std::array::from_fn(|i| a[i].wrapping_mul(constant))
}

/// Eight one-dimensional transforms, one a lane, rounded and shifted right by `SHIFT`.
#[inline(always)]
fn pass<const SHIFT: u32>(input: &[Lanes; 8]) -> [Lanes; 8] {
    // Even part: inputs 0, 2, 4, 6.
    let rotated = times(add(input[2], input[6]), fixed(0.541_196_100));
    let even2 = add(rotated, times(input[6], -fixed(1.847_759_065)));
    let even3 = add(rotated, times(input[2], fixed(0.765_366_865)));
    let even0 = times(add(input[0], input[4]), 1 << CONSTANT_BITS);
    let even1 = times(subtract(input[0], input[4]), 1 << CONSTANT_BITS);
    let even = [add(even0, even3), add(even1, even2), subtract(even1, even2), subtract(even0, even3)];
    // Odd part: inputs 7, 5, 3, 1.
    let z1 = times(add(input[7], input[1]), -fixed(0.899_976_223));
    let z2 = times(add(input[5], input[3]), -fixed(2.562_915_447));
    let (z3, z4) = (add(input[7], input[3]), add(input[5], input[1]));
    let z5 = times(add(z3, z4), fixed(1.175_875_602));
    let z3 = add(times(z3, -fixed(1.961_570_560)), z5);
    let z4 = add(times(z4, -fixed(0.390_180_644)), z5);
    let odd = [
        add(times(input[1], fixed(1.501_321_110)), add(z1, z4)),
        add(times(input[3], fixed(3.072_711_026)), add(z2, z3)),
        add(times(input[5], fixed(2.053_119_869)), add(z2, z4)),
        add(times(input[7], fixed(0.298_631_336)), add(z1, z3)),
    ];
    let mut out = [[0; 8]; 8];
    for index in 0..4 {
        out[index] = descale::<SHIFT>(add(even[index], odd[index]));
        out[7 - index] = descale::<SHIFT>(subtract(even[index], odd[index]));
    }
    out
}

#[inline(always)]
fn descale<const SHIFT: u32>(lanes: Lanes) -> Lanes {
    std::array::from_fn(|i| lanes[i].wrapping_add(1 << (SHIFT - 1)) >> SHIFT)
}

#[inline(always)]
fn transpose(lanes: &[Lanes; 8]) -> [Lanes; 8] {
    let mut out = [[0; 8]; 8];
    for (row, out) in out.iter_mut().enumerate() {
        for (column, out) in out.iter_mut().enumerate() {
            *out = lanes[column][row];
        }
    }
    out
}

/// One block of dequantised coefficients `[8, 8]` to samples, written to eight rows of `out` that are `stride` apart.
#[inline(always)]
pub fn inverse(block: &[i32; 64], out: &mut [u8], stride: usize) {
    let mut rows = [[0; 8]; 8];
    for (row, values) in rows.iter_mut().zip(block.chunks_exact(8)) {
        row.copy_from_slice(values);
    }
    let columns = pass::<{ CONSTANT_BITS - BETWEEN_BITS }>(&rows);
    let samples = pass::<{ CONSTANT_BITS + BETWEEN_BITS + 3 }>(&transpose(&columns));
    for (row, lanes) in transpose(&samples).iter().enumerate() {
        let out = &mut out[row * stride..row * stride + 8];
        for (out, sample) in out.iter_mut().zip(lanes) {
            *out = (sample + 128).clamp(0, 255) as u8;
        }
    }
}

/// The same for a block whose only coefficient is the first.
#[inline(always)]
pub fn inverse_flat(first: i32, out: &mut [u8], stride: usize) {
    let sample = ((first.wrapping_add(4) >> 3) + 128).clamp(0, 255) as u8;
    for row in 0..8 {
        out[row * stride..row * stride + 8].fill(sample);
    }
}

/// Turns a progressive component's coefficients into samples; a sequential one's are there already.
#[inline(always)]
pub fn reconstruct(component: &mut Component) {
    let Some(quantisation) = component.quantisation else { return };
    let (wide, stride) = (component.blocks_wide, component.stride());
    for (index, coefficients) in component.coefficients.chunks_exact(64).enumerate() {
        let mut block = [0; 64];
        for (value, (&coefficient, &step)) in block.iter_mut().zip(coefficients.iter().zip(&quantisation)) {
            *value = i32::from(coefficient) * i32::from(step);
        }
        inverse(&block, &mut component.samples[(index / wide) * 8 * stride + (index % wide) * 8..], stride);
    }
    component.coefficients = Vec::new();
}
