//! The gradient of softmax attention, one head of one image a task.
//!
//! Nothing but queries, keys and values is kept from the forward pass: a panel of queries at a time, the probabilities
//! are computed again while they are in the cache, as in Dao et al., `FlashAttention` (2022), algorithm 4. Everything
//! that belongs to a pair of tokens lies `[key, query]`, as in the forward pass.

use std::ops::Range;

use super::attention::{Shape, by_width, copy_columns, copy_rows, exponentials, hide, panels, score_scale, split};
use super::simd::{Instructions, Kernel, Simd};
use super::tile::{LINE, Left, MOST_ROWS, NewOutput, multiply, multiply_few, rows_at_once, with_scratch, written};
use crate::platform::parallel;

/// The gradient by `qkv` `[batch, tokens, 3 · width]` of [`super::attention::attention`], whose result's gradient is
/// `gradient` `[batch, tokens, width]`.
pub fn attention_backward(qkv: &[f32], shape: Shape, gradient: &[f32], instructions: Instructions) -> Vec<f32> {
    let Shape { batch, tokens, width, heads, .. } = shape;
    assert_eq!(qkv.len(), batch * tokens * 3 * width, "qkv is not [{batch}, {tokens}, 3 · {width}]");
    assert_eq!(gradient.len(), batch * tokens * width, "gradient is not [{batch}, {tokens}, {width}]");
    assert!(heads > 0 && width.is_multiple_of(heads), "{heads} heads do not divide a width of {width}");
    if qkv.is_empty() {
        return Vec::new();
    }
    let (depth, panel) = (width / heads, instructions.panel());
    let padded = depth.next_multiple_of(LINE);
    let (whole, part, pairs) = (tokens * padded, panel * padded, tokens * panel);
    let room = [whole, whole, whole, whole, whole, pairs, pairs, part, part, part, MOST_ROWS * panel];
    let fill = |output: &NewOutput<'_>| {
        parallel::for_each(batch * heads, |task| {
            let (image, index) = (task / heads, task % heads);
            with_scratch(room.iter().sum(), |scratch| {
                let [keys, values, key_panels, by_keys, by_values, scores, slopes, columns, queries, gradients, sums] =
                    split(scratch, room);
                let room = Room {
                    keys,
                    values,
                    key_panels,
                    by_keys,
                    by_values,
                    scores,
                    slopes,
                    columns,
                    queries,
                    gradients,
                    sums,
                };
                instructions.run(Head { qkv, gradient, shape, image, index, room, output });
            });
        });
    };
    // SAFETY: every column belongs to a head, and a task writes its head's columns of every token, in all three parts.
    unsafe { written(qkv.len(), fill) }
}

/// What a task works in.
struct Room<'a> {
    /// `[token, column]`, rows padded to whole vectors; so are the values.
    keys: &'a mut [f32],
    values: &'a mut [f32],
    /// `[panel][token][column]`; so are the gradients by keys and by values.
    key_panels: &'a mut [f32],
    by_keys: &'a mut [f32],
    by_values: &'a mut [f32],
    /// `[key, query]` of one panel of queries; so are the scores' gradients.
    scores: &'a mut [f32],
    slopes: &'a mut [f32],
    /// A panel of queries, or of gradients, `[column, query]`.
    columns: &'a mut [f32],
    /// The same as `[panel][query][column]`.
    queries: &'a mut [f32],
    gradients: &'a mut [f32],
    /// A few rows of the gradient by the queries in one panel of its columns.
    sums: &'a mut [f32],
}

/// One head of one image.
struct Head<'a> {
    qkv: &'a [f32],
    gradient: &'a [f32],
    shape: Shape,
    image: usize,
    index: usize,
    room: Room<'a>,
    output: &'a NewOutput<'a>,
}

impl Kernel for Head<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let Shape { tokens, width, heads, .. } = self.shape;
        let (depth, row) = (width / heads, 3 * width);
        let image = &self.qkv[self.image * tokens * row + self.index * depth..];
        copy_rows(simd, &image[width..], tokens, row, 0..depth, self.room.keys);
        copy_rows(simd, &image[2 * width..], tokens, row, 0..depth, self.room.values);
        copy_panels(simd, &image[width..], tokens, row, depth, self.room.key_panels);
        self.room.by_keys.fill(0.0);
        self.room.by_values.fill(0.0);
        for panel in panels::<S>(tokens) {
            let queries = panel.start..panel.end.min(tokens);
            by_width!(S, panel, self.slopes(simd, queries.clone()));
            self.copy_queries(simd, &queries);
            for columns in panels::<S>(depth) {
                by_width!(S, columns, self.products(simd, queries.clone(), panel.len(), columns.clone()));
            }
        }
        for columns in panels::<S>(depth) {
            let place = columns.start * tokens..columns.end * tokens;
            self.write(simd, 0, 1, columns.clone(), &self.room.by_keys[place.clone()]);
            self.write(simd, 0, 2, columns, &self.room.by_values[place]);
        }
    }
}

impl<'a> Head<'a> {
    /// What lies from a query on, and from its gradient on.
    #[inline(always)]
    fn query(&self, query: usize) -> (&'a [f32], &'a [f32]) {
        let Shape { tokens, width, heads, .. } = self.shape;
        let (token, column) = (self.image * tokens + query, self.index * (width / heads));
        (&self.qkv[token * 3 * width + column..], &self.gradient[token * width + column..])
    }

    /// Fills `scores` with the probabilities `P` of a panel of queries, `COLUMNS` vectors wide, and `slopes` with `∂S`.
    #[inline(always)]
    fn slopes<S: Simd, const COLUMNS: usize>(&mut self, simd: S, queries: Range<usize>) {
        let Shape { width, heads, causal, .. } = self.shape;
        let (depth, panel) = (width / heads, COLUMNS * S::LANES);
        let (padded, seen) = (depth.next_multiple_of(S::LANES), self.shape.seen(&queries));
        let (query, gradient) = self.query(queries.start);
        let Room { keys, values, scores, slopes, columns, .. } = &mut self.room;
        let (scores, slopes) = (&mut scores[..seen * panel], &mut slopes[..seen * panel]);
        let columns = &mut columns[..depth * panel];

        // P = softmax(Q · Kᵀ), but for its denominator.
        copy_columns(query, queries.len(), 3 * width, score_scale(depth), columns, panel);
        let left = Left { values: keys, row: padded, step: 1 };
        multiply::<S, COLUMNS>(simd, seen, depth, left, columns, scores, false);
        if causal {
            hide(scores, queries.start, panel, f32::NEG_INFINITY);
        }
        let totals = exponentials::<S, COLUMNS>(simd, scores);
        // ∂P = ∂O · Vᵀ
        copy_columns(gradient, queries.len(), width, 1.0, columns, panel);
        let left = Left { values, row: padded, step: 1 };
        multiply::<S, COLUMNS>(simd, seen, depth, left, columns, slopes, false);
        if causal {
            hide(scores, queries.start, panel, 0.0);
            hide(slopes, queries.start, panel, 0.0);
        }
        softmax_backward::<S, COLUMNS>(simd, scores, slopes, totals, (depth as f32).powf(-0.5));
    }

    /// Puts a panel's queries and their gradients side by side for [`Self::products`].
    #[inline(always)]
    fn copy_queries<S: Simd>(&mut self, simd: S, queries: &Range<usize>) {
        let Shape { width, heads, .. } = self.shape;
        let (query, gradient) = self.query(queries.start);
        copy_panels(simd, query, queries.len(), 3 * width, width / heads, self.room.queries);
        copy_panels(simd, gradient, queries.len(), width, width / heads, self.room.gradients);
    }

    /// Some columns of `∂V += Pᵀ · ∂O`, `∂K += ∂Sᵀ · Q` and `∂Q = ∂S · K` for a panel of queries.
    #[inline(always)]
    fn products<S: Simd, const COLUMNS: usize>(
        &mut self,
        simd: S,
        queries: Range<usize>,
        panel: usize,
        columns: Range<usize>,
    ) {
        let (count, tokens, seen) = (queries.len(), self.shape.tokens, self.shape.seen(&queries));
        let (most, size) = (rows_at_once::<S>(COLUMNS), COLUMNS * S::LANES);
        let Room { scores, slopes, queries: rows, gradients, by_keys, by_values, .. } = &mut self.room;
        for (pairs, right, sums) in [(&*scores, &*gradients, by_values), (&*slopes, &*rows, by_keys)] {
            let left = Left { values: pairs, row: panel, step: 1 };
            let right = &right[columns.start * count..columns.end * count];
            let sums = &mut sums[columns.start * tokens..columns.end * tokens];
            multiply::<S, COLUMNS>(simd, seen, count, left, right, sums, true);
        }
        let keys = &self.room.key_panels[columns.start * tokens..][..seen * size];
        for start in (0..count).step_by(most) {
            let rows = most.min(count - start);
            let left = Left { values: &self.room.slopes[start..seen * panel], row: 1, step: panel };
            let sums = &mut self.room.sums[..rows * size];
            multiply_few::<S, COLUMNS>(simd, rows, seen, left, keys, &[], sums, false);
            self.write(simd, queries.start + start, 0, columns.clone(), &self.room.sums[..rows * size]);
        }
    }

    /// Writes some columns of the gradient by the queries (`part` 0), keys (1) or values (2) for the tokens from `first` on.
    #[inline(always)]
    fn write<S: Simd>(&self, simd: S, first: usize, part: usize, columns: Range<usize>, rows: &[f32]) {
        let Shape { tokens, width, heads, .. } = self.shape;
        let depth = width / heads;
        for (token, row) in rows.chunks_exact(columns.len()).enumerate() {
            let token = self.image * tokens + first + token;
            let at = (token * 3 + part) * width + self.index * depth + columns.start;
            // SAFETY: no other task has this head's columns of this image.
            let to = unsafe { self.output.piece(at, columns.end.min(depth) - columns.start) };
            for (to, lanes) in to.chunks_mut(S::LANES).zip(row.chunks_exact(S::LANES)) {
                simd.write_new(to, simd.read(lanes));
            }
        }
    }
}

/// `count` tokens of `depth` columns, rows `row` apart, as panels `[panel][token][column]`, zeros in the missing columns.
#[inline(always)]
fn copy_panels<S: Simd>(simd: S, values: &[f32], count: usize, row: usize, depth: usize, to: &mut [f32]) {
    for panel in panels::<S>(depth) {
        copy_rows(simd, values, count, row, panel.start..panel.end.min(depth), &mut to[panel.start * count..]);
    }
}

/// Divides the exponentials in `scores` by their columns' `totals`, so that they are the probabilities `P`, and replaces
/// `∂P` in `slopes` by `∂S = P ∘ (∂P − Σ ∂P ∘ P) · scale`.
#[inline(always)]
fn softmax_backward<S: Simd, const COLUMNS: usize>(
    simd: S,
    scores: &mut [f32],
    slopes: &mut [f32],
    totals: [S::Vector; COLUMNS],
    scale: f32,
) {
    let panel = COLUMNS * S::LANES;
    let mut factors = totals;
    for factor in &mut factors {
        *factor = simd.div(simd.splat(1.0), *factor);
    }
    let mut inner = [simd.splat(0.0); COLUMNS];
    for (score, slope) in scores.chunks_exact_mut(panel).zip(slopes.chunks_exact(panel)) {
        let lanes = score.chunks_exact_mut(S::LANES).zip(slope.chunks_exact(S::LANES));
        for ((score, slope), (&factor, inner)) in lanes.zip(factors.iter().zip(&mut inner)) {
            let p = simd.mul(simd.read(score), factor);
            *inner = simd.mul_add(p, simd.read(slope), *inner);
            simd.write(score, p);
        }
    }
    for (score, slope) in scores.chunks_exact(panel).zip(slopes.chunks_exact_mut(panel)) {
        let lanes = score.chunks_exact(S::LANES).zip(slope.chunks_exact_mut(S::LANES));
        for ((score, slope), &inner) in lanes.zip(&inner) {
            let p = simd.mul(simd.read(score), simd.splat(scale));
            let difference = simd.sub(simd.read(slope), inner);
            simd.write(slope, simd.mul(p, difference));
        }
    }
}
