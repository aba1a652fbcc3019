//! The two passes, with rows coming one by one.
//!
//! In the first pass each lane of a vector is a row of the picture, so that every weight is one number for the whole vector, whatever
//! its output pixel; a strip of rows is turned round for that, four neighbouring pixels of a row to one lane. In the second pass the
//! lanes are columns. A weight of 23 bits is two numbers that products of 16 bits can be made with.

use super::{
    CHANNELS, Crop, Filter, Region,
    weights::{PRECISION, Weights},
};
use crate::clip::wide::{Set, Words, Work};

/// Half, in the weights' fixed point.
const HALF: i32 = 1 << (PRECISION - 1);
/// Rows that go through the first pass together: the lanes of the widest vector.
const STRIP: usize = 16;
/// Pixels of a row that share a lane.
const LANE: usize = 4;
/// Rows of bytes are padded to this many, so that whole vectors can be read and written.
const PADDING: usize = 64;
/// Bits of a weight's lower part.
const LOW_BITS: u32 = 15;

fn padded(length: usize) -> usize {
    length.next_multiple_of(PADDING)
}

/// The lower and the higher part of a weight.
fn parts(weight: i32) -> [i32; 2] {
    [weight & ((1 << LOW_BITS) - 1), weight >> LOW_BITS]
}

/// Two numbers of 16 bits as one of 32.
fn pair(first: i32, second: i32) -> i32 {
    second << 16 | (first & 0xffff)
}

/// A picture's rows on their way to the resized picture's crop.
pub(crate) struct Resampler {
    set: Set,
    region: Region,
    width: usize,
    /// For each output column (and some without weights, up to a multiple of [`LANE`]): the lane in which its pixels begin, and the end of
    /// its weights.
    columns: Vec<(usize, usize)>,
    /// For each lane of pixels the lower parts of the weights of its first and third pixel, of its second and fourth, and the same of
    /// the higher parts.
    column_weights: Vec<[i32; 4]>,
    /// For each output row: its first row, from the region's first, and the end of its weights.
    rows: Vec<(usize, usize)>,
    /// For each pair of rows the lower parts of the weights and the higher ones.
    row_weights: Vec<[i32; 2]>,
    /// Rows that came: `[3, STRIP, stride]`.
    strip: Vec<u8>,
    stride: usize,
    waiting: usize,
    /// One channel of the strip turned round.
    turned: Vec<u8>,
    /// What the first pass made: `[rows, 3, padded width]`.
    narrow: Vec<u8>,
    done: usize,
}

impl Resampler {
    /// For the part `crop` of a picture of `from` (columns, rows) resized to `to`. Neither may be empty.
    pub fn new(from: (u32, u32), to: (u64, u64), crop: Crop, filter: Filter, set: Set) -> Self {
        let columns = Weights::new(from.0, to.0, crop.left, crop.width, filter);
        let rows = Weights::new(from.1, to.1, crop.top, crop.height, filter);
        let region = Region { columns: columns.span(), rows: rows.span() };
        let stride = padded(region.columns.len());
        let mut resampler = Self {
            set,
            width: crop.width as usize,
            columns: Vec::new(),
            column_weights: Vec::new(),
            rows: Vec::new(),
            row_weights: Vec::new(),
            strip: vec![0; CHANNELS * STRIP * stride],
            stride,
            waiting: 0,
            turned: vec![0; STRIP * stride],
            // A strip may be longer than what is left of the picture.
            narrow: vec![0; region.rows.len().next_multiple_of(STRIP) * CHANNELS * padded(crop.width as usize)],
            done: 0,
            region,
        };
        for index in 0..columns.runs.len().next_multiple_of(LANE) {
            let mut first = 0;
            if index < columns.runs.len() {
                let (pixel, weights) = columns.run(index);
                first = pixel - resampler.region.columns.start;
                let lead = std::iter::repeat_n(&0, first % LANE);
                let mut weights = lead.chain(weights).copied().map(parts).peekable();
                while weights.peek().is_some() {
                    let [a, b, c, d] = std::array::from_fn(|_| weights.next().unwrap_or_default());
                    let part = |i: usize| [pair(a[i], c[i]), pair(b[i], d[i])];
                    let ([even_low, odd_low], [even_high, odd_high]) = (part(0), part(1));
                    resampler.column_weights.push([even_low, odd_low, even_high, odd_high]);
                }
            }
            resampler.columns.push((first / LANE, resampler.column_weights.len()));
        }
        for index in 0..rows.runs.len() {
            let (first, weights) = rows.run(index);
            for two in weights.chunks(2) {
                let (a, b) = (parts(two[0]), two.get(1).map_or([0; 2], |&weight| parts(weight)));
                resampler.row_weights.push(std::array::from_fn(|i| pair(a[i], b[i])));
            }
            resampler.rows.push((first - resampler.region.rows.start, resampler.row_weights.len()));
        }
        resampler
    }

    /// The part of the picture that the result is made of.
    pub fn region(&self) -> Region {
        self.region.clone()
    }

    /// Takes the region's next row: its columns of red, green and blue.
    pub fn row(&mut self, planes: [&[u8]; CHANNELS]) {
        let length = self.region.columns.len();
        for (channel, plane) in planes.iter().enumerate() {
            let start = (channel * STRIP + self.waiting) * self.stride;
            self.strip[start..start + length].copy_from_slice(&plane[..length]);
        }
        self.waiting += 1;
        if self.waiting == STRIP {
            self.set.run(FirstPass(self));
        }
    }

    /// The result, after the region's last row: bytes of `[height, width, 3]`.
    pub fn finish(mut self) -> Vec<u8> {
        if self.waiting > 0 {
            self.set.run(FirstPass(&mut self));
        }
        self.set.run(SecondPass(&self))
    }

    #[inline(always)]
    fn all_rows<W: Words>(&self, words: W) -> Vec<u8> {
        let row = padded(self.width);
        let mut planes = vec![0; CHANNELS * row];
        let mut out = vec![0; self.rows.len() * self.width * CHANNELS];
        for (index, out) in out.chunks_exact_mut(self.width * CHANNELS).enumerate() {
            self.second_pass(words, index, &mut planes);
            let (red, rest) = planes.split_at(row);
            let (green, blue) = rest.split_at(row);
            for ((out, red), (green, blue)) in
                out.as_chunks_mut::<CHANNELS>().0.iter_mut().zip(red).zip(green.iter().zip(blue))
            {
                *out = [*red, *green, *blue];
            }
        }
        out
    }

    #[inline(always)]
    fn first_pass<W: Words>(&mut self, words: W) {
        let lanes = LANE * W::GROUPS;
        let row = CHANNELS * padded(self.width);
        for part in 0..CHANNELS * STRIP / lanes {
            let (channel, top) = (part * lanes / STRIP, part * lanes % STRIP);
            self.turn(words, part * lanes);
            let mut begin = 0;
            for (index, columns) in self.columns.as_chunks::<LANE>().0.iter().enumerate() {
                let mut four = words.splat32(0);
                let mut sums = [four; LANE];
                for (sum, &(first, end)) in sums.iter_mut().zip(columns) {
                    *sum = weigh_lanes(words, &self.turned[first * lanes * 4..], &self.column_weights[begin..end]);
                    begin = end;
                }
                four = words.or(four, sums[0]);
                four = words.or(four, words.shift_left32::<8>(sums[1]));
                four = words.or(four, words.shift_left32::<16>(sums[2]));
                four = words.or(four, words.shift_left32::<24>(sums[3]));
                let mut bytes = [0; 4 * STRIP];
                words.store8(&mut bytes, four);
                let start = (self.done + top) * row + channel * padded(self.width) + index * LANE;
                for (lane, pixels) in bytes.as_chunks::<LANE>().0.iter().take(lanes).enumerate() {
                    self.narrow[start + lane * row..][..LANE].copy_from_slice(pixels);
                }
            }
        }
        self.done += self.waiting;
        self.waiting = 0;
    }

    /// As many rows of the strip as a vector has lanes, from `first`, to lanes: `[stride / 4, lanes, 4]`.
    #[inline(always)]
    fn turn<W: Words>(&mut self, words: W, first: usize) {
        let (stride, vector) = (self.stride, 16 * W::GROUPS);
        for (block, out) in self.turned.chunks_exact_mut(4 * vector).take(stride / 16).enumerate() {
            let start = first * stride + block * 16;
            // Of each group of four rows the first, the second, …
            let mut rows = [words.splat32(0); 4];
            for (index, row) in rows.iter_mut().enumerate() {
                *row = words.load_groups(&self.strip[start + index * stride..], LANE * stride);
            }
            let (a, b) = (words.interleave_first32(rows[0], rows[1]), words.interleave_first32(rows[2], rows[3]));
            let (c, d) = (words.interleave_last32(rows[0], rows[1]), words.interleave_last32(rows[2], rows[3]));
            words.store8(&mut out[..vector], words.interleave_first64(a, b));
            words.store8(&mut out[vector..], words.interleave_last64(a, b));
            words.store8(&mut out[2 * vector..], words.interleave_first64(c, d));
            words.store8(&mut out[3 * vector..], words.interleave_last64(c, d));
        }
    }

    /// Output row `index` as planes of the padded width.
    #[inline(always)]
    fn second_pass<W: Words>(&self, words: W, index: usize, out: &mut [u8]) {
        let begin = if index == 0 { 0 } else { self.rows[index - 1].1 };
        let (first, end) = self.rows[index];
        let (weights, row) = (&self.row_weights[begin..end], out.len());
        let half = words.splat32(HALF);
        for (column, out) in out.chunks_exact_mut(8 * W::GROUPS).enumerate() {
            let zero = words.splat32(0);
            let (mut low, mut high) = ([half; 2], [zero; 2]);
            for (pair, &[low_weights, high_weights]) in weights.iter().enumerate() {
                let from = (first + 2 * pair) * row + column * 8 * W::GROUPS;
                let above = words.widen(&self.narrow[from..]);
                // An odd last row has nothing but a weight of zero below it.
                let below = if from + row < self.narrow.len() { words.widen(&self.narrow[from + row..]) } else { zero };
                let pixels = [words.interleave_first16(above, below), words.interleave_last16(above, below)];
                let (low_weights, high_weights) = (words.splat32(low_weights), words.splat32(high_weights));
                for side in 0..2 {
                    low[side] = words.add32(low[side], words.dot(pixels[side], low_weights));
                    high[side] = words.add32(high[side], words.dot(pixels[side], high_weights));
                }
            }
            let first = shift(words, low[0], high[0]);
            let last = shift(words, low[1], high[1]);
            words.narrow(out, words.pack32(first, last));
        }
    }
}

struct FirstPass<'a>(&'a mut Resampler);

impl Work for FirstPass<'_> {
    type Output = ();

    #[inline(always)]
    fn run<W: Words>(self, words: W) {
        self.0.first_pass(words);
    }
}

struct SecondPass<'a>(&'a Resampler);

impl Work for SecondPass<'_> {
    type Output = Vec<u8>;

    #[inline(always)]
    fn run<W: Words>(self, words: W) -> Vec<u8> {
        self.0.all_rows(words)
    }
}

/// The weighted sums of pixels `[count, lanes, 4]`, clipped to bytes.
#[inline(always)]
fn weigh_lanes<W: Words>(words: W, pixels: &[u8], weights: &[[i32; 4]]) -> W::Vector {
    let (mut low, mut high) = (words.splat32(HALF), words.splat32(0));
    for (pixels, weights) in pixels.chunks_exact(16 * W::GROUPS).zip(weights) {
        let pixels = words.load8(pixels);
        let (even, odd) = (words.low_bytes(pixels), words.high_bytes(pixels));
        low = words.add32(low, words.dot(even, words.splat32(weights[0])));
        low = words.add32(low, words.dot(odd, words.splat32(weights[1])));
        high = words.add32(high, words.dot(even, words.splat32(weights[2])));
        high = words.add32(high, words.dot(odd, words.splat32(weights[3])));
    }
    words.clip32(shift(words, low, high))
}

/// The sum of both parts without the bits after the point.
#[inline(always)]
fn shift<W: Words>(words: W, low: W::Vector, high: W::Vector) -> W::Vector {
    words.shift_right32::<PRECISION>(words.add32(low, words.shift_left32::<LOW_BITS>(high)))
}
