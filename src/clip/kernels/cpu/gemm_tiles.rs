//! The product with packed weights on tiles ([`tiles`]), in bfloat16 and as exact as in f32.
//!
//! Both factors are split into bfloat16 numbers ([`split`]) and their parts multiplied, six products in place of one: tiles multiply
//! so much faster that the sixfold work takes half the time. A task is a block of rows times some panels, one depth after the other.
//! Rows are split once for all panels of a task, and stay in the second-level cache. A panel is split while its first group of rows is
//! multiplied by it, a step ahead; groups that follow find it split.

use std::cell::RefCell;
use std::ops::Range;

use super::amx::{self, DEPTH, Line, ROWS, Tiles};
use super::gemm::{Block, Packed};
use super::panels::Panels;
use super::simd::{Kernel, Simd};
use super::split;
use super::tile::{Aligned, LINE};
use super::tiles::{self, Columns, LEFT_PARTS, Later, MOST_ROW_TILES, Numbers};
use crate::platform::parallel;

/// How wide a panel is.
pub(super) const WIDTH: usize = ROWS;

/// How deep a product goes before it comes back to the first row.
const DEPTH_BLOCK: usize = 768;

/// The most rows of a task: their parts to the depth above fill half of a second-level cache of 2 MiB.
const ROW_BLOCK: usize = 256;

/// Panels whose sums lie side by side and are finished together: as many as one tile of rows is multiplied by at once.
pub(super) const AT_ONCE: usize = 4;

/// How far one row's sums are from another's.
const STRIDE: usize = AT_ONCE * ROWS;

/// Panels that are worth splitting the rows for once more.
const LEAST_PANELS: usize = 36;

/// Numbers of a panel in a step.
const STEP: usize = DEPTH * ROWS;

/// How many rows a task takes: equal in all tasks but the last.
pub(super) fn rows_in_block(rows: usize) -> usize {
    rows.div_ceil(rows.div_ceil(ROW_BLOCK).max(1)).next_multiple_of(ROWS)
}

/// Among how many tasks the panels of each of so many blocks of rows are shared, at most `shares`.
pub(super) fn groups(blocks: usize, panels: usize, shares: usize) -> usize {
    let threads = parallel::threads();
    let wanted = if threads == 1 { 1 } else { (4 * threads).div_ceil(blocks) };
    // Of few tasks each thread has as many.
    let least = threads.div_ceil(blocks);
    let worthwhile = (panels / LEAST_PANELS / least * least).max(least);
    wanted.min(worthwhile).clamp(1, shares)
}

/// What a thread keeps from one task to the next.
struct Workspace {
    rows: Vec<Line>,
    columns: Vec<Line>,
    widened: Vec<f32>,
    sums: Aligned,
}

thread_local! {
    static WORKSPACE: RefCell<Workspace> = RefCell::new(Workspace {
        rows: Vec::new(),
        columns: Vec::new(),
        widened: vec![0.0; AT_ONCE * STEP],
        sums: Aligned::zeros(0),
    });
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

/// How many tiles of rows are multiplied by how many panels at once, of so many tiles. Few rows take the panels one by one and all at
/// once, so that every panel is read once; many go through two panels by twos, which loads least.
fn at_once(row_tiles: usize) -> (usize, usize) {
    match row_tiles {
        1 => (1, AT_ONCE),
        3..=MOST_ROW_TILES => (row_tiles, 1),
        _ => (2, 2),
    }
}

/// So many tiles of rows in groups that are multiplied at once.
fn row_groups(row_tiles: usize) -> impl Iterator<Item = Range<usize>> + Clone {
    let (height, _) = at_once(row_tiles);
    (0..row_tiles).step_by(height).map(move |first| first..row_tiles.min(first + height))
}

/// [`multiply`] for rows in `A` parts and weights in `B`.
fn product<const A: usize, const B: usize>(block: &Block<'_>, workspace: &mut Workspace) {
    let (weights, inputs) = (block.weights, block.weights.inputs);
    let row_tiles = block.rows.div_ceil(ROWS);
    let most = DEPTH_BLOCK.min(inputs).div_ceil(DEPTH);
    workspace.rows.resize(workspace.rows.len().max(row_tiles * most * A * ROWS), Line::ZERO);
    workspace.columns.resize(workspace.columns.len().max((2 * most).max(2 * AT_ONCE) * B * ROWS), Line::ZERO);
    // Sums are kept from one depth to the next; where there is no next one, those of some panels are enough.
    let size = block.rows * STRIDE;
    let kept = if inputs > DEPTH_BLOCK { block.panels.len().div_ceil(AT_ONCE) } else { 1 };
    workspace.sums.reserve(kept * size);
    // SAFETY: `multiply` asked whether there are tiles, and nothing below uses them but this.
    let tiles = unsafe { Tiles::take() };
    let (_, at_once) = at_once(row_tiles);
    for from in (0..inputs).step_by(DEPTH_BLOCK) {
        let (depth, groups) = (DEPTH_BLOCK.min(inputs - from), row_groups(row_tiles));
        // SAFETY: a machine with tiles has the instructions.
        unsafe { split::rows::<A>(&block.x[from..], inputs, block.rows, depth, groups, &mut workspace.rows) };
        for (index, first) in block.panels.clone().step_by(AT_ONCE).enumerate() {
            let end = block.panels.end.min(first + AT_ONCE);
            let sums = &mut workspace.sums.as_mut_slice()[index % kept * size..][..size];
            let mut panel = first;
            while panel < end {
                let count = if panel + at_once <= end { at_once } else { 1 };
                // The next panels, or the first one's next depth.
                let next = match panel + count {
                    next if next < block.panels.end => next * inputs + from,
                    _ => block.panels.start * inputs + from + depth,
                };
                let source = Source { weights, panel, from, depth, next: next * ROWS };
                let piece = Piece {
                    tiles: &tiles,
                    rows: &workspace.rows,
                    height: block.rows,
                    source,
                    columns: &mut workspace.columns,
                    widened: &mut workspace.widened,
                    sums: &mut sums[(panel - first) * ROWS..],
                };
                piece.multiply::<A, B>(count);
                panel += count;
            }
            if from + depth == inputs {
                weights.instructions.run(Finish { block, panels: first..end, sums });
            }
        }
    }
}

/// Some panels of a weight, to some depth.
#[derive(Clone, Copy)]
struct Source<'a> {
    weights: &'a Packed,
    /// The first panel, and the first input.
    panel: usize,
    from: usize,
    depth: usize,
    /// Which number of the weight is multiplied after them.
    next: usize,
}

impl Source<'_> {
    /// How many steps the depth is.
    fn steps(&self) -> usize {
        self.depth.div_ceil(DEPTH)
    }

    /// Which number of the weight is the first of a step.
    fn start(&self, step: usize) -> usize {
        (self.panel * self.weights.inputs + self.from + step * DEPTH) * ROWS
    }

    /// The first step of `C` panels, to be split where it lies; `None` where it does not lie there in f32. What is split next is said
    /// to be what comes after all steps.
    fn in_place<const C: usize>(&self) -> Option<Numbers> {
        let Panels::F32(values) = &self.weights.panels else { return None };
        let panel = self.weights.inputs * ROWS;
        let from = values.as_slice()[self.start(0)..][..(C - 1) * panel + self.depth * ROWS].as_ptr();
        let soon = self.weights.panels.memory(self.next, STEP).as_ptr().cast();
        let soon_panel = panel * size_of::<f32>();
        Some(Numbers { from, panel, soon, soon_panel })
    }

    /// A step of `C` panels, to be split, written to `to` as f32 with zeros after its end.
    #[inline(never)]
    fn widened<const C: usize>(&self, step: usize, to: &mut [f32]) -> Numbers {
        let (panels, inputs) = (&self.weights.panels, self.weights.inputs);
        let start = self.start(step);
        let count = DEPTH.min(self.depth - step * DEPTH) * ROWS;
        for (panel, to) in to.chunks_exact_mut(STEP).take(C).enumerate() {
            let start = start + panel * inputs * ROWS;
            self.weights.instructions.run(Widen { panels, start, to: &mut to[..count] });
            to[count..].fill(0.0);
        }
        let soon = panels.memory(if step + 1 < self.steps() { start + STEP } else { self.next }, STEP);
        let (from, soon_panel) = (to.as_ptr(), inputs * size_of_val(soon) / DEPTH);
        let soon = soon.as_ptr().cast();
        Numbers { from, panel: STEP, soon, soon_panel }
    }
}

/// All rows of a task times a panel or a few, to one depth.
struct Piece<'a> {
    tiles: &'a Tiles,
    /// As [`split::rows`] writes them.
    rows: &'a [Line],
    /// How many rows.
    height: usize,
    source: Source<'a>,
    /// Room for columns that are split: for all steps of two panels, or for two steps of each.
    columns: &'a mut [Line],
    /// Room for a step that is not split where it lies.
    widened: &'a mut [f32],
    /// `[rows, STRIDE]`, from the first panel's on.
    sums: &'a mut [f32],
}

impl Piece<'_> {
    /// Computes the sums of `count` panels.
    fn multiply<const A: usize, const B: usize>(mut self, count: usize) {
        let groups = row_groups(self.height.div_ceil(ROWS));
        let columns = self.columns::<B>(count, groups.clone().count() == 1);
        let panels = &self.source.weights.panels;
        let splits = panels.tiled().is_none();
        // Groups that split nothing ask for what is read next.
        let asking = groups.clone().skip(usize::from(splits)).count();
        let next = panels.memory(self.source.next, count * self.source.depth * ROWS);
        let mut later = next.chunks(next.len().div_ceil(asking.max(1)).next_multiple_of(LINE).max(LINE));
        for group in groups {
            let splits = splits && group.start == 0;
            let later = if splits { &[] } else { later.next().unwrap_or_default() };
            tiles::shape(self.tiles, group.len(), count, ROWS.min(self.height - (group.end - 1) * ROWS));
            // SAFETY: a machine with tiles has the instructions.
            unsafe {
                match (group.len(), count) {
                    (1, 1) => self.group::<A, B, 1, 1>(group.start, columns, splits, later),
                    (1, 2) => self.group::<A, B, 1, 2>(group.start, columns, splits, later),
                    (1, _) => self.group::<A, B, 1, AT_ONCE>(group.start, columns, splits, later),
                    (2, 1) => self.group::<A, B, 2, 1>(group.start, columns, splits, later),
                    (2, _) => self.group::<A, B, 2, 2>(group.start, columns, splits, later),
                    (3, _) => self.group::<A, B, 3, 1>(group.start, columns, splits, later),
                    (4, _) => self.group::<A, B, 4, 1>(group.start, columns, splits, later),
                    _ => self.group::<A, B, MOST_ROW_TILES, 1>(group.start, columns, splits, later),
                }
            }
        }
    }

    /// Where tiles find the columns of `count` panels. Those that one group alone reads are kept for two steps, so that they stay in
    /// the first-level cache.
    fn columns<const B: usize>(&mut self, count: usize, alone: bool) -> Columns {
        let steps = self.source.steps();
        if let Some(tiled) = self.source.weights.panels.tiled() {
            let panel = tiled.steps() * ROWS;
            let lines = &tiled.lines()[self.source.panel * panel + self.source.from / DEPTH * ROWS..];
            assert!(lines.len() >= (count - 1) * panel + steps * ROWS, "columns are missing");
            return Columns { lines: lines.as_ptr().cast_mut(), step: ROWS, mask: usize::MAX, panel };
        }
        let (step, mask) = (B * ROWS, if alone { 1 } else { usize::MAX });
        let panel = if alone { 2 * step } else { steps * step };
        assert!(self.columns.len() >= count * panel, "no room for columns");
        Columns { lines: self.columns.as_mut_ptr(), step, mask, panel }
    }

    /// A group of `R` tiles of rows, from tile `first` on, times `C` panels.
    #[target_feature(enable = "avx512f,avx512bw")]
    fn group<const A: usize, const B: usize, const R: usize, const C: usize>(
        &mut self,
        first: usize,
        columns: Columns,
        splits: bool,
        later: &[f32],
    ) {
        let (source, steps) = (self.source, self.source.steps());
        let rows = self.rows[first * steps * A * ROWS..][..R * steps * A * ROWS].as_ptr();
        let height = (self.height - first * ROWS).min(R * ROWS);
        let sums = self.sums[first * ROWS * STRIDE..][..(height - 1) * STRIDE + C * ROWS].as_mut_ptr();
        let later = Later::new(later, steps, const { tiles::products(A, B) } * R * C);
        // Nothing more is computed here for a step that lies in f32: to call something took a tenth of a step's time.
        let in_place = if splits { source.in_place::<C>() } else { None };
        let whole = source.depth / DEPTH;
        let numbers = |step: usize| match in_place {
            Some(start) if step < whole => {
                let from = start.from.wrapping_add(step * STEP);
                let soon = if step + 1 < steps { from.wrapping_add(STEP).cast() } else { start.soon };
                Numbers { from, soon, ..start }
            }
            _ => source.widened::<C>(step, self.widened),
        };
        let (numbers, accumulate) = (splits.then_some(numbers), source.from > 0);
        // SAFETY: the slices are as long as the tiles were shaped for, and `columns` as long as it says.
        unsafe {
            tiles::multiply::<A, B, R, C>(self.tiles, steps, rows, columns, sums, STRIDE, accumulate, numbers, later);
        }
    }
}

/// Writes numbers of a weight as f32.
struct Widen<'a> {
    panels: &'a Panels,
    start: usize,
    to: &'a mut [f32],
}

impl Kernel for Widen<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.panels.write(simd, self.start, self.to);
    }
}

/// What follows the sums of some panels.
struct Finish<'a> {
    block: &'a Block<'a>,
    panels: Range<usize>,
    /// `[rows, STRIDE]`
    sums: &'a [f32],
}

impl Kernel for Finish<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        /// Rows whose residual is asked for together.
        const ROWS_AT_ONCE: usize = 8;
        let Self { block, panels, sums } = self;
        for (row, sums) in (0..block.rows).step_by(ROWS_AT_ONCE).zip(sums.chunks(ROWS_AT_ONCE * STRIDE)) {
            let next = (row + ROWS_AT_ONCE).min(block.rows)..(row + 2 * ROWS_AT_ONCE).min(block.rows);
            block.ask_for_residual(simd, panels.clone(), next);
            block.finish(simd, panels.clone(), row, sums, STRIDE);
        }
    }
}
