//! Group normalisation (Wu and He, 2018), followed by SiLU or not.
//!
//! Moments are taken of every channel over a chunk of places that stays in cache: first the mean, then the squares about it, so that
//! nothing large is subtracted from something large. They are joined in double precision (Chan et al., 1979), chunks in
//! order and then the channels of a group. What remains is one factor and one summand a channel.

use std::mem::MaybeUninit;

use crate::clip::kernels::cpu::exp;
use crate::clip::kernels::cpu::simd::{Instructions, Kernel, Simd};
use crate::clip::kernels::cpu::tile::{NewOutput, Output, written};
use crate::platform::parallel;

/// How large a chunk is, in numbers: it is read twice, and stays in the second-level cache in between.
const CHUNK: usize = 32 * 1024;

/// What is the same for all images.
#[derive(Clone, Copy)]
pub struct Norm<'a> {
    /// How many groups share the channels.
    pub groups: usize,
    /// `[channels]`
    pub gamma: &'a [f32],
    /// `[channels]`
    pub beta: &'a [f32],
    /// Added to the variance.
    pub epsilon: f64,
    /// Whether SiLU follows.
    pub silu: bool,
}

/// Normalises `x` `[batch, places, channels]`.
pub fn group_norm(x: &[f32], batch: usize, norm: Norm<'_>, instructions: Instructions) -> Vec<f32> {
    let channels = norm.gamma.len();
    assert_eq!(channels, norm.beta.len(), "gamma and beta have unlike lengths");
    assert!(norm.groups > 0 && channels.is_multiple_of(norm.groups), "{channels} channels in {} groups", norm.groups);
    if x.is_empty() {
        return Vec::new();
    }
    assert!(x.len().is_multiple_of(batch * channels), "x is not [{batch}, places, {channels}]");
    let places = x.len() / (batch * channels);
    let rows = (CHUNK / channels).clamp(1, places);
    let chunks = places.div_ceil(rows);
    let chunk_of = |task: usize| {
        let (image, chunk) = (task / chunks, task % chunks);
        let start = (image * places + chunk * rows) * channels;
        start..start + rows.min(places - chunk * rows) * channels
    };

    let mut moments = vec![0.0; batch * chunks * 2 * channels];
    let output = Output::new(&mut moments);
    parallel::for_each(batch * chunks, |task| {
        // SAFETY: no other task has this chunk's moments.
        let to = unsafe { output.piece(task * 2 * channels, 2 * channels) };
        instructions.run(Moments { x: &x[chunk_of(task)], channels, to });
    });
    let lines: Vec<Line> =
        moments.chunks_exact(chunks * 2 * channels).map(|moments| Line::new(moments, places, rows, norm)).collect();
    let fill = |output: &NewOutput<'_>| {
        parallel::for_each(batch * chunks, |task| {
            let place = chunk_of(task);
            // SAFETY: no other task has this chunk.
            let to = unsafe { output.piece(place.start, place.len()) };
            instructions.run(Apply { x: &x[place], line: &lines[task / chunks], silu: norm.silu, to });
        })
    };
    // SAFETY: the chunks are all of it, and a task writes all of its own.
    unsafe { written(x.len(), fill) }
}

/// The mean of every channel of a chunk, then the sum of squares about it.
struct Moments<'a> {
    x: &'a [f32],
    channels: usize,
    /// `[2, channels]`
    to: &'a mut [f32],
}

impl Kernel for Moments<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let columns = 4 * S::LANES;
        let (means, squares) = self.to.split_at_mut(self.channels);
        for first in (0..self.channels).step_by(columns) {
            if first + columns <= self.channels {
                moments::<S, 4>(simd, self.x, self.channels, first, means, squares);
            } else {
                for first in (first..self.channels).step_by(S::LANES) {
                    moments::<S, 1>(simd, self.x, self.channels, first, means, squares);
                }
            }
        }
    }
}

/// [`Moments`] of `N` vectors of channels from `first` on.
#[inline(always)]
fn moments<S: Simd, const N: usize>(
    simd: S,
    x: &[f32],
    channels: usize,
    first: usize,
    means: &mut [f32],
    squares: &mut [f32],
) {
    let end = channels.min(first + N * S::LANES);
    let mut sums = [simd.splat(0.0); N];
    for row in x.chunks_exact(channels) {
        let row = &row[first..end];
        for (index, sum) in sums.iter_mut().enumerate() {
            *sum = simd.add(*sum, simd.read(&row[index * S::LANES..]));
        }
    }
    let part = simd.splat(1.0 / (x.len() / channels) as f32);
    for sum in &mut sums {
        *sum = simd.mul(*sum, part);
    }
    let mut about = [simd.splat(0.0); N];
    for row in x.chunks_exact(channels) {
        let row = &row[first..end];
        for (index, (about, &mean)) in about.iter_mut().zip(&sums).enumerate() {
            let centred = simd.sub(simd.read(&row[index * S::LANES..]), mean);
            *about = simd.mul_add(centred, centred, *about);
        }
    }
    for (index, (&mean, &about)) in sums.iter().zip(&about).enumerate() {
        let at = first + index * S::LANES..end.min(first + (index + 1) * S::LANES);
        simd.write(&mut means[at.clone()], mean);
        simd.write(&mut squares[at], about);
    }
}

/// Moments of some numbers: how many, their mean, and the sum of squares about it.
#[derive(Clone, Copy)]
struct Joined {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Joined {
    /// Of these numbers and others.
    fn with(self, other: Self) -> Self {
        let count = self.count + other.count;
        let apart = other.mean - self.mean;
        let part = other.count / count;
        Self {
            count,
            mean: self.mean + apart * part,
            squares: self.squares + other.squares + apart * apart * self.count * part,
        }
    }
}

/// One image's normalisation: `factor · x + summand`, by channel.
struct Line {
    factors: Vec<f32>,
    summands: Vec<f32>,
}

impl Line {
    /// From the moments `[chunk, 2, channels]` of chunks of `rows` places, the last with what remains of `places`.
    fn new(moments: &[f32], places: usize, rows: usize, norm: Norm<'_>) -> Self {
        let channels = norm.gamma.len();
        let none = Joined { count: 0.0, mean: 0.0, squares: 0.0 };
        let mut joined = vec![none; channels];
        for (index, moments) in moments.chunks_exact(2 * channels).enumerate() {
            let count = rows.min(places - index * rows) as f64;
            for (channel, joined) in joined.iter_mut().enumerate() {
                let (mean, squares) = (f64::from(moments[channel]), f64::from(moments[channels + channel]));
                *joined = joined.with(Joined { count, mean, squares });
            }
        }
        let (mut factors, mut summands) = (Vec::with_capacity(channels), Vec::with_capacity(channels));
        let size = channels / norm.groups;
        for (group, joined) in joined.chunks_exact(size).enumerate() {
            let all = joined.iter().fold(none, |all, &channel| all.with(channel));
            let scale = 1.0 / (all.squares / all.count + norm.epsilon).sqrt();
            for channel in group * size..(group + 1) * size {
                let factor = f64::from(norm.gamma[channel]) * scale;
                factors.push(factor as f32);
                summands.push((f64::from(norm.beta[channel]) - all.mean * factor) as f32);
            }
        }
        Self { factors, summands }
    }
}

/// One chunk's result.
struct Apply<'a> {
    x: &'a [f32],
    line: &'a Line,
    silu: bool,
    to: &'a mut [MaybeUninit<f32>],
}

impl Kernel for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let channels = self.line.factors.len();
        for (x, to) in self.x.chunks_exact(channels).zip(self.to.chunks_exact_mut(channels)) {
            for (index, (x, to)) in x.chunks(S::LANES).zip(to.chunks_mut(S::LANES)).enumerate() {
                let at = index * S::LANES..index * S::LANES + to.len();
                let (factor, summand) = (simd.read(&self.line.factors[at.clone()]), simd.read(&self.line.summands[at]));
                let y = simd.mul_add(simd.read(x), factor, summand);
                simd.write_new(to, if self.silu { exp::silu(simd, y) } else { y });
            }
        }
    }
}
