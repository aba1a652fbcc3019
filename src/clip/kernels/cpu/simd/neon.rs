//! NEON, which every 64-bit ARM processor has: four lanes, thirty-two registers.

#[allow(clippy::wildcard_imports, reason = "intrinsics bear their set's prefix")]
use std::arch::aarch64::*;

use super::{HALF_SCALE, HALF_SPECIAL, SPECIAL, Simd};

/// Needs nothing that the target does not promise.
#[derive(Clone, Copy)]
pub struct Neon;

// SAFETY (of every block below): NEON belongs to the target `aarch64`; `load` and `store` hand their own condition on to
// their caller.
impl Simd for Neon {
    type Vector = float32x4_t;
    type Integers = uint32x4_t;

    const LANES: usize = 4;
    const COLUMNS: usize = 4;
    const SUMS: usize = 24;

    #[inline(always)]
    fn splat(self, value: f32) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vdupq_n_f32(value) }
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vld1q_f32(from) }
    }

    // The instruction for it belongs to a type that Rust has not settled yet; see `Scalar::load_half`.
    #[inline(always)]
    unsafe fn load_half(self, from: *const u16) -> float32x4_t {
        // SAFETY: see above.
        unsafe {
            let half = vmovl_u16(vld1_u16(from));
            let magnitude = vshlq_n_u32::<13>(vandq_u32(half, vdupq_n_u32(0x7fff)));
            let scaled = vmulq_f32(vreinterpretq_f32_u32(magnitude), vdupq_n_f32(HALF_SCALE));
            let special = vandq_u32(vcgeq_u32(magnitude, vdupq_n_u32(HALF_SPECIAL)), vdupq_n_u32(SPECIAL));
            let sign = vshlq_n_u32::<16>(vandq_u32(half, vdupq_n_u32(0x8000)));
            vreinterpretq_f32_u32(vorrq_u32(vorrq_u32(vreinterpretq_u32_f32(scaled), special), sign))
        }
    }

    #[inline(always)]
    unsafe fn load_int8(self, from: *const i8) -> float32x4_t {
        // SAFETY: see above; four bytes have no alignment that a word would need.
        unsafe {
            let bytes = vreinterpret_s8_u32(vdup_n_u32(from.cast::<u32>().read_unaligned()));
            vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(bytes))))
        }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, vector: float32x4_t) {
        // SAFETY: see above.
        unsafe { vst1q_f32(to, vector) }
    }

    #[inline(always)]
    fn add(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vaddq_f32(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vsubq_f32(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vmulq_f32(a, b) }
    }

    #[inline(always)]
    fn div(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vdivq_f32(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vfmaq_f32(c, a, b) }
    }

    #[inline(always)]
    fn min(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vminq_f32(a, b) }
    }

    #[inline(always)]
    fn max(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vmaxq_f32(a, b) }
    }

    #[inline(always)]
    fn round(self, a: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vrndnq_f32(a) }
    }

    #[inline(always)]
    fn scale(self, a: float32x4_t, n: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe {
            let exponent = vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127));
            vmulq_f32(a, vreinterpretq_f32_s32(vshlq_n_s32::<23>(exponent)))
        }
    }
    #[inline(always)]
    fn integers(self, first: u32, step: u32) -> uint32x4_t {
        // SAFETY: see above.
        unsafe {
            let lanes = vld1q_u32([0, 1, 2, 3].as_ptr());
            vmlaq_u32(vdupq_n_u32(first), lanes, vdupq_n_u32(step))
        }
    }

    #[inline(always)]
    fn add_integers(self, a: uint32x4_t, b: uint32x4_t) -> uint32x4_t {
        // SAFETY: see above.
        unsafe { vaddq_u32(a, b) }
    }

    #[inline(always)]
    fn mul_integers(self, a: uint32x4_t, b: uint32x4_t) -> uint32x4_t {
        // SAFETY: see above.
        unsafe { vmulq_u32(a, b) }
    }

    #[inline(always)]
    fn xor_shift(self, a: uint32x4_t, n: u32) -> uint32x4_t {
        // SAFETY: see above.
        unsafe { veorq_u32(a, vshlq_u32(a, vdupq_n_s32(-(n as i32)))) }
    }

    #[inline(always)]
    fn where_at_least(self, a: uint32x4_t, bound: uint32x4_t, value: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vreinterpretq_f32_u32(vandq_u32(vcgeq_u32(a, bound), vreinterpretq_u32_f32(value))) }
    }
}
