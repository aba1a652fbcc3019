//! Runs loops over pixels with the widest vectors that the processor has, decided when they run.
//!
//! A binary for any x86-64 machine may use vectors of 16 bytes; nearly every such machine has AVX2's 32. Work whose
//! functions are all `#[inline(always)]` is compiled twice, and the compiler's own vectorisation does the rest: no
//! intrinsics, and the same bytes either way, because all of it is integer arithmetic.

/// Work that is to be compiled for wider vectors. A trait and not a closure, because [`run`](Self::run) must be inlined.
pub(crate) trait Work {
    /// What it gives.
    type Output;
    /// Does it; implementations are `#[inline(always)]`.
    fn run(self) -> Self::Output;
}

/// Does the work with AVX2 where the processor has it.
#[cfg(target_arch = "x86_64")]
pub(crate) fn run<W: Work>(work: W) -> W::Output {
    #[target_feature(enable = "avx2")]
    fn with_avx2<W: Work>(work: W) -> W::Output {
        work.run()
    }
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, which is all that the function asks for.
        unsafe { with_avx2(work) }
    } else {
        work.run()
    }
}

/// Does the work; what this target has is known when it is compiled (NEON, or SIMD in the browser).
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn run<W: Work>(work: W) -> W::Output {
    work.run()
}
