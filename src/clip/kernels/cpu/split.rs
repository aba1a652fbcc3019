//! f32 numbers as sums of bfloat16 numbers, in the order in which tiles read them.
//!
//! An f32 has 24 significant bits, a bfloat16 number 8 and the same exponents. So three of them hold an f32 exactly: its first 8 bits,
//! what is left rounded to 8, and the rest (Henry, Tang and Heinecke, "Leveraging the bfloat16 Artificial Intelligence Datatype For
//! Higher-Precision Computations", 2019). The first part is cut, which keeps every finite number finite; the second is rounded, so that
//! the products which are left out have no sign in common. What is not finite leaves something that is not finite. Numbers under
//! 2⁻¹¹⁰ lose their last bits, because tiles know no subnormal numbers.

use std::arch::x86_64::{
    __m512, __m512i, _mm512_add_epi32, _mm512_and_si512, _mm512_castps_si512, _mm512_castsi512_ps, _mm512_loadu_ps,
    _mm512_loadu_si512, _mm512_maskz_loadu_ps, _mm512_or_si512, _mm512_permutex2var_epi16, _mm512_set1_epi32,
    _mm512_srli_epi32, _mm512_storeu_si512, _mm512_sub_ps,
};
use std::ops::Range;

use super::amx::{DEPTH, Line, ROWS};

/// Pairs of inputs in a step.
pub const PAIRS: usize = DEPTH / 2;

/// The bits that a bfloat16 number has of an f32.
const UPPER: u32 = 0xffff_0000;

/// Of how many bfloat16 numbers every one of `values` is the sum: 1, 2 or 3.
pub fn parts(values: &[f32]) -> usize {
    let rest = |value: f32| value - f32::from_bits(value.to_bits() & UPPER);
    let mut most = 1;
    for piece in values.chunks(4096) {
        // What is not finite counts as three: NaN's bits may all be lower ones.
        let lower = piece.iter().fold((0, 0), |(once, twice), &value| {
            let first = rest(value);
            (once | first.to_bits() & !(1 << 31), twice | rest(first).to_bits() & !(1 << 31))
        });
        if lower.1 != 0 {
            return 3;
        }
        if lower.0 != 0 {
            most = 2;
        }
    }
    most
}

/// The three parts of 16 numbers, each an f32 whose lower half is zero.
///
/// # Safety
/// The processor has AVX-512 F.
#[inline(always)]
unsafe fn split(x: __m512) -> [__m512i; 3] {
    // SAFETY: by the caller.
    unsafe {
        let upper = _mm512_set1_epi32(UPPER as i32);
        let first = _mm512_and_si512(_mm512_castps_si512(x), upper);
        let rest = _mm512_sub_ps(x, _mm512_castsi512_ps(first));
        let half = _mm512_set1_epi32(1 << 15);
        let second = _mm512_and_si512(_mm512_add_epi32(_mm512_castps_si512(rest), half), upper);
        let third = _mm512_sub_ps(rest, _mm512_castsi512_ps(second));
        [first, second, _mm512_castps_si512(third)]
    }
}

/// Rows `x` `[rows, stride]` to the depth of `depth` as left tiles: for each of `groups`, which say how many tiles they have,
/// `[step][part][tile][row]`, the last step filled up with zeros. In [`LEFT_PARTS`](super::tiles::LEFT_PARTS) parts; or in one, if
/// they are bfloat16 numbers.
#[target_feature(enable = "avx512f,avx512bw")]
pub fn rows<const PARTS: usize>(
    x: &[f32],
    stride: usize,
    rows: usize,
    depth: usize,
    groups: impl Iterator<Item = Range<usize>>,
    to: &mut [Line],
) {
    let steps = depth.div_ceil(DEPTH);
    assert!(to.len() >= rows.div_ceil(ROWS) * steps * PARTS * ROWS, "no room for the tiles");
    let odd: [u16; DEPTH] = std::array::from_fn(|index| 2 * index as u16 + 1);
    // SAFETY: an array of a vector's size.
    let odd = unsafe { _mm512_loadu_si512(odd.as_ptr().cast()) };
    for group in groups {
        let to = &mut to[group.start * steps * PARTS * ROWS..];
        for row in group.start * ROWS..rows.min(group.end * ROWS) {
            let x = &x[row * stride..][..depth];
            for (step, x) in x.chunks(DEPTH).enumerate() {
                let to = &mut to[step * PARTS * group.len() * ROWS + row - group.start * ROWS..];
                // SAFETY: this function has the instructions.
                let (left, right) = unsafe { (split(load(x)), split(load(&x[x.len().min(DEPTH / 2)..]))) };
                for part in 0..PARTS {
                    let both = _mm512_permutex2var_epi16(left[part], odd, right[part]);
                    // SAFETY: a line is as long as a vector.
                    unsafe { store(&raw mut to[part * group.len() * ROWS], both) };
                }
            }
        }
    }
}

/// Two inputs of a panel, `[2][16]` numbers from `from` on, as one line of each of the right tiles `[part][pair]`: `to` is that of the
/// largest part. Parts beyond `PARTS` must be zero.
///
/// # Safety
/// The numbers can be read and the lines be written, and the processor has AVX-512 F and BW.
#[inline(always)]
pub unsafe fn pair<const PARTS: usize>(from: *const f32, to: *mut Line) {
    // SAFETY: by the caller.
    unsafe {
        let (even, odd) = (split(_mm512_loadu_ps(from)), split(_mm512_loadu_ps(from.wrapping_add(ROWS))));
        for part in 0..PARTS {
            // The upper half of every even number into the lower half of the odd one.
            let both = _mm512_or_si512(odd[part], _mm512_srli_epi32::<16>(even[part]));
            store(to.wrapping_add(part * PAIRS), both);
        }
    }
}

/// The start of `x`, zeros after its end.
#[inline]
#[target_feature(enable = "avx512f")]
fn load(x: &[f32]) -> __m512 {
    // SAFETY: what is behind the end is not read.
    unsafe {
        if x.len() >= 16 { _mm512_loadu_ps(x.as_ptr()) } else { _mm512_maskz_loadu_ps((1 << x.len()) - 1, x.as_ptr()) }
    }
}

/// # Safety
/// The line can be written, and the processor has AVX-512 F.
#[inline(always)]
unsafe fn store(to: *mut Line, numbers: __m512i) {
    // SAFETY: a line is as long as a vector.
    unsafe { _mm512_storeu_si512(to.cast(), numbers) };
}
