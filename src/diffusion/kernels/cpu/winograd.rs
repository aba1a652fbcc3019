//! Convolution with 3 × 3 filters at every place by Winograd's minimal filtering, F(2 × 2, 3 × 3) (Lavin and Gray, 2016, section 4).
//!
//! A tile of 2 × 2 results sees a patch of 4 × 4 places. Filter and patch are transformed (`G g Gᵀ`, `Bᵀ d B`), multiplied element by
//! element, and transformed back (`Aᵀ m A`): 16 multiplications in place of 36, by matrices of 0, ±1 and ±½ that cost little accuracy.
//! Over the channels the multiplications are sixteen matrix products, one an element of the patch, with all tiles as rows.
//!
//! In a doubled picture the middle two places of a patch are equal in either direction, so seven of the sixteen are zeros and left out.

use std::ops::Range;

use super::super::Placement;
use super::convolution::{Ending, Picture};
use crate::clip::kernels::cpu::simd::{Instructions, Kernel, Simd};
use crate::clip::kernels::cpu::tile::{
    Aligned, LINE, Left, MOST_ROWS, NewOutput, Output, multiply_few, rows_at_once, with_scratch, written,
};
use crate::platform::parallel;

/// Elements of a patch.
const ELEMENTS: usize = 16;

/// How deep a product goes before it comes back to the first row.
const DEPTH_BLOCK: usize = 768;

/// How large a task's patches may be, in numbers.
const PATCHES: usize = 256 * 1024;

/// Tiles that a task has all the same, where there are as many: a panel of weights is read once for them.
const LEAST_TILES: usize = 192;

/// A filter `[outputs, inputs, 3, 3]`, transformed, in panels `[panel][element][input][column]`. The last panel has as many vectors of
/// columns as are left.
pub struct Filter {
    panels: Aligned,
    outputs: usize,
    inputs: usize,
    instructions: Instructions,
}

impl Filter {
    /// Transforms `weight` `[outputs, inputs, 3, 3]`.
    pub fn new(weight: &[f32], outputs: usize, inputs: usize, instructions: Instructions) -> Self {
        assert_eq!(weight.len(), outputs * inputs * 9, "weight is not [{outputs}, {inputs}, 3, 3]");
        let (width, lanes) = (instructions.panel(), instructions.lanes());
        let mut panels = Aligned::zeros(outputs.next_multiple_of(lanes) * inputs * ELEMENTS);
        let output = Output::new(panels.as_mut_slice());
        parallel::for_each(outputs.div_ceil(width), |panel| {
            let first = panel * width;
            let count = width.min(outputs - first);
            let width = count.next_multiple_of(lanes);
            // SAFETY: no other task has this panel.
            let to = unsafe { output.piece(first * inputs * ELEMENTS, width * inputs * ELEMENTS) };
            for input in 0..inputs {
                for column in 0..count {
                    let at = ((first + column) * inputs + input) * 9;
                    let element = transform_filter(&weight[at..at + 9]);
                    for (index, value) in element.into_iter().enumerate() {
                        to[(index * inputs + input) * width + column] = value;
                    }
                }
            }
        });
        Self { panels, outputs, inputs, instructions }
    }

    /// How many outputs.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Convolves `picture`, giving `[batch, height', width', outputs]`.
    pub fn convolve(&self, picture: Picture<'_>, placement: Placement, ending: Ending<'_>) -> Vec<f32> {
        assert_eq!(placement.stride, 1, "this form of a filter stands at every place");
        let [height, width] = [picture.height, picture.width].map(|length| placement.outputs(length, 3));
        let length = picture.batch * height * width * self.outputs;
        if length == 0 {
            return Vec::new();
        }
        let across = [height.div_ceil(2), width.div_ceil(2)];
        let tiles = picture.batch * across[0] * across[1];
        let panels = self.outputs.div_ceil(self.instructions.panel());
        let chunk = (PATCHES / (ELEMENTS * self.inputs)).max(LEAST_TILES);
        let chunk = tiles.div_ceil(tiles.div_ceil(chunk)).next_multiple_of(MOST_ROWS);
        let chunks = tiles.div_ceil(chunk);
        // Where there are too few chunks for the threads, each is transformed for every group of panels anew.
        let wanted = if parallel::threads() == 1 { 1 } else { 4 * parallel::threads() };
        let groups = wanted.div_ceil(chunks).min(panels);
        let panel = self.instructions.panel().min(self.outputs.next_multiple_of(self.instructions.lanes()));
        let fill = |output: &NewOutput<'_>| {
            parallel::for_each(chunks * groups, |task| {
                let (chunk_index, group) = (task / groups, task % groups);
                let first = chunk_index * chunk;
                let count = chunk.min(tiles - first);
                with_scratch(count * ELEMENTS * (self.inputs + panel), |scratch| {
                    let (patches, products) = scratch.split_at_mut(count * ELEMENTS * self.inputs);
                    self.instructions.run(Task {
                        filter: self,
                        picture,
                        placement,
                        ending,
                        output,
                        size: [height, width],
                        across,
                        tiles: first..first + count,
                        panels: group * panels / groups..(group + 1) * panels / groups,
                        patches,
                        products,
                    });
                });
            })
        };
        // SAFETY: every result belongs to a tile of some chunk and a panel of some group, and a task writes all of both.
        unsafe { written(length, fill) }
    }
}

/// `G g Gᵀ`, rounded once.
fn transform_filter(weight: &[f32]) -> [f32; ELEMENTS] {
    let along = |[a, b, c]: [f64; 3]| [a, 0.5 * (a + b + c), 0.5 * (a - b + c), c];
    let rows: [[f64; 4]; 3] =
        std::array::from_fn(|row| along(std::array::from_fn(|column| f64::from(weight[3 * row + column]))));
    let columns: [[f64; 4]; 4] = std::array::from_fn(|column| along(std::array::from_fn(|row| rows[row][column])));
    std::array::from_fn(|index| columns[index % 4][index / 4] as f32)
}

/// Some tiles times some panels.
struct Task<'a> {
    filter: &'a Filter,
    picture: Picture<'a>,
    placement: Placement,
    ending: Ending<'a>,
    output: &'a NewOutput<'a>,
    /// Of the result, height and width.
    size: [usize; 2],
    /// Tiles down and across the result.
    across: [usize; 2],
    tiles: Range<usize>,
    panels: Range<usize>,
    /// `[element][tile][input]`
    patches: &'a mut [f32],
    /// `[element][tile][column]` of one panel.
    products: &'a mut [f32],
}

impl Kernel for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        self.transform(simd);
        for panel in self.panels.clone() {
            let columns = (self.filter.outputs - panel * S::COLUMNS * S::LANES).div_ceil(S::LANES).min(S::COLUMNS);
            match columns {
                1 => self.multiply::<S, 1>(simd, panel),
                2 if S::COLUMNS >= 2 => self.multiply::<S, 2>(simd, panel),
                3 if S::COLUMNS >= 3 => self.multiply::<S, 3>(simd, panel),
                4 if S::COLUMNS >= 4 => self.multiply::<S, 4>(simd, panel),
                columns => unreachable!("no microkernel is {columns} vectors wide"),
            }
        }
    }
}

impl Task<'_> {
    /// Whether an element of the transformed patches is zero everywhere.
    #[inline(always)]
    fn vanishes(&self, element: usize) -> bool {
        let middle_equal = self.placement.doubled && self.placement.before % 2 == 1;
        middle_equal && (element / 4 == 2 || element % 4 == 2)
    }

    /// Where a tile stands: image, row and column of its first result.
    #[inline(always)]
    fn place(&self, tile: usize) -> [usize; 3] {
        let [down, across] = self.across;
        [tile / (down * across), tile / across % down * 2, tile % across * 2]
    }

    /// Fills `patches`.
    #[inline(always)]
    fn transform<S: Simd>(&mut self, simd: S) {
        let (inputs, count) = (self.filter.inputs, self.tiles.len());
        let zeros = Aligned::zeros(inputs);
        for index in 0..count {
            let [image, row, column] = self.place(self.tiles.start + index);
            let mut patch = [zeros.as_slice(); ELEMENTS];
            for (element, patch) in patch.iter_mut().enumerate() {
                if let Some(place) = self.picture.place(self.placement, image, row + element / 4, column + element % 4)
                {
                    *patch = place;
                }
            }
            for at in (0..inputs).step_by(S::LANES) {
                let end = inputs.min(at + S::LANES);
                let mut d = [simd.splat(0.0); ELEMENTS];
                for (d, patch) in d.iter_mut().zip(&patch) {
                    *d = simd.read(&patch[at..end]);
                }
                // Bᵀ d, then (Bᵀ d) B.
                for column in 0..4 {
                    let line = [d[column], d[column + 4], d[column + 8], d[column + 12]];
                    [d[column], d[column + 4], d[column + 8], d[column + 12]] = differences(simd, line);
                }
                for row in 0..4 {
                    let line = [d[4 * row], d[4 * row + 1], d[4 * row + 2], d[4 * row + 3]];
                    [d[4 * row], d[4 * row + 1], d[4 * row + 2], d[4 * row + 3]] = differences(simd, line);
                }
                for (element, &d) in d.iter().enumerate() {
                    let to = (element * count + index) * inputs;
                    simd.write(&mut self.patches[to + at..to + end], d);
                }
            }
        }
    }

    /// All products with one panel, and what follows.
    #[inline(always)]
    fn multiply<S: Simd, const COLUMNS: usize>(&mut self, simd: S, panel: usize) {
        let (inputs, count) = (self.filter.inputs, self.tiles.len());
        let (width, most) = (COLUMNS * S::LANES, rows_at_once::<S>(COLUMNS));
        let panels = &self.filter.panels.as_slice()[panel * S::COLUMNS * S::LANES * inputs * ELEMENTS..];
        for element in 0..ELEMENTS {
            if self.vanishes(element) {
                continue;
            }
            for from in (0..inputs).step_by(DEPTH_BLOCK) {
                let depth = DEPTH_BLOCK.min(inputs - from);
                let (weights, next) = panels[(element * inputs + from) * width..].split_at(depth * width);
                let mut ahead = next[..next.len().min(depth * width)]
                    .chunks((depth * width).div_ceil(count.div_ceil(most)).next_multiple_of(LINE));
                for row in (0..count).step_by(most) {
                    let rows = most.min(count - row);
                    let first = element * count + row;
                    let a = Left { values: &self.patches[first * inputs + from..], row: inputs, step: 1 };
                    let sums = &mut self.products[first * width..][..rows * width];
                    let ahead = ahead.next().unwrap_or_default();
                    multiply_few::<S, COLUMNS>(simd, rows, depth, a, weights, ahead, sums, from > 0);
                }
            }
        }
        self.finish::<S, COLUMNS>(simd, panel);
    }

    /// Transforms back, adds bias and residual and writes the result.
    #[inline(always)]
    fn finish<S: Simd, const COLUMNS: usize>(&self, simd: S, panel: usize) {
        let (count, width, first) = (self.tiles.len(), COLUMNS * S::LANES, panel * S::COLUMNS * S::LANES);
        let outputs = self.filter.outputs;
        for index in 0..count {
            let [image, row, column] = self.place(self.tiles.start + index);
            for at in (0..width).step_by(S::LANES) {
                let mut m = [simd.splat(0.0); ELEMENTS];
                for (element, m) in m.iter_mut().enumerate() {
                    if !self.vanishes(element) {
                        *m = simd.read(&self.products[(element * count + index) * width + at..]);
                    }
                }
                let mut half = [[simd.splat(0.0); 4]; 2];
                for column in 0..4 {
                    [half[0][column], half[1][column]] =
                        sums(simd, [m[column], m[column + 4], m[column + 8], m[column + 12]]);
                }
                let columns = S::LANES.min(outputs - first - at);
                for (y, half) in (row..self.size[0]).zip(half) {
                    for (x, sum) in (column..self.size[1]).zip(sums(simd, half)) {
                        let start = ((image * self.size[0] + y) * self.size[1] + x) * outputs + first + at;
                        // SAFETY: no other task has this tile and panel.
                        let to = unsafe { self.output.piece(start, columns) };
                        simd.write_new(to, self.ending.add(simd, sum, first + at, start, columns));
                    }
                }
            }
        }
    }
}

/// `Bᵀ` times a line of a patch.
#[inline(always)]
fn differences<S: Simd>(simd: S, [a, b, c, d]: [S::Vector; 4]) -> [S::Vector; 4] {
    [simd.sub(a, c), simd.add(b, c), simd.sub(c, b), simd.sub(b, d)]
}

/// `Aᵀ` times a line of products.
#[inline(always)]
fn sums<S: Simd>(simd: S, [a, b, c, d]: [S::Vector; 4]) -> [S::Vector; 2] {
    [simd.add(simd.add(a, b), c), simd.sub(simd.sub(b, c), d)]
}
