//! Vectors of `f32`, one trait for every instruction set, and the choice between them at run time.
//!
//! A kernel is written once, generic over [`Simd`], as the `run` of a [`Kernel`]; [`Instructions::run`] calls it inside a
//! function compiled for the chosen instruction set, into which the whole kernel is inlined. This is why everything on
//! that path is `#[inline(always)]`: a call that were left over would be compiled without the wide registers.
//! Closures cannot be marked so: none of them may touch a vector.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm;

use std::mem::MaybeUninit;

/// The widest vector of all instruction sets, in elements.
pub const MAX_LANES: usize = 16;

/// 2¹¹², by which the exponents of f32 and of half precision differ.
#[allow(dead_code, reason = "some instruction sets convert by themselves")]
const HALF_SCALE: f32 = f32::from_bits((112 + 127) << 23);

/// The least magnitude in half precision that is infinite or NaN, where f32 has its exponent and fraction.
#[allow(dead_code, reason = "as above")]
const HALF_SPECIAL: u32 = 0x7c00 << 13;

/// The exponent of infinity and NaN in f32.
#[allow(dead_code, reason = "as above")]
const SPECIAL: u32 = 0xff << 23;

/// An instruction set. A value of it is the proof that the machine has these instructions.
pub trait Simd: Copy + Send + Sync {
    /// [`Simd::LANES`] numbers in a register.
    type Vector: Copy;

    /// As many whole numbers of 32 bits without sign; their arithmetic wraps.
    type Integers: Copy;

    /// How many numbers a vector holds, at most [`MAX_LANES`].
    const LANES: usize;

    /// How many vectors wide a panel of the matrix product is.
    const COLUMNS: usize;

    /// How many vectors of sums the microkernel keeps in registers: as many as leave room for the vectors of one row of the
    /// panel, one factor and, where multiplication and addition are two instructions, what is between them.
    const SUMS: usize;

    /// How many steps of the depth the microkernel takes in a turn of its loop: with one AVX2 lacks the decoder's time for what a loop
    /// needs beside its products (5 % of a tower).
    const STEPS: usize = 4;

    /// `value` in every lane.
    fn splat(self, value: f32) -> Self::Vector;

    /// Reads a vector.
    ///
    /// # Safety
    /// [`Simd::LANES`] numbers can be read from `from`.
    unsafe fn load(self, from: *const f32) -> Self::Vector;

    /// Reads as many numbers in IEEE half precision, each by its bits.
    ///
    /// # Safety
    /// [`Simd::LANES`] numbers can be read from `from`.
    unsafe fn load_half(self, from: *const u16) -> Self::Vector;

    /// Reads as many whole numbers of eight bits.
    ///
    /// # Safety
    /// [`Simd::LANES`] numbers can be read from `from`.
    unsafe fn load_int8(self, from: *const i8) -> Self::Vector;

    /// Writes a vector.
    ///
    /// # Safety
    /// [`Simd::LANES`] numbers can be written to `to`.
    unsafe fn store(self, to: *mut f32, vector: Self::Vector);

    /// Asks for the cache line at `from`, which nobody waits for. Nothing where the instruction set has no such request.
    #[inline(always)]
    fn prefetch(self, from: *const f32) {
        let _ = from;
    }

    /// `a + b`
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// `a − b`
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// `a · b`
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// `a / b`
    fn div(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// `a · b + c`, rounded once where the instruction set can.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;

    /// The smaller number; `b` where `b` is NaN.
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// The larger number; `b` where `b` is NaN.
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// The nearest whole number.
    fn round(self, a: Self::Vector) -> Self::Vector;

    /// `a · 2ⁿ` for whole numbers `n` from −126 to 127. Where `a` is NaN, `n` may be anything.
    fn scale(self, a: Self::Vector, n: Self::Vector) -> Self::Vector;

    /// `first`, `first + step`, `first + 2 · step`, …
    fn integers(self, first: u32, step: u32) -> Self::Integers;

    /// `a + b`
    fn add_integers(self, a: Self::Integers, b: Self::Integers) -> Self::Integers;

    /// `a · b`
    fn mul_integers(self, a: Self::Integers, b: Self::Integers) -> Self::Integers;

    /// `a` with the bits of `a / 2ⁿ` flipped.
    fn xor_shift(self, a: Self::Integers, n: u32) -> Self::Integers;

    /// `value` where `a ≥ bound`, 0 elsewhere.
    fn where_at_least(self, a: Self::Integers, bound: Self::Integers, value: Self::Vector) -> Self::Vector;

    /// The start of `slice` as a vector, zeros after its end.
    #[inline(always)]
    fn read(self, slice: &[f32]) -> Self::Vector {
        if slice.len() >= Self::LANES {
            // SAFETY: the slice holds at least one vector.
            unsafe { self.load(slice.as_ptr()) }
        } else {
            let mut lanes = [0.0; MAX_LANES];
            lanes[..slice.len()].copy_from_slice(slice);
            // SAFETY: the array holds the widest vector.
            unsafe { self.load(lanes.as_ptr()) }
        }
    }

    /// Writes the vector over the start of `slice`, as much of it as fits.
    #[inline(always)]
    fn write(self, slice: &mut [f32], vector: Self::Vector) {
        if slice.len() >= Self::LANES {
            // SAFETY: the slice has room for one vector.
            unsafe { self.store(slice.as_mut_ptr(), vector) }
        } else {
            let lanes = self.lanes(vector);
            let length = slice.len();
            slice.copy_from_slice(&lanes[..length]);
        }
    }

    /// [`write`](Self::write) to memory that nothing was written to.
    #[inline(always)]
    fn write_new(self, slice: &mut [MaybeUninit<f32>], vector: Self::Vector) {
        if slice.len() >= Self::LANES {
            // SAFETY: the slice has room for one vector.
            unsafe { self.store(slice.as_mut_ptr().cast(), vector) }
        } else {
            for (to, lane) in slice.iter_mut().zip(self.lanes(vector)) {
                to.write(lane);
            }
        }
    }

    /// The vector as an array, zeros after its end.
    #[inline(always)]
    fn lanes(self, vector: Self::Vector) -> [f32; MAX_LANES] {
        let mut lanes = [0.0; MAX_LANES];
        // SAFETY: the array has room for the widest vector.
        unsafe { self.store(lanes.as_mut_ptr(), vector) }
        lanes
    }

    /// The sum of all lanes, first to last.
    #[inline(always)]
    fn sum(self, vector: Self::Vector) -> f32 {
        self.lanes(vector)[..Self::LANES].iter().sum()
    }
}

/// A computation that is compiled for every instruction set.
pub trait Kernel {
    /// What it gives back.
    type Output;

    /// The computation; implementations are `#[inline(always)]`.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// Asks for [`Simd::LANES`] and [`Simd::COLUMNS`].
struct Sizes;

impl Kernel for Sizes {
    type Output = (usize, usize);

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> (usize, usize) {
        (S::LANES, S::COLUMNS)
    }
}

/// Which instruction set the kernels use. Only sets that this machine has can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instructions(Set);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    /// AVX-512, and tiles for the products with packed weights.
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    Amx,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "aarch64")]
    Neon,
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    Wasm,
    Scalar,
}

impl Instructions {
    /// All that this machine has, best first.
    #[allow(clippy::vec_init_then_push, reason = "what is pushed depends on the target")]
    pub fn available() -> Vec<Self> {
        let mut sets = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            #[cfg(target_os = "linux")]
            if super::amx::available() {
                sets.push(Self(Set::Amx));
            }
            if std::arch::is_x86_feature_detected!("avx512f") {
                sets.push(Self(Set::Avx512));
            }
            let has = [
                std::arch::is_x86_feature_detected!("avx2"),
                std::arch::is_x86_feature_detected!("fma"),
                std::arch::is_x86_feature_detected!("f16c"),
            ];
            if has == [true; 3] {
                sets.push(Self(Set::Avx2));
            }
        }
        #[cfg(target_arch = "aarch64")]
        sets.push(Self(Set::Neon));
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        sets.push(Self(Set::Wasm));
        sets.push(Self(Set::Scalar));
        sets
    }

    /// The best that this machine has; looked up once.
    pub fn best() -> Self {
        static BEST: std::sync::OnceLock<Instructions> = std::sync::OnceLock::new();
        *BEST.get_or_init(|| Self::available()[0])
    }

    /// Runs a kernel with these instructions.
    #[inline]
    pub fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            // SAFETY: `available` makes the value only where the processor says that it has the instructions.
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Set::Amx => unsafe { avx512::run(kernel) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => unsafe { avx512::run(kernel) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => unsafe { avx2::run(kernel) },
            #[cfg(target_arch = "aarch64")]
            Set::Neon => kernel.run(neon::Neon),
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Set::Wasm => kernel.run(wasm::Wasm),
            Set::Scalar => kernel.run(scalar::Scalar),
        }
    }

    /// Whether the products with packed weights are computed on tiles.
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    pub(super) fn has_tiles(self) -> bool {
        self.0 == Set::Amx
    }

    /// The name of the instruction set.
    pub fn name(self) -> &'static str {
        match self.0 {
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Set::Amx => "AMX (bf16) and AVX-512",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "AVX-512",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "AVX2",
            #[cfg(target_arch = "aarch64")]
            Set::Neon => "NEON",
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Set::Wasm => "WebAssembly SIMD",
            Set::Scalar => "no vectors",
        }
    }

    /// How many columns a panel has that vectors of these instructions multiply.
    pub fn panel(self) -> usize {
        let (lanes, columns) = self.run(Sizes);
        lanes * columns
    }

    /// How many numbers a vector of these instructions holds.
    pub fn lanes(self) -> usize {
        self.run(Sizes).0
    }
}
