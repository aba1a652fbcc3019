//! Chroma brought to full size with libjpeg's triangle filter ("fancy upsampling"), row by row.

use std::ops::Range;

use super::Problem;
use super::colour::padded;
use super::frame::{Component, Frame};

/// How a plane is brought to full size.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    /// It has full size already.
    Copy,
    /// Triangle filter along rows, columns, or both.
    TriangleRows,
    TriangleColumns,
    TriangleBoth,
    /// Each sample repeated.
    Repeat,
}

/// Brings rows of one component to full size, of which some columns are wanted.
pub struct Enlarger {
    method: Method,
    across: usize,
    down: usize,
    /// Rows of samples.
    height: usize,
    /// The samples that the columns lie on.
    own: Range<usize>,
    /// These, and the neighbours that they are weighed with.
    needed: Range<usize>,
    /// The weighted sum of two rows: of the sample before the first, of all, and of the sample after the last.
    sums: Vec<u16>,
    /// The enlarged row, from the first of [`own`](Self::own) on.
    enlarged: Vec<u8>,
}

impl Enlarger {
    pub fn new(frame: &Frame, component: &Component, columns: &Range<usize>) -> Result<Self, Problem> {
        let (across, down) = (frame.horizontal / component.horizontal, frame.vertical / component.vertical);
        if across * component.horizontal != frame.horizontal || down * component.vertical != frame.vertical {
            return Err(
                "is a JPEG with fractional chroma sampling, which is not supported: save it again as an ordinary JPEG"
                    .into(),
            );
        }
        // libjpeg leaves planes of one or two columns to plain repetition.
        let wide = component.width > 2;
        let method = match (across, down) {
            (1, 1) => Method::Copy,
            (2, 1) if wide => Method::TriangleRows,
            (1, 2) => Method::TriangleColumns,
            (2, 2) if wide => Method::TriangleBoth,
            _ => Method::Repeat,
        };
        let own = columns.start / across..columns.end.div_ceil(across);
        let needed = own.start.saturating_sub(1)..(own.end + 1).min(component.width);
        let length = padded(own.len());
        let enlarged = if method == Method::Copy { Vec::new() } else { vec![0; padded(length * across) + padded(1)] };
        Ok(Self { method, across, down, height: component.height, own, needed, sums: vec![0; length + 2], enlarged })
    }

    /// The samples that are needed of a row.
    pub fn samples(&self) -> Range<usize> {
        self.needed.clone()
    }

    /// Whether rows of pixels are made of samples below their own.
    pub fn reaches_down(&self) -> bool {
        matches!(self.method, Method::TriangleColumns | Method::TriangleBoth)
    }

    /// The row of samples that a row of pixels lies on, and the one that the triangle reaches into: above or below, at the edges
    /// the row itself.
    #[inline(always)]
    pub fn rows(&self, pixel_row: usize) -> (usize, usize) {
        let near = pixel_row / self.down;
        let far = match self.reaches_down() {
            false => near,
            true if pixel_row.is_multiple_of(2) => near.saturating_sub(1),
            true => (near + 1).min(self.height - 1),
        };
        (near, far)
    }

    /// Makes a row of pixels of the samples `near` and `far`, which begin with the component's sample `start`.
    #[inline(always)]
    pub fn make(&mut self, start: usize, pixel_row: usize, near: &[u8], far: &[u8]) {
        let count = self.own.len();
        let own = self.own.start - start;
        let (near_own, far_own) = (&near[own..own + count], &far[own..own + count]);
        match self.method {
            Method::Copy => {}
            Method::Repeat => {
                for (out, &sample) in self.enlarged.chunks_exact_mut(self.across).zip(near_own) {
                    out.fill(sample);
                }
            }
            Method::TriangleColumns => {
                let bias = 1 + (pixel_row % 2) as u16;
                for (out, (&near, &far)) in self.enlarged.iter_mut().zip(near_own.iter().zip(far_own)) {
                    *out = ((3 * u16::from(near) + u16::from(far) + bias) >> 2) as u8;
                }
            }
            Method::TriangleRows => {
                for (sum, &near) in self.sums[1..].iter_mut().zip(near_own) {
                    *sum = near.into();
                }
                // At the edges the sample itself stands for its neighbour.
                self.sums[0] = near[self.needed.start - start].into();
                self.sums[count + 1] = near[self.needed.end - 1 - start].into();
                spread::<1, 2, 2>(&self.sums[..count + 2], &mut self.enlarged);
            }
            Method::TriangleBoth => {
                let sum = |near: u8, far: u8| 3 * u16::from(near) + u16::from(far);
                for (out, (&near, &far)) in self.sums[1..].iter_mut().zip(near_own.iter().zip(far_own)) {
                    *out = 3 * u16::from(near) + u16::from(far);
                }
                let (first, last) = (self.needed.start - start, self.needed.end - 1 - start);
                self.sums[0] = sum(near[first], far[first]);
                self.sums[count + 1] = sum(near[last], far[last]);
                spread::<8, 7, 4>(&self.sums[..count + 2], &mut self.enlarged);
            }
        }
    }

    /// The row from pixel `column` on; none where the samples are it already.
    #[inline(always)]
    pub fn row(&self, column: usize) -> Option<&[u8]> {
        (self.method != Method::Copy).then(|| &self.enlarged[column - self.own.start * self.across..])
    }
}

/// Two output samples from each sum but the outermost: three quarters of it and a quarter of the neighbour on that side, with
/// roundings `LEFT` and `RIGHT` and a shift that takes all weights back out.
#[inline(always)]
fn spread<const LEFT: u16, const RIGHT: u16, const SHIFT: u32>(sums: &[u16], out: &mut [u8]) {
    let count = sums.len() - 2;
    let (before, own, after) = (&sums[..count], &sums[1..=count], &sums[2..]);
    let out = &mut out.as_chunks_mut::<2>().0[..count];
    for index in 0..count {
        let left = (3 * own[index] + before[index] + LEFT) >> SHIFT;
        let right = (3 * own[index] + after[index] + RIGHT) >> SHIFT;
        out[index] = (left | right << 8).to_le_bytes();
    }
}
