//! Loops over pixels with the widest vectors that the processor has, decided when they run: one trait for vectors of small whole
//! numbers, and the choice between its instruction sets.
//!
//! Work is written once, generic over [`Words`], as the `run` of a [`Work`]; [`Set::run`] calls it inside a function compiled for the
//! chosen instruction set, into which all of it is inlined. So everything on that path is `#[inline(always)]`, and no closure touches
//! a vector. All of it is integer arithmetic that wraps or saturates as its documentation says, so that every instruction set
//! gives the same bytes.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm;

/// Vectors of whole numbers of 8, 16 or 32 bits with an instruction set. A value of it is the proof that the machine has these
/// instructions.
///
/// A vector is [`Words::GROUPS`] groups of 128 bits. What changes the order of numbers does so within each group.
pub(crate) trait Words: Copy {
    /// A register.
    type Vector: Copy;

    /// How many groups of 128 bits a vector has: 1, 2 or 4.
    const GROUPS: usize;

    /// `value` in every 16 bits.
    fn splat16(self, value: i16) -> Self::Vector;
    /// `value` in every 32 bits.
    fn splat32(self, value: i32) -> Self::Vector;
    /// Reads `8 · GROUPS` numbers. Panics if there are fewer.
    fn load16(self, from: &[i16]) -> Self::Vector;
    /// Reads `16 · GROUPS` bytes. Panics if there are fewer.
    fn load8(self, from: &[u8]) -> Self::Vector;
    /// Reads the 16 bytes of each group from places that are `stride` apart. Panics if one is not in the slice.
    fn load_groups(self, from: &[u8], stride: usize) -> Self::Vector;
    /// Reads `8 · GROUPS` bytes as numbers of 16 bits. Panics if there are fewer.
    fn widen(self, from: &[u8]) -> Self::Vector;
    /// Writes `16 · GROUPS` bytes. Panics if there is no room.
    fn store8(self, to: &mut [u8], vector: Self::Vector);
    /// Writes `8 · GROUPS` numbers of 16 bits as bytes, clipped to 0–255. Panics if there is no room.
    fn narrow(self, to: &mut [u8], vector: Self::Vector);
    /// Writes the first 8 bytes of all groups one after the other, and the last 8. Panics if there is no room.
    fn store_halves(self, first: &mut [u8], last: &mut [u8], vector: Self::Vector);

    /// `a + b` of 16 bits, wrapping.
    fn add16(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a − b` of 16 bits, wrapping.
    fn sub16(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The low 16 bits of `a · b`.
    fn mul16(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The high 16 bits of `a · b`.
    fn mul_high16(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a / 2ⁿ` of 16 bits, rounded down.
    fn shift_right16<const N: u32>(self, a: Self::Vector) -> Self::Vector;
    /// The high byte of each 16 bits.
    fn high_bytes(self, a: Self::Vector) -> Self::Vector;
    /// The low byte of each 16 bits.
    fn low_bytes(self, a: Self::Vector) -> Self::Vector;

    /// The sums of 32 bits of neighbouring products of 16 bits, wrapping.
    fn dot(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a + b` of 32 bits, wrapping.
    fn add32(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a − b` of 32 bits, wrapping.
    fn sub32(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a / 2ⁿ` of 32 bits, rounded down.
    fn shift_right32<const N: u32>(self, a: Self::Vector) -> Self::Vector;
    /// `a · 2ⁿ` of 32 bits, wrapping.
    fn shift_left32<const N: u32>(self, a: Self::Vector) -> Self::Vector;
    /// `a` of 32 bits clipped to 0–255.
    fn clip32(self, a: Self::Vector) -> Self::Vector;
    /// The bits of both.
    fn or(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// The first numbers of 16 bits of both, in turns.
    fn interleave_first16(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The last numbers of 16 bits of both, in turns.
    fn interleave_last16(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The first numbers of 32 bits of both, in turns.
    fn interleave_first32(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The last numbers of 32 bits of both, in turns.
    fn interleave_last32(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The first 64 bits of both.
    fn interleave_first64(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The last 64 bits of both.
    fn interleave_last64(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// Numbers of 32 bits of `a`, then `b`, clipped to 16 bits.
    fn pack32(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// Numbers of 16 bits of `a`, then `b`, clipped to 0–255.
    fn pack16(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// `first` and `second` in turns, as 16 bits each.
    #[inline(always)]
    fn splat_pair(self, first: i16, second: i16) -> Self::Vector {
        self.splat32(i32::from(second) << 16 | i32::from(first as u16))
    }
}

/// Work that is to be compiled for wider vectors. A trait and not a closure, because [`run`](Self::run) must be inlined.
pub(crate) trait Work {
    /// What it gives.
    type Output;
    /// Does it; implementations are `#[inline(always)]`.
    fn run<W: Words>(self, words: W) -> Self::Output;
}

/// An instruction set that this machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Set {
    #[cfg(target_arch = "x86_64")]
    Avx512(avx512::Avx512),
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Avx2),
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    Wasm,
    Portable,
}

impl Set {
    /// All that this machine has, best first.
    pub(crate) fn available() -> Vec<Self> {
        [
            #[cfg(target_arch = "x86_64")]
            avx512::Avx512::detect().map(Self::Avx512),
            #[cfg(target_arch = "x86_64")]
            avx2::Avx2::detect().map(Self::Avx2),
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Some(Self::Wasm),
            Some(Self::Portable),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// The best that this machine has; looked up once.
    pub(crate) fn best() -> Self {
        static BEST: std::sync::OnceLock<Set> = std::sync::OnceLock::new();
        *BEST.get_or_init(|| Self::available()[0])
    }

    /// Does the work with these instructions.
    pub(crate) fn run<K: Work>(self, work: K) -> K::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(words) => words.run(work),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(words) => words.run(work),
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Self::Wasm => work.run(wasm::Wasm),
            Self::Portable => work.run(portable::Portable),
        }
    }
}
