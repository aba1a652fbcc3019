//! Resizing exactly as Pillow does it: an antialiased separable filter in 8-bit fixed point, a pass over the rows and then
//! one over the columns, each rounded and clipped to bytes.
//!
//! CLIP was trained on pictures made smaller by Pillow, and another resampler moves its features measurably (Parmar et al.
//! 2022, "On aliased resizing and surprising subtleties in GAN evaluation"), so the contract is equality of every byte.
//! Only what survives the crop is computed: a strip of 3 × 4000 pixels costs no more than its middle.

use std::{f64::consts::PI, ops::Range};

use image::RgbImage;

use super::wide;

/// Bits after the point in a weight: 32 less 8 for the pixel and 2 for filters whose weights overshoot 1.
const PRECISION: u32 = 32 - 8 - 2;
/// Half, in the same fixed point.
const HALF: i32 = 1 << (PRECISION - 1);
const CHANNELS: usize = 3;
/// Columns of the second pass that are summed together, so that their sums stay in the nearest cache.
const STRIP: usize = 256;

/// How pixels between pixels are weighed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    /// A triangle over two pixels.
    Bilinear,
    /// Keys's cubic with a = −½ over four pixels, what CLIP was trained with.
    Bicubic,
    /// Lanczos's windowed sinc over six pixels, what Stable Diffusion's pictures are resized with.
    Lanczos,
}

impl Filter {
    /// The distance from the centre, in pixels of the smaller picture, beyond which the weight is zero.
    fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
            Self::Lanczos => 3.0,
        }
    }

    /// The weight at a distance. The order of operations is part of the contract: it decides the last bit.
    fn weight(self, distance: f64) -> f64 {
        let x = distance.abs();
        match self {
            Self::Bilinear if x < 1.0 => 1.0 - x,
            Self::Bicubic if x < 1.0 => ((-0.5 + 2.0) * x - (-0.5 + 3.0)) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5,
            Self::Lanczos if x < 3.0 => sinc(x) * sinc(x / 3.0),
            _ => 0.0,
        }
    }
}

fn sinc(x: f64) -> f64 {
    let x = x * PI;
    if x == 0.0 { 1.0 } else { x.sin() / x }
}

/// A rectangle of a picture, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crop {
    /// Columns before the rectangle.
    pub left: u64,
    /// Rows above it.
    pub top: u64,
    /// Its columns.
    pub width: u32,
    /// Its rows.
    pub height: u32,
}

/// The rectangle `crop` of `image` resized to `width` × `height`: bytes of `[crop.height, crop.width, 3]`.
///
/// The rectangle must lie within the resized picture, and neither picture may be empty; what lies outside is left black.
pub fn resize_crop(image: &RgbImage, (width, height): (u64, u64), crop: Crop, filter: Filter) -> Vec<u8> {
    let columns = Weights::new(image.width(), width, crop.left, crop.width, filter);
    let rows = Weights::new(image.height(), height, crop.top, crop.height, filter);
    if image.width() == 0 || image.height() == 0 || crop.width == 0 {
        return vec![0; crop.height as usize * crop.width as usize * CHANNELS];
    }
    wide::run(Passes { image, columns, rows })
}

/// Both passes over a picture with pixels.
struct Passes<'a> {
    image: &'a RgbImage,
    columns: Weights,
    rows: Weights,
}

impl wide::Work for Passes<'_> {
    type Output = Vec<u8>;

    #[inline(always)]
    fn run(self) -> Vec<u8> {
        let Self { image, columns, rows } = self;
        // The rows that the second pass will read, and no others.
        let needed = rows.span();
        let row_bytes = image.width() as usize * CHANNELS;
        let stride = columns.runs.len() * CHANNELS;
        let mut narrow = vec![0; needed.len() * stride];
        // One byte more than a row, because a pixel is read as four bytes of which the last is not used.
        let mut padded = vec![0; row_bytes + 1];
        let source = image.as_raw().chunks_exact(row_bytes).skip(needed.start);
        for (row, out) in source.zip(narrow.chunks_exact_mut(stride)) {
            padded[..row_bytes].copy_from_slice(row);
            columns.apply_to_row(&padded, out);
        }
        let mut out = vec![0; rows.runs.len() * stride];
        for (index, out) in out.chunks_exact_mut(stride).enumerate() {
            rows.apply_to_column(index, &narrow, needed.start, out);
        }
        out
    }
}

/// The weights of one direction in fixed point: for each output pixel the first input pixel and a run of weights.
struct Weights {
    /// First input pixel and end of the run in `values`, for each output pixel; a run starts where the last one ended.
    runs: Vec<(usize, usize)>,
    values: Vec<i32>,
}

impl Weights {
    /// Weights for `count` output pixels from `first`, of `output` in all, over `input` pixels.
    fn new(input: u32, output: u64, first: u64, count: u32, filter: Filter) -> Self {
        let mut weights = Self { runs: Vec::with_capacity(count as usize), values: Vec::new() };
        if u64::from(input) == output {
            // No pass at all in Pillow; one weight of 1 gives the same bytes.
            weights.runs.extend((0..count as usize).map(|index| (first as usize + index, index + 1)));
            weights.values.resize(count as usize, 1 << PRECISION);
            return weights;
        }
        let scale = f64::from(input) / output as f64;
        let stretch = scale.max(1.0);
        let support = filter.support() * stretch;
        let inverse = 1.0 / stretch;
        let mut exact = Vec::new();
        for index in first..first + u64::from(count) {
            let centre = (index as f64 + 0.5) * scale;
            let start = ((centre - support + 0.5) as i64).max(0);
            let end = ((centre + support + 0.5) as i64).min(i64::from(input));
            exact.clear();
            exact.extend((start..end).map(|pixel| filter.weight((pixel as f64 - centre + 0.5) * inverse)));
            let sum: f64 = exact.iter().sum();
            let fixed = |weight: &f64| {
                let weight = if sum == 0.0 { *weight } else { weight / sum };
                (f64::from(1 << PRECISION) * weight + 0.5_f64.copysign(weight)) as i32
            };
            weights.values.extend(exact.iter().map(fixed));
            weights.runs.push((start as usize, weights.values.len()));
        }
        weights
    }

    /// First input pixel and weights of an output pixel.
    #[inline(always)]
    fn run(&self, index: usize) -> (usize, &[i32]) {
        let begin = if index == 0 { 0 } else { self.runs[index - 1].1 };
        let (first, end) = self.runs[index];
        (first, &self.values[begin..end])
    }

    /// The input pixels that any output pixel needs; both ends grow with the output pixel.
    fn span(&self) -> Range<usize> {
        let Some(last) = self.runs.len().checked_sub(1) else { return 0..0 };
        let (first, weights) = self.run(last);
        self.runs[0].0..first + weights.len()
    }

    /// First pass: a row of the picture (and one byte after it) to a row of output pixels.
    #[inline(always)]
    fn apply_to_row(&self, row: &[u8], out: &mut [u8]) {
        for (index, out) in out.chunks_exact_mut(CHANNELS).enumerate() {
            let (first, weights) = self.run(index);
            let mut sums = [HALF; 4];
            let pixels = &row[first * CHANNELS..(first + weights.len()) * CHANNELS + 1];
            for (tap, &weight) in weights.iter().enumerate() {
                let Some(pixel) = pixels[tap * CHANNELS..].first_chunk::<4>() else { break };
                // All four lanes at once, so that the compiler makes one vector of them.
                sums = std::array::from_fn(|lane| sums[lane].wrapping_add(i32::from(pixel[lane]).wrapping_mul(weight)));
            }
            for (out, sum) in out.iter_mut().zip(sums) {
                *out = clip(sum);
            }
        }
    }

    /// Second pass: output row `index` from the rows of `narrow`, the first of which is row `offset` of the picture.
    #[inline(always)]
    fn apply_to_column(&self, index: usize, narrow: &[u8], offset: usize, out: &mut [u8]) {
        let (first, weights) = self.run(index);
        let stride = out.len();
        for (strip, out) in out.chunks_mut(STRIP).enumerate() {
            let mut sums = [HALF; STRIP];
            for (row, &weight) in (first - offset..).zip(weights) {
                let from = row * stride + strip * STRIP;
                for (sum, &value) in sums.iter_mut().zip(&narrow[from..from + out.len()]) {
                    *sum = sum.wrapping_add(i32::from(value).wrapping_mul(weight));
                }
            }
            for (out, &sum) in out.iter_mut().zip(&sums) {
                *out = clip(sum);
            }
        }
    }
}

#[inline(always)]
fn clip(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}
