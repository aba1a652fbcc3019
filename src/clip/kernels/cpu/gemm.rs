//! `activation(x · Wᵀ + bias) + residual` with weights that are packed once.
//!
//! The product is cut as in Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008): a task is
//! a block of rows that stays in the second-level cache times one panel of weights, which is read once from front to
//! back while the next one is asked for. The rows need no packing: their own order serves as well (measured).

use std::mem::MaybeUninit;
use std::ops::Range;

use super::super::Activation;
use super::exp;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
use super::gemm_tiles;
use super::panels::{Panels, Shape};
use super::simd::{Instructions, Kernel, Simd};
use super::tile::{Aligned, LINE, Left, MOST_ROWS, NewOutput, multiply_few, rows_at_once, with_scratch, written};
use crate::{clip::Storage, platform::parallel};

/// How deep a product goes before it comes back to the first row: a panel's slice of this depth stays close.
const DEPTH_BLOCK: usize = 768;

/// How large a block of rows may be, in numbers: half of a second-level cache of 2 MiB.
const ROW_BLOCK: usize = 256 * 1024;

/// Rows that are worth a task of their own.
const LEAST_ROWS: usize = 48;

/// A weight `[outputs, inputs]` in panels: `[panel][input][column]`, zeros in the last panel's missing columns.
pub struct Packed {
    pub(super) panels: Panels,
    pub(super) outputs: usize,
    pub(super) inputs: usize,
    pub(super) width: usize,
    pub(super) instructions: Instructions,
    /// Of how many bfloat16 numbers each number is the sum.
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    pub(super) parts: usize,
}

impl std::fmt::Debug for Packed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { outputs, inputs, instructions, .. } = self;
        let form = self.storage().map_or("bf16", Storage::name);
        write!(f, "Packed [{outputs}, {inputs}] in {form} for {instructions:?}")
    }
}

impl Packed {
    /// Packs `weight` `[outputs, inputs]` in f32.
    pub fn new(weight: &[f32], outputs: usize, inputs: usize, instructions: Instructions) -> Self {
        Self::stored(Storage::F32, weight, outputs, inputs, instructions)
    }

    /// Packs `weight` `[outputs, inputs]` in any form.
    pub fn stored(storage: Storage, weight: &[f32], outputs: usize, inputs: usize, instructions: Instructions) -> Self {
        assert_eq!(weight.len(), outputs * inputs, "weight is not [{outputs}, {inputs}]");
        let width = width(instructions);
        let panels = Panels::new(weight, Shape { outputs, inputs, width }, storage, instructions);
        Self {
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            parts: panels.parts(),
            panels,
            outputs,
            inputs,
            width,
            instructions,
        }
    }

    /// The form that its numbers have in memory; none of those that one chooses where they are in bfloat16.
    pub fn storage(&self) -> Option<Storage> {
        self.panels.storage()
    }

    /// The weight `[outputs, inputs]` again, to the bit as it is stored.
    pub fn unpacked(&self) -> Vec<f32> {
        self.rows(0..self.outputs)
    }

    /// Some rows of the weight, `[rows, inputs]`.
    pub fn rows(&self, outputs: impl Iterator<Item = usize>) -> Vec<f32> {
        let mut rows = Vec::with_capacity(outputs.size_hint().0 * self.inputs);
        for output in outputs {
            let (panel, column) = (output / self.width, output % self.width);
            let start = panel * self.inputs * self.width + column;
            let numbers = (0..self.inputs).map(|input| self.panels.get(start + input * self.width));
            match self.panels.scales() {
                Some(scales) => rows.extend(numbers.map(|number| number * scales[output])),
                None => rows.extend(numbers),
            }
        }
        rows
    }

    /// How many outputs and inputs.
    pub fn shape(&self) -> [usize; 2] {
        [self.outputs, self.inputs]
    }

    /// `activation(x · Wᵀ + bias) + residual` for `x` `[rows, inputs]`, `bias` `[outputs]` and `residual`
    /// `[rows, outputs]`; gives `[rows, outputs]`.
    pub fn linear(
        &self,
        x: &[f32],
        bias: Option<&[f32]>,
        activation: Activation,
        residual: Option<&[f32]>,
        rows: usize,
    ) -> Vec<f32> {
        self.linear_of(false, x, bias, activation, residual, rows)
    }

    /// [`linear`](Self::linear); where the numbers of `x` are in bfloat16 (`bf16`) and the weight's are too, tiles multiply once what
    /// else they multiply in parts.
    pub fn linear_of(
        &self,
        bf16: bool,
        x: &[f32],
        bias: Option<&[f32]>,
        activation: Activation,
        residual: Option<&[f32]>,
        rows: usize,
    ) -> Vec<f32> {
        assert_eq!(x.len(), rows * self.inputs, "x is not [{rows}, {}]", self.inputs);
        assert!(bias.is_none_or(|bias| bias.len() == self.outputs), "bias is not [{}]", self.outputs);
        let size = rows * self.outputs;
        assert!(residual.is_none_or(|residual| residual.len() == size), "residual is not [{rows}, {}]", self.outputs);
        if size == 0 || self.inputs == 0 {
            return vec![0.0; size];
        }
        let block = self.rows_in_block(rows);
        let blocks = rows.div_ceil(block);
        let groups = self.groups(blocks);
        let fill = |output: &NewOutput<'_>| {
            parallel::for_each(blocks * groups, |task| {
                let (start, group) = (task / groups * block, task % groups);
                let rows = block.min(rows - start);
                let x = &x[start * self.inputs..];
                let panels = self.share(group, groups);
                self.block(Block { weights: self, x, bf16, bias, activation, residual, output, start, rows, panels });
            });
        };
        // SAFETY: every row has its columns in some panel, and a block writes all of both.
        unsafe { written(size, fill) }
    }

    /// One block of rows times some panels, for those who make the rows on the way.
    pub(crate) fn block(&self, block: Block<'_>) {
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        if self.instructions.has_tiles() {
            return gemm_tiles::multiply(&block);
        }
        if self.storage() == Some(Storage::F32) {
            self.instructions.run(Product { block, scratch: &mut [] });
        } else {
            let size = DEPTH_BLOCK.min(self.inputs) * self.width;
            with_scratch(size, |scratch| self.instructions.run(Product { block, scratch }));
        }
    }

    /// How many rows a task takes, of `rows`; equal in all tasks but the last.
    pub(crate) fn rows_in_block(&self, rows: usize) -> usize {
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        if self.instructions.has_tiles() {
            return gemm_tiles::rows_in_block(rows);
        }
        rows_in_block(rows, self.inputs, self.panels())
    }

    /// Among how many tasks the panels are shared where the rows are cut into `blocks`.
    fn groups(&self, blocks: usize) -> usize {
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        if self.instructions.has_tiles() {
            return gemm_tiles::groups(blocks, self.panels(), self.shares());
        }
        let _ = blocks;
        self.panels()
    }

    /// The panels of one of so many groups, at most [`shares`](Self::shares).
    pub(crate) fn share(&self, group: usize, groups: usize) -> Range<usize> {
        let (panels, shares) = (self.panels(), self.shares());
        let start = |group: usize| (group * shares / groups * self.at_once()).min(panels);
        start(group)..start(group + 1)
    }

    /// Among how many groups the panels can be shared, each with something to do.
    pub(crate) fn shares(&self) -> usize {
        self.panels().div_ceil(self.at_once())
    }

    /// How many panels are not worth being parted.
    #[cfg_attr(
        not(all(target_arch = "x86_64", target_os = "linux")),
        allow(clippy::unused_self, reason = "tiles alone take several")
    )]
    fn at_once(&self) -> usize {
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        if self.instructions.has_tiles() {
            return gemm_tiles::AT_ONCE;
        }
        1
    }

    /// How many panels there are.
    fn panels(&self) -> usize {
        self.outputs.div_ceil(self.width)
    }
}

/// How wide a panel is for these instructions.
fn width(instructions: Instructions) -> usize {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    if instructions.has_tiles() {
        return gemm_tiles::WIDTH;
    }
    instructions.panel()
}

/// How many rows a task takes that vectors compute: what the cache holds, fewer where the threads would otherwise lack tasks.
fn rows_in_block(rows: usize, inputs: usize, panels: usize) -> usize {
    let by_cache = rows.div_ceil((ROW_BLOCK / inputs.max(1)).max(LEAST_ROWS));
    let by_threads = (4 * parallel::threads()).div_ceil(panels).min(rows.div_ceil(LEAST_ROWS));
    rows.div_ceil(by_cache.max(by_threads)).next_multiple_of(MOST_ROWS)
}

/// One block of rows times some panels.
pub(crate) struct Block<'a> {
    pub weights: &'a Packed,
    /// The block's rows, `[rows, inputs]`.
    pub x: &'a [f32],
    /// Whether the rows' numbers are in bfloat16.
    #[cfg_attr(not(all(target_arch = "x86_64", target_os = "linux")), allow(dead_code, reason = "tiles alone ask"))]
    pub bf16: bool,
    pub bias: Option<&'a [f32]>,
    pub activation: Activation,
    /// Of all rows.
    pub residual: Option<&'a [f32]>,
    /// Of all rows.
    pub output: &'a NewOutput<'a>,
    /// Which row of all is the first.
    pub start: usize,
    pub rows: usize,
    pub panels: Range<usize>,
}

/// The work of a [`Block`].
struct Product<'a> {
    block: Block<'a>,
    /// Room for the deepest piece of a panel whose numbers are not f32 where they lie.
    scratch: &'a mut [f32],
}

impl Kernel for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for panel in self.block.panels.clone() {
            match S::COLUMNS {
                4 => self.block.product::<S, 4>(simd, panel, self.scratch),
                2 => self.block.product::<S, 2>(simd, panel, self.scratch),
                columns => unreachable!("no microkernel is {columns} vectors wide"),
            }
        }
    }
}

impl Block<'_> {
    #[inline(always)]
    fn product<S: Simd, const COLUMNS: usize>(&self, simd: S, index: usize, scratch: &mut [f32]) {
        let (inputs, width, most) = (self.weights.inputs, COLUMNS * S::LANES, rows_at_once::<S>(COLUMNS));
        assert_eq!(width, self.weights.width, "weights were packed for other instructions");
        // Sums are kept from one depth to the next; where there is no next one, those of a tile are enough.
        let mut sums = Aligned::zeros(if inputs > DEPTH_BLOCK { self.rows } else { most.min(self.rows) } * width);
        let sums = sums.as_mut_slice();
        let panels = &self.weights.panels;
        for from in (0..inputs).step_by(DEPTH_BLOCK) {
            let depth = DEPTH_BLOCK.min(inputs - from);
            let last = from + depth == inputs;
            let start = (index * inputs + from) * width;
            let panel = panels.read(simd, start, depth * width, scratch);
            // What the next depth, or the next task, starts with, a share for each tile.
            let next = panels.memory(start + depth * width, depth * width);
            let mut ahead = next.chunks(next.len().div_ceil(self.rows.div_ceil(most)).next_multiple_of(LINE).max(LINE));
            for row in (0..self.rows).step_by(most) {
                let rows = most.min(self.rows - row);
                if last {
                    self.ask_for_residual(simd, index..index + 1, row..row + rows);
                }
                let a = Left { values: &self.x[row * inputs + from..], row: inputs, step: 1 };
                let kept = if inputs > DEPTH_BLOCK { row } else { 0 };
                let sums = &mut sums[kept * width..][..rows * width];
                let ahead = ahead.next().unwrap_or_default();
                multiply_few::<S, COLUMNS>(simd, rows, depth, a, panel, ahead, sums, from > 0);
                // Right behind the product, so that writing the result happens while the next tile is computed.
                if last {
                    self.finish(simd, index..index + 1, row, sums, width);
                }
            }
        }
    }

    /// Where a row's part in some panels lies in the result: start and length.
    #[inline(always)]
    fn place(&self, panels: &Range<usize>, row: usize) -> (usize, usize) {
        let (outputs, width) = (self.weights.outputs, self.weights.width);
        let first = panels.start * width;
        ((self.start + row) * outputs + first, (panels.end * width).min(outputs) - first)
    }

    /// Lets the residual of some rows come while others are computed.
    #[inline(always)]
    pub(super) fn ask_for_residual<S: Simd>(&self, simd: S, panels: Range<usize>, rows: Range<usize>) {
        if let Some(residual) = self.residual {
            for row in rows {
                let (at, columns) = self.place(&panels, row);
                for line in residual[at..at + columns].chunks(LINE) {
                    simd.prefetch(line.as_ptr());
                }
            }
        }
    }

    /// Writes some panels of rows of the result, from `row` on, from their sums `[rows, stride]`.
    #[inline(always)]
    pub(super) fn finish<S: Simd>(&self, simd: S, panels: Range<usize>, row: usize, sums: &[f32], stride: usize) {
        let first = panels.start * self.weights.width;
        for (index, sums) in sums.chunks_exact(stride).enumerate() {
            let (at, columns) = self.place(&panels, row + index);
            // SAFETY: no other task has these rows of these panels.
            let output = unsafe { self.output.piece(at, columns) };
            let bias = self.bias.map(|bias| &bias[first..][..columns]);
            let residual = self.residual.map(|residual| &residual[at..at + columns]);
            let scales = self.weights.panels.scales().map(|scales| &scales[first..]);
            finish(simd, output, sums, scales, bias, self.activation, residual);
        }
    }
}

/// `output = activation(sums · scales + bias) + residual`
#[inline(always)]
fn finish<S: Simd>(
    simd: S,
    output: &mut [MaybeUninit<f32>],
    sums: &[f32],
    scales: Option<&[f32]>,
    bias: Option<&[f32]>,
    activation: Activation,
    residual: Option<&[f32]>,
) {
    for (index, to) in output.chunks_mut(S::LANES).enumerate() {
        let at = index * S::LANES;
        let end = at + to.len();
        let mut sum = simd.read(&sums[at..]);
        if let Some(scales) = scales {
            sum = simd.mul(sum, simd.read(&scales[at..]));
        }
        if let Some(bias) = bias {
            sum = simd.add(sum, simd.read(&bias[at..end]));
        }
        sum = match activation {
            Activation::Identity => sum,
            Activation::QuickGelu => exp::quick_gelu(simd, sum),
            Activation::Gelu => exp::gelu(simd, sum),
        };
        if let Some(residual) = residual {
            sum = simd.add(sum, simd.read(&residual[at..end]));
        }
        simd.write_new(to, sum);
    }
}
