//! AVX2 with fused multiplication and addition, and F16C, which every processor with them has: eight lanes, sixteen registers.

#[allow(clippy::wildcard_imports, reason = "intrinsics bear their set's prefix")]
use std::arch::x86_64::*;

use super::{Kernel, Simd};

/// The proof that the machine has AVX2, FMA and F16C; only [`run`] makes it.
#[derive(Clone, Copy)]
pub struct Avx2(());

/// Runs a kernel compiled for AVX2, FMA and F16C.
///
/// # Safety
/// The machine has AVX2, FMA and F16C.
#[target_feature(enable = "avx2,fma,f16c")]
pub unsafe fn run<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Avx2(()))
}

// SAFETY (of every block below): a value of `Avx2` exists only inside `run`, whose caller vouches for the instructions;
// `load` and `store` hand their own condition on to their caller.
impl Simd for Avx2 {
    type Vector = __m256;
    type Integers = __m256i;

    const LANES: usize = 8;
    const COLUMNS: usize = 2;
    const SUMS: usize = 12;

    #[inline(always)]
    fn splat(self, value: f32) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_half(self, from: *const u16) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.cast())) }
    }

    #[inline(always)]
    unsafe fn load_int8(self, from: *const i8) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(from.cast()))) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, vector: __m256) {
        // SAFETY: see above.
        unsafe { _mm256_storeu_ps(to, vector) }
    }

    #[inline(always)]
    fn prefetch(self, from: *const f32) {
        // SAFETY: any address may be asked for; this never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(from.cast()) }
    }

    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_mul_ps(a, b) }
    }

    #[inline(always)]
    fn div(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_div_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn min(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_min_ps(a, b) }
    }

    #[inline(always)]
    fn max(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_max_ps(a, b) }
    }

    #[inline(always)]
    fn round(self, a: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }

    #[inline(always)]
    fn scale(self, a: __m256, n: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe {
            let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
            _mm256_mul_ps(a, _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent)))
        }
    }
    #[inline(always)]
    fn integers(self, first: u32, step: u32) -> __m256i {
        // SAFETY: see above.
        unsafe {
            let lanes = _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0);
            _mm256_add_epi32(_mm256_set1_epi32(first as i32), _mm256_mullo_epi32(lanes, _mm256_set1_epi32(step as i32)))
        }
    }

    #[inline(always)]
    fn add_integers(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_add_epi32(a, b) }
    }

    #[inline(always)]
    fn mul_integers(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_mullo_epi32(a, b) }
    }

    #[inline(always)]
    fn xor_shift(self, a: __m256i, n: u32) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_xor_si256(a, _mm256_srl_epi32(a, _mm_cvtsi32_si128(n as i32))) }
    }

    #[inline(always)]
    fn where_at_least(self, a: __m256i, bound: __m256i, value: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe {
            let at_least = _mm256_cmpeq_epi32(_mm256_max_epu32(a, bound), a);
            _mm256_and_ps(_mm256_castsi256_ps(at_least), value)
        }
    }
}
