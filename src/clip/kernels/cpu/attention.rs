//! Softmax attention (Vaswani et al., 2017, equation 1), one head of one image a task.
//!
//! A task takes a panel of queries at a time. Their scores are kept with the queries side by side, `[token, query]`, so
//! that the softmax runs down the columns: no sum across a register, no rest at the end of a row. Keys are used where
//! they lie; queries and values are packed into panels for the microkernel.

use super::exp;
use super::simd::{Instructions, Kernel, Simd};
use super::tile::{Aligned, Left, Output, multiply, rows_at_once};
use crate::platform::parallel;

/// How many vectors wide the panels are. Two waste little when the number of tokens is odd, as it is in CLIP.
pub(super) const COLUMNS: usize = 2;

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

/// Attention of every head; gives `[batch, tokens, width]`.
pub fn attention(qkv: &[f32], shape: Shape, instructions: Instructions) -> Vec<f32> {
    let Shape { batch, tokens, width, heads, .. } = shape;
    assert_eq!(qkv.len(), batch * tokens * 3 * width, "qkv is not [{batch}, {tokens}, 3 · {width}]");
    assert!(heads > 0 && width.is_multiple_of(heads), "{heads} heads do not divide a width of {width}");
    let mut result = vec![0.0; batch * tokens * width];
    if result.is_empty() {
        return result;
    }
    let output = Output::new(&mut result);
    parallel::for_each(batch * heads, |task| {
        instructions.run(Head { qkv, shape, image: task / heads, index: task % heads, output: &output });
    });
    result
}

/// One head of one image.
struct Head<'a> {
    qkv: &'a [f32],
    shape: Shape,
    image: usize,
    index: usize,
    output: &'a Output<'a>,
}

impl Kernel for Head<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Shape { tokens, width, heads, causal, .. } = self.shape;
        let (depth, panel, most) = (width / heads, COLUMNS * S::LANES, rows_at_once::<S>(COLUMNS));
        let image = &self.qkv[self.image * tokens * 3 * width..][..tokens * 3 * width];
        let (queries, keys, values) = (
            &image[self.index * depth..],
            &image[width + self.index * depth..],
            &image[2 * width + self.index * depth..],
        );
        let values = pack_rows(values, tokens, 3 * width, depth, panel);
        let scale = (depth as f32).powf(-0.5);

        let mut query = Aligned::zeros(depth * panel);
        let mut scores = Aligned::zeros(tokens * panel);
        let mut product = Aligned::zeros(most * panel);
        let (query, scores, product) = (query.as_mut_slice(), scores.as_mut_slice(), product.as_mut_slice());
        for first in (0..tokens).step_by(panel) {
            let count = panel.min(tokens - first);
            pack_columns(&queries[first * 3 * width..], count, 3 * width, scale, query, panel);
            let seen = if causal { first + count } else { tokens };
            let scores = &mut scores[..seen * panel];
            let left = Left { values: keys, row: 3 * width, step: 1 };
            multiply::<S, COLUMNS>(simd, seen, depth, left, query, scores, false);
            if causal {
                hide(scores, first, panel, f32::NEG_INFINITY);
            }
            let sums = exponentials(simd, scores);
            if causal {
                hide(scores, first, panel, 0.0);
            }
            for row in (0..count).step_by(most) {
                let rows = most.min(count - row);
                let left = Left { values: &scores[row..], row: 1, step: panel };
                for (index, values) in values.as_slice().chunks_exact(tokens * panel).enumerate() {
                    multiply::<S, COLUMNS>(simd, rows, seen, left, values, product, false);
                    let columns = panel.min(depth - index * panel);
                    for (r, product) in product.chunks_exact(panel).take(rows).enumerate() {
                        let token = self.image * tokens + first + row + r;
                        let at = token * width + self.index * depth + index * panel;
                        // SAFETY: no other task has this head's columns of this image.
                        let output = unsafe { self.output.piece(at, columns) };
                        let factor = simd.splat(1.0 / sums[row + r]);
                        for (to, lanes) in output.chunks_mut(S::LANES).zip(product.chunks_exact(S::LANES)) {
                            simd.write(to, simd.mul(simd.read(lanes), factor));
                        }
                    }
                }
            }
        }
    }
}

/// A head's part, `[tokens, depth]` with rows `row` apart, as panels `[panel][token][column]`.
#[inline(always)]
pub(super) fn pack_rows(values: &[f32], tokens: usize, row: usize, depth: usize, panel: usize) -> Aligned {
    let mut packed = Aligned::zeros(depth.div_ceil(panel) * tokens * panel);
    for (index, to) in packed.as_mut_slice().chunks_exact_mut(tokens * panel).enumerate() {
        let start = index * panel;
        let columns = panel.min(depth - start);
        for (token, to) in to.chunks_exact_mut(panel).enumerate() {
            to[..columns].copy_from_slice(&values[token * row + start..][..columns]);
        }
    }
    packed
}

/// `count` tokens, rows `row` apart, as the columns of one panel `[depth, panel]`, times `scale`.
#[inline(always)]
pub(super) fn pack_columns(values: &[f32], count: usize, row: usize, scale: f32, to: &mut [f32], panel: usize) {
    let depth = to.len() / panel;
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

/// Replaces every score by `exp(score − the column's largest)`; gives the columns' sums.
#[inline(always)]
pub(super) fn exponentials<S: Simd>(simd: S, scores: &mut [f32]) -> [f32; COLUMNS * super::simd::MAX_LANES] {
    let panel = COLUMNS * S::LANES;
    let mut sums = [0.0; COLUMNS * super::simd::MAX_LANES];
    for (column, to) in sums[..panel].chunks_exact_mut(S::LANES).enumerate() {
        let at = column * S::LANES;
        let mut largest = simd.splat(f32::NEG_INFINITY);
        for row in scores.chunks_exact(panel) {
            largest = simd.max(largest, simd.read(&row[at..at + S::LANES]));
        }
        let mut sum = simd.splat(0.0);
        for row in scores.chunks_exact_mut(panel) {
            let lanes = &mut row[at..at + S::LANES];
            let e = exp::exp(simd, simd.sub(simd.read(lanes), largest));
            sum = simd.add(sum, e);
            simd.write(lanes, e);
        }
        simd.write(to, sum);
    }
    sums
}
