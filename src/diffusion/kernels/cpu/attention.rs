//! Softmax attention between any numbers of tokens, a block of keys at a time (Dao et al., 2022, FlashAttention): what the scores need
//! stays in the first-level cache however many tokens there are.
//!
//! Everything is kept with a panel's queries side by side: scores `[key, query]`, and the sums of values turned round, `[column,
//! query]`. So the scores of a block are at once the panel that the values are multiplied with, and no width of a head is padded.

use std::f32::consts::LOG2_E;

use crate::clip::kernels::cpu::exp;
use crate::clip::kernels::cpu::simd::{Instructions, Kernel, MAX_LANES, Simd};
use crate::clip::kernels::cpu::tile::{Left, NewOutput, multiply, with_scratch, written};
use crate::platform::parallel;

/// Keys in a block.
const KEYS: usize = 96;

/// The least panels of queries a task: each task puts the keys and values of its head together for itself.
const LEAST_PANELS: usize = 4;

/// Tokens, `[batch, tokens, …]`, of which the head `h` has the columns from `h · depth` on.
#[derive(Clone, Copy)]
pub struct Tokens<'a> {
    /// From the first token's first column on.
    pub values: &'a [f32],
    /// How far the tokens lie apart.
    pub row: usize,
}

impl<'a> Tokens<'a> {
    /// What lies from a token's column on.
    fn at(self, token: usize, column: usize) -> &'a [f32] {
        &self.values[token * self.row + column..]
    }
}

/// How many of what there are.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Images.
    pub batch: usize,
    /// Tokens that ask.
    pub tokens: usize,
    /// Tokens that are asked.
    pub others: usize,
    /// Width of a query, of a key and of a value.
    pub width: usize,
    /// Heads that share the width.
    pub heads: usize,
}

/// Attention of every head; gives `[batch, tokens, width]`.
pub fn attention(
    query: Tokens<'_>,
    key: Tokens<'_>,
    value: Tokens<'_>,
    shape: Shape,
    instructions: Instructions,
) -> Vec<f32> {
    let Shape { batch, tokens, others, width, heads } = shape;
    assert!(heads > 0 && width.is_multiple_of(heads), "{heads} heads do not divide a width of {width}");
    let length = batch * tokens * width;
    if length == 0 || others == 0 {
        return vec![0.0; length];
    }
    let (depth, panel) = (width / heads, instructions.panel());
    let panels = tokens.div_ceil(panel);
    let pieces = (4 * parallel::threads()).div_ceil(batch * heads).min(panels.div_ceil(LEAST_PANELS));
    let piece = panels.div_ceil(pieces) * panel;
    let pieces = tokens.div_ceil(piece);
    let fill = |output: &NewOutput<'_>| {
        parallel::for_each(batch * heads * pieces, |task| {
            let (image, head, first) = (task / pieces / heads, task / pieces % heads, task % pieces * piece);
            let queries = first..tokens.min(first + piece);
            let kept = 2 * others * depth;
            with_scratch(kept + panel * (2 * depth + KEYS), |scratch| {
                let (kept, scratch) = scratch.split_at_mut(kept);
                let (keys, values) = kept.split_at_mut(others * depth);
                for (from, to) in [(key, &mut *keys), (value, &mut *values)] {
                    for (token, to) in to.chunks_exact_mut(depth).enumerate() {
                        to.copy_from_slice(&from.at(image * others + token, head * depth)[..depth]);
                    }
                }
                let (query_panel, scratch) = scratch.split_at_mut(panel * depth);
                let (sums, scores) = scratch.split_at_mut(panel * depth);
                for first in queries.clone().step_by(panel) {
                    let count = panel.min(queries.end - first);
                    let query = Tokens { values: query.at(image * tokens + first, head * depth), row: query.row };
                    let start = (image * tokens + first) * width + head * depth;
                    let (query_panel, sums, scores) = (&mut *query_panel, &mut *sums, &mut *scores);
                    instructions.run(Panel {
                        keys,
                        values,
                        depth,
                        query,
                        count,
                        query_panel,
                        sums,
                        scores,
                        output,
                        start,
                        width,
                    });
                }
            });
        })
    };
    // SAFETY: every query of every head belongs to a panel, and a panel writes the results of all of its queries.
    unsafe { written(length, fill) }
}

/// One panel of one head's queries.
struct Panel<'a> {
    /// `[others, depth]`
    keys: &'a [f32],
    /// `[others, depth]`
    values: &'a [f32],
    depth: usize,
    query: Tokens<'a>,
    /// Queries that there are; the panel's other columns are zeros.
    count: usize,
    /// `[depth, query]`
    query_panel: &'a mut [f32],
    /// `[depth, query]`
    sums: &'a mut [f32],
    /// `[key, query]` of a block.
    scores: &'a mut [f32],
    output: &'a NewOutput<'a>,
    /// Where the first query's result lies, the next being `width` further on.
    start: usize,
    width: usize,
}

impl Kernel for Panel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match S::COLUMNS {
            4 => self.attend::<S, 4>(simd),
            2 => self.attend::<S, 2>(simd),
            columns => unreachable!("no microkernel is {columns} vectors wide"),
        }
    }
}

impl Panel<'_> {
    #[inline(always)]
    fn attend<S: Simd, const COLUMNS: usize>(self, simd: S) {
        let (depth, panel) = (self.depth, COLUMNS * S::LANES);
        self.query_panel.fill(0.0);
        // The scores in powers of two, not of e.
        let scale = (depth as f32).powf(-0.5) * LOG2_E;
        for column in 0..self.count {
            let from = &self.query.values[column * self.query.row..][..depth];
            for (value, to) in from.iter().zip(self.query_panel[column..].iter_mut().step_by(panel)) {
                *to = value * scale;
            }
        }
        let mut largest = [simd.splat(f32::NEG_INFINITY); COLUMNS];
        let mut total = [simd.splat(0.0); COLUMNS];
        for (keys, values) in self.keys.chunks(KEYS * depth).zip(self.values.chunks(KEYS * depth)) {
            let count = keys.len() / depth;
            let scores = &mut self.scores[..count * panel];
            let left = Left { values: keys, row: depth, step: 1 };
            multiply::<S, COLUMNS>(simd, count, depth, left, self.query_panel, scores, false);
            let shrunk = exponentials::<S, COLUMNS>(simd, scores, &mut largest, &mut total);
            let first = std::ptr::eq(keys.as_ptr(), self.keys.as_ptr());
            if !first {
                for row in self.sums.chunks_exact_mut(panel) {
                    for (lanes, &shrunk) in row.chunks_exact_mut(S::LANES).zip(&shrunk) {
                        let sum = simd.mul(simd.read(lanes), shrunk);
                        simd.write(lanes, sum);
                    }
                }
            }
            let left = Left { values, row: 1, step: depth };
            multiply::<S, COLUMNS>(simd, depth, count, left, scores, self.sums, !first);
        }
        let mut parts = [0.0; 4 * MAX_LANES];
        for (lanes, &total) in parts.chunks_exact_mut(S::LANES).zip(&total) {
            simd.write(lanes, simd.div(simd.splat(1.0), total));
        }
        for (query, part) in parts[..self.count].iter().enumerate() {
            // SAFETY: no other task has this head's columns of these tokens.
            let to = unsafe { self.output.piece(self.start + query * self.width, depth) };
            for (to, sum) in to.iter_mut().zip(self.sums[query..].iter().step_by(panel)) {
                to.write(sum * part);
            }
        }
    }
}

/// Replaces every score by `2^(score − the column's largest so far)`, and adds the columns' sums to `total`; gives the factors by which
/// what was summed before has to shrink.
#[inline(always)]
fn exponentials<S: Simd, const COLUMNS: usize>(
    simd: S,
    scores: &mut [f32],
    largest: &mut [S::Vector; COLUMNS],
    total: &mut [S::Vector; COLUMNS],
) -> [S::Vector; COLUMNS] {
    let panel = COLUMNS * S::LANES;
    let before = *largest;
    for row in scores.chunks_exact(panel) {
        for (largest, lanes) in largest.iter_mut().zip(row.chunks_exact(S::LANES)) {
            *largest = simd.max(*largest, simd.read(lanes));
        }
    }
    let mut shrunk = before;
    for ((shrunk, &largest), total) in shrunk.iter_mut().zip(&*largest).zip(&mut *total) {
        *shrunk = exp::exp2(simd, simd.sub(*shrunk, largest));
        *total = simd.mul(*total, *shrunk);
    }
    for row in scores.chunks_exact_mut(panel) {
        for ((lanes, &largest), total) in row.chunks_exact_mut(S::LANES).zip(&*largest).zip(&mut *total) {
            let e = exp::exp2(simd, simd.sub(simd.read(lanes), largest));
            *total = simd.add(*total, e);
            simd.write(lanes, e);
        }
    }
    shrunk
}
