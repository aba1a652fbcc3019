//! AVX-512 with numbers of 16 bits: four groups of 128 bits.

#[allow(clippy::wildcard_imports, reason = "intrinsics bear their set's prefix")]
use std::arch::x86_64::*;

use super::{Words, Work};

/// The proof that the machine has these instructions; only [`detect`](Self::detect) makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx512(());

impl Avx512 {
    /// The value, where the processor says that it has the instructions.
    pub fn detect() -> Option<Self> {
        let features = [
            std::arch::is_x86_feature_detected!("avx2"),
            std::arch::is_x86_feature_detected!("bmi1"),
            std::arch::is_x86_feature_detected!("bmi2"),
            std::arch::is_x86_feature_detected!("lzcnt"),
            std::arch::is_x86_feature_detected!("avx512f"),
            std::arch::is_x86_feature_detected!("avx512bw"),
        ];
        features.iter().all(|&has| has).then_some(Self(()))
    }

    /// Does the work compiled for these instructions.
    pub fn run<K: Work>(self, work: K) -> K::Output {
        #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,avx512f,avx512bw")]
        fn compiled<K: Work>(words: Avx512, work: K) -> K::Output {
            work.run(words)
        }
        // SAFETY: `detect` has found all of them.
        unsafe { compiled(self, work) }
    }
}

// SAFETY (of every block below): a value of `Avx512` is the proof that the machine has the instructions, and slices are as long as
// what is read or written, which is checked in the same function.
impl Words for Avx512 {
    type Vector = __m512i;

    const GROUPS: usize = 4;

    #[inline(always)]
    fn splat16(self, value: i16) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_set1_epi16(value) }
    }

    #[inline(always)]
    fn splat32(self, value: i32) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_set1_epi32(value) }
    }

    #[inline(always)]
    fn load16(self, from: &[i16]) -> __m512i {
        let from = &from[..32];
        // SAFETY: see above.
        unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
    }

    #[inline(always)]
    fn load8(self, from: &[u8]) -> __m512i {
        let from = &from[..64];
        // SAFETY: see above.
        unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
    }

    #[inline(always)]
    fn load_groups(self, from: &[u8], stride: usize) -> __m512i {
        let groups: [&[u8]; 4] = std::array::from_fn(|group| &from[group * stride..group * stride + 16]);
        // SAFETY: see above.
        unsafe {
            let first = _mm256_loadu2_m128i(groups[1].as_ptr().cast(), groups[0].as_ptr().cast());
            let last = _mm256_loadu2_m128i(groups[3].as_ptr().cast(), groups[2].as_ptr().cast());
            _mm512_inserti64x4::<1>(_mm512_castsi256_si512(first), last)
        }
    }

    #[inline(always)]
    fn widen(self, from: &[u8]) -> __m512i {
        let from = &from[..32];
        // SAFETY: see above.
        unsafe { _mm512_cvtepu8_epi16(_mm256_loadu_si256(from.as_ptr().cast())) }
    }

    #[inline(always)]
    fn narrow(self, to: &mut [u8], vector: __m512i) {
        let to = &mut to[..32];
        // SAFETY: see above.
        unsafe {
            let packed = _mm512_cvtusepi16_epi8(_mm512_max_epi16(vector, _mm512_setzero_si512()));
            _mm256_storeu_si256(to.as_mut_ptr().cast(), packed);
        }
    }

    #[inline(always)]
    fn store_halves(self, first: &mut [u8], last: &mut [u8], vector: __m512i) {
        let (first, last) = (&mut first[..32], &mut last[..32]);
        // SAFETY: see above.
        unsafe {
            let order = _mm512_set_epi64(7, 5, 3, 1, 6, 4, 2, 0);
            let sorted = _mm512_permutexvar_epi64(order, vector);
            _mm256_storeu_si256(first.as_mut_ptr().cast(), _mm512_castsi512_si256(sorted));
            _mm256_storeu_si256(last.as_mut_ptr().cast(), _mm512_extracti64x4_epi64::<1>(sorted));
        }
    }

    #[inline(always)]
    fn shift_right16<const N: u32>(self, a: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_srai_epi16::<N>(a) }
    }

    #[inline(always)]
    fn high_bytes(self, a: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_srli_epi16::<8>(a) }
    }

    #[inline(always)]
    fn low_bytes(self, a: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_and_si512(a, _mm512_set1_epi16(255)) }
    }

    #[inline(always)]
    fn shift_right32<const N: u32>(self, a: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_srai_epi32::<N>(a) }
    }

    #[inline(always)]
    fn shift_left32<const N: u32>(self, a: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_slli_epi32::<N>(a) }
    }

    #[inline(always)]
    fn clip32(self, a: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_min_epi32(_mm512_max_epi32(a, _mm512_setzero_si512()), _mm512_set1_epi32(255)) }
    }

    #[inline(always)]
    fn store8(self, to: &mut [u8], vector: __m512i) {
        let to = &mut to[..64];
        // SAFETY: see above.
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), vector) }
    }

    #[inline(always)]
    fn add16(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_add_epi16(a, b) }
    }

    #[inline(always)]
    fn sub16(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_sub_epi16(a, b) }
    }

    #[inline(always)]
    fn mul16(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_mullo_epi16(a, b) }
    }

    #[inline(always)]
    fn mul_high16(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_mulhi_epi16(a, b) }
    }

    #[inline(always)]
    fn dot(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_madd_epi16(a, b) }
    }

    #[inline(always)]
    fn add32(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_add_epi32(a, b) }
    }

    #[inline(always)]
    fn sub32(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_sub_epi32(a, b) }
    }

    #[inline(always)]
    fn or(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_or_si512(a, b) }
    }

    #[inline(always)]
    fn interleave_first16(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_unpacklo_epi16(a, b) }
    }

    #[inline(always)]
    fn interleave_last16(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_unpackhi_epi16(a, b) }
    }

    #[inline(always)]
    fn interleave_first32(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_unpacklo_epi32(a, b) }
    }

    #[inline(always)]
    fn interleave_last32(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_unpackhi_epi32(a, b) }
    }

    #[inline(always)]
    fn interleave_first64(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_unpacklo_epi64(a, b) }
    }

    #[inline(always)]
    fn interleave_last64(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_unpackhi_epi64(a, b) }
    }

    #[inline(always)]
    fn pack32(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_packs_epi32(a, b) }
    }

    #[inline(always)]
    fn pack16(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_packus_epi16(a, b) }
    }
}
