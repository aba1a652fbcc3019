//! The product with packed weights on tiles ([`amx`]), in bfloat16 and as exact as in f32.
//!
//! Both factors are split into bfloat16 numbers ([`split`]) and their parts multiplied, six products in place of one: tiles multiply
//! so much faster that the sixfold work takes half the time. Rows are split once for all panels of a task, a panel once for all
//! rows, so both are cut such that they stay in the second-level cache: a task is a block of rows times some panels, one depth
//! after the other.

use std::cell::RefCell;

use super::amx::{self, Ahead, DEPTH, LEFT_PARTS, Line, ROWS, Tiles};
use super::gemm::{Block, Packed};
use super::simd::{Kernel, Simd};
use super::split::{self, WIDTH};
use super::tile::Aligned;
use crate::platform::parallel;

/// How deep a product goes before it comes back to the first row.
const DEPTH_BLOCK: usize = 768;

/// The most rows of a task: their parts to the depth above fill half of a second-level cache of 2 MiB.
const ROW_BLOCK: usize = 256;

/// Panels that are worth splitting the rows for once more.
const LEAST_PANELS: usize = 9;

/// How many rows a task takes: equal in all tasks but the last.
pub(super) fn rows_in_block(rows: usize) -> usize {
    rows.div_ceil(rows.div_ceil(ROW_BLOCK).max(1)).next_multiple_of(2 * ROWS)
}

/// Among how many tasks the panels of each of so many blocks of rows are shared.
pub(super) fn groups(blocks: usize, panels: usize) -> usize {
    let threads = parallel::threads();
    let wanted = if threads == 1 { 1 } else { (4 * threads).div_ceil(blocks) };
    // Of few tasks each thread has as many.
    let least = threads.div_ceil(blocks);
    let worthwhile = (panels / LEAST_PANELS / least * least).max(least);
    wanted.min(worthwhile).clamp(1, panels)
}

/// What a thread keeps from one task to the next.
struct Workspace {
    rows: Vec<Line>,
    columns: Vec<Line>,
    sums: Aligned,
}

thread_local! {
    static WORKSPACE: RefCell<Workspace> =
        RefCell::new(Workspace { rows: Vec::new(), columns: Vec::new(), sums: Aligned::zeros(0) });
}

/// A block of rows times some panels.
pub(super) fn multiply(block: &Block<'_>) {
    assert!(amx::available() && block.weights.width == WIDTH, "weights were packed for other instructions");
    WORKSPACE.with_borrow_mut(|workspace| match block.weights.parts {
        1 if block.bf16 => product::<1, 1>(block, workspace),
        1 => product::<LEFT_PARTS, 1>(block, workspace),
        2 => product::<LEFT_PARTS, 2>(block, workspace),
        _ => product::<LEFT_PARTS, 3>(block, workspace),
    });
}

/// [`multiply`] for rows in `A` parts and weights in `B`.
fn product<const A: usize, const B: usize>(block: &Block<'_>, workspace: &mut Workspace) {
    let Packed { inputs, outputs, instructions, .. } = *block.weights;
    let (first, count) = (block.panels.start, block.panels.len());
    let tiled = block.weights.panels.tiled();
    let most = DEPTH_BLOCK.min(inputs).div_ceil(DEPTH);
    let size = block.rows * WIDTH;
    workspace.rows.resize(workspace.rows.len().max(block.rows.div_ceil(ROWS) * most * A * ROWS), Line::ZERO);
    if tiled.is_none() {
        workspace.columns.resize(workspace.columns.len().max(most * B * WIDTH), Line::ZERO);
    }
    // Sums are kept from one depth to the next; where there is no next one, those of a panel are enough.
    let kept = if inputs > DEPTH_BLOCK { count } else { 1 };
    workspace.sums.reserve(kept * size);
    // SAFETY: `multiply` asked whether there are tiles, and nothing below uses them but this.
    let tiles = unsafe { Tiles::take([ROWS; 2]) };
    for from in (0..inputs).step_by(DEPTH_BLOCK) {
        let depth = DEPTH_BLOCK.min(inputs - from);
        let last = from + depth == inputs;
        // SAFETY: a machine with tiles has the instructions.
        unsafe { split::rows::<A>(&block.x[from..], inputs, block.rows, depth, &mut workspace.rows) };
        for (index, panel) in block.panels.clone().enumerate() {
            let (columns, half) = if let Some(tiled) = tiled {
                (&tiled.panel(panel)[from / DEPTH * 2 * ROWS..], tiled.steps() * 2 * ROWS)
            } else {
                let to = &mut workspace.columns;
                instructions.run(Columns::<B> { weights: block.weights, panel, from, depth, to });
                (workspace.columns.as_slice(), depth.div_ceil(DEPTH) * B * 2 * ROWS)
            };
            let sums = &mut workspace.sums.as_mut_slice()[index % kept * size..][..size];
            let rows = &workspace.rows;
            // What is read next: the next panel, or the first one's next depth.
            let next = if index + 1 < count { panel * inputs + inputs + from } else { first * inputs + from + depth };
            let ahead = block.weights.panels.memory(next * WIDTH, depth * WIDTH);
            let halves = outputs.saturating_sub(panel * WIDTH).div_ceil(2 * ROWS).min(2);
            Panel { tiles: &tiles, rows, columns, half, depth, sums, ahead }.multiply::<A, B>(halves, from > 0);
            if last {
                let sums = &workspace.sums.as_slice()[index % kept * size..][..size];
                instructions.run(Finish { block, panel, sums });
            }
        }
    }
}

/// Splits a panel, from input `from` on to a depth of `depth`, into `B` parts.
struct Columns<'a, const B: usize> {
    weights: &'a Packed,
    panel: usize,
    from: usize,
    depth: usize,
    to: &'a mut [Line],
}

impl<const B: usize> Kernel for Columns<'_, B> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // What is not f32 in memory becomes so a step at a time, and stays in the first-level cache.
        let mut scratch = [0.0; DEPTH * WIDTH];
        let steps = self.depth.div_ceil(DEPTH);
        let start = (self.panel * self.weights.inputs + self.from) * WIDTH;
        for step in 0..steps {
            let first = step * DEPTH;
            let count = DEPTH.min(self.depth - first) * WIDTH;
            let numbers = self.weights.panels.read(simd, start + first * WIDTH, count, &mut scratch);
            // SAFETY: a machine with tiles has the instructions.
            unsafe { split::panel::<B>(numbers, step, steps, self.to) };
        }
    }
}

/// All rows of a task times one panel, to one depth.
struct Panel<'a> {
    tiles: &'a Tiles,
    /// As [`split::rows`] writes them.
    rows: &'a [Line],
    /// As [`split::panel`] writes them, a half `half` lines behind the other.
    columns: &'a [Line],
    half: usize,
    depth: usize,
    /// `[rows, WIDTH]`
    sums: &'a mut [f32],
    /// Memory to be asked for meanwhile.
    ahead: &'a [f32],
}

impl Panel<'_> {
    /// Computes the first `halves` halves of the sums.
    fn multiply<const A: usize, const B: usize>(self, halves: usize, accumulate: bool) {
        let (rows, steps) = (self.sums.len() / WIDTH, self.depth.div_ceil(DEPTH));
        let tile = steps * A * ROWS;
        let result = self.sums.as_mut_ptr();
        let mut ahead = Ahead::new::<A, B>(self.ahead, steps * halves * rows.div_ceil(2 * ROWS));
        assert!(
            self.rows.len() >= rows.div_ceil(ROWS) * tile
                && self.columns.len() >= (halves - 1) * self.half + steps * B * 2 * ROWS,
            "parts are missing"
        );
        for (start, height) in [(0, rows / (2 * ROWS) * 2 * ROWS), (rows / (2 * ROWS) * 2 * ROWS, rows % (2 * ROWS))] {
            if height == 0 {
                continue;
            }
            self.tiles.shape([height.min(ROWS), height.saturating_sub(ROWS).min(ROWS)]);
            for half in 0..halves {
                let columns = self.columns[half * self.half..].as_ptr();
                for row in (start..start + height).step_by(2 * ROWS) {
                    let first = self.rows[row / ROWS * tile..].as_ptr();
                    let sums = result.wrapping_add(row * WIDTH + half * 2 * ROWS);
                    let left = [first, first.wrapping_add(tile)];
                    // SAFETY: by the assertion there are lines and sums for as many rows as the tiles were shaped for.
                    unsafe {
                        if height > ROWS {
                            amx::multiply::<A, B, true>(
                                self.tiles, steps, left, columns, sums, WIDTH, accumulate, &mut ahead,
                            );
                        } else {
                            amx::multiply::<A, B, false>(
                                self.tiles, steps, left, columns, sums, WIDTH, accumulate, &mut ahead,
                            );
                        }
                    }
                }
            }
        }
    }
}

/// What follows the sums of one panel.
struct Finish<'a> {
    block: &'a Block<'a>,
    panel: usize,
    sums: &'a [f32],
}

impl Kernel for Finish<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        /// Rows whose residual is asked for together.
        const AT_ONCE: usize = 8;
        let rows = self.sums.len() / WIDTH;
        for row in (0..rows).step_by(AT_ONCE) {
            let next = (row + AT_ONCE).min(rows)..(row + 2 * AT_ONCE).min(rows);
            self.block.ask_for_residual(simd, self.panel, next);
            let end = (row + AT_ONCE).min(rows);
            self.block.finish(simd, self.panel, row, &self.sums[row * WIDTH..end * WIDTH], WIDTH);
        }
    }
}
