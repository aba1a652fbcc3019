//! Four lanes in plain Rust, for every machine: the compiler finds vector instructions for it where there are some.

use super::{HALF_SCALE, HALF_SPECIAL, SPECIAL, Simd};
use crate::clip::lanes::lanes;

/// Needs nothing of the machine.
#[derive(Clone, Copy)]
pub struct Scalar;

impl Simd for Scalar {
    type Vector = [f32; 4];
    type Integers = [u32; 4];

    const LANES: usize = 4;
    const COLUMNS: usize = 2;
    const SUMS: usize = 12;

    #[inline(always)]
    fn splat(self, value: f32) -> [f32; 4] {
        [value; 4]
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> [f32; 4] {
        // SAFETY: the caller vouches for four numbers; an array of them has the alignment of one.
        unsafe { from.cast::<[f32; 4]>().read() }
    }

    // Exponent and fraction move to where f32 has them, and a product puts the exponent's bias right, which is exact and takes
    // subnormal numbers along. Only infinities and NaN need their exponent set.
    #[inline(always)]
    unsafe fn load_half(self, from: *const u16) -> [f32; 4] {
        // SAFETY: the caller vouches for four numbers; an array of them has the alignment of one.
        let halves = unsafe { from.cast::<[u16; 4]>().read() };
        lanes(|i| {
            let half = halves[i];
            let magnitude = u32::from(half & 0x7fff) << 13;
            let scaled = (f32::from_bits(magnitude) * HALF_SCALE).to_bits();
            let special = if magnitude >= HALF_SPECIAL { SPECIAL } else { 0 };
            f32::from_bits(scaled | special | u32::from(half & 0x8000) << 16)
        })
    }

    #[inline(always)]
    unsafe fn load_int8(self, from: *const i8) -> [f32; 4] {
        // SAFETY: as in `load_half`.
        let values = unsafe { from.cast::<[i8; 4]>().read() };
        lanes(|i| f32::from(values[i]))
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, vector: [f32; 4]) {
        // SAFETY: as in `load`.
        unsafe { to.cast::<[f32; 4]>().write(vector) }
    }

    #[inline(always)]
    fn add(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        lanes(|i| a[i] + b[i])
    }

    #[inline(always)]
    fn sub(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        lanes(|i| a[i] - b[i])
    }

    #[inline(always)]
    fn mul(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        lanes(|i| a[i] * b[i])
    }

    #[inline(always)]
    fn div(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        lanes(|i| a[i] / b[i])
    }

    // Not `f32::mul_add`: without an instruction for it, that is a call to a slow function.
    #[inline(always)]
    fn mul_add(self, a: [f32; 4], b: [f32; 4], c: [f32; 4]) -> [f32; 4] {
        lanes(|i| a[i] * b[i] + c[i])
    }

    #[inline(always)]
    fn min(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        lanes(|i| if a[i] < b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    fn max(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        lanes(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }

    // Adding and taking away 1.5 · 2²³ leaves no bits for a fraction: right for what `scale` accepts, and fast.
    #[inline(always)]
    fn round(self, a: [f32; 4]) -> [f32; 4] {
        const SHIFT: f32 = 12_582_912.0;
        lanes(|i| (a[i] + SHIFT) - SHIFT)
    }

    #[inline(always)]
    fn scale(self, a: [f32; 4], n: [f32; 4]) -> [f32; 4] {
        lanes(|i| a[i] * f32::from_bits(((n[i] as i32).wrapping_add(127) << 23) as u32))
    }

    #[inline(always)]
    fn integers(self, first: u32, step: u32) -> [u32; 4] {
        lanes(|i| first.wrapping_add(step.wrapping_mul(i as u32)))
    }

    #[inline(always)]
    fn add_integers(self, a: [u32; 4], b: [u32; 4]) -> [u32; 4] {
        lanes(|i| a[i].wrapping_add(b[i]))
    }

    #[inline(always)]
    fn mul_integers(self, a: [u32; 4], b: [u32; 4]) -> [u32; 4] {
        lanes(|i| a[i].wrapping_mul(b[i]))
    }

    #[inline(always)]
    fn xor_shift(self, a: [u32; 4], n: u32) -> [u32; 4] {
        lanes(|i| a[i] ^ a[i] >> n)
    }

    #[inline(always)]
    fn where_at_least(self, a: [u32; 4], bound: [u32; 4], value: [f32; 4]) -> [f32; 4] {
        lanes(|i| if a[i] >= bound[i] { value[i] } else { 0.0 })
    }
}
