//! How a packed weight lies in memory: in f32, in half precision, or in int8 with a scale for each output.
//!
//! Narrow numbers become f32 a block at a time, right before a product reads the block several times over. So memory holds half
//! or a quarter of the bytes, and the microkernel is the same for all.

use half::{f16, vec::HalfFloatVecExt};

use super::simd::{Instructions, Simd};
use super::tile::{Aligned, Number};
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
use super::{amx::DEPTH, split, tiled::Tiled};
use crate::clip::{
    Storage,
    narrow::{Int8, exact_halves, halves},
};

/// Up to so many numbers a weight stays as it is, unless it is asked for otherwise: it is in the cache in f32 too, and making it wide
/// again would take a sixth of the time that one picture takes.
const SMALL: usize = 1 << 18;

/// A weight's numbers, `[panel][input][column]`, zeros in the last panel's missing columns.
pub(super) enum Panels {
    F32(Aligned<f32>),
    /// By their bits.
    F16(Aligned<u16>),
    /// With the columns' scales, `[panel][column]`.
    Int8(Aligned<i8>, Vec<f32>),
    /// In bfloat16, as tiles read it.
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    Tiled(Tiled),
}

/// What panels are made of: `[outputs, inputs]`, and the width of a panel.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub outputs: usize,
    pub inputs: usize,
    pub width: usize,
}

impl Panels {
    /// Packs `weight` `[outputs, inputs]` for these instructions. One that half precision cannot hold, because it is too large for
    /// it, stays in f32.
    pub fn new(weight: &[f32], shape: Shape, storage: Storage, instructions: Instructions) -> Self {
        let f16 = |halves: Vec<f16>| Self::F16(packed(&halves.reinterpret_into(), shape));
        let int8 = |Int8 { values, mut scales }| {
            scales.resize(shape.outputs.next_multiple_of(shape.width), 0.0);
            Self::Int8(packed(&values, shape), scales)
        };
        let narrow = match storage {
            Storage::Exact => Int8::exact(weight, shape.outputs)
                .map(int8)
                .or_else(|| Self::tiles(weight, shape, instructions))
                .or_else(|| (weight.len() > SMALL).then(|| exact_halves(weight))?.map(f16)),
            Storage::F32 => None,
            Storage::F16 => halves(weight).map(f16),
            Storage::Int8 => Some(int8(Int8::nearest(weight, shape.outputs))),
        };
        narrow.unwrap_or_else(|| Self::F32(packed(weight, shape)))
    }

    /// In bfloat16, where there are tiles to read it and it loses nothing.
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    fn tiles(weight: &[f32], shape: Shape, instructions: Instructions) -> Option<Self> {
        (instructions.has_tiles() && split::parts(weight) == 1).then(|| Self::Tiled(Tiled::new(weight, shape)))
    }

    #[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
    fn tiles(_: &[f32], _: Shape, _: Instructions) -> Option<Self> {
        None
    }

    /// In which form they are; none of those that one chooses where they are in bfloat16.
    #[cfg_attr(
        not(all(target_arch = "x86_64", target_os = "linux")),
        allow(clippy::unnecessary_wraps, reason = "without tiles nothing is in bfloat16")
    )]
    pub fn storage(&self) -> Option<Storage> {
        match self {
            Self::F32(_) => Some(Storage::F32),
            Self::F16(_) => Some(Storage::F16),
            Self::Int8(..) => Some(Storage::Int8),
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Self::Tiled(_) => None,
        }
    }

    /// `count` numbers from `start` on as f32, whole vectors: where they lie, or at the start of `scratch`. Of int8 they are the
    /// whole numbers, which their columns' scales are still to be multiplied by.
    #[inline(always)]
    pub fn read<'a, S: Simd>(&'a self, simd: S, start: usize, count: usize, scratch: &'a mut [f32]) -> &'a [f32] {
        if let Self::F32(values) = self {
            return &values.as_slice()[start..start + count];
        }
        self.write(simd, start, &mut scratch[..count]);
        &scratch[..count]
    }

    /// The same, written to `to`.
    #[inline(always)]
    pub fn write<S: Simd>(&self, simd: S, start: usize, to: &mut [f32]) {
        let range = start..start + to.len();
        match self {
            Self::F32(values) => to.copy_from_slice(&values.as_slice()[range]),
            Self::F16(values) => {
                let vectors = values.as_slice()[range].chunks_exact(S::LANES);
                for (to, from) in to.chunks_exact_mut(S::LANES).zip(vectors) {
                    // SAFETY: both chunks are a vector long.
                    unsafe { simd.store(to.as_mut_ptr(), simd.load_half(from.as_ptr())) };
                }
            }
            Self::Int8(values, _) => {
                let vectors = values.as_slice()[range].chunks_exact(S::LANES);
                for (to, from) in to.chunks_exact_mut(S::LANES).zip(vectors) {
                    // SAFETY: both chunks are a vector long.
                    unsafe { simd.store(to.as_mut_ptr(), simd.load_int8(from.as_ptr())) };
                }
            }
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Self::Tiled(tiled) => tiled.read(start, to),
        }
    }

    /// The same numbers in bfloat16 as tiles read them, if they are.
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    pub fn tiled(&self) -> Option<&Tiled> {
        if let Self::Tiled(tiled) = self { Some(tiled) } else { None }
    }

    /// Of how many bfloat16 numbers each number is the sum, before it is multiplied by its column's scale.
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    pub fn parts(&self) -> usize {
        match self {
            Self::F32(values) => split::parts(values.as_slice()),
            Self::F16(_) => 2,
            Self::Int8(..) | Self::Tiled(_) => 1,
        }
    }

    /// One number.
    pub fn get(&self, index: usize) -> f32 {
        match self {
            Self::F32(values) => values.as_slice()[index],
            Self::F16(values) => f16::from_bits(values.as_slice()[index]).to_f32(),
            Self::Int8(values, _) => f32::from(values.as_slice()[index]),
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Self::Tiled(tiled) => tiled.get(index),
        }
    }

    /// What the columns are to be multiplied by, `[panel][column]`; `None` where they are right as they are.
    pub fn scales(&self) -> Option<&[f32]> {
        match self {
            Self::Int8(_, scales) => Some(scales),
            Self::F32(_) | Self::F16(_) => None,
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Self::Tiled(_) => None,
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
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Self::Tiled(tiled) => words(tiled.lines(), start / DEPTH, count / DEPTH),
        }
    }
}

/// `[outputs, inputs]` in panels.
fn packed<T: Number>(weight: &[T], Shape { outputs, inputs, width }: Shape) -> Aligned<T> {
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
