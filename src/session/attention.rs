//! Where the image tower looked: the last block's class-token attention, in a ResNet the pooling's.

use super::Backbone;
use crate::{
    Error, Result,
    clip::{ClipBackend, vision::Vision},
    train,
};

/// Pictures that go through the tower together.
const BATCH: usize = 8;

/// Attention over one picture, row by row of its square grid; adds up to what the class token does not give to itself.
pub type Grid = Vec<f32>;

/// The attention of the backbone's image tower over preprocessed pictures (each `size · size · 3` bytes), the mean of all heads.
///
/// # Errors
/// The device fails; a map that is not square.
pub async fn grids<B: ClipBackend>(backbone: &Backbone<B>, pictures: &[Vec<u8>]) -> Result<Vec<Grid>> {
    let mut grids = Vec::with_capacity(pictures.len());
    for pictures in pictures.chunks(BATCH) {
        let pixels = backbone.pixels(pictures);
        let attention = match &backbone.clip.vision {
            Vision::Vit(vit) => vit.class_attention(pixels),
            Vision::ResNet(resnet) => resnet.pool_attention(pixels),
        };
        let cells = attention.dims()[1];
        if cells.isqrt().pow(2) != cells || cells == 0 {
            return Err(Error::Failed(format!("{}: {cells} patches are no square", backbone.name)));
        }
        grids.extend(train::read(attention).await?.chunks_exact(cells).map(<[f32]>::to_vec));
    }
    Ok(grids)
}
