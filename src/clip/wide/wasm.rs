//! WebAssembly's vectors: one group of 128 bits.

#[allow(clippy::wildcard_imports, reason = "intrinsics bear their set's prefix")]
use std::arch::wasm32::*;

use super::Words;

/// Needs nothing that a build with `simd128` does not promise.
#[derive(Clone, Copy)]
pub struct Wasm;

// SAFETY (of every block below): slices are as long as what is read or written, which is checked in the same function.
impl Words for Wasm {
    type Vector = v128;

    const GROUPS: usize = 1;

    #[inline(always)]
    fn splat16(self, value: i16) -> v128 {
        i16x8_splat(value)
    }

    #[inline(always)]
    fn splat32(self, value: i32) -> v128 {
        i32x4_splat(value)
    }

    #[inline(always)]
    fn load16(self, from: &[i16]) -> v128 {
        let from = &from[..8];
        // SAFETY: see above.
        unsafe { v128_load(from.as_ptr().cast()) }
    }

    #[inline(always)]
    fn load8(self, from: &[u8]) -> v128 {
        let from = &from[..16];
        // SAFETY: see above.
        unsafe { v128_load(from.as_ptr().cast()) }
    }

    #[inline(always)]
    fn load_groups(self, from: &[u8], _: usize) -> v128 {
        self.load8(from)
    }

    #[inline(always)]
    fn widen(self, from: &[u8]) -> v128 {
        let from = &from[..8];
        // SAFETY: see above.
        unsafe { u16x8_load_extend_u8x8(from.as_ptr()) }
    }

    #[inline(always)]
    fn store8(self, to: &mut [u8], vector: v128) {
        let to = &mut to[..16];
        // SAFETY: see above.
        unsafe { v128_store(to.as_mut_ptr().cast(), vector) }
    }

    #[inline(always)]
    fn narrow(self, to: &mut [u8], vector: v128) {
        let packed = u8x16_narrow_i16x8(vector, vector);
        to[..8].copy_from_slice(&i64x2_extract_lane::<0>(packed).to_le_bytes());
    }

    #[inline(always)]
    fn store_halves(self, first: &mut [u8], last: &mut [u8], vector: v128) {
        first[..8].copy_from_slice(&i64x2_extract_lane::<0>(vector).to_le_bytes());
        last[..8].copy_from_slice(&i64x2_extract_lane::<1>(vector).to_le_bytes());
    }

    #[inline(always)]
    fn mul_high16(self, a: v128, b: v128) -> v128 {
        let (first, last) = (i32x4_extmul_low_i16x8(a, b), i32x4_extmul_high_i16x8(a, b));
        i16x8_shuffle::<1, 3, 5, 7, 9, 11, 13, 15>(first, last)
    }

    #[inline(always)]
    fn shift_right16<const N: u32>(self, a: v128) -> v128 {
        i16x8_shr(a, N)
    }

    #[inline(always)]
    fn high_bytes(self, a: v128) -> v128 {
        u16x8_shr(a, 8)
    }

    #[inline(always)]
    fn low_bytes(self, a: v128) -> v128 {
        v128_and(a, i16x8_splat(255))
    }

    #[inline(always)]
    fn shift_right32<const N: u32>(self, a: v128) -> v128 {
        i32x4_shr(a, N)
    }

    #[inline(always)]
    fn shift_left32<const N: u32>(self, a: v128) -> v128 {
        i32x4_shl(a, N)
    }

    #[inline(always)]
    fn clip32(self, a: v128) -> v128 {
        i32x4_min(i32x4_max(a, i32x4_splat(0)), i32x4_splat(255))
    }

    #[inline(always)]
    fn add16(self, a: v128, b: v128) -> v128 {
        i16x8_add(a, b)
    }

    #[inline(always)]
    fn sub16(self, a: v128, b: v128) -> v128 {
        i16x8_sub(a, b)
    }

    #[inline(always)]
    fn mul16(self, a: v128, b: v128) -> v128 {
        i16x8_mul(a, b)
    }

    #[inline(always)]
    fn dot(self, a: v128, b: v128) -> v128 {
        i32x4_dot_i16x8(a, b)
    }

    #[inline(always)]
    fn add32(self, a: v128, b: v128) -> v128 {
        i32x4_add(a, b)
    }

    #[inline(always)]
    fn sub32(self, a: v128, b: v128) -> v128 {
        i32x4_sub(a, b)
    }

    #[inline(always)]
    fn or(self, a: v128, b: v128) -> v128 {
        v128_or(a, b)
    }

    #[inline(always)]
    fn interleave_first16(self, a: v128, b: v128) -> v128 {
        i16x8_shuffle::<0, 8, 1, 9, 2, 10, 3, 11>(a, b)
    }

    #[inline(always)]
    fn interleave_last16(self, a: v128, b: v128) -> v128 {
        i16x8_shuffle::<4, 12, 5, 13, 6, 14, 7, 15>(a, b)
    }

    #[inline(always)]
    fn interleave_first32(self, a: v128, b: v128) -> v128 {
        i32x4_shuffle::<0, 4, 1, 5>(a, b)
    }

    #[inline(always)]
    fn interleave_last32(self, a: v128, b: v128) -> v128 {
        i32x4_shuffle::<2, 6, 3, 7>(a, b)
    }

    #[inline(always)]
    fn interleave_first64(self, a: v128, b: v128) -> v128 {
        i64x2_shuffle::<0, 2>(a, b)
    }

    #[inline(always)]
    fn interleave_last64(self, a: v128, b: v128) -> v128 {
        i64x2_shuffle::<1, 3>(a, b)
    }

    #[inline(always)]
    fn pack32(self, a: v128, b: v128) -> v128 {
        i16x8_narrow_i32x4(a, b)
    }

    #[inline(always)]
    fn pack16(self, a: v128, b: v128) -> v128 {
        u8x16_narrow_i16x8(a, b)
    }
}
