//! Half precision to f32 and back, as the tensors of a tower in half precision come into a kernel and leave it.

use half::{bf16, f16, slice::HalfFloatSliceExt};

use super::simd::{Instructions, Kernel, Simd};
use super::tile::Output;
use crate::platform::parallel;

/// Numbers that a task converts: they stay in the first-level cache.
const BLOCK: usize = 8192;

/// bfloat16 as f32.
pub fn from_bf16(values: &[bf16], instructions: Instructions) -> Vec<f32> {
    converted(values.reinterpret_cast(), |from: &[u16], to| instructions.run(Widen { from, to }))
}

/// f32 as the nearest bfloat16, the even one of two that are as near.
pub fn to_bf16(values: &[f32], instructions: Instructions) -> Vec<bf16> {
    converted(values, |from, to: &mut [bf16]| instructions.run(Narrow { from, to: to.reinterpret_cast_mut() }))
}

/// IEEE half precision as f32.
pub fn from_f16(values: &[f16]) -> Vec<f32> {
    converted(values, <[f16]>::convert_to_f32_slice)
}

/// f32 as the nearest of IEEE's half precision, the even one of two that are as near.
pub fn to_f16(values: &[f32]) -> Vec<f16> {
    converted(values, |from, to: &mut [f16]| to.convert_from_f32_slice(from))
}

fn converted<A: Sync, B: Clone + Default + Send>(
    values: &[A],
    convert: impl Fn(&[A], &mut [B]) + Send + Sync,
) -> Vec<B> {
    let mut result = vec![B::default(); values.len()];
    let output = Output::new(&mut result);
    parallel::for_each(values.len().div_ceil(BLOCK), |block| {
        let from = &values[block * BLOCK..values.len().min((block + 1) * BLOCK)];
        // SAFETY: no other task has this block.
        convert(from, unsafe { output.piece(block * BLOCK, from.len()) });
    });
    result
}

struct Widen<'a> {
    from: &'a [u16],
    to: &'a mut [f32],
}

impl Kernel for Widen<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for (&from, to) in self.from.iter().zip(self.to) {
            *to = f32::from_bits(u32::from(from) << 16);
        }
    }
}

struct Narrow<'a> {
    from: &'a [f32],
    to: &'a mut [u16],
}

impl Kernel for Narrow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        // Without a branch, so that the compiler makes vectors of it.
        for (&from, to) in self.from.iter().zip(self.to) {
            let bits = from.to_bits();
            let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
            // Rounding could make something else of a NaN.
            let bits = if from.is_nan() { bits | 1 << 22 } else { rounded };
            *to = (bits >> 16) as u16;
        }
    }
}

#[cfg(test)]
mod tests {
    use half::slice::HalfBitsSliceExt;

    use super::*;

    #[test]
    fn every_number_is_converted_as_half_does_it() {
        let halves: Vec<u16> = (0..=u16::MAX).collect();
        let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        // Every upper half with what decides about rounding below it.
        let lower = [0, 1, 0x1000, 0x1fff, 0x2000, 0x7fff, 0x8000, 0x8001, 0xffff];
        let singles: Vec<f32> = lower
            .iter()
            .flat_map(|lower| halves.iter().map(move |&upper| f32::from_bits(u32::from(upper) << 16 | lower)))
            .collect();
        for instructions in Instructions::available() {
            let wide = from_bf16(halves.reinterpret_cast(), instructions);
            let expected = halves.iter().map(|&half| f32::from_bits(u32::from(half) << 16)).collect();
            assert_eq!(bits(wide), bits(expected), "{instructions:?}");
            let expected: Vec<bf16> = singles.iter().map(|&value| bf16::from_f32(value)).collect();
            let narrow = to_bf16(&singles, instructions);
            assert!(narrow.reinterpret_cast() == expected.reinterpret_cast(), "{instructions:?} rounds otherwise");
        }
        let wide = from_f16(halves.reinterpret_cast());
        for (half, wide) in halves.iter().map(|&half| f16::from_bits(half)).zip(wide) {
            assert!(half.to_f32() == wide || half.is_nan() && wide.is_nan(), "{half} became {wide}");
        }
        for (value, narrow) in singles.iter().zip(to_f16(&singles)) {
            let expected = f16::from_f32(*value);
            assert!(expected == narrow || expected.is_nan() && narrow.is_nan(), "{value} became {narrow}");
        }
    }
}
