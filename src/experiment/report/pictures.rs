//! Pictures inside a page: decoded, made small, and encoded anew.
//!
//! Never the files' own bytes: a photo carries where and when it was taken, and a report is made to be passed on.

use base64::{Engine, engine::general_purpose::STANDARD};
use image::{ExtendedColorType, RgbImage, codecs::webp::WebPEncoder, imageops};

use crate::{Error, Result, data::decode::decode};

/// The longer side of a picture on the page, in pixels.
pub const SIDE: u32 = 96;

/// A file's bytes as a data URI of a picture of at most [`SIDE`] pixels a side; `label` names the file in messages.
///
/// # Errors
/// It cannot be decoded.
pub fn thumbnail(bytes: &[u8], label: &str) -> Result<String> {
    let picture = decode(bytes, label)?;
    let longer = picture.width().max(picture.height());
    if longer <= SIDE {
        return data_uri(&picture);
    }
    let scaled = |side: u32| (f64::from(side) * f64::from(SIDE) / f64::from(longer)).round().max(1.0) as u32;
    let (width, height) = (scaled(picture.width()), scaled(picture.height()));
    data_uri(&imageops::resize(&picture, width, height, imageops::FilterType::CatmullRom))
}

/// A picture as a data URI. Lossless WebP: every browser shows it, and it is a third smaller than PNG.
///
/// # Errors
/// None that is known: writing to memory does not fail.
pub fn data_uri(picture: &RgbImage) -> Result<String> {
    let mut bytes = Vec::new();
    WebPEncoder::new_lossless(&mut bytes)
        .encode(picture.as_raw(), picture.width(), picture.height(), ExtendedColorType::Rgb8)
        .map_err(|error| Error::Failed(format!("a picture cannot be encoded as WebP: {error}")))?;
    Ok(format!("data:image/webp;base64,{}", STANDARD.encode(bytes)))
}
