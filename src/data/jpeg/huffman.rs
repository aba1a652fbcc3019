//! Huffman tables (T.81 annex C) made ready for decoding.

use super::bits::Bits;

/// Codes, and numbers with their codes, of up to this many bits are found in one look.
pub const LOOK: u32 = 10;

/// What a table's symbols are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Sizes of differences between first coefficients.
    Dc,
    /// Runs of zeros, and sizes of the coefficients behind them.
    Ac,
}

/// A Huffman table ready for decoding.
#[derive(Debug, Clone)]
pub struct HuffmanTable {
    /// For the next [`LOOK`] bits what a code and its number say together, where both are there.
    numbers: Box<[Number; 1 << LOOK]>,
    /// For the next [`LOOK`] bits the code's length in the high byte (0: longer) and its symbol in the low.
    look: Box<[u16; 1 << LOOK]>,
    /// For each length: one more than the last code, aligned to 16 bits, and what to add to a code for its symbol's index.
    ends: [u32; 18],
    offsets: [i32; 17],
    symbols: [u8; 256],
}

/// A code and the number behind it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Number {
    /// Their bits; 0 where they are more than [`LOOK`], or the code is none.
    pub bits: u8,
    /// How many coefficients further the next one is: past the end where the block ends here.
    pub advance: u8,
    /// The number; 0 where there is none.
    pub value: i16,
}

/// How far the next coefficient is when the block ends: past the end from anywhere.
pub const END: u8 = 64;

impl HuffmanTable {
    /// From the number of codes of each length 1–16 and their symbols; `None` if these overflow the code space.
    pub fn new(class: Class, counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut table = Self {
            numbers: Box::new([Number::default(); 1 << LOOK]),
            look: Box::new([0; 1 << LOOK]),
            ends: [0; 18],
            offsets: [0; 17],
            symbols: [0; 256],
        };
        table.symbols.get_mut(..symbols.len())?.copy_from_slice(symbols);
        let (mut code, mut index) = (0_u32, 0_usize);
        for length in 1..=16_u32 {
            table.offsets[length as usize] = index as i32 - code as i32;
            for _ in 0..counts[length as usize - 1] {
                if code >= 1 << length {
                    return None;
                }
                if length <= LOOK {
                    let first = (code << (LOOK - length)) as usize;
                    let symbol = table.symbols[index];
                    table.look[first..first + (1 << (LOOK - length))].fill((length << 8) as u16 | u16::from(symbol));
                    table.enter_numbers(class, first, length, symbol);
                }
                code += 1;
                index += 1;
            }
            table.ends[length as usize] = code << (16 - length);
            code <<= 1;
        }
        table.ends[17] = u32::MAX;
        Some(table)
    }

    /// Enters the numbers that fit behind a code whose first place in the table is `first`.
    fn enter_numbers(&mut self, class: Class, first: usize, length: u32, symbol: u8) {
        let (run, size) = match class {
            Class::Dc => (0, u32::from(symbol)),
            Class::Ac => (symbol >> 4, u32::from(symbol & 15)),
        };
        if length + size > LOOK {
            return;
        }
        let advance = if size == 0 && run < 15 { END } else { run + 1 };
        let each = 1 << (LOOK - length - size);
        for bits in 0..1_u32 << size {
            let number = Number { bits: (length + size) as u8, advance, value: signed(bits, size) as i16 };
            self.numbers[first + bits as usize * each..][..each].fill(number);
        }
    }

    /// The code and its number that the next bits begin with.
    #[inline(always)]
    pub fn number(&self, bits: &Bits<'_>) -> Number {
        self.numbers[bits.peek::<LOOK>()]
    }

    /// The next symbol, for which the bits must be filled. Codes that the table lacks give 256.
    #[inline(always)]
    pub fn symbol(&self, bits: &mut Bits<'_>) -> u32 {
        let entry = u32::from(self.look[bits.peek::<LOOK>()]);
        if entry != 0 {
            bits.drop(entry >> 8);
            return entry & 255;
        }
        self.long_symbol(bits)
    }

    #[inline(never)]
    fn long_symbol(&self, bits: &mut Bits<'_>) -> u32 {
        let next = bits.peek::<16>() as u32;
        let length = (LOOK as usize + 1..=16).find(|&length| next < self.ends[length]);
        let Some(length) = length else { return 256 };
        let index = (next >> (16 - length)) as i32 + self.offsets[length];
        bits.drop(length as u32);
        usize::try_from(index).ok().and_then(|index| self.symbols.get(index)).map_or(256, |&symbol| symbol.into())
    }
}

/// `size` ≤ 16 bits as the signed number that T.81 table F.1 makes of them.
#[inline(always)]
pub fn signed(bits: u32, size: u32) -> i32 {
    let value = bits as i32;
    let negative = i32::from(value < 1 << size >> 1);
    value - negative * ((1 << size) - 1)
}
