//! Softmax attention (Vaswani et al., 2017, equation 1), one head of one image a task.
//!
//! A task takes a panel of queries at a time. Their scores are kept with the queries side by side, `[token, query]`, so
//! that the softmax runs down the columns: no sum across a register, no rest at the end of a row. Keys and values are put together
//! once a head: where they lie, their rows are so far apart that only a part of the first-level cache can hold them.

use std::f32::consts::LOG2_E;
use std::ops::Range;

use super::exp;
use super::simd::{Instructions, Kernel, MAX_LANES, Simd};
use super::tile::{LINE, Left, MOST_ROWS, NewOutput, multiply, multiply_few, rows_at_once, with_scratch, written};
use crate::platform::parallel;

/// The numbers in `qkv` `[batch, tokens, 3 · width]`.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Images, or texts.
    pub batch: usize,
    /// Tokens in each.
    pub tokens: usize,
    /// Width of the queries, of the keys and of the values.
    pub width: usize,
    /// Heads that share the width.
    pub heads: usize,
    /// Whether a token sees only itself and what stands before it.
    pub causal: bool,
}

impl Shape {
    /// How many tokens some queries see at the most.
    pub(super) fn seen(&self, queries: &Range<usize>) -> usize {
        if self.causal { queries.end } else { self.tokens }
    }
}

/// Calls `function::<S, COLUMNS>` of `self` for a panel that is `COLUMNS` vectors wide. Only those are compiled that can be asked for.
macro_rules! by_width {
    ($simd:ident, $panel:expr, $self:ident.$function:ident($($argument:expr),*)) => {
        match $panel.len() / $simd::LANES {
            1 => $self.$function::<$simd, 1>($($argument),*),
            2 if $simd::COLUMNS >= 2 => $self.$function::<$simd, 2>($($argument),*),
            3 if $simd::COLUMNS >= 3 => $self.$function::<$simd, 3>($($argument),*),
            4 if $simd::COLUMNS >= 4 => $self.$function::<$simd, 4>($($argument),*),
            columns => unreachable!("no microkernel is {columns} vectors wide"),
        }
    };
}
pub(super) use by_width;

/// Attention of every head; gives `[batch, tokens, width]`.
pub fn attention(qkv: &[f32], shape: Shape, instructions: Instructions) -> Vec<f32> {
    let Shape { batch, tokens, width, heads, .. } = shape;
    assert_eq!(qkv.len(), batch * tokens * 3 * width, "qkv is not [{batch}, {tokens}, 3 · {width}]");
    assert!(heads > 0 && width.is_multiple_of(heads), "{heads} heads do not divide a width of {width}");
    if batch * tokens * width == 0 {
        return Vec::new();
    }
    let (depth, panel) = (width / heads, instructions.panel());
    // Keys and values, queries, scores, sums.
    let whole = tokens * depth.next_multiple_of(LINE);
    let room = [whole, whole, depth * panel, tokens * panel, MOST_ROWS * panel];
    let fill = |output: &NewOutput<'_>| {
        parallel::for_each(batch * heads, |task| {
            let (image, index) = (task / heads, task % heads);
            with_scratch(room.iter().sum(), |scratch| {
                let [keys, values, queries, scores, sums] = split(scratch, room);
                instructions.run(Head { qkv, shape, image, index, keys, values, queries, scores, sums, output });
            });
        });
    };
    // SAFETY: every column belongs to a head, and a task writes its head's columns of every token.
    unsafe { written(batch * tokens * width, fill) }
}

/// The start of `scratch` in pieces of these lengths.
pub(super) fn split<const N: usize>(mut scratch: &mut [f32], lengths: [usize; N]) -> [&mut [f32]; N] {
    lengths.map(|length| {
        let (piece, rest) = std::mem::take(&mut scratch).split_at_mut(length);
        scratch = rest;
        piece
    })
}

/// One head of one image, and what it works in.
struct Head<'a> {
    qkv: &'a [f32],
    shape: Shape,
    image: usize,
    index: usize,
    /// `[token, column]`, rows padded to whole vectors.
    keys: &'a mut [f32],
    /// `[panel][token][column]`
    values: &'a mut [f32],
    /// `[column, query]` of one panel.
    queries: &'a mut [f32],
    /// `[token, query]`
    scores: &'a mut [f32],
    /// A few rows of the result in one panel of its columns.
    sums: &'a mut [f32],
    output: &'a NewOutput<'a>,
}

impl Kernel for Head<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let Shape { tokens, width, heads, .. } = self.shape;
        let (depth, row) = (width / heads, 3 * width);
        let image = &self.qkv[self.image * tokens * row + self.index * depth..];
        copy_rows(simd, &image[width..], tokens, row, 0..depth, self.keys);
        for panel in panels::<S>(depth) {
            let to = &mut self.values[panel.start * tokens..];
            copy_rows(simd, &image[2 * width..], tokens, row, panel.start..panel.end.min(depth), to);
        }
        for panel in panels::<S>(tokens) {
            let queries = panel.start..panel.end.min(tokens);
            let parts = by_width!(S, panel, self.score(simd, queries.clone()));
            for columns in panels::<S>(depth) {
                by_width!(S, columns, self.weigh(simd, queries.clone(), panel.len(), columns.clone(), &parts));
            }
        }
    }
}

impl Head<'_> {
    /// Fills `scores` with the exponentials of a panel of queries, `COLUMNS` vectors wide; gives what they are to be multiplied by.
    #[inline(always)]
    fn score<S: Simd, const COLUMNS: usize>(&mut self, simd: S, queries: Range<usize>) -> [f32; 4 * MAX_LANES] {
        let Shape { tokens, width, heads, .. } = self.shape;
        let (depth, row, panel) = (width / heads, 3 * width, COLUMNS * S::LANES);
        let seen = self.shape.seen(&queries);
        let columns = &mut self.queries[..depth * panel];
        let from = &self.qkv[(self.image * tokens + queries.start) * row + self.index * depth..];
        copy_columns(from, queries.len(), row, score_scale(depth), columns, panel);
        let scores = &mut self.scores[..seen * panel];
        let left = Left { values: self.keys, row: depth.next_multiple_of(S::LANES), step: 1 };
        multiply::<S, COLUMNS>(simd, seen, depth, left, columns, scores, false);
        if self.shape.causal {
            hide(scores, queries.start, panel, f32::NEG_INFINITY);
        }
        let totals = exponentials::<S, COLUMNS>(simd, scores);
        if self.shape.causal {
            hide(scores, queries.start, panel, 0.0);
        }
        let mut parts = [0.0; 4 * MAX_LANES];
        for (lanes, &total) in parts.chunks_exact_mut(S::LANES).zip(&totals) {
            simd.write(lanes, simd.div(simd.splat(1.0), total));
        }
        parts
    }

    /// Some of the result's columns for a panel's queries: the values, weighed by the scores times `parts`.
    #[inline(always)]
    fn weigh<S: Simd, const COLUMNS: usize>(
        &mut self,
        simd: S,
        queries: Range<usize>,
        panel: usize,
        columns: Range<usize>,
        parts: &[f32],
    ) {
        let seen = self.shape.seen(&queries);
        let Shape { tokens, width, heads, .. } = self.shape;
        let (depth, most, size) = (width / heads, rows_at_once::<S>(COLUMNS), COLUMNS * S::LANES);
        let values = &self.values[columns.start * tokens..][..seen * size];
        for start in (0..queries.len()).step_by(most) {
            let rows = most.min(queries.len() - start);
            let left = Left { values: &self.scores[start..seen * panel], row: 1, step: panel };
            let sums = &mut self.sums[..rows * size];
            multiply_few::<S, COLUMNS>(simd, rows, seen, left, values, &[], sums, false);
            for (index, sums) in sums.chunks_exact(size).enumerate() {
                let token = self.image * tokens + queries.start + start + index;
                let at = token * width + self.index * depth + columns.start;
                // SAFETY: no other task has this head's columns of this image.
                let to = unsafe { self.output.piece(at, columns.end.min(depth) - columns.start) };
                let part = simd.splat(parts[start + index]);
                for (to, sum) in to.chunks_mut(S::LANES).zip(sums.chunks_exact(S::LANES)) {
                    simd.write_new(to, simd.mul(simd.read(sum), part));
                }
            }
        }
    }
}

/// `length` columns in panels: as few as hold them, each as wide as the next or a vector narrower, so that the least is computed
/// that nobody asks for.
#[inline(always)]
pub(super) fn panels<S: Simd>(length: usize) -> impl Iterator<Item = Range<usize>> {
    let vectors = length.div_ceil(S::LANES);
    let panels = vectors.div_ceil(S::COLUMNS);
    (0..panels).map(move |panel| panel * vectors / panels * S::LANES..(panel + 1) * vectors / panels * S::LANES)
}

/// What queries are multiplied by, so that the scores are exponents of two.
#[inline(always)]
pub(super) fn score_scale(depth: usize) -> f32 {
    (depth as f32).powf(-0.5) * LOG2_E
}

/// Some columns of `count` tokens, rows `row` apart, one row behind the other, each with zeros up to a whole vector.
#[inline(always)]
pub(super) fn copy_rows<S: Simd>(
    simd: S,
    values: &[f32],
    count: usize,
    row: usize,
    columns: Range<usize>,
    to: &mut [f32],
) {
    let width = columns.len().next_multiple_of(S::LANES);
    for (token, to) in to.chunks_exact_mut(width).take(count).enumerate() {
        let from = &values[token * row..][columns.clone()];
        for (from, to) in from.chunks(S::LANES).zip(to.chunks_exact_mut(S::LANES)) {
            simd.write(to, simd.read(from));
        }
    }
}

/// `count` tokens, rows `row` apart, as the columns of one panel `[depth, panel]`, times `scale`; zeros in those that are missing.
#[inline(always)]
pub(super) fn copy_columns(values: &[f32], count: usize, row: usize, scale: f32, to: &mut [f32], panel: usize) {
    let depth = to.len() / panel;
    if count < panel {
        to.fill(0.0);
    }
    for column in 0..count {
        let from = &values[column * row..][..depth];
        for (value, to) in from.iter().zip(to[column..].iter_mut().step_by(panel)) {
            *to = value * scale;
        }
    }
}

/// Writes `value` where a token stands after the query: `scores` is `[token, query]`, the first query being `first`.
#[inline(always)]
pub(super) fn hide(scores: &mut [f32], first: usize, panel: usize, value: f32) {
    for (index, row) in scores[first * panel..].chunks_exact_mut(panel).enumerate() {
        row[..index].fill(value);
    }
}

/// Replaces every score by `2^(score − the column's largest)`; gives the columns' sums.
#[inline(always)]
pub(super) fn exponentials<S: Simd, const COLUMNS: usize>(simd: S, scores: &mut [f32]) -> [S::Vector; COLUMNS] {
    let panel = COLUMNS * S::LANES;
    let mut largest = [simd.splat(f32::NEG_INFINITY); COLUMNS];
    for row in scores.chunks_exact(panel) {
        for (largest, lanes) in largest.iter_mut().zip(row.chunks_exact(S::LANES)) {
            *largest = simd.max(*largest, simd.read(lanes));
        }
    }
    let mut totals = [simd.splat(0.0); COLUMNS];
    for row in scores.chunks_exact_mut(panel) {
        for ((lanes, &largest), total) in row.chunks_exact_mut(S::LANES).zip(&largest).zip(&mut totals) {
            let e = exp::exp2(simd, simd.sub(simd.read(lanes), largest));
            *total = simd.add(*total, e);
            simd.write(lanes, e);
        }
    }
    totals
}
