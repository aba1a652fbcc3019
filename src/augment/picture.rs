//! A generated picture's file: a PNG that says itself where it comes from.
//!
//! The record stands in it as JSON, in an international text chunk with the keyword `lowshot` (PNG specification, third edition, section
//! 11.3.3.4), which image viewers ignore and `exiftool` or Pillow's `Image.text` show. It follows that the manifest can be made again
//! from the pictures.

use std::io::Cursor;

use image::RgbImage;
use png::{BitDepth, ColorType, Compression, Decoder, Encoder, Filter};

use super::origin::Record;
use crate::{Error, Result};

/// The text chunk's keyword.
const KEYWORD: &str = "lowshot";

/// The picture's file. The same picture and record give the same bytes.
///
/// # Errors
/// None that is known: writing to memory does not fail, and a record is text.
pub fn encode(picture: &RgbImage, record: &Record) -> Result<Vec<u8>> {
    let failed = |why: String| Error::Failed(format!("{}: cannot be encoded as PNG: {why}", record.picture));
    let text = serde_json::to_string(record).map_err(|error| failed(error.to_string()))?;
    let mut bytes = Vec::new();
    let write = || {
        let mut encoder = Encoder::new(&mut bytes, picture.width(), picture.height());
        encoder.set_color(ColorType::Rgb);
        encoder.set_depth(BitDepth::Eight);
        encoder.set_compression(Compression::Balanced);
        encoder.set_filter(Filter::Adaptive);
        encoder.add_itxt_chunk(KEYWORD.into(), text)?;
        let mut writer = encoder.write_header()?;
        writer.write_image_data(picture.as_raw())?;
        writer.finish()
    };
    write().map_err(|error: png::EncodingError| failed(error.to_string()))?;
    Ok(bytes)
}

/// The record in a whole and sound picture; none where the file is something else or is damaged (each of its chunks has a checksum).
pub fn record(bytes: &[u8]) -> Option<Record> {
    let mut reader = Decoder::new(Cursor::new(bytes)).read_info().ok()?;
    let mut pixels = vec![0; reader.output_buffer_size()?];
    reader.next_frame(&mut pixels).ok()?;
    reader.finish().ok()?;
    let chunk = reader.info().utf8_text.iter().find(|chunk| chunk.keyword == KEYWORD)?;
    serde_json::from_str(&chunk.get_text().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::origin::tests::record as a_record;

    fn sample() -> (RgbImage, Record) {
        let picture = RgbImage::from_fn(8, 8, |x, y| image::Rgb([(x * 31) as u8, (y * 31) as u8, 7]));
        (picture, a_record("label_breaking/Wald/Bäume 1/3.png"))
    }

    #[test]
    fn a_picture_keeps_its_pixels_and_its_record() {
        let (picture, origin) = sample();
        let bytes = encode(&picture, &origin).unwrap();
        assert_eq!(bytes, encode(&picture, &origin).unwrap());
        assert_eq!(crate::data::decode::decode(&bytes, "a picture").unwrap(), picture);
        assert_eq!(record(&bytes), Some(origin));
    }

    #[test]
    fn a_damaged_picture_has_no_record() {
        let (picture, origin) = sample();
        let bytes = encode(&picture, &origin).unwrap();
        assert_eq!(record(&bytes[..bytes.len() - 20]), None);
        for place in [20, bytes.len() / 2, bytes.len() - 16] {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1;
            assert_eq!(record(&damaged), None, "byte {place}");
        }
        assert_eq!(record(b"GIF89a"), None);
    }
}
