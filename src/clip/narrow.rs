//! The numbers of a weight in half precision and in int8.
//!
//! int8 is symmetric, with a scale for each output (Jacob and others, "Quantization and training of neural networks for
//! efficient integer-arithmetic-only inference", 2018, without a zero point): `w = q · scale`, `|q| ≤ 127`, `scale = max |w| / 127`.
//! The scale is rounded to 16 significant bits. Then `q · scale` is exact in f32, and a weight that was made of int8 becomes the
//! same int8 again.

use half::{f16, slice::HalfFloatSliceExt};

/// A weight in int8.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Int8 {
    /// Whole numbers from −127 to 127, as many as the weight has.
    pub values: Vec<i8>,
    /// A scale for each output. That of an output with a number that is not finite is NaN, so that it shows in a product.
    pub scales: Vec<f32>,
}

impl Int8 {
    /// The nearest to `weight`, `[outputs, …]`.
    pub fn nearest(weight: &[f32], outputs: usize) -> Self {
        let mut int8 = Self::default();
        for row in rows(weight, outputs) {
            int8.push(row);
        }
        int8
    }

    /// `weight`, `[outputs, …]`, if it can be had without changing any of its numbers.
    pub fn exact(weight: &[f32], outputs: usize) -> Option<Self> {
        let mut int8 = Self::default();
        for row in rows(weight, outputs) {
            let (start, scale) = (int8.values.len(), int8.push(row));
            let kept = |(&before, &after): (&f32, &i8)| before.to_bits() == (f32::from(after) * scale).to_bits();
            if !row.iter().zip(&int8.values[start..]).all(kept) {
                return None;
            }
        }
        Some(int8)
    }

    /// Adds an output, whose scale it gives.
    fn push(&mut self, row: &[f32]) -> f32 {
        let scale = scale(row);
        self.values.extend(row.iter().map(|&value| whole(value, scale)));
        self.scales.push(scale);
        scale
    }
}

/// One output after the other.
fn rows(weight: &[f32], outputs: usize) -> impl Iterator<Item = &[f32]> {
    weight.chunks_exact((weight.len() / outputs.max(1)).max(1))
}

/// The scale of one output's numbers.
fn scale(row: &[f32]) -> f32 {
    /// So many of the 24 significant bits are rounded away.
    const CUT: u32 = 8;
    if !row.iter().all(|value| value.is_finite()) {
        return f32::NAN;
    }
    let largest = row.iter().fold(0.0, |largest: f32, value| largest.max(value.abs()));
    f32::from_bits(((largest / 127.0).to_bits() + (1 << (CUT - 1))) >> CUT << CUT)
}

/// The whole number nearest to `value / scale`.
fn whole(value: f32, scale: f32) -> i8 {
    /// Adding and taking away 1.5 · 2²³ leaves no bits for a fraction.
    const SHIFT: f32 = 12_582_912.0;
    // A division by zero, for a row of zeros, gives NaN, and that is zero as a whole number.
    ((value / scale + SHIFT) - SHIFT).clamp(-127.0, 127.0) as i8
}

/// The nearest numbers in half precision; `None` where some would become infinite.
pub fn halves(weight: &[f32]) -> Option<Vec<f16>> {
    halves_if(weight, |before, after| !before.is_finite() || after.is_finite())
}

/// The numbers in half precision, if that changes none of them.
pub fn exact_halves(weight: &[f32]) -> Option<Vec<f16>> {
    halves_if(weight, |before, after| before.to_bits() == after.to_bits())
}

/// The nearest numbers in half precision, if each and what became of it are `right`.
fn halves_if(weight: &[f32], right: impl Fn(f32, f32) -> bool) -> Option<Vec<f16>> {
    /// Few enough that a weight which is not right is given up at once.
    const PIECE: usize = 4096;
    let mut halves = vec![f16::ZERO; weight.len()];
    let mut back = [0.0; PIECE];
    for (weight, halves) in weight.chunks(PIECE).zip(halves.chunks_mut(PIECE)) {
        halves.convert_from_f32_slice(weight);
        let back = &mut back[..halves.len()];
        halves.convert_to_f32_slice(back);
        if !weight.iter().zip(&*back).all(|(&before, &after)| right(before, after)) {
            return None;
        }
    }
    Some(halves)
}
