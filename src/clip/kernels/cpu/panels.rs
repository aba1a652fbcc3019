//! How a packed weight lies in memory: in f32, in half precision, or in int8 with a scale for each output.
//!
//! Narrow numbers become f32 a block at a time, right before a product reads the block several times over. So memory holds half
//! or a quarter of the bytes, and the microkernel is the same for all.
//!
//! int8 is symmetric, by output (Jacob and others, "Quantization and training of neural networks for efficient
//! integer-arithmetic-only inference", 2018, without a zero point): `w = q · scale`, `|q| ≤ 127`, `scale = max |w| / 127`.

use half::{f16, slice::HalfFloatSliceExt, vec::HalfFloatVecExt};

use super::simd::Simd;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
use super::split;
use super::tile::Aligned;
use crate::clip::Storage;

/// The significant bits of a scale are cut by this many, to 16: then `q · scale` is exact in f32, and a weight that was made of
/// int8 becomes the same int8 again.
const CUT: u32 = 8;

/// A weight's numbers, `[panel][input][column]`, zeros in the last panel's missing columns.
pub(super) enum Panels {
    F32(Aligned<f32>),
    /// By their bits.
    F16(Aligned<u16>),
    /// With the columns' scales, `[panel][column]`.
    Int8(Aligned<i8>, Vec<f32>),
}

/// What panels are made of: `[outputs, inputs]`, and the width of a panel.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub outputs: usize,
    pub inputs: usize,
    pub width: usize,
}

impl Panels {
    /// Packs `weight` `[outputs, inputs]`. One that half precision cannot hold, because it is too large for it, stays in f32.
    pub fn new(weight: &[f32], shape: Shape, storage: Storage) -> Self {
        let f16 = |exact| halves(weight, exact).map(|halves| Self::F16(packed(&halves, shape)));
        let int8 = |exact| {
            let (values, mut scales) = quantised(weight, shape, exact)?;
            scales.resize(shape.outputs.next_multiple_of(shape.width), 0.0);
            Some(Self::Int8(packed(&values, shape), scales))
        };
        let narrow = match storage {
            Storage::Exact => int8(true).or_else(|| f16(true)),
            Storage::F32 => None,
            Storage::F16 => f16(false),
            Storage::Int8 => int8(false),
        };
        narrow.unwrap_or_else(|| Self::F32(packed(weight, shape)))
    }

    /// In which form they are.
    pub fn storage(&self) -> Storage {
        match self {
            Self::F32(_) => Storage::F32,
            Self::F16(_) => Storage::F16,
            Self::Int8(..) => Storage::Int8,
        }
    }

    /// `count` numbers from `start` on as f32, whole vectors: where they lie, or at the start of `scratch`. Of int8 they are the
    /// whole numbers, which their columns' scales are still to be multiplied by.
    #[inline(always)]
    pub fn read<'a, S: Simd>(&'a self, simd: S, start: usize, count: usize, scratch: &'a mut [f32]) -> &'a [f32] {
        let range = start..start + count;
        if let Self::F32(values) = self {
            return &values.as_slice()[range];
        }
        let scratch = &mut scratch[..count];
        match self {
            Self::F32(_) => {}
            Self::F16(values) => {
                let vectors = values.as_slice()[range].chunks_exact(S::LANES);
                for (to, from) in scratch.chunks_exact_mut(S::LANES).zip(vectors) {
                    // SAFETY: both chunks are a vector long.
                    unsafe { simd.store(to.as_mut_ptr(), simd.load_half(from.as_ptr())) };
                }
            }
            Self::Int8(values, _) => {
                let vectors = values.as_slice()[range].chunks_exact(S::LANES);
                for (to, from) in scratch.chunks_exact_mut(S::LANES).zip(vectors) {
                    // SAFETY: both chunks are a vector long.
                    unsafe { simd.store(to.as_mut_ptr(), simd.load_int8(from.as_ptr())) };
                }
            }
        }
        scratch
    }

    /// Of how many bfloat16 numbers each number is the sum, before it is multiplied by its column's scale.
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    pub fn parts(&self) -> usize {
        match self {
            Self::F32(values) => split::parts(values.as_slice()),
            Self::F16(_) => 2,
            Self::Int8(..) => 1,
        }
    }

    /// One number.
    pub fn get(&self, index: usize) -> f32 {
        match self {
            Self::F32(values) => values.as_slice()[index],
            Self::F16(values) => f16::from_bits(values.as_slice()[index]).to_f32(),
            Self::Int8(values, _) => f32::from(values.as_slice()[index]),
        }
    }

    /// What the columns are to be multiplied by, `[panel][column]`; `None` where they are right as they are.
    pub fn scales(&self) -> Option<&[f32]> {
        match self {
            Self::Int8(_, scales) => Some(scales),
            Self::F32(_) | Self::F16(_) => None,
        }
    }

    /// The memory from number `start` on, of at most `count` numbers, to be asked for: what is in it is no f32.
    pub fn memory(&self, start: usize, count: usize) -> &[f32] {
        /// SAFETY: any bits are an f32, and nobody reads them.
        fn words<T>(values: &[T], start: usize, count: usize) -> &[f32] {
            let end = values.len().min(start + count);
            // SAFETY: see above.
            unsafe { values[start.min(end)..end].align_to::<f32>().1 }
        }
        match self {
            Self::F32(values) => words(values.as_slice(), start, count),
            Self::F16(values) => words(values.as_slice(), start, count),
            Self::Int8(values, _) => words(values.as_slice(), start, count),
        }
    }
}

/// `[outputs, inputs]` in panels.
fn packed<T: Copy + Default>(weight: &[T], Shape { outputs, inputs, width }: Shape) -> Aligned<T> {
    let mut panels = Aligned::zeros(outputs.div_ceil(width) * inputs * width);
    if inputs > 0 {
        for (rows, panel) in weight.chunks(width * inputs).zip(panels.as_mut_slice().chunks_exact_mut(width * inputs)) {
            for (column, row) in rows.chunks_exact(inputs).enumerate() {
                for (value, to) in row.iter().zip(panel[column..].iter_mut().step_by(width)) {
                    *to = *value;
                }
            }
        }
    }
    panels
}

/// The nearest numbers in half precision; `None` where some would become infinite, or, if `exact`, would change at all.
fn halves(weight: &[f32], exact: bool) -> Option<Vec<u16>> {
    /// Few enough that a weight which is not exact is given up at once.
    const PIECE: usize = 4096;
    let mut halves = vec![f16::ZERO; weight.len()];
    let mut back = [0.0; PIECE];
    for (weight, halves) in weight.chunks(PIECE).zip(halves.chunks_mut(PIECE)) {
        halves.convert_from_f32_slice(weight);
        let back = &mut back[..halves.len()];
        halves.convert_to_f32_slice(back);
        let kept = |(&before, &after): (&f32, &f32)| {
            if exact { before.to_bits() == after.to_bits() } else { !before.is_finite() || after.is_finite() }
        };
        if !weight.iter().zip(&*back).all(kept) {
            return None;
        }
    }
    Some(halves.reinterpret_into())
}

/// `weight` as int8 `[outputs, inputs]` with a scale for each output; `None` where, if `exact`, a number would change. The
/// scale of a row with a number that is not finite is NaN, so that it shows in the product.
fn quantised(weight: &[f32], Shape { outputs, inputs, .. }: Shape, exact: bool) -> Option<(Vec<i8>, Vec<f32>)> {
    let (mut values, mut scales) = (Vec::with_capacity(weight.len()), Vec::with_capacity(outputs));
    for row in weight.chunks_exact(inputs.max(1)) {
        let scale = scale(row);
        let start = values.len();
        values.extend(row.iter().map(|&value| quantise(value, scale)));
        let kept = |(&before, &after): (&f32, &i8)| before.to_bits() == (f32::from(after) * scale).to_bits();
        if exact && !row.iter().zip(&values[start..]).all(kept) {
            return None;
        }
        scales.push(scale);
    }
    Some((values, scales))
}

/// The scale of one output's numbers.
fn scale(row: &[f32]) -> f32 {
    if !row.iter().all(|value| value.is_finite()) {
        return f32::NAN;
    }
    let largest = row.iter().fold(0.0, |largest: f32, value| largest.max(value.abs()));
    let half = 1 << (CUT - 1);
    f32::from_bits(((largest / 127.0).to_bits() + half) >> CUT << CUT)
}

/// The whole number nearest to `value / scale`.
fn quantise(value: f32, scale: f32) -> i8 {
    /// Adding and taking away 1.5 · 2²³ leaves no bits for a fraction.
    const SHIFT: f32 = 12_582_912.0;
    // A division by zero, for a row of zeros, gives NaN, and that is zero as a whole number.
    ((value / scale + SHIFT) - SHIFT).clamp(-127.0, 127.0) as i8
}
