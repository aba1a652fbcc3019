//! From a file's bytes to RGB pixels, upright: what Pillow's `ImageOps.exif_transpose(Image.open(f)).convert("RGB")` gives.
//!
//! The format is told by the content, never by the name. JPEG is decoded by `data::jpeg`, the rest by the `image` crate.
//! As in Pillow, transparency is dropped and not blended, 16-bit colour keeps its high byte, and 16-bit grey (and 32-bit)
//! is clipped at 255, so that such a picture must be scaled to 8 bits beforehand; colour profiles are not applied.
//!
//! Where this differs from Pillow: a JPEG whose scan ends at a marker too early is refused, where Pillow fills the rest with
//! grey; orientation is read from EXIF only, not from XMP; arithmetic-coded and lossless JPEG are not supported.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};

use super::jpeg;
use crate::{
    Error, Result,
    clip::{
        Preprocess,
        resample::{Region, Resampler},
        wide::Set,
    },
};

/// The most pixels that [`decode`] accepts: 100 megapixels, twice what current cameras make. Decoding needs 4 to 12 bytes
/// of memory a pixel.
pub const PIXEL_LIMIT: u64 = 100_000_000;

/// What the start of a file may say about a format that is not supported, at which byte, and the words for it.
const UNSUPPORTED: [(usize, &[u8], &str); 14] = [
    (4, b"ftypavi", "an AVIF picture"),
    (4, b"ftyphei", "a HEIC picture, as iPhones make them"),
    (4, b"ftyphev", "a HEIC picture, as iPhones make them"),
    (4, b"ftypmif1", "a HEIF picture"),
    (4, b"ftypmsf1", "a HEIF picture"),
    (4, b"ftyp", "a video"),
    (0, b"\xff\x0a", "a JPEG XL picture"),
    (4, b"JXL \r\n", "a JPEG XL picture"),
    (4, b"jP  \r\n", "a JPEG 2000 picture"),
    (0, b"8BPS", "a Photoshop document"),
    (0, b"%PDF", "a PDF document"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"\x1aE\xdf\xa3", "a video"),
];

/// Those of them that hold no picture that could be saved in another format.
const NO_PICTURES: [&str; 4] = ["a video", "a PDF document", "a ZIP archive", "a gzip archive"];

/// Decodes JPEG, PNG, WebP, GIF (first frame), BMP or TIFF, at most [`PIXEL_LIMIT`] pixels. `file` names it in errors.
///
/// # Errors
/// [`Error::Image`], one line that says what is wrong and what to do: no image, another format, truncated, damaged, or
/// larger than the limit (which is read from the header, before anything is allocated).
pub fn decode(bytes: &[u8], file: &str) -> Result<RgbImage> {
    decode_within(bytes, file, PIXEL_LIMIT)
}

/// [`decode`] with another limit, in pixels.
///
/// # Errors
/// As [`decode`].
pub fn decode_within(bytes: &[u8], file: &str, limit: u64) -> Result<RgbImage> {
    let decoded = match image::guess_format(bytes) {
        Ok(ImageFormat::Jpeg) => decode_jpeg(bytes, limit),
        Ok(
            format @ (ImageFormat::Png | ImageFormat::WebP | ImageFormat::Gif | ImageFormat::Bmp | ImageFormat::Tiff),
        ) => decode_other(bytes, format, limit),
        _ => Err(describe_unknown(bytes)),
    };
    decoded.map_err(|why| Error::Image { file: file.into(), why })
}

/// The picture as a model takes it, bytes of `[height, width, 3]`: what [`Preprocess::pixels`] makes of what [`decode`] gives, byte for
/// byte. Of an upright JPEG nothing is made that the crop leaves out, and its pixels are never in memory all at once.
///
/// # Errors
/// As both.
pub fn decode_for(preprocess: &Preprocess, bytes: &[u8], file: &str) -> Result<Vec<u8>> {
    let turned = jpeg_exif(bytes).and_then(Orientation::from_exif_chunk).unwrap_or(Orientation::NoTransforms);
    if !matches!(image::guess_format(bytes), Ok(ImageFormat::Jpeg)) || turned != Orientation::NoTransforms {
        return preprocess.pixels(&decode(bytes, file)?);
    }
    let mut resized = Resized { preprocess, resampler: None };
    jpeg::decode_rows(bytes, PIXEL_LIMIT, &mut resized, Set::best())
        .map_err(|why| Error::Image { file: file.into(), why })?;
    Ok(resized.resampler.map(Resampler::finish).unwrap_or_default())
}

/// The rows' way into a resampler, which is made when the picture's size is known.
struct Resized<'a> {
    preprocess: &'a Preprocess,
    resampler: Option<Resampler>,
}

impl jpeg::Sink for Resized<'_> {
    fn begin(&mut self, width: usize, height: usize) -> Result<Region, jpeg::Problem> {
        let resampler = self.preprocess.resampler((width as u32, height as u32), Set::best())?;
        Ok(self.resampler.insert(resampler).region())
    }

    fn row(&mut self, planes: [&[u8]; 3]) {
        if let Some(resampler) = &mut self.resampler {
            resampler.row(planes);
        }
    }
}

/// Refuses sizes over the limit.
pub(super) fn check_size(width: u64, height: u64, limit: u64) -> Result<(), jpeg::Problem> {
    if width.saturating_mul(height) <= limit {
        return Ok(());
    }
    let megapixels = limit as f64 / 1e6;
    Err(format!("is {width} × {height} pixels, over the limit of {megapixels} megapixels: make it smaller first"))
}

fn decode_jpeg(bytes: &[u8], limit: u64) -> Result<RgbImage, jpeg::Problem> {
    let (width, height, pixels) = jpeg::decode(bytes, limit)?;
    let orientation = jpeg_exif(bytes).and_then(Orientation::from_exif_chunk);
    let image = RgbImage::from_raw(width, height, pixels).ok_or("is a JPEG of impossible size: fetch it again")?;
    Ok(turn(image, orientation.unwrap_or(Orientation::NoTransforms)))
}

/// The EXIF block among the segments before the first scan.
fn jpeg_exif(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes.get(2..)?;
    loop {
        let [0xff, code, tail @ ..] = rest else { return None };
        match code {
            0xff => rest = &rest[1..],
            0xda | 0xd9 => return None,
            _ => {
                let length = usize::from(u16::from_be_bytes(*tail.first_chunk()?));
                let content = tail.get(2..length)?;
                if let (0xe1, Some(exif)) = (code, content.strip_prefix(b"Exif\0\0")) {
                    return Some(exif);
                }
                rest = tail.get(length..)?;
            }
        }
    }
}

fn decode_other(bytes: &[u8], format: ImageFormat, limit: u64) -> Result<RgbImage, jpeg::Problem> {
    let name = match format {
        ImageFormat::Png => "PNG",
        ImageFormat::WebP => "WebP",
        ImageFormat::Gif => "GIF",
        ImageFormat::Bmp => "BMP",
        _ => "TIFF",
    };
    let explain = |error: ImageError| explain(name, &error);
    let mut limits = Limits::default();
    // Room for the decoder's own buffers beside the picture, at up to 8 bytes a pixel.
    limits.max_alloc = Some(limit.saturating_mul(16));
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(explain)?;
    let (width, height) = decoder.dimensions();
    check_size(width.into(), height.into(), limit)?;
    if width == 0 || height == 0 {
        return Err(format!("is a {name} of {width} × {height} pixels: fetch or export it again"));
    }
    // A broken EXIF block is no reason to refuse the picture.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let image = DynamicImage::from_decoder(decoder).map_err(explain)?;
    Ok(turn(drop_to_rgb8(image), orientation))
}

/// Pillow's conversions to RGB with 8 bits.
fn drop_to_rgb8(image: DynamicImage) -> RgbImage {
    let (width, height) = (image.width(), image.height());
    let high = |value: u16| (value >> 8) as u8;
    let bytes: Vec<u8> = match image {
        DynamicImage::ImageRgb8(image) => return image,
        DynamicImage::ImageLuma8(image) => image.iter().flat_map(|&grey| [grey; 3]).collect(),
        DynamicImage::ImageLumaA8(image) => image.pixels().flat_map(|pixel| [pixel.0[0]; 3]).collect(),
        DynamicImage::ImageRgba8(image) => {
            image.pixels().flat_map(|pixel| [pixel.0[0], pixel.0[1], pixel.0[2]]).collect()
        }
        DynamicImage::ImageLuma16(image) => image.iter().flat_map(|&grey| [grey.min(255) as u8; 3]).collect(),
        DynamicImage::ImageLumaA16(image) => image.pixels().flat_map(|pixel| [high(pixel.0[0]); 3]).collect(),
        DynamicImage::ImageRgb16(image) => image.iter().map(|&value| high(value)).collect(),
        DynamicImage::ImageRgba16(image) => {
            image.pixels().flat_map(|pixel| [pixel.0[0], pixel.0[1], pixel.0[2]].map(high)).collect()
        }
        // Floating-point pictures (TIFF): a cast to a byte clips, as Pillow's does.
        DynamicImage::ImageRgb32F(image) => image.iter().map(|&value| value as u8).collect(),
        other => other.into_rgb8().into_raw(),
    };
    RgbImage::from_raw(width, height, bytes).unwrap_or_default()
}

fn turn(image: RgbImage, orientation: Orientation) -> RgbImage {
    if orientation == Orientation::NoTransforms {
        return image;
    }
    let mut image = DynamicImage::ImageRgb8(image);
    image.apply_orientation(orientation);
    image.into_rgb8()
}

/// One line for what the `image` crate says.
fn explain(name: &str, error: &ImageError) -> jpeg::Problem {
    let reason = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    match error {
        ImageError::Limits(_) => format!("is a {name} that needs too much memory ({reason}): make it smaller first"),
        ImageError::Unsupported(_) => {
            format!("is a {name} of a kind that is not supported ({reason}): save it again as an ordinary PNG or JPEG")
        }
        _ => format!("is a truncated or damaged {name} ({reason}): fetch or export it again"),
    }
}

/// What bytes that are no supported image seem to be, and what to do.
fn describe_unknown(bytes: &[u8]) -> jpeg::Problem {
    if bytes.is_empty() {
        return "is empty: fetch or export it again".into();
    }
    if bytes.starts_with(b"\xff\xd8") {
        return "is a truncated JPEG (the data end early): fetch or export it again".into();
    }
    let known =
        UNSUPPORTED.iter().find(|(at, signature, _)| bytes.get(*at..).is_some_and(|rest| rest.starts_with(signature)));
    if let Some((_, _, what)) = known {
        if NO_PICTURES.contains(what) {
            return format!("is {what}, not an image: give a JPEG, PNG, WebP, GIF, BMP or TIFF file");
        }
        return format!("is {what}, which is not supported: save it as JPEG, PNG or WebP");
    }
    let head = &bytes[..bytes.len().min(1024)];
    let text = String::from_utf8_lossy(head).to_lowercase();
    // A cut in the middle of a letter leaves one replacement character at the end.
    let is_text =
        !text.trim_end_matches('\u{fffd}').contains(|c: char| c == '\u{fffd}' || c.is_control() && !c.is_whitespace());
    if is_text && text.contains("<svg") {
        return "is an SVG drawing, which is not supported: export it as PNG".into();
    }
    if is_text && (text.contains("<html") || text.contains("<!doctype")) {
        return "is a web page, not an image (a failed download?): fetch it again".into();
    }
    if is_text && text.starts_with("version https://git-lfs") {
        return "is a Git LFS pointer, not an image: run `git lfs pull`".into();
    }
    if is_text {
        return "is text, not an image: give a JPEG, PNG, WebP, GIF, BMP or TIFF file".into();
    }
    "is not an image of a known format: give a JPEG, PNG, WebP, GIF, BMP or TIFF file".into()
}
