//! Rows of a JPEG's channels to rows of red, green and blue.

use super::Problem;
use super::frame::Colour;
use crate::clip::wide::Words;

/// Rows are padded to whole vectors of the widest kind.
const PADDING: usize = 64;

/// A row's length with room for whole vectors.
pub fn padded(length: usize) -> usize {
    length.next_multiple_of(PADDING)
}

/// Converts rows that have padding behind them; `pixels` are as long as is wanted, with padding.
#[inline(always)]
pub fn convert<W: Words>(words: W, colour: Colour, rows: [&[u8]; 4], pixels: &mut [Vec<u8>; 3]) -> Result<(), Problem> {
    let length = pixels[0].len();
    let wanted = match colour {
        Colour::Grey => 1,
        Colour::YCbCr | Colour::Rgb => 3,
        Colour::Cmyk | Colour::Ycck => 4,
    };
    if rows[..wanted].iter().any(|row| row.len() < length) {
        return Err(super::damaged("its colour channels do not fit its colour space"));
    }
    let [red, green, blue] = pixels;
    let rows = rows.map(|row| row.get(..length).unwrap_or_default());
    match colour {
        Colour::Grey => [red, green, blue].into_iter().for_each(|out| out.copy_from_slice(rows[0])),
        Colour::Rgb => [red, green, blue].into_iter().zip(rows).for_each(|(out, row)| out.copy_from_slice(row)),
        Colour::YCbCr => from_ycbcr(words, rows, [red, green, blue]),
        Colour::Cmyk => {
            for (out, row) in [red, green, blue].into_iter().zip(rows) {
                out.iter_mut()
                    .zip(row.iter().zip(rows[3]))
                    .for_each(|(out, (&value, &black))| *out = ink(value, black));
            }
        }
        Colour::Ycck => {
            from_ycbcr(words, rows, [&mut *red, &mut *green, &mut *blue]);
            for out in [red, green, blue] {
                out.iter_mut().zip(rows[3]).for_each(|(out, &black)| *out = ink(255 - *out, black));
            }
        }
    }
    Ok(())
}

/// CMYK as Adobe stores it (inverted, which Pillow takes all CMYK JPEGs for) to RGB by Pillow's product.
#[inline(always)]
fn ink(colour: u8, black: u8) -> u8 {
    let product = u32::from(255 - colour) * u32::from(black) + 128;
    black - ((product + (product >> 8)) >> 8) as u8
}

/// JFIF's YCbCr to RGB with libjpeg's constants of 16 bits after the point: 1.402, 0.34414, 0.71414 and 1.772. What they have beyond a whole
/// number is what is multiplied with, so that 16 bits are enough.
#[inline(always)]
fn from_ycbcr<W: Words>(words: W, rows: [&[u8]; 4], [red, green, blue]: [&mut Vec<u8>; 3]) {
    let step = 8 * W::GROUPS;
    let (centre, one) = (words.splat16(128), words.splat16(1));
    for start in (0..red.len()).step_by(step) {
        let y = words.widen(&rows[0][start..]);
        let cb = words.sub16(words.widen(&rows[1][start..]), centre);
        let cr = words.sub16(words.widen(&rows[2][start..]), centre);
        let (twice_cb, twice_cr) = (words.add16(cb, cb), words.add16(cr, cr));
        // (constant · number + 2¹⁵) / 2¹⁶ of the half constant's high bits.
        let part = words.mul_high16(twice_cr, words.splat16(26_345));
        let part = words.shift_right16::<1>(words.add16(part, one));
        words.narrow(&mut red[start..], words.add16(y, words.add16(cr, part)));
        let part = words.mul_high16(twice_cb, words.splat16(-14_942));
        let part = words.shift_right16::<1>(words.add16(part, one));
        words.narrow(&mut blue[start..], words.add16(y, words.add16(twice_cb, part)));
        let (constants, half) = (words.splat_pair(-22_554, 18_734), words.splat32(1 << 15));
        let first = words.dot(words.interleave_first16(cb, cr), constants);
        let last = words.dot(words.interleave_last16(cb, cr), constants);
        let first = words.shift_right32::<16>(words.add32(first, half));
        let last = words.shift_right32::<16>(words.add32(last, half));
        let part = words.sub16(words.pack32(first, last), cr);
        words.narrow(&mut green[start..], words.add16(y, part));
    }
}
