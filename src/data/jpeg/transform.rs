//! The inverse cosine transform of libjpeg's accurate integer method: Loeffler, Ligtenberg and Moschytz 1989, "Practical
//! fast 1-D DCT algorithms with 11 multiplications", with constants of 13 bits and two extra bits between the passes.
//!
//! Decoders may differ in the last bit here (T.81 allows it); the roundings below are libjpeg's, so the bytes are too. What goes
//! into a pass has 16 bits, as in libjpeg-turbo's vectors; products and their sums have 32, and as none is rounded before the end of a
//! pass, libjpeg's sums of sums are written here as one product a number.

use super::frame::{GROUP, GROUP_LENGTH, ROW};
use crate::clip::wide::Words;

/// Bits after the point of the constants.
const CONSTANT_BITS: u32 = 13;
/// Bits kept between the first pass and the second.
const BETWEEN_BITS: u32 = 2;
const FIRST_SHIFT: u32 = CONSTANT_BITS - BETWEEN_BITS;
const SECOND_SHIFT: u32 = CONSTANT_BITS + BETWEEN_BITS + 3;

const fn fixed(value: f64) -> i32 {
    (value * (1 << CONSTANT_BITS) as f64 + 0.5) as i32
}

const ONE: i32 = 1 << CONSTANT_BITS;
/// What the inputs 2 and 6 are multiplied with for the even part's last two sums, in libjpeg's terms.
const EVEN: [[i32; 2]; 2] = [
    [fixed(0.541_196_100), fixed(0.541_196_100) - fixed(1.847_759_065)],
    [fixed(0.541_196_100) + fixed(0.765_366_865), fixed(0.541_196_100)],
];
/// What the inputs 1, 7, 3 and 5 are multiplied with for each of the odd part's four sums.
const ODD: [[i32; 4]; 4] = {
    let z5 = fixed(1.175_875_602);
    let (z3, z4) = (z5 - fixed(1.961_570_560), z5 - fixed(0.390_180_644));
    let (z1, z2) = (-fixed(0.899_976_223), -fixed(2.562_915_447));
    [
        [fixed(1.501_321_110) + z1 + z4, z1 + z5, z5, z4],
        [z5, z3, fixed(3.072_711_026) + z2 + z3, z2 + z5],
        [z4, z5, z2 + z5, fixed(2.053_119_869) + z2 + z4],
        [z1 + z5, fixed(0.298_631_336) + z1 + z3, z3, z5],
    ]
};

/// A component's quantisation steps, once for each block of a group.
pub struct Steps([i16; GROUP_LENGTH]);

impl Steps {
    /// From steps in zigzag order.
    pub fn new(zigzag: &[u16; 64]) -> Self {
        let mut steps = [0; GROUP_LENGTH];
        for (&step, &place) in zigzag.iter().zip(&super::frame::PLACES) {
            (0..GROUP).for_each(|block| steps[place as usize + block * 8] = step as i16);
        }
        Self(steps)
    }
}

/// A group's coefficients to samples, written to eight rows of `out` that are `stride` apart.
#[inline(always)]
pub fn inverse<W: Words>(words: W, group: &[i16; GROUP_LENGTH], steps: &Steps, out: &mut [u8], stride: usize) {
    for part in 0..GROUP / W::GROUPS {
        let mut rows = [words.splat16(0); 8];
        for (row, values) in rows.iter_mut().enumerate() {
            let start = row * ROW + part * 8 * W::GROUPS;
            *values = words.mul16(words.load16(&group[start..]), words.load16(&steps.0[start..]));
        }
        let columns = transpose(words, pass::<W, FIRST_SHIFT>(words, rows, 0));
        let samples = transpose(words, pass::<W, SECOND_SHIFT>(words, columns, 128));
        for pair in 0..4 {
            let (above, below) = out[part * 8 * W::GROUPS + pair * 2 * stride..].split_at_mut(stride);
            words.store_halves(above, below, words.pack16(samples[2 * pair], samples[2 * pair + 1]));
        }
    }
}

/// One-dimensional transforms, one in each 16 bits, rounded and shifted right by `SHIFT`, after which `level` is added.
#[inline(always)]
fn pass<W: Words, const SHIFT: u32>(words: W, input: [W::Vector; 8], level: i32) -> [W::Vector; 8] {
    let [i0, i1, i2, i3, i4, i5, i6, i7] = input;
    let pairs = [(i0, i4), (i2, i6), (i1, i7), (i3, i5)];
    let (mut first, mut last) = ([i0; 4], [i0; 4]);
    for (index, &(a, b)) in pairs.iter().enumerate() {
        first[index] = words.interleave_first16(a, b);
        last[index] = words.interleave_last16(a, b);
    }
    let (first, last) = (half::<W, SHIFT>(words, first, level), half::<W, SHIFT>(words, last, level));
    let mut out = input;
    for (index, out) in out.iter_mut().enumerate() {
        *out = words.pack32(first[index], last[index]);
    }
    out
}

/// A pass for half of the numbers, of which inputs 0 and 4, 2 and 6, 1 and 7, and 3 and 5 stand in turns.
#[inline(always)]
fn half<W: Words, const SHIFT: u32>(words: W, pairs: [W::Vector; 4], level: i32) -> [W::Vector; 8] {
    let [i04, i26, i17, i35] = pairs;
    let rounding = words.splat32((level << SHIFT) + (1 << (SHIFT - 1)));
    let even0 = words.add32(product(words, i04, [ONE, ONE]), rounding);
    let even1 = words.add32(product(words, i04, [ONE, -ONE]), rounding);
    let even2 = product(words, i26, EVEN[0]);
    let even3 = product(words, i26, EVEN[1]);
    let even =
        [words.add32(even0, even3), words.add32(even1, even2), words.sub32(even1, even2), words.sub32(even0, even3)];
    let mut out = [even0; 8];
    for index in 0..4 {
        let [a, b, c, d] = ODD[index];
        let odd = words.add32(product(words, i17, [a, b]), product(words, i35, [c, d]));
        out[index] = words.shift_right32::<SHIFT>(words.add32(even[index], odd));
        out[7 - index] = words.shift_right32::<SHIFT>(words.sub32(even[index], odd));
    }
    out
}

#[inline(always)]
fn product<W: Words>(words: W, pair: W::Vector, constants: [i32; 2]) -> W::Vector {
    words.dot(pair, words.splat_pair(constants[0] as i16, constants[1] as i16))
}

/// Blocks of 8 × 8 numbers turned round.
#[inline(always)]
fn transpose<W: Words>(words: W, rows: [W::Vector; 8]) -> [W::Vector; 8] {
    let (mut a, mut b, mut c) = (rows, rows, rows);
    for index in 0..4 {
        a[2 * index] = words.interleave_first16(rows[index], rows[index + 4]);
        a[2 * index + 1] = words.interleave_last16(rows[index], rows[index + 4]);
    }
    for index in 0..4 {
        b[2 * index] = words.interleave_first16(a[index], a[index + 4]);
        b[2 * index + 1] = words.interleave_last16(a[index], a[index + 4]);
    }
    for index in 0..4 {
        c[2 * index] = words.interleave_first16(b[index], b[index + 4]);
        c[2 * index + 1] = words.interleave_last16(b[index], b[index + 4]);
    }
    c
}
