//! The microkernel of every matrix product here, and the memory that it works in.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::RefCell;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use super::simd::Simd;

/// Numbers in a cache line.
pub const LINE: usize = 16;

/// The most rows that the microkernel takes at once.
pub const MOST_ROWS: usize = 6;

/// How many rows the microkernel takes at once beside panels of `columns` vectors. Six rows fill the registers of AVX-512 (24 of
/// 32) and of AVX2 (12 of 16), and load less than they multiply.
pub const fn rows_at_once<S: Simd>(columns: usize) -> usize {
    if S::SUMS / columns < MOST_ROWS { S::SUMS / columns } else { MOST_ROWS }
}

/// The left factor: `rows × depth` numbers anywhere in a slice.
#[derive(Clone, Copy)]
pub struct Left<'a> {
    /// Where the numbers are, from the first row's first on.
    pub values: &'a [f32],
    /// How far the rows lie apart.
    pub row: usize,
    /// How far one row's numbers lie apart.
    pub step: usize,
}

/// `c = a · b`, or `c += a · b` if `accumulate`, of any number of rows.
///
/// `b` is a panel `[depth, COLUMNS · LANES]` and `c` is `[rows, COLUMNS · LANES]`. Each sum runs over `depth` in order,
/// whatever the number of rows.
#[inline(always)]
pub fn multiply<S: Simd, const COLUMNS: usize>(
    simd: S,
    rows: usize,
    depth: usize,
    a: Left<'_>,
    b: &[f32],
    c: &mut [f32],
    accumulate: bool,
) {
    let most = rows_at_once::<S>(COLUMNS);
    for start in (0..rows).step_by(most) {
        let a = Left { values: &a.values[start * a.row..], ..a };
        let c = &mut c[start * COLUMNS * S::LANES..];
        multiply_few::<S, COLUMNS>(simd, most.min(rows - start), depth, a, b, &[], c, accumulate);
    }
}

/// [`multiply`] for at most [`rows_at_once`], asking for the numbers in `ahead` meanwhile, evenly and at least a cache line a turn: what is
/// needed next arrives while the multipliers are busy.
#[allow(clippy::too_many_arguments, reason = "a microkernel's operands")]
#[inline(always)]
pub fn multiply_few<S: Simd, const COLUMNS: usize>(
    simd: S,
    rows: usize,
    depth: usize,
    a: Left<'_>,
    b: &[f32],
    ahead: &[f32],
    c: &mut [f32],
    accumulate: bool,
) {
    // Only those are compiled that can be asked for.
    let most = rows_at_once::<S>(COLUMNS);
    match rows {
        1 => tile::<S, 1, COLUMNS>(simd, depth, a, b, ahead, c, accumulate),
        2 => tile::<S, 2, COLUMNS>(simd, depth, a, b, ahead, c, accumulate),
        3 if most >= 3 => tile::<S, 3, COLUMNS>(simd, depth, a, b, ahead, c, accumulate),
        4 if most >= 4 => tile::<S, 4, COLUMNS>(simd, depth, a, b, ahead, c, accumulate),
        5 if most >= 5 => tile::<S, 5, COLUMNS>(simd, depth, a, b, ahead, c, accumulate),
        MOST_ROWS if most >= MOST_ROWS => tile::<S, MOST_ROWS, COLUMNS>(simd, depth, a, b, ahead, c, accumulate),
        _ => unreachable!("{rows} rows at once"),
    }
}

/// [`multiply`] for `M` rows, all sums in registers.
#[inline(always)]
fn tile<S: Simd, const M: usize, const COLUMNS: usize>(
    simd: S,
    depth: usize,
    a: Left<'_>,
    b: &[f32],
    ahead: &[f32],
    c: &mut [f32],
    accumulate: bool,
) {
    let width = COLUMNS * S::LANES;
    assert!(depth > 0 && a.values.len() > (M - 1) * a.row + (depth - 1) * a.step, "left factor too short");
    assert!(b.len() >= depth * width && c.len() >= M * width, "panel or result too short");
    let mut sums = [[simd.splat(0.0); COLUMNS]; M];
    // SAFETY: the assertions above: row `r` of `a` at depth `k` is at `r · row + k · step`, `b` has `depth` rows and `c`
    // has `M` rows of `width` numbers.
    unsafe {
        if accumulate {
            for (r, row) in sums.iter_mut().enumerate() {
                for (j, sum) in row.iter_mut().enumerate() {
                    *sum = simd.load(c.as_ptr().add(r * width + j * S::LANES));
                }
            }
        }
        let (mut left, mut panel) = (a.values.as_ptr(), b.as_ptr());
        // What is asked for, and what a turn is counted with, is shared by the steps of a turn.
        let turns = depth / S::STEPS;
        let mut ahead = ahead.chunks(LINE);
        let lines = ahead.len().div_ceil(turns.max(1));
        for _ in 0..turns {
            for line in ahead.by_ref().take(lines) {
                simd.prefetch(line.as_ptr());
            }
            for k in 0..S::STEPS {
                step(simd, left.wrapping_add(k * a.step), a.row, panel.wrapping_add(k * width), &mut sums);
            }
            left = left.wrapping_add(S::STEPS * a.step);
            panel = panel.wrapping_add(S::STEPS * width);
        }
        for k in 0..depth % S::STEPS {
            step(simd, left.wrapping_add(k * a.step), a.row, panel.wrapping_add(k * width), &mut sums);
        }
        for (r, row) in sums.iter().enumerate() {
            for (j, &sum) in row.iter().enumerate() {
                simd.store(c.as_mut_ptr().add(r * width + j * S::LANES), sum);
            }
        }
    }
}

/// One step of the depth: adds the products of `M` numbers, `row` apart, and `COLUMNS` vectors.
///
/// # Safety
/// All of them can be read.
#[inline(always)]
unsafe fn step<S: Simd, const M: usize, const COLUMNS: usize>(
    simd: S,
    left: *const f32,
    row: usize,
    panel: *const f32,
    sums: &mut [[S::Vector; COLUMNS]; M],
) {
    let mut columns = [simd.splat(0.0); COLUMNS];
    // SAFETY: the caller's promise.
    unsafe {
        for (j, column) in columns.iter_mut().enumerate() {
            *column = simd.load(panel.add(j * S::LANES));
        }
        for (r, sums) in sums.iter_mut().enumerate() {
            let factor = simd.splat(*left.add(r * row));
            // Not a zip: making one is a function of std's that nothing obliges the compiler to inline, and with a
            // call in this loop everything takes sixteen times as long.
            for (j, sum) in sums.iter_mut().enumerate() {
                *sum = simd.mul_add(factor, columns[j], *sum);
            }
        }
    }
}

/// Numbers that start at a cache line, since a vector that straddles two lines is read at half the speed; many of them in large pages,
/// since the processor reads ahead within a page only, and looks a page up when it comes to it: weights that no cache holds arrive a
/// third faster (measured).
pub struct Aligned<T = f32> {
    values: NonNull<T>,
    length: usize,
}

/// What has only zero bits when it is zero, and any bits else.
///
/// # Safety
/// It is so.
pub unsafe trait Number: Copy {}

// SAFETY: by the definition of these types.
unsafe impl Number for f32 {}
// SAFETY: as above.
unsafe impl Number for u16 {}
// SAFETY: as above.
unsafe impl Number for i8 {}

/// Bytes of the pages in which Linux maps memory where it is asked to and can.
const LARGE_PAGE: usize = 2 << 20;

impl<T: Number> Aligned<T> {
    /// `length` zeros.
    pub fn zeros(length: usize) -> Self {
        let layout = Self::layout(length);
        if layout.size() == 0 {
            return Self { values: NonNull::dangling(), length };
        }
        // SAFETY: the layout is not empty.
        let memory = unsafe { alloc(layout) };
        let Some(values) = NonNull::new(memory.cast::<T>()) else { handle_alloc_error(layout) };
        // Before anything is written, when the pages are chosen.
        ask_for_large_pages(memory, layout.size());
        // SAFETY: so many bytes were given.
        unsafe { memory.write_bytes(0, layout.size()) };
        Self { values, length }
    }

    /// Grows to `length` numbers, whatever they are, if it is shorter.
    pub fn reserve(&mut self, length: usize) {
        if self.length < length {
            *self = Self::zeros(length);
        }
    }

    /// The numbers.
    pub fn as_slice(&self) -> &[T] {
        // SAFETY: so many were written.
        unsafe { std::slice::from_raw_parts(self.values.as_ptr(), self.length) }
    }

    /// The numbers, to be written.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        // SAFETY: as above, and they belong to this value.
        unsafe { std::slice::from_raw_parts_mut(self.values.as_ptr(), self.length) }
    }
}

impl<T> Aligned<T> {
    fn layout(length: usize) -> Layout {
        let layout = Layout::array::<T>(length).expect("memory for so many numbers");
        let large = cfg!(target_os = "linux") && layout.size() >= LARGE_PAGE;
        let align = if large { LARGE_PAGE } else { LINE * size_of::<f32>() };
        layout.align_to(align).expect("memory for so many numbers")
    }
}

impl<T> Drop for Aligned<T> {
    fn drop(&mut self) {
        let layout = Self::layout(self.length);
        if layout.size() > 0 {
            // SAFETY: `zeros` got it with this layout.
            unsafe { dealloc(self.values.as_ptr().cast(), layout) };
        }
    }
}

// SAFETY: it owns its numbers as a vector does.
unsafe impl<T: Send> Send for Aligned<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Aligned<T> {}

/// Asks for large pages where they fit.
#[cfg(target_os = "linux")]
fn ask_for_large_pages(memory: *mut u8, bytes: usize) {
    let whole = bytes / LARGE_PAGE * LARGE_PAGE;
    if whole > 0 {
        // SAFETY: whole pages of our own, whose contents stay as they are. That it may be refused does not matter.
        unsafe { libc::madvise(memory.cast(), whole, libc::MADV_HUGEPAGE) };
    }
}

#[cfg(not(target_os = "linux"))]
fn ask_for_large_pages(_: *mut u8, _: usize) {}

/// Runs `work` on `length` numbers that a thread keeps from one call to the next, whatever they were: the system takes as long to
/// give out fresh memory as a small kernel to fill it.
pub fn with_scratch<T>(length: usize, work: impl FnOnce(&mut [f32]) -> T) -> T {
    thread_local! {
        static SCRATCH: RefCell<Aligned> = RefCell::new(Aligned::zeros(0));
    }
    let mut scratch = SCRATCH.replace(Aligned::zeros(0));
    scratch.reserve(length);
    let result = work(&mut scratch.as_mut_slice()[..length]);
    SCRATCH.set(scratch);
    result
}

/// A result to be, of which nothing is written yet.
pub type NewOutput<'a> = Output<'a, MaybeUninit<f32>>;

/// A result of `length` numbers, written by `fill`. Zeros in it beforehand would be written in vain, and by one thread for all.
///
/// # Safety
/// `fill` writes all of them.
pub unsafe fn written(length: usize, fill: impl FnOnce(&NewOutput<'_>)) -> Vec<f32> {
    let mut result = Vec::with_capacity(length);
    fill(&Output::new(&mut result.spare_capacity_mut()[..length]));
    // SAFETY: the capacity was asked for, and the caller promises that the numbers are there.
    unsafe { result.set_len(length) };
    result
}

/// A result that tasks on several threads fill piece by piece, each its own part of many rows.
pub struct Output<'a, T = f32> {
    pointer: *mut T,
    length: usize,
    lifetime: PhantomData<&'a mut [T]>,
}

// SAFETY: the only access is `piece`, whose callers promise that no two pieces in use at once overlap.
unsafe impl<T: Send> Sync for Output<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Output<'_, T> {}

impl<'a, T> Output<'a, T> {
    /// Lends `values` out.
    pub fn new(values: &'a mut [T]) -> Self {
        Self { pointer: values.as_mut_ptr(), length: values.len(), lifetime: PhantomData }
    }

    /// `length` numbers from `start` on.
    ///
    /// # Safety
    /// While the piece is in use, no other piece that overlaps it is.
    #[inline(always)]
    #[allow(clippy::mut_from_ref, reason = "the caller promises that pieces do not overlap")]
    pub unsafe fn piece(&self, start: usize, length: usize) -> &mut [T] {
        assert!(start <= self.length && length <= self.length - start, "piece outside the result");
        // SAFETY: inside the borrowed slice by the assertion, exclusive by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.pointer.add(start), length) }
    }
}
