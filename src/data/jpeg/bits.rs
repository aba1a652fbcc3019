//! The bits of a scan's entropy-coded bytes (T.81 F.2.2.5): stuffed zeros are taken out, and markers end them.

use super::{Problem, damaged, huffman::signed, truncated};

/// Reads the entropy-coded bytes of a scan up to the next marker.
pub struct Bits<'a> {
    bytes: &'a [u8],
    /// The next byte to take.
    pub position: usize,
    buffer: u64,
    /// Bits in the buffer, at its top; what is below them are the next byte's first bits, or zeros.
    count: u32,
    /// Of these, bits that were made up because a marker or the end was reached.
    invented: u32,
}

impl<'a> Bits<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0, buffer: 0, count: 0, invented: 0 }
    }

    /// Brings the buffer to at least 56 bits: more than a code of 16 and a number of 16, and two short ones before them.
    #[inline(always)]
    pub fn fill(&mut self) {
        if let Some(&chunk) = self.bytes.get(self.position..).and_then(|rest| rest.first_chunk::<8>()) {
            let word = u64::from_be_bytes(chunk);
            // No byte is 0xff: then none is a marker or a stuffed zero, and all that fit are taken at once.
            if (!word).wrapping_sub(0x0101_0101_0101_0101) & word & 0x8080_8080_8080_8080 == 0 {
                self.buffer |= word >> self.count;
                self.position += (63 - self.count as usize) / 8;
                self.count |= 0b11_1000;
                return;
            }
        }
        self.fill_slowly();
    }

    #[inline(never)]
    fn fill_slowly(&mut self) {
        while self.count < 56 {
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

    /// The next `COUNT` bits, which stay; [`fill`](Self::fill) before.
    #[inline(always)]
    pub fn peek<const COUNT: u32>(&self) -> usize {
        (self.buffer >> (64 - COUNT)) as usize
    }

    /// Passes over `count` bits that the buffer has.
    #[inline(always)]
    pub fn drop(&mut self, count: u32) {
        self.buffer <<= count;
        self.count -= count;
    }

    /// The next `count` ≤ 16 bits as a number; [`fill`](Self::fill) before.
    #[inline(always)]
    pub fn take(&mut self, count: u32) -> u32 {
        let value = (self.buffer >> 1 >> (63 - count)) as u32;
        self.drop(count);
        value
    }

    /// The next bit, filling as needed.
    #[inline(always)]
    pub fn bit(&mut self) -> bool {
        if self.count == 0 {
            self.fill();
        }
        self.take(1) == 1
    }

    /// The next `size` ≤ 16 bits as the signed number that T.81 table F.1 makes of them; [`fill`](Self::fill) before.
    #[inline(always)]
    pub fn signed(&mut self, size: u32) -> i32 {
        signed(self.take(size), size)
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
