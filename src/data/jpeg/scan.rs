//! One scan's blocks: sequential (T.81 F.2) straight to samples, progressive (T.81 G) into the stored coefficients.

use super::huffman::{Bits, HuffmanTable};
use super::{Component, Frame, Problem, ZIGZAG, damaged, transform};

/// A component's part in a scan.
pub struct Part {
    pub component: usize,
    pub dc: usize,
    pub ac: usize,
    /// The last block's first coefficient, from which the next is a difference.
    pub prediction: i32,
}

/// The coefficients and the bits of them that a progressive scan brings.
#[derive(Clone, Copy)]
pub struct Band {
    pub first: usize,
    pub last: usize,
    pub high: u8,
    pub low: u8,
}

/// The Huffman tables in force.
pub struct Tables<'a> {
    pub dc: &'a [Option<HuffmanTable>; 4],
    pub ac: &'a [Option<HuffmanTable>; 4],
}

/// Decodes the scan whose entropy-coded bytes begin `data`; returns how many bytes these are.
#[inline(always)]
pub fn decode(
    frame: &mut Frame,
    parts: &mut [Part],
    band: Band,
    tables: &Tables<'_>,
    interval: usize,
    data: &[u8],
) -> Result<usize, Problem> {
    let mut bits = Bits::new(data);
    let mut blocks_to_skip = 0;
    let units = match parts {
        // A scan of one component has no padding blocks beyond the one that the last sample is in.
        [part] => {
            let component = &frame.components[part.component];
            (component.width.div_ceil(8), component.height.div_ceil(8))
        }
        _ => frame.units(),
    };
    let alone = parts.len() == 1;
    let progressive = frame.progressive;
    let mut until_restart = interval;
    for y in 0..units.1 {
        for x in 0..units.0 {
            if interval > 0 {
                if until_restart == 0 {
                    bits.restart()?;
                    parts.iter_mut().for_each(|part| part.prediction = 0);
                    blocks_to_skip = 0;
                    until_restart = interval;
                }
                until_restart -= 1;
            }
            for part in parts.iter_mut() {
                let component = &mut frame.components[part.component];
                let (across, down) = if alone { (1, 1) } else { (component.horizontal, component.vertical) };
                for block in 0..across * down {
                    let (column, row) = (x * across + block % across, y * down + block / across);
                    if progressive {
                        progressive_block(
                            component,
                            (column, row),
                            part,
                            band,
                            tables,
                            &mut bits,
                            &mut blocks_to_skip,
                        )?;
                    } else {
                        sequential_block(component, (column, row), part, tables, &mut bits)?;
                    }
                }
            }
        }
    }
    bits.finish()?;
    Ok(bits.position)
}

fn table(tables: &[Option<HuffmanTable>; 4], slot: usize) -> Result<&HuffmanTable, Problem> {
    tables[slot].as_ref().ok_or_else(|| damaged("a Huffman table is missing"))
}

fn bad_code() -> Problem {
    damaged("a scan holds an impossible code")
}

#[inline(always)]
fn difference(bits: &mut Bits<'_>, table: &HuffmanTable) -> Result<i32, Problem> {
    bits.fill();
    match bits.symbol(table) {
        0 => Ok(0),
        size @ 1..=16 => Ok(bits.signed(size)),
        _ => Err(bad_code()),
    }
}

#[inline(always)]
fn sequential_block(
    component: &mut Component,
    (column, row): (usize, usize),
    part: &mut Part,
    tables: &Tables<'_>,
    bits: &mut Bits<'_>,
) -> Result<(), Problem> {
    let (dc, ac) = (table(tables.dc, part.dc)?, table(tables.ac, part.ac)?);
    let Some(quantisation) = &component.quantisation else { return Err(bad_code()) };
    let mut block = [0_i32; 64];
    part.prediction = part.prediction.wrapping_add(difference(bits, dc)?);
    block[0] = i32::from(part.prediction as i16) * i32::from(quantisation[0]);
    let mut index = 1;
    let mut flat = true;
    while index < 64 {
        bits.fill();
        let symbol = bits.symbol(ac);
        let (run, size) = (symbol >> 4, symbol & 15);
        if symbol > 255 {
            return Err(bad_code());
        }
        if size == 0 {
            if run < 15 {
                break;
            }
            index += 16;
            continue;
        }
        index += run as usize;
        let place = ZIGZAG[index] as usize;
        block[place] = bits.signed(size) * i32::from(quantisation[place]);
        flat = false;
        index += 1;
    }
    let stride = component.blocks_wide * 8;
    let out = &mut component.samples[row * 8 * stride + column * 8..];
    if flat {
        transform::inverse_flat(block[0], out, stride)
    } else {
        transform::inverse(&block, out, stride)
    }
    Ok(())
}

fn progressive_block(
    component: &mut Component,
    (column, row): (usize, usize),
    part: &mut Part,
    band: Band,
    tables: &Tables<'_>,
    bits: &mut Bits<'_>,
    blocks_to_skip: &mut u32,
) -> Result<(), Problem> {
    let start = (row * component.blocks_wide + column) * 64;
    let block = &mut component.coefficients[start..start + 64];
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
        (_, 0) => first_pass(block, band, table(tables.ac, part.ac)?, bits, blocks_to_skip),
        _ => refinement(block, band, table(tables.ac, part.ac)?, bits, blocks_to_skip),
    }
}

/// The number of blocks, this one included, that an end-of-band code of this run says are done (T.81 G.1.2.2).
fn end_of_band(bits: &mut Bits<'_>, run: u32) -> u32 {
    (1 << run) + bits.take(run)
}

fn first_pass(
    block: &mut [i16],
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
        let symbol = bits.symbol(table);
        let (run, size) = (symbol >> 4, symbol & 15);
        if symbol > 255 {
            return Err(bad_code());
        }
        if size == 0 {
            if run < 15 {
                *blocks_to_skip = end_of_band(bits, run) - 1;
                break;
            }
            index += 16;
            continue;
        }
        index += run as usize;
        block[ZIGZAG[index] as usize] = (bits.signed(size) << band.low) as i16;
        index += 1;
    }
    Ok(())
}

/// One more bit for coefficients that are not zero yet, and new ones between them (T.81 G.1.2.3).
fn refinement(
    block: &mut [i16],
    band: Band,
    table: &HuffmanTable,
    bits: &mut Bits<'_>,
    blocks_to_skip: &mut u32,
) -> Result<(), Problem> {
    let one = 1_i16 << band.low;
    let refine = |coefficient: &mut i16, bits: &mut Bits<'_>| {
        if bits.bit() && *coefficient & one == 0 {
            *coefficient = coefficient.wrapping_add(if *coefficient > 0 { one } else { -one });
        }
    };
    let mut index = band.first;
    if *blocks_to_skip == 0 {
        while index <= band.last {
            bits.fill();
            let symbol = bits.symbol(table);
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
            while index <= band.last {
                let coefficient = &mut block[ZIGZAG[index] as usize];
                index += 1;
                if *coefficient != 0 {
                    refine(coefficient, bits);
                } else if run == 0 {
                    *coefficient = fresh;
                    break;
                } else {
                    run -= 1;
                }
            }
        }
    }
    if *blocks_to_skip > 0 {
        for &place in ZIGZAG.get(index..=band.last).unwrap_or_default() {
            let coefficient = &mut block[place as usize];
            if *coefficient != 0 {
                refine(coefficient, bits);
            }
        }
        *blocks_to_skip -= 1;
    }
    Ok(())
}
