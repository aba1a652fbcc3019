//! A weight in bfloat16, laid down as tiles ([`super::amx`]) read it: there is nothing to be prepared for a product.

use half::bf16;

use super::amx::{DEPTH, Line, ROWS};
use super::panels::Shape;
use super::split::WIDTH;

/// `[panel][half of its columns][step][2 tiles][pair of inputs][column][2]`; zeros where a panel lacks columns or a step inputs.
pub struct Tiled {
    lines: Vec<Line>,
    inputs: usize,
}

impl Tiled {
    /// Takes `weight` `[outputs, inputs]`, whose numbers are in bfloat16.
    pub fn new(weight: &[f32], Shape { outputs, inputs, width }: Shape) -> Self {
        assert_eq!(width, WIDTH, "panels are not as wide as four tiles");
        let count = outputs.div_ceil(WIDTH) * inputs.div_ceil(DEPTH) * WIDTH;
        let mut tiled = Self { lines: vec![Line::ZERO; count], inputs };
        for (output, row) in weight.chunks_exact(inputs.max(1)).enumerate() {
            for (input, &value) in row.iter().enumerate() {
                let (line, at) = tiled.place(output / WIDTH, input, output % WIDTH);
                tiled.lines[line].0[at] = bf16::from_f32(value).to_bits();
            }
        }
        tiled
    }

    /// How many steps a panel is deep.
    pub fn steps(&self) -> usize {
        self.inputs.div_ceil(DEPTH)
    }

    /// All lines.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The lines of a panel.
    pub fn panel(&self, panel: usize) -> &[Line] {
        let size = self.steps() * WIDTH;
        &self.lines[panel * size..][..size]
    }

    /// The number that other forms have at `index` of `[panel][input][column]`.
    pub fn get(&self, index: usize) -> f32 {
        let (row, column) = (index / WIDTH, index % WIDTH);
        let (line, at) = self.place(row / self.inputs, row % self.inputs, column);
        bf16::from_bits(self.lines[line].0[at]).to_f32()
    }

    /// What other forms have from `start` of `[panel][input][column]` on, whole inputs.
    pub fn read(&self, start: usize, to: &mut [f32]) {
        for (row, to) in (start / WIDTH..).zip(to.chunks_exact_mut(WIDTH)) {
            for (tile, to) in to.chunks_exact_mut(ROWS).enumerate() {
                let (line, at) = self.place(row / self.inputs, row % self.inputs, tile * ROWS);
                for (to, bits) in to.iter_mut().zip(self.lines[line].0[at..].iter().step_by(2)) {
                    *to = bf16::from_bits(*bits).to_f32();
                }
            }
        }
    }

    /// In which line a number is, and where in it.
    fn place(&self, panel: usize, input: usize, column: usize) -> (usize, usize) {
        let (step, pair) = (input / DEPTH, input % DEPTH / 2);
        let (half, tile, column) = (column / (2 * ROWS), column / ROWS % 2, column % ROWS);
        ((((panel * 2 + half) * self.steps() + step) * 2 + tile) * ROWS + pair, 2 * column + input % 2)
    }
}
