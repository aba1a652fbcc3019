//! The first half of a low-rank branch, `dropout(x) · downᵀ`, and its gradients (Hu et al., `LoRA`, 2021, equation 3).
//!
//! The products are so thin that reading `x` is what they cost. So every row is read once for all groups and stays in the
//! first-level cache; the masks are hashed on the way and never written anywhere.

use std::mem::MaybeUninit;

use super::super::Dropout;
use super::super::dropout::{MULTIPLIERS, SHIFTS, STRIDE, seed_terms};
use super::simd::{Instructions, Kernel, Simd};
use super::tile::{Aligned, NewOutput, Output, written};
use crate::platform::parallel;

/// Rows at once: each number of `down` that is read serves so many.
const ROWS: usize = 4;

/// The least rows a task: enough to be worth handing to a thread.
const LEAST_ROWS: usize = 64;

/// The most tasks. Each has its own sum of the gradient by `down`.
const MOST_TASKS: usize = 32;

/// What all kernels here are given.
#[derive(Clone, Copy)]
struct Branch<'a> {
    /// `[rows, width]`
    x: &'a [f32],
    /// `[groups · rank, width]`
    down: &'a [f32],
    width: usize,
    dropout: &'a Dropout,
    /// What [`Dropout::threshold`] and [`Dropout::scale`] give. Asked for at every vector, they cost more than the mask: where there
    /// is no instruction for it, rounding is a call.
    threshold: u32,
    scale: f32,
}

impl<'a> Branch<'a> {
    fn new(x: &'a [f32], down: &'a [f32], width: usize, dropout: &'a Dropout) -> Self {
        assert!(width > 0 && x.len().is_multiple_of(width), "x is not [rows, {width}]");
        let groups = dropout.groups();
        assert!(groups > 0 && down.len().is_multiple_of(groups * width), "down is not [{groups} · rank, {width}]");
        Self { x, down, width, dropout, threshold: dropout.threshold(), scale: dropout.scale() }
    }

    fn rows(&self) -> usize {
        self.x.len() / self.width
    }

    /// Rows of `down`.
    fn outputs(&self) -> usize {
        self.down.len() / self.width
    }

    /// Rows of `down` in a group.
    fn rank(&self) -> usize {
        self.outputs() / self.dropout.groups()
    }

    /// How many rows a task takes. It must not depend on the threads: sums end where tasks do.
    fn rows_in_task(&self) -> usize {
        self.rows().div_ceil(MOST_TASKS).max(LEAST_ROWS).next_multiple_of(ROWS)
    }

    /// The factors of one vector of `x`: the dropout's scale or 0, as [`Dropout::mask`] has them.
    #[inline(always)]
    fn factors<S: Simd>(&self, simd: S, group: usize, row: usize, column: usize) -> S::Vector {
        let [first, second] = seed_terms(self.dropout.seeds[group]);
        let index = (row * self.width + column) as u32;
        let bits = simd.integers(index.wrapping_mul(STRIDE).wrapping_add(first), STRIDE);
        let bits = simd.mul_integers(simd.xor_shift(bits, SHIFTS[0]), simd.integers(MULTIPLIERS[0], 0));
        let bits = simd.add_integers(simd.xor_shift(bits, SHIFTS[1]), simd.integers(second, 0));
        let bits = simd.mul_integers(bits, simd.integers(MULTIPLIERS[1], 0));
        let bits = simd.xor_shift(bits, SHIFTS[2]);
        simd.where_at_least(bits, simd.integers(self.threshold, 0), simd.splat(self.scale))
    }
}

/// `dropout(x) · downᵀ` for `x` `[rows, width]` and `down` `[groups · rank, width]`, where each group sees `x` through
/// its own mask; gives `[rows, groups · rank]`.
pub fn low_rank_down(x: &[f32], down: &[f32], width: usize, dropout: &Dropout, instructions: Instructions) -> Vec<f32> {
    let branch = Branch::new(x, down, width, dropout);
    let (rows, outputs, size) = (branch.rows(), branch.outputs(), branch.rows_in_task());
    let mut result = vec![0.0; rows * outputs];
    let output = Output::new(&mut result);
    parallel::for_each(rows.div_ceil(size), |task| {
        let first = task * size;
        let rows = size.min(rows - first);
        // SAFETY: no other task has these rows.
        let output = unsafe { output.piece(first * outputs, rows * outputs) };
        instructions.run(Down { branch, first, rows, output });
    });
    result
}

struct Down<'a> {
    branch: Branch<'a>,
    first: usize,
    rows: usize,
    output: &'a mut [f32],
}

impl Kernel for Down<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let mut seen = Aligned::zeros(ROWS * self.branch.width.next_multiple_of(S::LANES));
        for start in (0..self.rows).step_by(ROWS) {
            match self.rows - start {
                1 => self.rows::<S, 1>(simd, start, seen.as_mut_slice()),
                2 => self.rows::<S, 2>(simd, start, seen.as_mut_slice()),
                3 => self.rows::<S, 3>(simd, start, seen.as_mut_slice()),
                _ => self.rows::<S, ROWS>(simd, start, seen.as_mut_slice()),
            }
        }
    }
}

impl Down<'_> {
    /// `M` rows from `start`; `seen` has room for them, each rounded up to whole vectors.
    #[inline(always)]
    fn rows<S: Simd, const M: usize>(&mut self, simd: S, start: usize, seen: &mut [f32]) {
        let Branch { x, down, width, dropout, .. } = self.branch;
        let (outputs, rank) = (self.branch.outputs(), self.branch.rank());
        let (length, everything) = (width.next_multiple_of(S::LANES), dropout.is_none());
        for group in 0..dropout.groups() {
            for (m, seen) in seen.chunks_exact_mut(length).take(M).enumerate() {
                let row = self.first + start + m;
                let x = &x[row * width..][..width];
                for (index, (x, to)) in x.chunks(S::LANES).zip(seen.chunks_exact_mut(S::LANES)).enumerate() {
                    let mut x = simd.read(x);
                    if !everything {
                        x = simd.mul(x, self.branch.factors(simd, group, row, index * S::LANES));
                    }
                    simd.write(to, x);
                }
            }
            let seen = &seen[..M * length];
            for output in group * rank..(group + 1) * rank {
                let mut sums = [simd.splat(0.0); M];
                for (index, down) in down[output * width..][..width].chunks(S::LANES).enumerate() {
                    let down = simd.read(down);
                    for (m, sum) in sums.iter_mut().enumerate() {
                        // SAFETY: each of the `M` rows in `seen` has as many whole vectors as `down` has vectors.
                        let seen = unsafe { simd.load(seen.as_ptr().add(m * length + index * S::LANES)) };
                        *sum = simd.mul_add(seen, down, *sum);
                    }
                }
                for (m, sum) in sums.into_iter().enumerate() {
                    self.output[(start + m) * outputs + output] = simd.sum(sum);
                }
            }
        }
    }
}

/// The gradients of [`low_rank_down`] by `x` `[rows, width]` and by `down` `[groups · rank, width]`, `gradient` being that
/// of its result, `[rows, groups · rank]`.
pub fn low_rank_down_backward(
    x: &[f32],
    down: &[f32],
    width: usize,
    dropout: &Dropout,
    gradient: &[f32],
    instructions: Instructions,
) -> (Vec<f32>, Vec<f32>) {
    let branch = Branch::new(x, down, width, dropout);
    let (rows, size) = (branch.rows(), branch.rows_in_task());
    assert_eq!(gradient.len(), rows * branch.outputs(), "gradient is not [{rows}, {}]", branch.outputs());
    let tasks = rows.div_ceil(size);
    let mut sums = vec![0.0; tasks * down.len()];
    let partial = Output::new(&mut sums);
    let fill = |output: &NewOutput<'_>| {
        parallel::for_each(tasks, |task| {
            let first = task * size;
            let rows = size.min(rows - first);
            // SAFETY: no other task has these rows.
            let by_x = unsafe { output.piece(first * width, rows * width) };
            // SAFETY: no other task has this sum.
            let by_down = unsafe { partial.piece(task * down.len(), down.len()) };
            instructions.run(Backward { branch, gradient, first, rows, by_x, by_down });
        });
    };
    // SAFETY: the tasks' rows are all rows, and a task writes all of its own.
    let by_x = unsafe { written(x.len(), fill) };
    let mut by_down = vec![0.0; down.len()];
    if !down.is_empty() {
        for sums in sums.chunks_exact(down.len()) {
            by_down.iter_mut().zip(sums).for_each(|(to, sum)| *to += sum);
        }
    }
    (by_x, by_down)
}

struct Backward<'a> {
    branch: Branch<'a>,
    gradient: &'a [f32],
    first: usize,
    rows: usize,
    by_x: &'a mut [MaybeUninit<f32>],
    by_down: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        for start in (0..self.rows).step_by(ROWS) {
            match self.rows - start {
                1 => self.rows::<S, 1>(simd, start),
                2 => self.rows::<S, 2>(simd, start),
                3 => self.rows::<S, 3>(simd, start),
                _ => self.rows::<S, ROWS>(simd, start),
            }
        }
    }
}

impl Backward<'_> {
    /// `M` rows from `start`, a vector of columns at a time.
    #[inline(always)]
    fn rows<S: Simd, const M: usize>(&mut self, simd: S, start: usize) {
        let width = self.branch.width;
        let whole = width / S::LANES * S::LANES;
        for column in (0..whole).step_by(S::LANES) {
            self.columns::<S, M>(simd, start, column, S::LANES);
        }
        if whole < width {
            self.columns::<S, M>(simd, start, whole, width - whole);
        }
    }

    /// `M` rows from `start` in the `lanes` columns from `column`, at most a vector.
    #[inline(always)]
    fn columns<S: Simd, const M: usize>(&mut self, simd: S, start: usize, column: usize, lanes: usize) {
        let Branch { x, down, width, dropout, .. } = self.branch;
        let (outputs, rank) = (self.branch.outputs(), self.branch.rank());
        let (first, everything, one) = (self.first + start, dropout.is_none(), simd.splat(1.0));
        let gradient = &self.gradient[first * outputs..][..M * outputs];
        let mut by_x = [simd.splat(0.0); M];
        for group in 0..dropout.groups() {
            let mut factors = [one; M];
            let mut seen = [one; M];
            for m in 0..M {
                let x = simd.read(&x[(first + m) * width + column..][..lanes]);
                if !everything {
                    factors[m] = self.branch.factors(simd, group, first + m, column);
                }
                seen[m] = simd.mul(x, factors[m]);
            }
            let mut by_seen = [simd.splat(0.0); M];
            for output in group * rank..(group + 1) * rank {
                let at = output * width + column;
                let down = simd.read(&down[at..at + lanes]);
                let to = &mut self.by_down[at..at + lanes];
                let mut sum = simd.read(to);
                for m in 0..M {
                    let gradient = simd.splat(gradient[m * outputs + output]);
                    by_seen[m] = simd.mul_add(gradient, down, by_seen[m]);
                    sum = simd.mul_add(gradient, seen[m], sum);
                }
                simd.write(to, sum);
            }
            for m in 0..M {
                by_x[m] = simd.mul_add(by_seen[m], factors[m], by_x[m]);
            }
        }
        for (m, &by_x) in by_x.iter().enumerate() {
            simd.write_new(&mut self.by_x[(start + m) * width + column..][..lanes], by_x);
        }
    }
}
