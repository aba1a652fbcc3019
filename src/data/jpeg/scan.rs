//! The order of a scan's blocks (T.81 A.2), and blocks of sequential scans (F.2).

use super::bits::Bits;
use super::frame::{Frame, GROUP_LENGTH, PLACES};
use super::huffman::HuffmanTable;
use super::planes::Planes;
use super::{Problem, damaged, progressive};

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

/// Counts units, and passes the markers between runs of them.
struct Restarts {
    interval: usize,
    left: usize,
}

impl Restarts {
    fn new(interval: usize) -> Self {
        Self { interval, left: interval }
    }

    /// Before each unit: whether a new run of units begins with it.
    #[inline(always)]
    fn begins(&mut self, bits: &mut Bits<'_>, parts: &mut [Part]) -> Result<bool, Problem> {
        if self.interval == 0 {
            return Ok(false);
        }
        let begins = self.left == 0;
        if begins {
            bits.restart()?;
            parts.iter_mut().for_each(|part| part.prediction = 0);
            self.left = self.interval;
        }
        self.left -= 1;
        Ok(begins)
    }
}

/// Decodes the only scan of a sequential picture, whose entropy-coded bytes begin `data`, and hands its rows on; returns how many
/// bytes these are. Blocks that nothing is made of are decoded too, because the next ones begin where they end, but not kept.
pub fn decode_whole(
    frame: &Frame,
    parts: &mut [Part],
    tables: &Tables<'_>,
    interval: usize,
    data: &[u8],
    planes: &mut Planes<'_>,
) -> Result<usize, Problem> {
    let mut bits = Bits::new(data);
    let mut restarts = Restarts::new(interval);
    let mut unused = [0; GROUP_LENGTH];
    let (across, down) = frame.units();
    for y in 0..down {
        let wanted = planes.wants(y);
        if wanted {
            planes.clear();
        }
        for x in 0..across {
            restarts.begins(&mut bits, parts)?;
            for part in parts.iter_mut() {
                let component = &frame.components[part.component];
                let (dc, ac) = (table(tables.dc, part.dc)?, table(tables.ac, part.ac)?);
                for row in 0..component.vertical {
                    for column in 0..component.horizontal {
                        let column = x * component.horizontal + column;
                        let block = if wanted { planes.block(part.component, column, row) } else { None };
                        sequential_block(block.unwrap_or(&mut unused), dc, ac, &mut part.prediction, &mut bits)?;
                    }
                }
            }
        }
        if wanted {
            planes.finish_row(y, None)?;
        }
    }
    bits.finish()?;
    Ok(bits.position)
}

/// Decodes one of several scans into the components' coefficients; returns how many bytes its entropy-coded data are.
pub fn decode(
    frame: &mut Frame,
    parts: &mut [Part],
    band: Band,
    tables: &Tables<'_>,
    interval: usize,
    data: &[u8],
) -> Result<usize, Problem> {
    let mut bits = Bits::new(data);
    let mut restarts = Restarts::new(interval);
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
    for y in 0..units.1 {
        for x in 0..units.0 {
            if restarts.begins(&mut bits, parts)? {
                blocks_to_skip = 0;
            }
            for part in parts.iter_mut() {
                let component = &mut frame.components[part.component];
                let (across, down) = if alone { (1, 1) } else { (component.horizontal, component.vertical) };
                for index in 0..across * down {
                    let (column, row) = (x * across + index % across, y * down + index / across);
                    let (block, end) = component.coefficients.block_and_end(column, row);
                    if progressive {
                        progressive::block((block, end), part, band, tables, &mut bits, &mut blocks_to_skip)?;
                    } else {
                        let (dc, ac) = (table(tables.dc, part.dc)?, table(tables.ac, part.ac)?);
                        PLACES[..64].iter().for_each(|&place| block[place as usize] = 0);
                        sequential_block(block, dc, ac, &mut part.prediction, &mut bits)?;
                    }
                }
            }
        }
    }
    bits.finish()?;
    Ok(bits.position)
}

pub fn table(tables: &[Option<HuffmanTable>; 4], slot: usize) -> Result<&HuffmanTable, Problem> {
    tables[slot].as_ref().ok_or_else(|| damaged("a Huffman table is missing"))
}

pub fn bad_code() -> Problem {
    damaged("a scan holds an impossible code")
}

/// The difference between a block's first coefficient and the last one's.
#[inline(always)]
pub fn difference(bits: &mut Bits<'_>, table: &HuffmanTable) -> Result<i32, Problem> {
    bits.fill();
    let number = table.number(bits);
    if number.bits > 0 {
        bits.drop(number.bits.into());
        return Ok(number.value.into());
    }
    match table.symbol(bits) {
        size @ 0..=16 => Ok(bits.signed(size)),
        _ => Err(bad_code()),
    }
}

/// Decodes a block onto zeros.
#[inline(always)]
fn sequential_block(
    block: &mut [i16; GROUP_LENGTH],
    dc: &HuffmanTable,
    ac: &HuffmanTable,
    prediction: &mut i32,
    bits: &mut Bits<'_>,
) -> Result<(), Problem> {
    *prediction = prediction.wrapping_add(difference(bits, dc)?);
    block[0] = *prediction as i16;
    // Where a block ends and where there are sixteen zeros a zero is written, which does no harm: nothing is there yet.
    let mut index = 1_usize;
    while index < 64 {
        bits.fill();
        // After two numbers found in one look the buffer still has enough for the longest.
        for _ in 0..3 {
            let number = ac.number(bits);
            if number.bits > 0 {
                bits.drop(number.bits.into());
                index += usize::from(number.advance);
                block[PLACES[(index - 1) & 127] as usize] = number.value;
                if index > 63 {
                    return Ok(());
                }
            } else {
                let symbol = ac.symbol(bits);
                let (run, size) = (symbol >> 4, symbol & 15);
                if symbol > 255 {
                    return Err(bad_code());
                }
                if size == 0 && run < 15 {
                    return Ok(());
                }
                index += run as usize + 1;
                block[PLACES[(index - 1) & 127] as usize] = bits.signed(size) as i16;
                break;
            }
        }
    }
    Ok(())
}
