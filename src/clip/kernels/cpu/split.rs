//! f32 numbers as sums of bfloat16 numbers, in the order in which tiles read them.
//!
//! An f32 has 24 significant bits, a bfloat16 number 8 and the same exponents. So three of them hold an f32 exactly: its first 8 bits,
//! what is left rounded to 8, and the rest (Henry, Tang and Heinecke, "Leveraging the bfloat16 Artificial Intelligence Datatype For
//! Higher-Precision Computations", 2019). The first part is cut, which keeps every finite number finite; the second is rounded, so that
//! the products which are left out have no sign in common. What is not finite leaves something that is not finite. Numbers under
//! 2⁻¹¹⁰ lose their last bits, because tiles know no subnormal numbers.

use std::arch::x86_64::{
    __m512, __m512i, _MM_HINT_T0, _mm_prefetch, _mm512_add_epi32, _mm512_and_si512, _mm512_castps_si512,
    _mm512_castsi512_ps, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mask_shuffle_epi8, _mm512_maskz_loadu_ps,
    _mm512_permutex2var_epi16, _mm512_set1_epi32, _mm512_set4_epi32, _mm512_setzero_si512, _mm512_storeu_si512,
    _mm512_sub_ps,
};

use super::amx::{DEPTH, Line, ROWS};

/// Columns of a panel, four tiles wide.
pub const WIDTH: usize = 64;

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
#[inline]
#[target_feature(enable = "avx512f")]
fn split(x: __m512) -> [__m512i; 3] {
    let upper = _mm512_set1_epi32(UPPER as i32);
    let first = _mm512_and_si512(_mm512_castps_si512(x), upper);
    let rest = _mm512_sub_ps(x, _mm512_castsi512_ps(first));
    let half = _mm512_set1_epi32(1 << 15);
    let second = _mm512_and_si512(_mm512_add_epi32(_mm512_castps_si512(rest), half), upper);
    let third = _mm512_sub_ps(rest, _mm512_castsi512_ps(second));
    [first, second, _mm512_castps_si512(third)]
}

/// Rows `x` `[rows, stride]` to the depth of `depth` as left tiles `[tile][step][part][row]`, the last step filled up with zeros: in
/// [`LEFT_PARTS`](super::amx::LEFT_PARTS) parts; or in one, if they are bfloat16 numbers.
#[target_feature(enable = "avx512f,avx512bw")]
pub fn rows<const PARTS: usize>(x: &[f32], stride: usize, rows: usize, depth: usize, to: &mut [Line]) {
    let steps = depth.div_ceil(DEPTH);
    assert!(to.len() >= rows.div_ceil(ROWS) * steps * PARTS * ROWS, "no room for the tiles");
    let odd: [u16; DEPTH] = std::array::from_fn(|index| 2 * index as u16 + 1);
    // SAFETY: an array of a vector's size.
    let odd = unsafe { _mm512_loadu_si512(odd.as_ptr().cast()) };
    for row in 0..rows {
        let x = &x[row * stride..][..depth];
        let to = &mut to[row / ROWS * steps * PARTS * ROWS..];
        for (step, x) in x.chunks(DEPTH).enumerate() {
            let to = &mut to[step * PARTS * ROWS + row % ROWS..];
            let (left, right) = (split(load(x)), split(load(&x[x.len().min(DEPTH / 2)..])));
            for part in 0..PARTS {
                store(&mut to[part * ROWS], _mm512_permutex2var_epi16(left[part], odd, right[part]));
            }
        }
    }
}

/// A piece of a panel, `[depth, WIDTH]`, as right tiles `[half][step][part][2][pair of inputs]` beginning with step `first` of `steps`;
/// the last step is filled up with zeros. Parts beyond `PARTS` must be zero.
#[target_feature(enable = "avx512f,avx512bw")]
pub fn panel<const PARTS: usize>(panel: &[f32], first: usize, steps: usize, to: &mut [Line]) {
    /// How many numbers before they are needed memory is asked for.
    const AHEAD: usize = 8 * WIDTH;
    /// The first two bytes of every four.
    const LOWER: u64 = 0x3333_3333_3333_3333;
    assert!(to.len() >= steps * PARTS * 4 * ROWS, "no room for the tiles");
    let upper_to_lower = _mm512_set4_epi32(0x0f0e_0f0e, 0x0b0a_0b0a, 0x0706_0706, 0x0302_0302);
    for (pair, inputs) in panel.chunks(2 * WIDTH).enumerate() {
        let (step, pair) = (first + pair / ROWS, pair % ROWS);
        for tile in 0..WIDTH / ROWS {
            let at = tile * ROWS;
            for at in [at, WIDTH + at] {
                _mm_prefetch::<_MM_HINT_T0>(inputs.as_ptr().wrapping_add(AHEAD + at).cast());
            }
            let even = split(load(&inputs[at..]));
            let odd =
                if inputs.len() > WIDTH { split(load(&inputs[WIDTH + at..])) } else { [_mm512_setzero_si512(); 3] };
            let start = ((tile / 2 * steps + step) * PARTS * 2 + tile % 2) * ROWS + pair;
            for part in 0..PARTS {
                // The upper half of every even number into the lower half of the odd one.
                let both = _mm512_mask_shuffle_epi8(odd[part], LOWER, even[part], upper_to_lower);
                store(&mut to[start + part * 2 * ROWS], both);
            }
        }
    }
    // What a last step lacks.
    for pair in panel.len().div_ceil(2 * WIDTH)..panel.len().div_ceil(DEPTH * WIDTH) * ROWS {
        let (step, pair) = (first + pair / ROWS, pair % ROWS);
        for tile in 0..WIDTH / ROWS {
            let start = ((tile / 2 * steps + step) * PARTS * 2 + tile % 2) * ROWS + pair;
            for part in 0..PARTS {
                to[start + part * 2 * ROWS] = Line::ZERO;
            }
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

#[inline]
#[target_feature(enable = "avx512f")]
fn store(to: &mut Line, numbers: __m512i) {
    // SAFETY: a line is as long as a vector.
    unsafe { _mm512_storeu_si512(std::ptr::from_mut(to).cast(), numbers) };
}
