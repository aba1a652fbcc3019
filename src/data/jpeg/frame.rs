//! What a JPEG's frame header says, and the coefficients of its blocks.

/// Blocks whose coefficients lie together: of each row of eight coefficients the first block's, the second's, …, so that blocks are
/// transformed side by side in one vector.
pub const GROUP: usize = 4;
/// Coefficients of a group.
pub const GROUP_LENGTH: usize = GROUP * 64;
/// From a row of a block's coefficients to the next.
pub const ROW: usize = GROUP * 8;

/// Coefficients are stored in zigzag order; this is where each belongs in its group (T.81 figure A.6), counted from the block's
/// first. It goes on past the end for runs that do, forged ones and those that stand for a block's end.
pub const PLACES: [u8; 128] = {
    let mut places = [63 / 8 * ROW as u8 + 63 % 8; 128];
    let (mut index, mut diagonal) = (0, 0);
    while diagonal < 15 {
        let mut step = 0;
        while step <= diagonal {
            let (row, column) = if diagonal % 2 == 0 { (diagonal - step, step) } else { (step, diagonal - step) };
            if row < 8 && column < 8 {
                places[index] = (row * ROW + column) as u8;
                index += 1;
            }
            step += 1;
        }
        diagonal += 1;
    }
    places
};

/// What the samples mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    Grey,
    YCbCr,
    Rgb,
    Cmyk,
    Ycck,
}

/// One colour channel as the frame describes it.
#[derive(Debug, Clone, Default)]
pub struct Component {
    pub id: u8,
    /// Sampling factors.
    pub horizontal: usize,
    pub vertical: usize,
    pub quantisation_table: usize,
    /// The table's values at the component's first scan, in zigzag order: a later one may redefine it.
    pub quantisation: Option<[u16; 64]>,
    /// Size in samples, without padding.
    pub width: usize,
    pub height: usize,
    /// Size in blocks, padded to whole minimum coded units.
    pub blocks_wide: usize,
    pub blocks_high: usize,
    /// All of them, where they come in several scans.
    pub coefficients: Coefficients,
}

/// The start-of-frame marker's content.
#[derive(Debug, Clone)]
pub struct Frame {
    pub progressive: bool,
    pub width: usize,
    pub height: usize,
    /// The largest sampling factors.
    pub horizontal: usize,
    pub vertical: usize,
    pub components: Vec<Component>,
}

impl Frame {
    /// Minimum coded units in a row and a column.
    pub fn units(&self) -> (usize, usize) {
        (self.width.div_ceil(self.horizontal * 8), self.height.div_ceil(self.vertical * 8))
    }
}

/// The coefficients of rows of blocks.
#[derive(Debug, Clone, Default)]
pub struct Coefficients {
    values: Vec<i16>,
    /// Groups in a row.
    groups: usize,
    /// For each block the last coefficient in zigzag order that progressive scans have brought.
    ends: Vec<u8>,
}

impl Coefficients {
    /// Zeros for `across` × `down` blocks.
    pub fn new(across: usize, down: usize) -> Self {
        let groups = across.div_ceil(GROUP);
        // The last group is followed by as much as lets every block be seen as a whole group.
        let values = vec![0; groups * down * GROUP_LENGTH + ROW];
        Self { values, groups, ends: vec![0; groups * down * GROUP] }
    }

    /// The block's group from the block's first coefficient on: [`PLACES`] lead into it.
    #[inline(always)]
    pub fn block(&mut self, column: usize, row: usize) -> &mut [i16; GROUP_LENGTH] {
        let start = (row * self.groups + column / GROUP) * GROUP_LENGTH + column % GROUP * 8;
        self.values[start..].first_chunk_mut().expect("blocks lie within")
    }

    /// The block, and its last coefficient that progressive scans have brought.
    #[inline(always)]
    pub fn block_and_end(&mut self, column: usize, row: usize) -> (&mut [i16; GROUP_LENGTH], &mut u8) {
        let start = (row * self.groups + column / GROUP) * GROUP_LENGTH + column % GROUP * 8;
        let block = self.values[start..].first_chunk_mut().expect("blocks lie within");
        (block, &mut self.ends[row * self.groups * GROUP + column])
    }

    /// The groups of a row of blocks.
    #[inline(always)]
    pub fn row(&self, row: usize) -> &[[i16; GROUP_LENGTH]] {
        &self.values.as_chunks().0[row * self.groups..][..self.groups]
    }

    /// Sets all to zero.
    pub fn clear(&mut self) {
        self.values.fill(0);
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}
