//! WebAssembly's 128-bit vectors: four lanes; the engines map them to the sixteen registers of SSE or to NEON.

#[allow(clippy::wildcard_imports, reason = "intrinsics bear their set's prefix")]
use std::arch::wasm32::*;

use super::{HALF_SCALE, HALF_SPECIAL, SPECIAL, Simd};

/// Needs nothing that a build with `simd128` does not promise.
#[derive(Clone, Copy)]
pub struct Wasm;

impl Simd for Wasm {
    type Vector = v128;
    type Integers = v128;

    const LANES: usize = 4;
    const COLUMNS: usize = 4;
    const SUMS: usize = 8;
    // Of several, LLVM puts each sum's products behind one another, so that all factors are alive at once, which no machine has the
    // registers for.
    const STEPS: usize = 1;

    #[inline(always)]
    fn splat(self, value: f32) -> v128 {
        f32x4_splat(value)
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> v128 {
        // SAFETY: the caller vouches for the memory.
        unsafe { v128_load(from.cast()) }
    }

    // See `Scalar::load_half`.
    #[inline(always)]
    unsafe fn load_half(self, from: *const u16) -> v128 {
        // SAFETY: the caller vouches for the memory.
        let half = unsafe { v128_load64_zero(from.cast()) };
        let half = u32x4_extend_low_u16x8(half);
        let magnitude = u32x4_shl(v128_and(half, u32x4_splat(0x7fff)), 13);
        let scaled = f32x4_mul(magnitude, f32x4_splat(HALF_SCALE));
        let special = v128_and(u32x4_ge(magnitude, u32x4_splat(HALF_SPECIAL)), u32x4_splat(SPECIAL));
        let sign = u32x4_shl(v128_and(half, u32x4_splat(0x8000)), 16);
        v128_or(v128_or(scaled, special), sign)
    }

    #[inline(always)]
    unsafe fn load_int8(self, from: *const i8) -> v128 {
        // SAFETY: the caller vouches for the memory.
        let bytes = unsafe { v128_load32_zero(from.cast()) };
        f32x4_convert_i32x4(i32x4_extend_low_i16x8(i16x8_extend_low_i8x16(bytes)))
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, vector: v128) {
        // SAFETY: the caller vouches for the memory.
        unsafe { v128_store(to.cast(), vector) }
    }

    #[inline(always)]
    fn add(self, a: v128, b: v128) -> v128 {
        f32x4_add(a, b)
    }

    #[inline(always)]
    fn sub(self, a: v128, b: v128) -> v128 {
        f32x4_sub(a, b)
    }

    #[inline(always)]
    fn mul(self, a: v128, b: v128) -> v128 {
        f32x4_mul(a, b)
    }

    #[inline(always)]
    fn div(self, a: v128, b: v128) -> v128 {
        f32x4_div(a, b)
    }

    #[inline(always)]
    fn mul_add(self, a: v128, b: v128, c: v128) -> v128 {
        #[cfg(target_feature = "relaxed-simd")]
        return f32x4_relaxed_madd(a, b, c);
        #[cfg(not(target_feature = "relaxed-simd"))]
        f32x4_add(f32x4_mul(a, b), c)
    }

    #[inline(always)]
    fn min(self, a: v128, b: v128) -> v128 {
        f32x4_pmin(b, a)
    }

    #[inline(always)]
    fn max(self, a: v128, b: v128) -> v128 {
        f32x4_pmax(b, a)
    }

    #[inline(always)]
    fn round(self, a: v128) -> v128 {
        f32x4_nearest(a)
    }

    #[inline(always)]
    fn scale(self, a: v128, n: v128) -> v128 {
        // In a number this large the last bits are the whole number itself; the others are shifted out.
        let exponent = i32x4_add(f32x4_add(n, f32x4_splat(12_582_912.0)), i32x4_splat(127));
        f32x4_mul(a, i32x4_shl(exponent, 23))
    }

    #[inline(always)]
    fn sum(self, a: v128) -> f32 {
        let last = f32x4_extract_lane::<3>(a);
        f32x4_extract_lane::<0>(a) + f32x4_extract_lane::<1>(a) + f32x4_extract_lane::<2>(a) + last
    }

    #[inline(always)]
    fn integers(self, first: u32, step: u32) -> v128 {
        i32x4_add(u32x4_splat(first), i32x4_mul(u32x4(0, 1, 2, 3), u32x4_splat(step)))
    }

    #[inline(always)]
    fn add_integers(self, a: v128, b: v128) -> v128 {
        i32x4_add(a, b)
    }

    #[inline(always)]
    fn mul_integers(self, a: v128, b: v128) -> v128 {
        i32x4_mul(a, b)
    }

    #[inline(always)]
    fn xor_shift(self, a: v128, n: u32) -> v128 {
        v128_xor(a, u32x4_shr(a, n))
    }

    #[inline(always)]
    fn where_at_least(self, a: v128, bound: v128, value: v128) -> v128 {
        v128_and(u32x4_ge(a, bound), value)
    }
}
