//! One group of 128 bits as an array: the definition of what the other instruction sets do, which the compiler makes vectors of
//! where it can.

use super::Words;
use crate::clip::lanes::lanes;

/// Needs nothing.
#[derive(Clone, Copy)]
pub struct Portable;

/// Sixteen bytes as eight numbers.
type Group = [i16; 8];

#[inline(always)]
fn bytes(group: Group) -> [u8; 16] {
    lanes(|i| group[i / 2].to_le_bytes()[i % 2])
}

#[inline(always)]
fn from_bytes(bytes: [u8; 16]) -> Group {
    lanes(|i| i16::from_le_bytes([bytes[2 * i], bytes[2 * i + 1]]))
}

#[inline(always)]
fn wide(group: Group) -> [i32; 4] {
    lanes(|i| i32::from(group[2 * i + 1]) << 16 | i32::from(group[2 * i] as u16))
}

#[inline(always)]
fn from_wide(numbers: [i32; 4]) -> Group {
    lanes(|i| (numbers[i / 2] >> (i % 2 * 16)) as i16)
}

impl Words for Portable {
    type Vector = Group;

    const GROUPS: usize = 1;

    #[inline(always)]
    fn splat16(self, value: i16) -> Group {
        [value; 8]
    }

    #[inline(always)]
    fn splat32(self, value: i32) -> Group {
        from_wide([value; 4])
    }

    #[inline(always)]
    fn load16(self, from: &[i16]) -> Group {
        lanes(|i| from[..8][i])
    }

    #[inline(always)]
    fn load8(self, from: &[u8]) -> Group {
        from_bytes(lanes(|i| from[..16][i]))
    }

    #[inline(always)]
    fn load_groups(self, from: &[u8], _: usize) -> Group {
        self.load8(from)
    }

    #[inline(always)]
    fn widen(self, from: &[u8]) -> Group {
        lanes(|i| from[..8][i].into())
    }

    #[inline(always)]
    fn store8(self, to: &mut [u8], vector: Group) {
        to[..16].copy_from_slice(&bytes(vector));
    }

    #[inline(always)]
    fn narrow(self, to: &mut [u8], vector: Group) {
        to[..8].copy_from_slice(&lanes::<u8, 8>(|i| vector[i].clamp(0, 255) as u8));
    }

    #[inline(always)]
    fn store_halves(self, first: &mut [u8], last: &mut [u8], vector: Group) {
        let bytes = bytes(vector);
        first[..8].copy_from_slice(&bytes[..8]);
        last[..8].copy_from_slice(&bytes[8..]);
    }

    #[inline(always)]
    fn add16(self, a: Group, b: Group) -> Group {
        lanes(|i| a[i].wrapping_add(b[i]))
    }

    #[inline(always)]
    fn sub16(self, a: Group, b: Group) -> Group {
        lanes(|i| a[i].wrapping_sub(b[i]))
    }

    #[inline(always)]
    fn mul16(self, a: Group, b: Group) -> Group {
        lanes(|i| a[i].wrapping_mul(b[i]))
    }

    #[inline(always)]
    fn mul_high16(self, a: Group, b: Group) -> Group {
        lanes(|i| ((i32::from(a[i]) * i32::from(b[i])) >> 16) as i16)
    }

    #[inline(always)]
    fn shift_right16<const N: u32>(self, a: Group) -> Group {
        lanes(|i| a[i] >> N)
    }

    #[inline(always)]
    fn high_bytes(self, a: Group) -> Group {
        lanes(|i| a[i] >> 8 & 255)
    }

    #[inline(always)]
    fn low_bytes(self, a: Group) -> Group {
        lanes(|i| a[i] & 255)
    }

    #[inline(always)]
    fn dot(self, a: Group, b: Group) -> Group {
        let product = |i: usize| i32::from(a[i]) * i32::from(b[i]);
        from_wide(lanes(|i| product(2 * i).wrapping_add(product(2 * i + 1))))
    }

    #[inline(always)]
    fn add32(self, a: Group, b: Group) -> Group {
        let (a, b) = (wide(a), wide(b));
        from_wide(lanes(|i| a[i].wrapping_add(b[i])))
    }

    #[inline(always)]
    fn sub32(self, a: Group, b: Group) -> Group {
        let (a, b) = (wide(a), wide(b));
        from_wide(lanes(|i| a[i].wrapping_sub(b[i])))
    }

    #[inline(always)]
    fn shift_right32<const N: u32>(self, a: Group) -> Group {
        let a = wide(a);
        from_wide(lanes(|i| a[i] >> N))
    }

    #[inline(always)]
    fn shift_left32<const N: u32>(self, a: Group) -> Group {
        let a = wide(a);
        from_wide(lanes(|i| a[i] << N))
    }

    #[inline(always)]
    fn clip32(self, a: Group) -> Group {
        let a = wide(a);
        from_wide(lanes(|i| a[i].clamp(0, 255)))
    }

    #[inline(always)]
    fn or(self, a: Group, b: Group) -> Group {
        lanes(|i| a[i] | b[i])
    }

    #[inline(always)]
    fn interleave_first16(self, a: Group, b: Group) -> Group {
        [a[0], b[0], a[1], b[1], a[2], b[2], a[3], b[3]]
    }

    #[inline(always)]
    fn interleave_last16(self, a: Group, b: Group) -> Group {
        [a[4], b[4], a[5], b[5], a[6], b[6], a[7], b[7]]
    }

    #[inline(always)]
    fn interleave_first32(self, a: Group, b: Group) -> Group {
        [a[0], a[1], b[0], b[1], a[2], a[3], b[2], b[3]]
    }

    #[inline(always)]
    fn interleave_last32(self, a: Group, b: Group) -> Group {
        [a[4], a[5], b[4], b[5], a[6], a[7], b[6], b[7]]
    }

    #[inline(always)]
    fn interleave_first64(self, a: Group, b: Group) -> Group {
        [a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3]]
    }

    #[inline(always)]
    fn interleave_last64(self, a: Group, b: Group) -> Group {
        [a[4], a[5], a[6], a[7], b[4], b[5], b[6], b[7]]
    }

    #[inline(always)]
    fn pack32(self, a: Group, b: Group) -> Group {
        let (a, b) = (wide(a), wide(b));
        let clip = |number: i32| number.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
        lanes(|i| clip(if i < 4 { a[i] } else { b[i - 4] }))
    }

    #[inline(always)]
    fn pack16(self, a: Group, b: Group) -> Group {
        let clip = |number: i16| number.clamp(0, 255) as u8;
        from_bytes(lanes(|i| clip(if i < 8 { a[i] } else { b[i - 8] })))
    }
}
