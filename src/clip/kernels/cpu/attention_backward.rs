//! The gradient of softmax attention, one head of one image a task.
//!
//! Nothing but queries, keys and values is kept from the forward pass: a panel of queries at a time, the probabilities
//! are computed again while they are in the cache, as in Dao et al., `FlashAttention` (2022), algorithm 4. Everything
//! that belongs to a pair of tokens lies `[key, query]`, as in the forward pass.

use super::attention::{COLUMNS, Shape, exponentials, hide, pack_columns, pack_rows};
use super::simd::{Instructions, Kernel, Simd};
use super::tile::{Aligned, Left, Output, multiply, multiply_few, rows_at_once};
use crate::platform::parallel;

/// The gradient by `qkv` `[batch, tokens, 3 · width]` of [`super::attention::attention`], whose result's gradient is
/// `gradient` `[batch, tokens, width]`.
pub fn attention_backward(qkv: &[f32], shape: Shape, gradient: &[f32], instructions: Instructions) -> Vec<f32> {
    let Shape { batch, tokens, width, heads, .. } = shape;
    assert_eq!(qkv.len(), batch * tokens * 3 * width, "qkv is not [{batch}, {tokens}, 3 · {width}]");
    assert_eq!(gradient.len(), batch * tokens * width, "gradient is not [{batch}, {tokens}, {width}]");
    assert!(heads > 0 && width.is_multiple_of(heads), "{heads} heads do not divide a width of {width}");
    let mut result = vec![0.0; qkv.len()];
    if result.is_empty() {
        return result;
    }
    let output = Output::new(&mut result);
    parallel::for_each(batch * heads, |task| {
        let (image, index) = (task / heads, task % heads);
        instructions.run(Head { qkv, gradient, shape, image, index, output: &output });
    });
    result
}

/// One head of one image.
struct Head<'a> {
    qkv: &'a [f32],
    gradient: &'a [f32],
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
        let (depth, panel, row) = (width / heads, COLUMNS * S::LANES, 3 * width);
        let most = rows_at_once::<S>(COLUMNS);
        let image = &self.qkv[self.image * tokens * row..][..tokens * row];
        let queries = &image[self.index * depth..];
        let keys = &image[width + self.index * depth..];
        let values = &image[2 * width + self.index * depth..];
        let gradient = &self.gradient[self.image * tokens * width..][..tokens * width][self.index * depth..];
        let scale = (depth as f32).powf(-0.5);

        let packed_keys = pack_rows(keys, tokens, row, depth, panel);
        let size = packed_keys.as_slice().len();
        let (mut by_keys, mut by_values) = (Aligned::zeros(size), Aligned::zeros(size));
        let mut columns = Aligned::zeros(depth * panel);
        let mut scores = Aligned::zeros(tokens * panel);
        let mut slopes = Aligned::zeros(tokens * panel);
        let mut product = Aligned::zeros(most * panel);
        let (scores, slopes, product) = (scores.as_mut_slice(), slopes.as_mut_slice(), product.as_mut_slice());
        for first in (0..tokens).step_by(panel) {
            let count = panel.min(tokens - first);
            let seen = if causal { first + count } else { tokens };
            let (scores, slopes) = (&mut scores[..seen * panel], &mut slopes[..seen * panel]);
            let (query, gradient) = (&queries[first * row..], &gradient[first * width..]);

            // P = softmax(Q · Kᵀ), but for its denominator.
            pack_columns(query, count, row, scale, columns.as_mut_slice(), panel);
            let left = Left { values: keys, row, step: 1 };
            multiply::<S, COLUMNS>(simd, seen, depth, left, columns.as_slice(), scores, false);
            if causal {
                hide(scores, first, panel, f32::NEG_INFINITY);
            }
            let sums = exponentials(simd, scores);
            // ∂P = ∂O · Vᵀ
            pack_columns(gradient, count, width, 1.0, columns.as_mut_slice(), panel);
            let left = Left { values, row, step: 1 };
            multiply::<S, COLUMNS>(simd, seen, depth, left, columns.as_slice(), slopes, false);
            if causal {
                hide(scores, first, panel, 0.0);
                hide(slopes, first, panel, 0.0);
            }
            softmax_backward(simd, scores, slopes, &sums, scale);

            // ∂V += Pᵀ · ∂O and ∂K += ∂Sᵀ · Q
            for (left, right, row, sums) in
                [(&*scores, gradient, width, &mut by_values), (&*slopes, query, row, &mut by_keys)]
            {
                let right = pack_rows(right, count, row, depth, panel);
                let left = Left { values: left, row: panel, step: 1 };
                for (right, sums) in right
                    .as_slice()
                    .chunks_exact(count * panel)
                    .zip(sums.as_mut_slice().chunks_exact_mut(tokens * panel))
                {
                    multiply::<S, COLUMNS>(simd, seen, count, left, right, sums, true);
                }
            }
            // ∂Q = ∂S · K
            for start in (0..count).step_by(most) {
                let rows = most.min(count - start);
                let left = Left { values: &slopes[start..], row: 1, step: panel };
                for (index, keys) in packed_keys.as_slice().chunks_exact(tokens * panel).enumerate() {
                    multiply_few::<S, COLUMNS>(simd, rows, seen, left, keys, &[], product, false);
                    self.write(first + start, 0, index, &product[..rows * panel], panel);
                }
            }
        }
        for (part, sums) in [(1, by_keys), (2, by_values)] {
            for (index, sums) in sums.as_slice().chunks_exact(tokens * panel).enumerate() {
                self.write(0, part, index, sums, panel);
            }
        }
    }
}

impl Head<'_> {
    /// Writes panel `index` of the gradient by the queries (`part` 0), keys (1) or values (2) for the tokens from `first`.
    #[inline(always)]
    fn write(&self, first: usize, part: usize, index: usize, rows: &[f32], panel: usize) {
        let Shape { tokens, width, heads, .. } = self.shape;
        let depth = width / heads;
        let columns = panel.min(depth - index * panel);
        for (token, row) in rows.chunks_exact(panel).enumerate() {
            let token = self.image * tokens + first + token;
            let at = (token * 3 + part) * width + self.index * depth + index * panel;
            // SAFETY: no other task has this head's columns of this image.
            unsafe { self.output.piece(at, columns) }.copy_from_slice(&row[..columns]);
        }
    }
}

/// Divides the exponentials in `scores` by their columns' `sums`, so that they are the probabilities `P`, and replaces
/// `∂P` in `slopes` by `∂S = P ∘ (∂P − Σ ∂P ∘ P) · scale`.
#[inline(always)]
fn softmax_backward<S: Simd>(simd: S, scores: &mut [f32], slopes: &mut [f32], sums: &[f32], scale: f32) {
    let panel = COLUMNS * S::LANES;
    for at in (0..panel).step_by(S::LANES) {
        let lanes = at..at + S::LANES;
        let factor = simd.div(simd.splat(1.0), simd.read(&sums[lanes.clone()]));
        let mut inner = simd.splat(0.0);
        for (score, slope) in scores.chunks_exact_mut(panel).zip(slopes.chunks_exact(panel)) {
            let p = simd.mul(simd.read(&score[lanes.clone()]), factor);
            inner = simd.mul_add(p, simd.read(&slope[lanes.clone()]), inner);
            simd.write(&mut score[lanes.clone()], p);
        }
        for (score, slope) in scores.chunks_exact(panel).zip(slopes.chunks_exact_mut(panel)) {
            let p = simd.mul(simd.read(&score[lanes.clone()]), simd.splat(scale));
            let to = &mut slope[lanes.clone()];
            simd.write(to, simd.mul(p, simd.sub(simd.read(to), inner)));
        }
    }
}
