//! AVX2: two groups of 128 bits.

#[allow(clippy::wildcard_imports, reason = "intrinsics bear their set's prefix")]
use std::arch::x86_64::*;

use super::{Words, Work};

/// The proof that the machine has these instructions; only [`detect`](Self::detect) makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx2(());

impl Avx2 {
    /// The value, where the processor says that it has the instructions.
    pub fn detect() -> Option<Self> {
        let features = [
            std::arch::is_x86_feature_detected!("avx2"),
            std::arch::is_x86_feature_detected!("bmi1"),
            std::arch::is_x86_feature_detected!("bmi2"),
            std::arch::is_x86_feature_detected!("lzcnt"),
        ];
        features.iter().all(|&has| has).then_some(Self(()))
    }

    /// Does the work compiled for these instructions.
    pub fn run<K: Work>(self, work: K) -> K::Output {
        #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
        fn compiled<K: Work>(words: Avx2, work: K) -> K::Output {
            work.run(words)
        }
        // SAFETY: `detect` has found all of them.
        unsafe { compiled(self, work) }
    }
}

// SAFETY (of every block below): a value of `Avx2` is the proof that the machine has the instructions, and slices are as long as
// what is read or written, which is checked in the same function.
impl Words for Avx2 {
    type Vector = __m256i;

    const GROUPS: usize = 2;

    #[inline(always)]
    fn splat16(self, value: i16) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_set1_epi16(value) }
    }

    #[inline(always)]
    fn splat32(self, value: i32) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_set1_epi32(value) }
    }

    #[inline(always)]
    fn load16(self, from: &[i16]) -> __m256i {
        let from = &from[..16];
        // SAFETY: see above.
        unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
    }

    #[inline(always)]
    fn load8(self, from: &[u8]) -> __m256i {
        let from = &from[..32];
        // SAFETY: see above.
        unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
    }

    #[inline(always)]
    fn load_groups(self, from: &[u8], stride: usize) -> __m256i {
        let (first, last) = (&from[..16], &from[stride..stride + 16]);
        // SAFETY: see above.
        unsafe { _mm256_loadu2_m128i(last.as_ptr().cast(), first.as_ptr().cast()) }
    }

    #[inline(always)]
    fn widen(self, from: &[u8]) -> __m256i {
        let from = &from[..16];
        // SAFETY: see above.
        unsafe { _mm256_cvtepu8_epi16(_mm_loadu_si128(from.as_ptr().cast())) }
    }

    #[inline(always)]
    fn narrow(self, to: &mut [u8], vector: __m256i) {
        let to = &mut to[..16];
        // SAFETY: see above.
        unsafe {
            let packed = _mm256_permute4x64_epi64::<0b1000>(_mm256_packus_epi16(vector, vector));
            _mm_storeu_si128(to.as_mut_ptr().cast(), _mm256_castsi256_si128(packed));
        }
    }

    #[inline(always)]
    fn store_halves(self, first: &mut [u8], last: &mut [u8], vector: __m256i) {
        let (first, last) = (&mut first[..16], &mut last[..16]);
        // SAFETY: see above.
        unsafe {
            let sorted = _mm256_permute4x64_epi64::<0b11_01_10_00>(vector);
            _mm_storeu_si128(first.as_mut_ptr().cast(), _mm256_castsi256_si128(sorted));
            _mm_storeu_si128(last.as_mut_ptr().cast(), _mm256_extracti128_si256::<1>(sorted));
        }
    }

    #[inline(always)]
    fn shift_right16<const N: u32>(self, a: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_sra_epi16(a, _mm_cvtsi32_si128(N as i32)) }
    }

    #[inline(always)]
    fn high_bytes(self, a: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_srli_epi16::<8>(a) }
    }

    #[inline(always)]
    fn low_bytes(self, a: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_and_si256(a, _mm256_set1_epi16(255)) }
    }

    #[inline(always)]
    fn shift_right32<const N: u32>(self, a: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_sra_epi32(a, _mm_cvtsi32_si128(N as i32)) }
    }

    #[inline(always)]
    fn shift_left32<const N: u32>(self, a: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_sll_epi32(a, _mm_cvtsi32_si128(N as i32)) }
    }

    #[inline(always)]
    fn clip32(self, a: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_min_epi32(_mm256_max_epi32(a, _mm256_setzero_si256()), _mm256_set1_epi32(255)) }
    }

    #[inline(always)]
    fn store8(self, to: &mut [u8], vector: __m256i) {
        let to = &mut to[..32];
        // SAFETY: see above.
        unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), vector) }
    }

    #[inline(always)]
    fn add16(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_add_epi16(a, b) }
    }

    #[inline(always)]
    fn sub16(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_sub_epi16(a, b) }
    }

    #[inline(always)]
    fn mul16(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_mullo_epi16(a, b) }
    }

    #[inline(always)]
    fn mul_high16(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_mulhi_epi16(a, b) }
    }

    #[inline(always)]
    fn dot(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_madd_epi16(a, b) }
    }

    #[inline(always)]
    fn add32(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_add_epi32(a, b) }
    }

    #[inline(always)]
    fn sub32(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_sub_epi32(a, b) }
    }

    #[inline(always)]
    fn or(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_or_si256(a, b) }
    }

    #[inline(always)]
    fn interleave_first16(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_unpacklo_epi16(a, b) }
    }

    #[inline(always)]
    fn interleave_last16(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_unpackhi_epi16(a, b) }
    }

    #[inline(always)]
    fn interleave_first32(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_unpacklo_epi32(a, b) }
    }

    #[inline(always)]
    fn interleave_last32(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_unpackhi_epi32(a, b) }
    }

    #[inline(always)]
    fn interleave_first64(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_unpacklo_epi64(a, b) }
    }

    #[inline(always)]
    fn interleave_last64(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_unpackhi_epi64(a, b) }
    }

    #[inline(always)]
    fn pack32(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_packs_epi32(a, b) }
    }

    #[inline(always)]
    fn pack16(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_packus_epi16(a, b) }
    }
}
