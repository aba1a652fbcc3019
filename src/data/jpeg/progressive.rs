//! Blocks of progressive scans (T.81 G): bands of coefficients, and bits of them, one scan after another.

use super::Problem;
use super::bits::Bits;
use super::frame::{GROUP_LENGTH, PLACES};
use super::huffman::{END, HuffmanTable};
use super::scan::{Band, Part, Tables, bad_code, difference, table};

/// What a scan brings of one block.
#[inline(always)]
pub fn block(
    (block, end): (&mut [i16; GROUP_LENGTH], &mut u8),
    part: &mut Part,
    band: Band,
    tables: &Tables<'_>,
    bits: &mut Bits<'_>,
    blocks_to_skip: &mut u32,
) -> Result<(), Problem> {
    match (band.first, band.high) {
        (0, 0) => {
            part.prediction = part.prediction.wrapping_add(difference(bits, table(tables.dc, part.dc)?)?);
            block[0] = (part.prediction << band.low) as i16;
            Ok(())
        }
        (0, _) => {
            if bits.bit() {
                block[0] |= 1 << band.low;
            }
            Ok(())
        }
        (_, 0) => first_pass((block, end), band, table(tables.ac, part.ac)?, bits, blocks_to_skip),
        _ => refinement((block, end), band, table(tables.ac, part.ac)?, bits, blocks_to_skip),
    }
}

/// The number of blocks, this one included, that an end-of-band code of this run says are done (T.81 G.1.2.2).
#[inline(always)]
fn end_of_band(bits: &mut Bits<'_>, run: u32) -> u32 {
    (1 << run) + bits.take(run)
}

#[inline(always)]
fn first_pass(
    (block, end): (&mut [i16; GROUP_LENGTH], &mut u8),
    band: Band,
    table: &HuffmanTable,
    bits: &mut Bits<'_>,
    blocks_to_skip: &mut u32,
) -> Result<(), Problem> {
    if *blocks_to_skip > 0 {
        *blocks_to_skip -= 1;
        return Ok(());
    }
    let mut index = band.first;
    while index <= band.last {
        bits.fill();
        let number = table.number(bits);
        if number.bits > 0 && number.advance < END {
            bits.drop(number.bits.into());
            index += usize::from(number.advance);
            // Sixteen zeros write one over what is zero, or over the last place of a forged run.
            block[PLACES[(index - 1) & 127] as usize] = number.value << band.low;
            continue;
        }
        let symbol = table.symbol(bits);
        let (run, size) = (symbol >> 4, symbol & 15);
        if symbol > 255 {
            return Err(bad_code());
        }
        if size == 0 && run < 15 {
            *blocks_to_skip = end_of_band(bits, run) - 1;
            break;
        }
        index += run as usize + 1;
        block[PLACES[(index - 1) & 127] as usize] = (bits.signed(size) << band.low) as i16;
    }
    // Runs lead past the end only in forged files; what they write is the last coefficient.
    *end = (*end).max((index - 1).min(63) as u8);
    Ok(())
}

/// One more bit for coefficients that are not zero yet, and new ones between them (T.81 G.1.2.3).
#[inline(always)]
fn refinement(
    (block, end): (&mut [i16; GROUP_LENGTH], &mut u8),
    band: Band,
    table: &HuffmanTable,
    bits: &mut Bits<'_>,
    blocks_to_skip: &mut u32,
) -> Result<(), Problem> {
    let one = 1_i16 << band.low;
    let mut index = band.first;
    // Behind the last coefficient that the block had before this scan there is nothing to refine.
    let last = band.last.min((*end).into());
    if *blocks_to_skip == 0 {
        while index <= band.last {
            bits.fill();
            let symbol = table.symbol(bits);
            let (mut run, size) = (symbol >> 4, symbol & 15);
            let fresh = match size {
                0 if run < 15 => {
                    *blocks_to_skip = end_of_band(bits, run);
                    break;
                }
                0 => 0,
                1 if symbol < 256 => {
                    if bits.take(1) == 1 {
                        one
                    } else {
                        -one
                    }
                }
                _ => return Err(bad_code()),
            };
            let mut placed = false;
            while index <= last {
                let coefficient = &mut block[PLACES[index & 127] as usize];
                index += 1;
                if *coefficient != 0 {
                    refine(coefficient, one, bits);
                } else if run == 0 {
                    *coefficient = fresh;
                    placed = true;
                    break;
                } else {
                    run -= 1;
                }
            }
            if !placed {
                // From here on there are but zeros.
                index += run as usize;
                if index <= band.last {
                    block[PLACES[index & 127] as usize] = fresh;
                    *end = (*end).max(index as u8);
                }
                index += 1;
            }
        }
    }
    if *blocks_to_skip > 0 {
        for &place in PLACES.get(index..=last).unwrap_or_default() {
            let coefficient = &mut block[place as usize];
            if *coefficient != 0 {
                refine(coefficient, one, bits);
            }
        }
        *blocks_to_skip -= 1;
    }
    Ok(())
}

#[inline(always)]
fn refine(coefficient: &mut i16, one: i16, bits: &mut Bits<'_>) {
    if bits.bit() && *coefficient & one == 0 {
        *coefficient = coefficient.wrapping_add(if *coefficient > 0 { one } else { -one });
    }
}
