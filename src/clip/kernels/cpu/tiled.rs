//! A weight in bfloat16, laid down as tiles ([`super::amx`]) read it: there is nothing to be prepared for a product.

use half::bf16;

use super::amx::{DEPTH, Line, ROWS};
use super::panels::Shape;

/// `[panel][step][pair of inputs][column][2]`; zeros where a panel lacks columns or a step inputs.
pub struct Tiled {
    lines: Vec<Line>,
    inputs: usize,
}

impl Tiled {
    /// Takes `weight` `[outputs, inputs]`, whose numbers are in bfloat16.
    pub fn new(weight: &[f32], Shape { outputs, inputs, width }: Shape) -> Self {
        assert_eq!(width, ROWS, "panels are not as wide as tiles");
        let count = outputs.div_ceil(ROWS) * inputs.div_ceil(DEPTH) * ROWS;
        let mut tiled = Self { lines: vec![Line::ZERO; count], inputs };
        for (output, row) in weight.chunks_exact(inputs.max(1)).enumerate() {
            for (input, &value) in row.iter().enumerate() {
                let (line, at) = tiled.place(output / ROWS, input, output % ROWS);
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

    /// The number that other forms have at `index` of `[panel][input][column]`.
    pub fn get(&self, index: usize) -> f32 {
        let (row, column) = (index / ROWS, index % ROWS);
        let (line, at) = self.place(row / self.inputs, row % self.inputs, column);
        bf16::from_bits(self.lines[line].0[at]).to_f32()
    }

    /// What other forms have from `start` of `[panel][input][column]` on, whole inputs.
    pub fn read(&self, start: usize, to: &mut [f32]) {
        for (row, to) in (start / ROWS..).zip(to.chunks_exact_mut(ROWS)) {
            let (line, at) = self.place(row / self.inputs, row % self.inputs, 0);
            for (to, bits) in to.iter_mut().zip(self.lines[line].0[at..].iter().step_by(2)) {
                *to = bf16::from_bits(*bits).to_f32();
            }
        }
    }

    /// In which line a number is, and where in it.
    fn place(&self, panel: usize, input: usize, column: usize) -> (usize, usize) {
        let (step, pair) = (input / DEPTH, input % DEPTH / 2);
        ((panel * self.steps() + step) * ROWS + pair, 2 * column + input % 2)
    }
}
