//! Bits and Huffman codes of a scan (T.81 annexes C and F.2.2).

use super::{Problem, damaged, truncated};

/// Codes up to this many bits are found in one look.
const LOOK: u32 = 10;

/// A Huffman table ready for decoding.
#[derive(Debug, Clone)]
pub struct HuffmanTable {
    /// For the next [`LOOK`] bits: the code's length in the high byte (0: longer) and its symbol in the low.
    look: Vec<u16>,
    /// For each length: one more than the last code, aligned to 16 bits, and what to add to a code for its symbol's index.
    ends: [u32; 18],
    offsets: [i32; 17],
    symbols: [u8; 256],
}

impl HuffmanTable {
    /// From the number of codes of each length 1–16 and their symbols; `None` if these overflow the code space.
    pub fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut table = Self { look: vec![0; 1 << LOOK], ends: [0; 18], offsets: [0; 17], symbols: [0; 256] };
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
                    let entry = (length << 8) as u16 | u16::from(table.symbols[index]);
                    table.look[first..first + (1 << (LOOK - length))].fill(entry);
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
}

/// Reads the entropy-coded bytes of a scan up to the next marker.
pub struct Bits<'a> {
    bytes: &'a [u8],
    /// The next byte to take.
    pub position: usize,
    buffer: u64,
    /// Bits in the buffer, at its top.
    count: u32,
    /// Of these, bits that were made up because a marker or the end was reached.
    invented: u32,
}

impl<'a> Bits<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0, buffer: 0, count: 0, invented: 0 }
    }

    /// Brings the buffer to at least 48 bits, enough for a code of 16 and a number of 16.
    #[inline(always)]
    pub fn fill(&mut self) {
        if self.count < 48 {
            self.refill();
        }
    }

    #[inline(always)]
    fn refill(&mut self) {
        if let Some(chunk) =
            self.bytes.get(self.position..self.position + 8).and_then(|chunk| <[u8; 8]>::try_from(chunk).ok())
        {
            let word = u64::from_be_bytes(chunk);
            // No byte is 0xff: then none is a marker or a stuffed zero, and all that fit are taken at once.
            let inverted = !word;
            if inverted.wrapping_sub(0x0101_0101_0101_0101) & word & 0x8080_8080_8080_8080 == 0 {
                let taken = (64 - self.count) / 8;
                let kept = if taken == 8 { word } else { word & !(u64::MAX >> (taken * 8)) };
                self.buffer |= kept >> self.count;
                self.position += taken as usize;
                self.count += taken * 8;
                return;
            }
        }
        self.refill_slowly();
    }

    #[cold]
    fn refill_slowly(&mut self) {
        while self.count <= 56 {
            let byte = match (self.bytes.get(self.position), self.bytes.get(self.position + 1)) {
                (Some(0xff), Some(0)) => {
                    self.position += 2;
                    0xff
                }
                (Some(0xff) | None, _) => {
                    self.invented += 8;
                    0
                }
                (Some(&byte), _) => {
                    self.position += 1;
                    byte
                }
            };
            self.buffer |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    #[inline(always)]
    fn drop_bits(&mut self, count: u32) {
        self.buffer <<= count;
        self.count -= count;
    }

    /// The next `count` ≤ 16 bits as a number; call [`fill`](Self::fill) before.
    #[inline(always)]
    pub fn take(&mut self, count: u32) -> u32 {
        let value = (self.buffer >> 1 >> (63 - count)) as u32;
        self.drop_bits(count);
        value
    }

    /// The next bit, filling as needed.
    #[inline(always)]
    pub fn bit(&mut self) -> bool {
        self.fill();
        self.take(1) == 1
    }

    /// The next `size` ≤ 16 bits as the signed number that T.81 table F.1 makes of them.
    #[inline(always)]
    pub fn signed(&mut self, size: u32) -> i32 {
        let value = self.take(size) as i32;
        let negative = i32::from(value < 1 << size >> 1);
        value - negative * ((1 << size) - 1)
    }

    /// The next symbol; call [`fill`](Self::fill) before. Codes that the table lacks give 256.
    #[inline(always)]
    pub fn symbol(&mut self, table: &HuffmanTable) -> u32 {
        let entry = u32::from(table.look[(self.buffer >> (64 - LOOK)) as usize]);
        if entry != 0 {
            self.drop_bits(entry >> 8);
            return entry & 255;
        }
        self.long_symbol(table)
    }

    #[cold]
    fn long_symbol(&mut self, table: &HuffmanTable) -> u32 {
        let next = (self.buffer >> 48) as u32;
        let length = (LOOK as usize + 1..=16).find(|&length| next < table.ends[length]);
        let Some(length) = length else { return 256 };
        let index = (next >> (16 - length)) as i32 + table.offsets[length];
        self.drop_bits(length as u32);
        usize::try_from(index).ok().and_then(|index| table.symbols.get(index)).map_or(256, |&symbol| symbol.into())
    }

    /// Ends a run of units: says whether it used bits that the file does not have, and throws away the padding.
    pub fn finish(&mut self) -> Result<(), Problem> {
        if self.invented > self.count {
            return Err(if self.position >= self.bytes.len() { truncated() } else { damaged("a scan ends early") });
        }
        // Whole bytes read ahead go back; they hold no stuffed bytes' second half, so walk back over what was taken.
        let mut ahead = (self.count - self.invented) / 8;
        while ahead > 0 && self.position > 0 {
            let stuffed =
                self.position > 1 && self.bytes[self.position - 1] == 0 && self.bytes[self.position - 2] == 0xff;
            self.position -= if stuffed { 2 } else { 1 };
            ahead -= 1;
        }
        (self.buffer, self.count, self.invented) = (0, 0, 0);
        Ok(())
    }

    /// Passes the next restart marker.
    pub fn restart(&mut self) -> Result<(), Problem> {
        self.finish()?;
        loop {
            let rest = &self.bytes[self.position.min(self.bytes.len())..];
            let at = rest.iter().position(|&byte| byte == 0xff).ok_or_else(truncated)?;
            match rest.get(at + 1).ok_or_else(truncated)? {
                0xd0..=0xd7 => {
                    self.position += at + 2;
                    return Ok(());
                }
                0 | 0xff => self.position += at + 1,
                _ => return Err(damaged("a restart marker is missing")),
            }
        }
    }
}
