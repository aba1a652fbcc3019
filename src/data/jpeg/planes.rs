//! From coefficients to rows of pixels, one row of minimum coded units after another: only what a [`Sink`] asks for is
//! transformed, enlarged and converted, and a row leaves while it is in cache.

use std::ops::Range;

use super::colour::{self, padded};
use super::frame::{Coefficients, Colour, Component, Frame, GROUP};
use super::transform::{self, Steps};
use super::upsample::Enlarger;
use super::{Problem, Sink};
use crate::clip::{
    resample::Region,
    wide::{Set, Words, Work},
};

/// How far above and below a row of pixels others can be that it is made of.
const REACH: usize = 4;

/// The components' samples of one row of units, and what becomes of them.
pub struct Planes<'a> {
    sink: &'a mut dyn Sink,
    set: Set,
    colour: Colour,
    height: usize,
    /// Rows of pixels in a row of units.
    unit_rows: usize,
    rows_of_units: usize,
    region: Region,
    /// The next row of pixels to be made.
    next: usize,
    /// Whether a row of units' last row of pixels needs samples of the next.
    late: bool,
    planes: Vec<Plane>,
    pixels: [Vec<u8>; 3],
}

/// One component's samples.
struct Plane {
    steps: Steps,
    /// The row of units' coefficients of the blocks at hand, where they do not come in several scans.
    coefficients: Coefficients,
    /// Blocks of a row that are transformed; the first is a group's first.
    blocks: Range<usize>,
    /// Rows of blocks in a row of units.
    vertical: usize,
    /// The last row of the row of units before, and the rows of this one.
    samples: Vec<u8>,
    stride: usize,
    enlarger: Enlarger,
}

impl<'a> Planes<'a> {
    /// For a picture whose components all have their quantisation.
    pub fn new(frame: &Frame, colour: Colour, sink: &'a mut dyn Sink, set: Set) -> Result<Self, Problem> {
        let region = sink.begin(frame.width, frame.height)?;
        let planes =
            frame.components.iter().map(|c| Plane::new(frame, c, &region.columns)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            sink,
            set,
            colour,
            height: frame.height,
            unit_rows: frame.vertical * 8,
            rows_of_units: frame.units().1,
            next: region.rows.start,
            late: planes.iter().any(|plane| plane.enlarger.reaches_down()),
            planes,
            pixels: std::array::from_fn(|_| vec![0; padded(region.columns.len())]),
            region,
        })
    }

    /// Whether anything is made of row of units `y`.
    pub fn wants(&self, y: usize) -> bool {
        let Range { start, end } = self.region.rows;
        !self.region.columns.is_empty()
            && start < end
            && y * self.unit_rows < end + REACH
            && (y + 1) * self.unit_rows + REACH > start
    }

    /// Sets the coefficients at hand to zero.
    #[inline(always)]
    pub fn clear(&mut self) {
        for plane in &mut self.planes {
            if plane.coefficients.is_empty() {
                plane.coefficients = Coefficients::new(plane.blocks.len(), plane.vertical);
            }
            plane.coefficients.clear();
        }
    }

    /// The coefficients of a block in the row of units at hand, if anything is made of them.
    #[inline(always)]
    pub fn block(
        &mut self,
        component: usize,
        column: usize,
        row: usize,
    ) -> Option<&mut [i16; super::frame::GROUP_LENGTH]> {
        let plane = &mut self.planes[component];
        plane.blocks.contains(&column).then(|| plane.coefficients.block(column - plane.blocks.start, row))
    }

    /// Hands on the rows of pixels that are complete with row of units `y`, whose coefficients are those at hand or the components'.
    pub fn finish_row(&mut self, y: usize, all: Option<&[Component]>) -> Result<(), Problem> {
        self.set.run(RowOfUnits { planes: self, y, all })
    }

    #[inline(always)]
    fn make_rows<W: Words>(&mut self, words: W, y: usize, all: Option<&[Component]>) -> Result<(), Problem> {
        for (index, plane) in self.planes.iter_mut().enumerate() {
            plane.transform(words, y, all.map(|components| &components[index].coefficients));
        }
        let last = y + 1 == self.rows_of_units;
        let end = if last { self.height } else { (y + 1) * self.unit_rows - usize::from(self.late) };
        while self.next < end.min(self.region.rows.end) {
            let columns = self.region.columns.clone();
            for plane in &mut self.planes {
                plane.enlarge(self.next, y);
            }
            let mut rows: [&[u8]; 4] = [&[]; 4];
            for (row, plane) in rows.iter_mut().zip(&self.planes) {
                *row = plane.row(self.next, y, columns.start);
            }
            colour::convert(words, self.colour, rows, &mut self.pixels)?;
            let [red, green, blue] = &self.pixels;
            let length = columns.len();
            self.sink.row([&red[..length], &green[..length], &blue[..length]]);
            self.next += 1;
        }
        Ok(())
    }

    /// All rows, of coefficients that came in several scans.
    pub fn finish(&mut self, components: &[Component]) -> Result<(), Problem> {
        for y in 0..self.rows_of_units {
            if self.wants(y) {
                self.finish_row(y, Some(components))?;
            }
        }
        Ok(())
    }
}

/// The transforms, enlargements and conversions of a row of units.
struct RowOfUnits<'a, 'b> {
    planes: &'a mut Planes<'b>,
    y: usize,
    all: Option<&'a [Component]>,
}

impl Work for RowOfUnits<'_, '_> {
    type Output = Result<(), Problem>;

    #[inline(always)]
    fn run<W: Words>(self, words: W) -> Self::Output {
        self.planes.make_rows(words, self.y, self.all)
    }
}

impl Plane {
    fn new(frame: &Frame, component: &Component, columns: &Range<usize>) -> Result<Self, Problem> {
        let steps = component.quantisation.as_ref().map(Steps::new).ok_or_else(super::lacks_channel)?;
        let enlarger = Enlarger::new(frame, component, columns)?;
        let samples = enlarger.samples();
        let first = samples.start / 8 / GROUP * GROUP;
        let blocks = first..samples.end.div_ceil(8).max(first);
        let stride = padded(blocks.len().next_multiple_of(GROUP) * 8);
        // Whole vectors are read from the last row's last sample on.
        let length = (1 + component.vertical * 8) * stride + padded(1);
        Ok(Self {
            steps,
            coefficients: Coefficients::default(),
            blocks,
            vertical: component.vertical,
            samples: vec![0; length],
            stride,
            enlarger,
        })
    }

    #[inline(always)]
    fn transform<W: Words>(&mut self, words: W, y: usize, all: Option<&Coefficients>) {
        let last = self.vertical * 8 * self.stride;
        self.samples.copy_within(last..last + self.stride, 0);
        for row in 0..self.vertical {
            let out = &mut self.samples[(1 + row * 8) * self.stride..];
            let groups = match all {
                Some(all) => &all.row(y * self.vertical + row)[self.blocks.start / GROUP..],
                None => self.coefficients.row(row),
            };
            for (index, group) in groups.iter().take(self.blocks.len().div_ceil(GROUP)).enumerate() {
                transform::inverse(words, group, &self.steps, &mut out[index * GROUP * 8..], self.stride);
            }
        }
    }

    /// The samples of row `row` of the component from the first transformed block on, while row of units `y` is at hand.
    #[inline(always)]
    fn samples(&self, row: usize, y: usize) -> &[u8] {
        &self.samples[(row + 1 - y * self.vertical * 8) * self.stride..]
    }

    #[inline(always)]
    fn enlarge(&mut self, pixel_row: usize, y: usize) {
        let (near, far) = self.enlarger.rows(pixel_row);
        let start = self.blocks.start * 8;
        let above = self.vertical * 8 * y;
        let row = |row: usize| (row + 1 - above) * self.stride;
        self.enlarger.make(start, pixel_row, &self.samples[row(near)..], &self.samples[row(far)..]);
    }

    /// The row of pixels from `column` on, with padding behind it.
    #[inline(always)]
    fn row(&self, pixel_row: usize, y: usize, column: usize) -> &[u8] {
        self.enlarger.row(column).unwrap_or_else(|| &self.samples(pixel_row, y)[column - self.blocks.start * 8..])
    }
}
