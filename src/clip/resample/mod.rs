//! Resizing exactly as Pillow does it: an antialiased separable filter in 8-bit fixed point, a pass over the rows and then
//! one over the columns, each rounded and clipped to bytes.
//!
//! CLIP was trained on pictures made smaller by Pillow, and another resampler moves its features measurably (Parmar et al.
//! 2022, "On aliased resizing and surprising subtleties in GAN evaluation"), so the contract is equality of every byte.
//! Only what survives the crop is computed: a strip of 3 × 4000 pixels costs no more than its middle. Rows come one by one
//! (`Resampler`), so that a decoder can hand them over while they are in cache, and never makes those that nothing is made of.

mod passes;
mod weights;

use std::{f64::consts::PI, ops::Range};

use image::RgbImage;

use super::wide::Set;
pub(crate) use passes::Resampler;

const CHANNELS: usize = 3;

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
pub fn resize_crop(image: &RgbImage, size: (u64, u64), crop: Crop, filter: Filter) -> Vec<u8> {
    if image.width() == 0 || image.height() == 0 || crop.width == 0 {
        return vec![0; crop.height as usize * crop.width as usize * CHANNELS];
    }
    let mut resampler = Resampler::new(image.dimensions(), size, crop, filter, Set::best());
    let Region { columns, rows } = resampler.region();
    let mut planes: [Vec<u8>; CHANNELS] = std::array::from_fn(|_| vec![0; columns.len()]);
    let source = image.as_raw().chunks_exact(image.width() as usize * CHANNELS);
    for row in source.skip(rows.start).take(rows.len()) {
        let pixels = row[columns.start * CHANNELS..columns.end * CHANNELS].as_chunks::<CHANNELS>().0;
        let [red, green, blue] = planes.each_mut().map(Vec::as_mut_slice);
        for (pixel, (red, (green, blue))) in
            pixels.iter().zip(red.iter_mut().zip(green.iter_mut().zip(blue.iter_mut())))
        {
            [*red, *green, *blue] = *pixel;
        }
        resampler.row([red, green, blue]);
    }
    resampler.finish()
}

/// Columns and rows of a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Region {
    pub columns: Range<usize>,
    pub rows: Range<usize>,
}
