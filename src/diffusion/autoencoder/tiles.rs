//! Large pictures in parts: tiles that overlap by a quarter, blended linearly where they do, as diffusers' `tiled_encode` and
//! `tiled_decode` cut and blend them. What normalisation and attention see is then a tile and not the picture, so the result differs
//! a little from that of the whole.

use burn::tensor::{Tensor, TensorData};

use super::{super::kernels::DiffusionBackend, config::AutoencoderConfig};

/// The part of a tile that its neighbour has too.
const OVERLAP: f64 = 0.25;

/// How a map is cut, and its result put together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiles {
    /// Side of a tile.
    size: usize,
    /// From one tile's beginning to the next's.
    stride: usize,
    /// How many rows (columns) of the result are blended with the tile above (to the left).
    blend: usize,
    /// How many rows and columns of a tile's result are kept.
    keep: usize,
}

impl Tiles {
    pub(super) fn encoding(config: &AutoencoderConfig) -> Self {
        Self::new(config.tile, config.tile / config.reduction())
    }

    pub(super) fn decoding(config: &AutoencoderConfig) -> Self {
        Self::new(config.tile / config.reduction(), config.tile)
    }

    fn new(size: usize, result: usize) -> Self {
        let blend = (result as f64 * OVERLAP) as usize;
        let stride = ((size as f64 * (1.0 - OVERLAP)) as usize).max(1);
        Self { size, stride, blend, keep: result - blend }
    }

    pub(super) fn are_needed(&self, height: usize, width: usize) -> bool {
        // Where a config's tile is smaller than a place of the latent there is nothing to cut.
        self.size > 0 && self.keep > 0 && height.max(width) > self.size
    }

    /// `run` on each tile of `x` `[batch, height, width, channels]`, and the results as one map.
    pub(super) fn run<B: DiffusionBackend>(
        &self,
        x: Tensor<B, 4>,
        run: impl Fn(Tensor<B, 4>) -> Tensor<B, 4>,
    ) -> Tensor<B, 4> {
        let [_, height, width, _] = x.dims();
        let mut bands = Vec::new();
        let mut above: Vec<Tensor<B, 4>> = Vec::new();
        for top in (0..height).step_by(self.stride) {
            let rows = x.clone().narrow(1, top, self.size.min(height - top));
            let mut band: Vec<Tensor<B, 4>> = Vec::new();
            for left in (0..width).step_by(self.stride) {
                let mut tile = run(rows.clone().narrow(2, left, self.size.min(width - left)));
                if let Some(above) = above.get(band.len()) {
                    tile = blend(above, tile, 1, self.blend);
                }
                if let Some(before) = band.last() {
                    tile = blend(before, tile, 2, self.blend);
                }
                band.push(tile);
            }
            let kept = |tile: &Tensor<B, 4>| {
                let [_, height, width, _] = tile.dims();
                tile.clone().narrow(1, 0, self.keep.min(height)).narrow(2, 0, self.keep.min(width))
            };
            bands.push(Tensor::cat(band.iter().map(kept).collect(), 2));
            above = band;
        }
        Tensor::cat(bands, 1)
    }
}

/// The beginning of `tile` along `dimension` faded in over the end of `before`.
fn blend<B: DiffusionBackend>(
    before: &Tensor<B, 4>,
    tile: Tensor<B, 4>,
    dimension: usize,
    extent: usize,
) -> Tensor<B, 4> {
    let (length, other) = (tile.dims()[dimension], before.dims()[dimension]);
    let extent = extent.min(length).min(other);
    if extent == 0 {
        return tile;
    }
    let weights = (0..extent).map(|place| place as f32 / extent as f32).collect::<Vec<_>>();
    let mut shape = [1; 4];
    shape[dimension] = extent;
    let weights = Tensor::<B, 4>::from_data(TensorData::new(weights, shape), &tile.device()).cast(tile.dtype());
    let end = before.clone().narrow(dimension, other - extent, extent);
    let mixed = end * (-weights.clone() + 1.0) + tile.clone().narrow(dimension, 0, extent) * weights;
    if extent == length {
        return mixed;
    }
    Tensor::cat(vec![mixed, tile.narrow(dimension, extent, length - extent)], dimension)
}
