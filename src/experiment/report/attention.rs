//! Where the image tower looked, laid over the picture.

use image::{Rgb, RgbImage, imageops};

use super::pictures;
use crate::{Error, Result};

/// Side of a picture with its map, in pixels.
const SIDE: u32 = 112;

/// What the model saw, as a data URI.
///
/// # Errors
/// As [`pictures::data_uri`].
pub fn view_uri(view: &[u8]) -> Result<String> {
    pictures::data_uri(&imageops::resize(&square(view)?, SIDE, SIDE, imageops::FilterType::CatmullRom))
}

/// The picture with its attention over it, as a data URI. The scale is the picture's own: its least attention leaves the
/// picture dark and grey, its greatest shines.
///
/// # Errors
/// As [`pictures::data_uri`].
pub fn overlay_uri(view: &[u8], grid: &[f32]) -> Result<String> {
    let mut picture = imageops::resize(&square(view)?, SIDE, SIDE, imageops::FilterType::CatmullRom);
    let least = grid.iter().copied().fold(f32::INFINITY, f32::min);
    let span = grid.iter().copied().fold(f32::NEG_INFINITY, f32::max) - least;
    let side = grid.len().isqrt() as u32;
    let scaled: Vec<f32> = grid.iter().map(|value| if span > 0.0 { (value - least) / span } else { 0.0 }).collect();
    let map = image::ImageBuffer::<image::Luma<f32>, Vec<f32>>::from_raw(side, side, scaled)
        .ok_or_else(|| Error::Failed("an attention map is no square".into()))?;
    let map = imageops::resize(&map, SIDE, SIDE, imageops::FilterType::Triangle);
    for (pixel, value) in picture.pixels_mut().zip(map.pixels()) {
        *pixel = blend(*pixel, value.0[0].clamp(0.0, 1.0));
    }
    pictures::data_uri(&picture)
}

/// From the picture in dark grey at 0 to amber over it at 1.
fn blend(Rgb([red, green, blue]): Rgb<u8>, attention: f32) -> Rgb<u8> {
    const AMBER: [f32; 3] = [255.0, 176.0, 0.0];
    let grey = 0.299 * f32::from(red) + 0.587 * f32::from(green) + 0.114 * f32::from(blue);
    let dark = 0.35 + 0.65 * attention;
    let weight = 0.75 * attention;
    Rgb(AMBER.map(|amber| (grey * dark * (1.0 - weight) + amber * weight).round() as u8))
}

fn square(view: &[u8]) -> Result<RgbImage> {
    let side = (view.len() / 3).isqrt() as u32;
    RgbImage::from_raw(side, side, view.to_vec()).ok_or_else(|| Error::Failed("a model's view is no square".into()))
}
