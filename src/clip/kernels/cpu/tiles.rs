//! The microkernel on tiles ([`amx`]): some tiles of rows times some panels, and what is done meanwhile.
//!
//! Tiles compute by themselves for hundreds of cycles, in which the vectors have nothing to do. So the columns of the next step are
//! split between a step's products, a few at a time, and stay in the first-level cache until the tiles read them. What the weights
//! cost, to come from memory and to be split, is hidden behind their products, or the other way round.

use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
use std::ops::Range;

use super::amx::{self, Line, ROWS, Tile, Tiles};
use super::split::{self, PAIRS};
use super::tile::LINE;

/// Of how many bfloat16 numbers every f32 is the sum.
pub const LEFT_PARTS: usize = 3;

/// The most tiles of rows beside one panel: what its columns and the rows themselves leave of eight.
pub const MOST_ROW_TILES: usize = 5;

/// The block for every index below a number that is known when it is compiled: registers have no other index.
macro_rules! each {
    ($index:ident of [$($value:literal)*] below $count:ident, $body:block) => {
        $(
            if $value < $count {
                const $index: usize = $value;
                $body
            }
        )*
    };
}

/// [`each`] tile of rows, first to last.
macro_rules! forward {
    ($index:ident below $count:ident, $body:block) => { each!($index of [0 1 2 3 4] below $count, $body) };
}

/// [`each`] tile of rows, last to first.
macro_rules! backward {
    ($index:ident below $count:ident, $body:block) => { each!($index of [4 3 2 1 0] below $count, $body) };
}

/// Which tiles of rows are in their registers still when one goes through them the other way than before.
mod is_left {
    use super::MOST_ROW_TILES;

    #[inline(always)]
    pub const fn forward(row: usize, row_tiles: usize) -> bool {
        row == 0 || row + 1 == row_tiles || row == 1 && row_tiles < MOST_ROW_TILES
    }

    #[inline(always)]
    pub const fn backward(row: usize, row_tiles: usize) -> bool {
        row + 2 >= row_tiles || row + 3 == row_tiles && row_tiles < MOST_ROW_TILES
    }
}

/// The sums of one tile of rows with one panel of `PANELS`.
struct Sums<const ROW: usize, const PANEL: usize, const PANELS: usize>;

impl<const ROW: usize, const PANEL: usize, const PANELS: usize> Tile for Sums<ROW, PANEL, PANELS> {
    // The remainder is for what is compiled and never called.
    const NUMBER: usize = (ROW * PANELS + PANEL) % 8;
}

/// A tile of rows of `ROW_TILES`. The last has a register of its own, because it may be lower than the others; the others share what
/// is left, one beside five sums and two beside fewer.
struct Left<const ROW: usize, const ROW_TILES: usize>;

impl<const ROW: usize, const ROW_TILES: usize> Tile for Left<ROW, ROW_TILES> {
    const NUMBER: usize = if ROW + 1 == ROW_TILES {
        7
    } else if ROW_TILES == MOST_ROW_TILES || ROW.is_multiple_of(2) {
        6
    } else {
        4
    };
}

/// A panel's columns. Beside more than one panel there is one tile of rows, or there are two, and a register is left for a second.
struct Right<const PANEL: usize>;

impl<const PANEL: usize> Tile for Right<PANEL> {
    const NUMBER: usize = 5 - PANEL % 2;
}

/// Prepares the tiles for `row_tiles` tiles of rows, the last of `last` rows, beside `panels` panels.
pub fn shape(tiles: &Tiles, row_tiles: usize, panels: usize, last: usize) {
    let mut rows = [ROWS; 8];
    rows[(row_tiles - 1) * panels..row_tiles * panels].fill(last);
    rows[Left::<0, 1>::NUMBER] = last;
    tiles.shape(rows);
}

/// Columns as tiles read them: `[step][part][ROWS]` lines of each panel.
#[derive(Clone, Copy)]
pub struct Columns {
    pub lines: *mut Line,
    /// How far one step's lines are from another's.
    pub step: usize,
    /// After how many steps the first one's place is used again, less one: a power of two less one, or everything.
    pub mask: usize,
    /// How far one panel's lines are from another's.
    pub panel: usize,
}

impl Columns {
    /// Where the first panel's lines of a step are.
    pub fn at(&self, step: usize) -> *mut Line {
        self.lines.wrapping_add((step & self.mask) * self.step)
    }
}

/// A step's numbers to be split: `[PAIRS][2][ROWS]` of each panel.
#[derive(Clone, Copy)]
pub struct Numbers {
    pub from: *const f32,
    /// How far one panel's numbers are from another's.
    pub panel: usize,
    /// The memory that is split after that, to be asked for, and how far one panel's is from another's in bytes.
    pub soon: *const u8,
    pub soon_panel: usize,
}

/// What is split, and where it goes to.
struct Split {
    numbers: Numbers,
    to: *mut Line,
    /// How far one panel's lines are from another's.
    panel: usize,
}

impl Split {
    /// Splits pairs of inputs, of which each panel has [`PAIRS`], into `B` parts.
    ///
    /// # Safety
    /// What is named can be read and written, and the processor has AVX-512 F and BW.
    #[inline(always)]
    unsafe fn pairs<const B: usize>(&self, pairs: Range<usize>) {
        for pair in pairs {
            let (panel, pair) = (pair / PAIRS, pair % PAIRS);
            // As much as a pair is in f32; where it is less in memory, the rest is needed next.
            let Numbers { from, soon, .. } = self.numbers;
            let soon = soon.wrapping_add(panel * self.numbers.soon_panel + pair * 2 * size_of::<Line>());
            let from = from.wrapping_add(panel * self.numbers.panel + pair * 2 * ROWS);
            // SAFETY: to ask for memory reads nothing; the rest by the caller.
            unsafe {
                split::pair::<B>(from, self.to.wrapping_add(panel * self.panel + pair));
                _mm_prefetch::<_MM_HINT_T1>(soon.cast());
                _mm_prefetch::<_MM_HINT_T1>(soon.wrapping_add(size_of::<Line>()).cast());
            }
        }
    }
}

/// Memory that is needed later. In one burst the requests would hold up what the tiles read themselves.
pub struct Later<'a> {
    memory: &'a [f32],
    /// How many numbers are asked for at a time.
    share: usize,
}

impl<'a> Later<'a> {
    /// Behind how many products memory is asked for once.
    const PRODUCTS: usize = 4;

    /// All of `memory`, during so many steps of so many products of tiles.
    pub fn new(memory: &'a [f32], steps: usize, products: usize) -> Self {
        let times = steps * products.div_ceil(Self::PRODUCTS);
        Self { memory, share: memory.len().div_ceil(times.max(1)).next_multiple_of(LINE) }
    }
}

/// How many products of parts a step has, with rows in `a` parts and columns in `b`.
pub const fn products(a: usize, b: usize) -> usize {
    match (a, b) {
        (1, 1) => 1,
        (LEFT_PARTS, 1) => 3,
        (LEFT_PARTS, 2) => 5,
        (LEFT_PARTS, 3) => 6,
        _ => panic!("no product has such parts"),
    }
}

/// What is done behind every product of a step. No closures: they are not inlined without fail.
trait Meanwhile {
    /// Does what there is to do behind the product before which there were `count`.
    ///
    /// # Safety
    /// As for [`multiply`].
    unsafe fn behind(&mut self, count: usize);
}

/// Splits the columns of `C` panels in `B` parts behind products of `A` parts and `R` tiles of rows.
struct Splitting<const A: usize, const B: usize, const R: usize, const C: usize>(Split);

impl<const A: usize, const B: usize, const R: usize, const C: usize> Meanwhile for Splitting<A, B, R, C> {
    #[inline(always)]
    unsafe fn behind(&mut self, count: usize) {
        // Evenly spread over the first products: tiles read what is written only when it has left the processor's store buffer, for which
        // there must be products left to do.
        let pairs = C * PAIRS;
        let products = (const { products(A, B) * R } * C * 11 / 12).max(1);
        let until = |count: usize| (count * pairs / products).min(pairs);
        // SAFETY: by the caller.
        unsafe { self.0.pairs::<B>(until(count)..until(count + 1)) };
    }
}

impl Meanwhile for Later<'_> {
    #[inline(always)]
    unsafe fn behind(&mut self, count: usize) {
        if count.is_multiple_of(Self::PRODUCTS) {
            let (now, later) = self.memory.split_at(self.share.min(self.memory.len()));
            for line in now.chunks(LINE) {
                // SAFETY: to ask for memory reads nothing.
                unsafe { _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast()) };
            }
            self.memory = later;
        }
    }
}

/// Sums of `rows · columns` for `R` tiles of rows and `C` panels: up to [`MOST_ROW_TILES`] and one, or up to four together.
///
/// Rows are of `A` parts (one, or all [`LEFT_PARTS`]) and columns of `B`, the largest first and each a tile; of the parts' products
/// those are left out that are smaller than f32's own rounding. `rows` holds `[step][part][R][ROWS]` lines. The sums are
/// `[R · ROWS][stride]` numbers from `sums` on, the panels side by side, zero before the first step unless `accumulate`.
///
/// The columns of every step are split while the one before is multiplied, where `numbers` is given and says of what; or all are there,
/// and `later` is asked for.
///
/// # Safety
/// All of these can be read or written for the rows that the tiles were shaped for ([`shape`]), and the processor has AVX-512 F and BW.
#[allow(clippy::too_many_arguments, reason = "a microkernel's operands")]
#[target_feature(enable = "avx512f,avx512bw")]
pub unsafe fn multiply<const A: usize, const B: usize, const R: usize, const C: usize>(
    _: &Tiles,
    steps: usize,
    rows: *const Line,
    columns: Columns,
    sums: *mut f32,
    stride: usize,
    accumulate: bool,
    numbers: Option<impl FnMut(usize) -> Numbers>,
    mut later: Later<'_>,
) {
    let place = |row: usize, panel: usize| sums.wrapping_add(row * ROWS * stride + panel * ROWS);
    let bytes = stride * size_of::<f32>();
    let operands = |step: usize| (rows.wrapping_add(step * A * R * ROWS), columns.at(step).cast_const());
    // SAFETY: the caller vouches for every line below; `Tiles` for the instructions.
    unsafe {
        each!(PANEL of [0 1 2 3] below C, {
            each!(ROW of [0 1 2 3 4] below R, {
                if accumulate {
                    amx::load::<Sums<ROW, PANEL, C>>(place(ROW, PANEL).cast(), bytes);
                } else {
                    amx::zero::<Sums<ROW, PANEL, C>>();
                }
            });
        });
        let mut first = 0;
        if let Some(mut numbers) = numbers {
            let mut split = |step: usize| Split { numbers: numbers(step), to: columns.at(step), panel: columns.panel };
            split(0).pairs::<B>(0..C * PAIRS);
            while first + 1 < steps {
                let (split, (rows, lines)) = (split(first + 1), operands(first));
                add_step::<A, B, R, C>(rows, lines, columns.panel, &mut Splitting::<A, B, R, C>(split));
                first += 1;
            }
        }
        for step in first..steps {
            let (rows, lines) = operands(step);
            add_step::<A, B, R, C>(rows, lines, columns.panel, &mut later);
        }
        each!(PANEL of [0 1 2 3] below C, {
            each!(ROW of [0 1 2 3 4] below R, {
                amx::store::<Sums<ROW, PANEL, C>>(place(ROW, PANEL), bytes);
            });
        });
    }
}

/// Adds a step's products to the sums, and does something else behind each, which is told how many there were.
///
/// # Safety
/// As for [`multiply`].
#[inline(always)]
unsafe fn add_step<const A: usize, const B: usize, const R: usize, const C: usize>(
    rows: *const Line,
    lines: *const Line,
    panel: usize,
    meanwhile: &mut impl Meanwhile,
) {
    let line = size_of::<Line>();
    let mut count = 0;
    // The product of the rows' and the columns' parts, of which those are loaded that are not there from the one before.
    macro_rules! product {
        ($direction:ident, $left:literal, $right:literal, $other_left:expr, $other_right:expr) => {
            each!(PANEL of [0 1 2 3] below C, {
                if $other_right || C > 2 {
                    let lines = lines.wrapping_add($right * ROWS + PANEL * panel);
                    amx::load::<Right<PANEL>>(lines.cast(), line);
                }
                $direction!(ROW below R, {
                    if PANEL == 0 && ($other_left || !is_left::$direction(ROW, R)) {
                        amx::load::<Left<ROW, R>>(rows.wrapping_add(($left * R + ROW) * ROWS).cast(), line);
                    }
                    amx::add_product::<Sums<ROW, PANEL, C>, Left<ROW, R>, Right<PANEL>>();
                    meanwhile.behind(count);
                    count += 1;
                });
            });
        };
    }
    // SAFETY: by the caller.
    unsafe {
        // Small products before large ones, each with a factor of that before it.
        if A > 1 {
            product!(forward, 2, 0, true, true);
            product!(forward, 1, 0, true, false);
        }
        if B > 1 {
            product!(backward, 1, 1, false, true);
            product!(forward, 0, 1, true, false);
        }
        if B > 2 {
            product!(backward, 0, 2, false, true);
            product!(forward, 0, 0, false, true);
        } else if B > 1 {
            product!(backward, 0, 0, false, true);
        } else {
            product!(forward, 0, 0, true, A == 1);
        }
    }
}
