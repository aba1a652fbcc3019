//! A JPEG decoder whose every byte is libjpeg-turbo's, and so Pillow's: baseline, extended and progressive Huffman coding
//! with 8 bits, any sampling, restart intervals, grey, YCbCr, RGB, CMYK and YCCK.
//!
//! Why our own: decoders in Rust round their inverse cosine transform and colour conversion otherwise than libjpeg. That
//! shows as differences of several levels in the picture, where parity with the training pipeline asks for none. The
//! format is ITU-T T.81; libjpeg's choices where the standard leaves freedom are the accurate integer transform
//! ([`transform`]) and triangle-filtered chroma ([`upsample`]).
//!
//! Rows of pixels go one by one to a [`Sink`], which says beforehand what part of the picture it needs. Bits are read to the end
//! whatever it says, so that a damaged file is refused whichever part is damaged.
//!
//! | file | subject |
//! |---|---|
//! | [`markers`] | markers, tables, headers; order of the work |
//! | [`frame`] | what the header says; coefficients in memory |
//! | [`bits`], [`huffman`] | bits, and codes made of them |
//! | [`scan`], [`progressive`] | blocks of coefficients from one scan |
//! | [`planes`] | rows of blocks to rows of pixels |
//! | [`transform`] | inverse cosine transform |
//! | [`upsample`], [`colour`] | chroma at full size; channels to red, green and blue |

mod bits;
mod colour;
mod frame;
mod huffman;
mod markers;
mod planes;
mod progressive;
mod scan;
mod transform;
mod upsample;

use markers::Decoder;

use crate::clip::{resample::Region, wide::Set};

/// Why a picture cannot be decoded: the end of a sentence that begins with the file's name.
pub type Problem = String;

/// What takes a picture's rows.
pub(crate) trait Sink {
    /// Hears the picture's columns and rows, and says which it needs.
    fn begin(&mut self, width: usize, height: usize) -> Result<Region, Problem>;

    /// Takes the next needed row: red, green and blue of the needed columns.
    fn row(&mut self, planes: [&[u8]; 3]);
}

/// Decodes a JPEG to RGB bytes of `[height, width, 3]`; returns (width, height, bytes). Orientation is not applied.
///
/// `limit` is the largest number of pixels to accept.
///
/// # Errors
/// One line for damaged or truncated data and for what is not supported: arithmetic coding, lossless, 12 bits.
pub fn decode(bytes: &[u8], limit: u64) -> Result<(u32, u32, Vec<u8>), Problem> {
    let mut whole = Whole::default();
    decode_rows(bytes, limit, &mut whole, Set::best())?;
    Ok((whole.width as u32, whole.height as u32, whole.pixels))
}

/// Decodes a JPEG row by row, as [`decode`], with the given instructions.
pub(crate) fn decode_rows(bytes: &[u8], limit: u64, sink: &mut dyn Sink, set: Set) -> Result<(), Problem> {
    Decoder::new(bytes).run(limit, sink, set)
}

/// All of the picture.
#[derive(Default)]
struct Whole {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Sink for Whole {
    fn begin(&mut self, width: usize, height: usize) -> Result<Region, Problem> {
        (self.width, self.height) = (width, height);
        self.pixels.reserve_exact(width * height * 3);
        Ok(Region { columns: 0..width, rows: 0..height })
    }

    fn row(&mut self, [red, green, blue]: [&[u8]; 3]) {
        let start = self.pixels.len();
        self.pixels.resize(start + red.len() * 3, 0);
        let pixels = self.pixels[start..].as_chunks_mut::<3>().0;
        for (pixel, (red, (green, blue))) in pixels.iter_mut().zip(red.iter().zip(green.iter().zip(blue))) {
            *pixel = [*red, *green, *blue];
        }
    }
}

fn truncated() -> Problem {
    "is a truncated JPEG (the data end early): fetch or export it again".into()
}

fn damaged(what: &str) -> Problem {
    format!("is a damaged JPEG ({what}): fetch or export it again")
}

fn lacks_channel() -> Problem {
    "is a JPEG that lacks a colour channel, so its data are damaged or truncated: fetch or export it again".into()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// What each instruction set makes of a file, with its name.
    fn everywhere(bytes: &[u8]) -> Vec<Result<Vec<u8>, Problem>> {
        let decode = |set| {
            let mut whole = Whole::default();
            decode_rows(bytes, 1_000_000, &mut whole, set).map(|()| whole.pixels)
        };
        Set::available().into_iter().map(decode).collect()
    }

    /// Damage brings numbers that no encoder writes: what wraps and what is clipped must be the same everywhere.
    #[test]
    fn every_instruction_set_makes_the_same_of_damaged_files() {
        let mut state = 7_u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as usize
        };
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/pictures");
        let mut decoded = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            if !bytes.starts_with(b"\xff\xd8") {
                continue;
            }
            for damages in 0..40 {
                let mut bytes = bytes.clone();
                for _ in 0..damages % 5 {
                    let at = 2 + random() % (bytes.len() - 2);
                    bytes[at] = random() as u8;
                }
                let results = everywhere(&bytes);
                decoded += usize::from(results[0].is_ok());
                assert!(results.windows(2).all(|two| two[0] == two[1]), "{} damages differ", damages % 5);
            }
        }
        assert!(decoded > 300, "{decoded} files were decoded");
    }
}
