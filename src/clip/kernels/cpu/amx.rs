//! Intel's tiles (AMX): registers of 16 × 16 sums, and one instruction that multiplies bfloat16 numbers into all of them.
//!
//! A tile is 16 rows of 64 bytes. `tdpbf16ps` takes a left tile of 16 × 32 numbers, a right tile with pairs of consecutive inputs side
//! by side (`[16 pairs][16 columns][2]`), and adds 16 × 16 sums of 32 products each in f32: the odd and the even ones by themselves,
//! each rounded to nearest (Intel, Architecture Instruction Set Extensions Programming Reference, chapter 3). A row of sums depends on
//! that row of the left tile alone. Numbers too small for a normal f32 count as zero.
//!
//! The compiler knows nothing of these registers and never uses them itself, so they are spoken to in assembler.

use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count};
use std::cell::Cell;
use std::sync::OnceLock;

/// Rows of a tile.
pub const ROWS: usize = 16;

/// How many inputs one tile is deep.
pub const DEPTH: usize = 32;

/// One row of a tile of bfloat16 numbers, by their bits.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct Line(pub [u16; DEPTH]);

impl Line {
    /// Nothing but zeros.
    pub const ZERO: Self = Self([0; DEPTH]);
}

/// Asks Linux for a state of the processor that a process has to ask for before it uses it.
const ARCH_REQ_XCOMP_PERM: libc::c_int = 0x1023;

/// The state that tiles are.
const XFEATURE_XTILEDATA: libc::c_int = 18;

/// Whether this process may use tiles, and has the vector instructions that prepare numbers for them. The process is given the
/// permission by the first call, for all its threads.
pub fn available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| {
        const TILE: u32 = 1 << 24;
        const BF16: u32 = 1 << 22;
        if __cpuid(0).eax < 7 || __cpuid_count(7, 0).edx & (TILE | BF16) != TILE | BF16 {
            return false;
        }
        if !std::arch::is_x86_feature_detected!("avx512f") || !std::arch::is_x86_feature_detected!("avx512bw") {
            return false;
        }
        // SAFETY: the call changes nothing but what this process may do.
        unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
    })
}

/// What `ldtilecfg` reads.
#[repr(C, align(64))]
struct Shape {
    palette: u8,
    start: u8,
    reserved: [u8; 14],
    bytes: [u16; 16],
    rows: [u8; 16],
}

/// The tiles of this thread while a product needs them. They are given back when this is dropped, so that other code and the system
/// find the processor as it was.
pub struct Tiles {
    /// How many rows they have, as far as is known.
    rows: Cell<[usize; 8]>,
}

impl Tiles {
    /// Takes the tiles.
    ///
    /// # Safety
    /// [`available`], and nobody else on this thread uses tiles until this is dropped.
    pub unsafe fn take() -> Self {
        Self { rows: Cell::new([0; 8]) }
    }

    /// Says how many rows each of the eight tiles has, 1 to [`ROWS`] of 64 bytes. What they hold is lost.
    pub fn shape(&self, rows: [usize; 8]) {
        if self.rows.replace(rows) == rows {
            return;
        }
        let mut shape = Shape { palette: 1, start: 0, reserved: [0; 14], bytes: [0; 16], rows: [0; 16] };
        shape.bytes[..8].fill(64);
        for (to, rows) in shape.rows.iter_mut().zip(rows) {
            *to = rows.clamp(1, ROWS) as u8;
        }
        // SAFETY: the maker of this value vouched for the instruction, and this is the layout that it reads.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const shape, options(nostack, preserves_flags, readonly)) };
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: the maker of this value vouched for the instruction.
        unsafe { asm!("tilerelease", options(nostack, preserves_flags, nomem)) };
    }
}

/// A tile's register.
pub trait Tile {
    /// Which of the eight it is.
    const NUMBER: usize;
}

/// Reads a tile, its rows `stride` bytes apart.
///
/// # Safety
/// The rows can be read, and a [`Tiles`] lives and was shaped.
#[inline(always)]
pub unsafe fn load<T: Tile>(from: *const u8, stride: usize) {
    // SAFETY: by the caller.
    unsafe {
        asm!(
            "tileloadd tmm{tile}, [{from} + {stride}]",
            tile = const T::NUMBER, from = in(reg) from, stride = in(reg) stride,
            options(nostack, preserves_flags, readonly)
        );
    }
}

/// Writes a tile of sums, its rows `stride` bytes apart.
///
/// # Safety
/// The rows can be written, and a [`Tiles`] lives and was shaped.
#[inline(always)]
pub unsafe fn store<T: Tile>(to: *mut f32, stride: usize) {
    // SAFETY: by the caller.
    unsafe {
        asm!(
            "tilestored [{to} + {stride}], tmm{tile}",
            tile = const T::NUMBER, to = in(reg) to, stride = in(reg) stride,
            options(nostack, preserves_flags)
        );
    }
}

/// Makes a tile zero.
///
/// # Safety
/// A [`Tiles`] lives and was shaped.
#[inline(always)]
pub unsafe fn zero<T: Tile>() {
    // SAFETY: by the caller.
    unsafe { asm!("tilezero tmm{tile}", tile = const T::NUMBER, options(nostack, preserves_flags, nomem)) };
}

/// `sums += a · b`
///
/// # Safety
/// A [`Tiles`] lives and was shaped, `sums` and `a` with as many rows as each other and `b` with all.
#[inline(always)]
pub unsafe fn add_product<Sums: Tile, A: Tile, B: Tile>() {
    // SAFETY: by the caller.
    unsafe {
        asm!(
            "tdpbf16ps tmm{sums}, tmm{a}, tmm{b}",
            sums = const Sums::NUMBER, a = const A::NUMBER, b = const B::NUMBER,
            options(nostack, preserves_flags, nomem)
        );
    }
}
