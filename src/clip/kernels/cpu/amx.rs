//! Intel's tiles (AMX): registers of 16 × 16 sums, and one instruction that multiplies bfloat16 numbers into all of them.
//!
//! A tile is 16 rows of 64 bytes. `tdpbf16ps` takes a left tile of 16 × 32 numbers, a right tile with pairs of consecutive inputs side
//! by side (`[16 pairs][16 columns][2]`), and adds 16 × 16 sums of 32 products each in f32: the odd and the even ones by themselves,
//! each rounded to nearest (Intel, Architecture Instruction Set Extensions Programming Reference, chapter 3). A row of sums depends on
//! that row of the left tile alone. Numbers too small for a normal f32 count as zero.
//!
//! The compiler knows nothing of these registers and never uses them itself, so they are spoken to in assembler.

use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count, _MM_HINT_T1, _mm_prefetch};
use std::ops::Range;
use std::sync::OnceLock;

use super::tile::LINE;

/// Rows of a tile.
pub const ROWS: usize = 16;

/// Of how many bfloat16 numbers every f32 is the sum.
pub const LEFT_PARTS: usize = 3;

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

/// The tiles of this thread while a product needs them: 0 to 3 hold sums, 4 and 5 rows, 6 and 7 columns. They are given back when this
/// is dropped, so that other code and the system find the processor as it was.
pub struct Tiles(());

impl Tiles {
    /// Takes the tiles, for left tiles of `rows` rows.
    ///
    /// # Safety
    /// [`available`], and nobody else on this thread uses tiles until this is dropped.
    pub unsafe fn take(rows: [usize; 2]) -> Self {
        let tiles = Self(());
        tiles.shape(rows);
        tiles
    }

    /// Makes the first and the second left tile so many rows high, at most [`ROWS`] and none for one that is not used, and all sums
    /// zero.
    #[allow(clippy::unused_self, reason = "the value is the proof that this thread has the tiles")]
    pub fn shape(&self, rows: [usize; 2]) {
        let rows = rows.map(|rows| rows.clamp(1, ROWS) as u8);
        let mut shape = Shape { palette: 1, start: 0, reserved: [0; 14], bytes: [0; 16], rows: [0; 16] };
        shape.bytes[..8].fill(64);
        shape.rows[..8]
            .copy_from_slice(&[rows[0], rows[0], rows[1], rows[1], rows[0], rows[1], ROWS as u8, ROWS as u8]);
        // SAFETY: the maker of this value vouched for the instruction, and this is the layout that it reads.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const shape, options(nostack, preserves_flags, readonly)) };
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { asm!("tilerelease", options(nostack, preserves_flags, nomem)) };
    }
}

/// Memory that is needed later, asked for a few cache lines behind every product of tiles: in one burst the requests would hold up
/// what the tiles read themselves.
#[derive(Clone, Copy)]
pub struct Ahead {
    next: *const f32,
    end: *const f32,
    /// How many lines at a time.
    lines: usize,
}

impl Ahead {
    /// All of `memory` while `steps` steps are multiplied, of rows in `A` parts and columns in `B`.
    pub fn new<const A: usize, const B: usize>(memory: &[f32], steps: usize) -> Self {
        let Range { start: next, end } = memory.as_ptr_range();
        // The smaller a column's part, the fewer of the rows' parts meet it.
        let products: usize = (0..B).map(|part| A - part).sum();
        Self { next, end, lines: memory.len().div_ceil(LINE).div_ceil(steps * products) }
    }

    #[inline(always)]
    fn ask(&mut self) {
        for _ in 0..self.lines {
            if self.next < self.end {
                // SAFETY: to ask for memory reads nothing.
                unsafe { _mm_prefetch::<_MM_HINT_T1>(self.next.cast()) };
                self.next = self.next.wrapping_add(LINE);
            }
        }
    }
}

/// Sums of `a · b` for two tiles of rows (one, if not `TWO`) and two tiles of columns.
///
/// Rows are of `A` parts (one, or all [`LEFT_PARTS`]) and columns of `B`, the largest first and each a tile; of the parts' products
/// those are left out that are smaller than f32's own rounding. `a` holds `[step][part][16]` lines for each of its tiles of
/// rows, `b` holds `[step][part][2][16]`. The sums are `[32][stride]` numbers from `sums` on, zero before the first step unless
/// `accumulate`.
///
/// # Safety
/// All of these can be read or written for the rows that the tiles were shaped for.
#[allow(clippy::too_many_arguments, reason = "a microkernel's operands")]
#[inline(always)]
pub unsafe fn multiply<const A: usize, const B: usize, const TWO: bool>(
    _: &Tiles,
    steps: usize,
    a: [*const Line; 2],
    b: *const Line,
    sums: *mut f32,
    stride: usize,
    accumulate: bool,
    ahead: &mut Ahead,
) {
    let (right, below) = (sums.wrapping_add(ROWS), sums.wrapping_add(ROWS * stride));
    let below_right = below.wrapping_add(ROWS);
    let bytes = stride * size_of::<f32>();
    // SAFETY: the caller vouches for every line below; `Tiles` for the instructions.
    unsafe {
        if accumulate {
            load::<0>(sums.cast(), bytes);
            load::<1>(right.cast(), bytes);
            if TWO {
                load::<2>(below.cast(), bytes);
                load::<3>(below_right.cast(), bytes);
            }
        } else {
            zero::<0>();
            zero::<1>();
            zero::<2>();
            zero::<3>();
        }
        // By value, so that it stays in registers.
        let mut soon = *ahead;
        for step in 0..steps {
            let [first, second] = a.map(|a| a.wrapping_add(step * A * ROWS));
            let b = b.wrapping_add(step * B * 2 * ROWS);
            let left = |part: usize| [first, second].map(|tile| tile.wrapping_add(part * ROWS));
            let right = |part: usize| b.wrapping_add(part * 2 * ROWS);
            // Small products before large ones, each with one factor of that before it. By their parts: (0, 2), (0, 1), (1, 1), …
            if B > 1 {
                load_left::<TWO>(left(0));
            }
            if B > 2 {
                load_right(right(2));
                add_products::<TWO>();
                soon.ask();
            }
            if B > 1 {
                load_right(right(1));
                add_products::<TWO>();
                soon.ask();
            }
            if A > 1 {
                load_left::<TWO>(left(1));
            }
            if A > 1 && B > 1 {
                add_products::<TWO>();
                soon.ask();
            }
            // … (1, 0), (2, 0), (0, 0).
            load_right(right(0));
            if A > 1 {
                add_products::<TWO>();
                soon.ask();
                load_left::<TWO>(left(2));
                add_products::<TWO>();
                soon.ask();
            }
            load_left::<TWO>(left(0));
            add_products::<TWO>();
            soon.ask();
        }
        *ahead = soon;
        store::<0>(sums, bytes);
        store::<1>(right, bytes);
        if TWO {
            store::<2>(below, bytes);
            store::<3>(below_right, bytes);
        }
    }
}

/// # Safety
/// The tiles can be read, the second if `TWO`, and a [`Tiles`] lives.
#[inline(always)]
unsafe fn load_left<const TWO: bool>([first, second]: [*const Line; 2]) {
    // SAFETY: by the caller.
    unsafe {
        load::<4>(first.cast(), size_of::<Line>());
        if TWO {
            load::<5>(second.cast(), size_of::<Line>());
        }
    }
}

/// # Safety
/// Two tiles can be read, one behind the other, and a [`Tiles`] lives.
#[inline(always)]
unsafe fn load_right(tiles: *const Line) {
    // SAFETY: by the caller.
    unsafe {
        load::<6>(tiles.cast(), size_of::<Line>());
        load::<7>(tiles.wrapping_add(ROWS).cast(), size_of::<Line>());
    }
}

/// # Safety
/// A [`Tiles`] lives.
#[inline(always)]
unsafe fn add_products<const TWO: bool>() {
    // SAFETY: by the caller.
    unsafe {
        add_product::<0, 4, 6>();
        add_product::<1, 4, 7>();
        if TWO {
            add_product::<2, 5, 6>();
            add_product::<3, 5, 7>();
        }
    }
}

/// Reads a tile, its rows `stride` bytes apart.
///
/// # Safety
/// The rows can be read, and a [`Tiles`] lives.
#[inline(always)]
unsafe fn load<const TILE: usize>(from: *const u8, stride: usize) {
    // SAFETY: by the caller.
    unsafe {
        asm!(
            "tileloadd tmm{tile}, [{from} + {stride}]",
            tile = const TILE, from = in(reg) from, stride = in(reg) stride,
            options(nostack, preserves_flags, readonly)
        );
    }
}

/// Writes a tile of sums, its rows `stride` bytes apart.
///
/// # Safety
/// The rows can be written, and a [`Tiles`] lives.
#[inline(always)]
unsafe fn store<const TILE: usize>(to: *mut f32, stride: usize) {
    // SAFETY: by the caller.
    unsafe {
        asm!(
            "tilestored [{to} + {stride}], tmm{tile}",
            tile = const TILE, to = in(reg) to, stride = in(reg) stride,
            options(nostack, preserves_flags)
        );
    }
}

/// # Safety
/// A [`Tiles`] lives.
#[inline(always)]
unsafe fn zero<const TILE: usize>() {
    // SAFETY: by the caller.
    unsafe { asm!("tilezero tmm{tile}", tile = const TILE, options(nostack, preserves_flags, nomem)) };
}

/// `sums += a · b`
///
/// # Safety
/// A [`Tiles`] lives.
#[inline(always)]
unsafe fn add_product<const SUMS: usize, const A: usize, const B: usize>() {
    // SAFETY: by the caller.
    unsafe {
        asm!(
            "tdpbf16ps tmm{sums}, tmm{a}, tmm{b}",
            sums = const SUMS, a = const A, b = const B,
            options(nostack, preserves_flags, nomem)
        );
    }
}
