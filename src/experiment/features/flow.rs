//! Pictures on their way through the image tower: several threads read and decode them, one more makes batches of their pixels, and the
//! tower finds the next batch ready when it is done with the last.

use std::{sync::mpsc, thread};

use burn::tensor::{Tensor, TensorData};

use super::super::ahead::Ahead;
use crate::{
    Result,
    clip::{Clip, ClipBackend, Preprocess},
    platform::parallel,
    train,
};

/// Pictures that go through the tower together.
pub const BATCH: usize = 32;
/// Pictures that are decoded or about to be and not yet in a batch; two batches keep every thread busy, and bound the memory.
const DECODED: usize = 2 * BATCH;

/// Computes the unit features of pictures, [`BATCH`] at a time, and gives each batch's to `take`, `[batch, embedding]` in the pictures'
/// order. `picture` reads one as [`Preprocess::pixels`] has it.
///
/// # Errors
/// Those of `picture` and `take`; the device fails.
pub fn features<B: ClipBackend, J: Send>(
    clip: &Clip<B>,
    preprocess: &Preprocess,
    pictures: impl Iterator<Item = J> + Send,
    picture: impl Fn(J) -> Result<Vec<u8>> + Clone + Send,
    mut take: impl FnMut(Vec<f32>) -> Result<()>,
) -> Result<()> {
    let decoders = parallel::threads();
    thread::scope(|scope| {
        // One batch lies ready while the next is being made.
        let (ready, batches) = mpsc::sync_channel(1);
        scope.spawn(move || {
            let mut decoded = Ahead::start(scope, decoders, DECODED, pictures, picture);
            loop {
                let batch = decoded.by_ref().take(BATCH).collect::<Result<Vec<_>>>();
                let batch = batch.map(|pictures| (pictures.len(), preprocess.batch(&pictures)));
                let last = !matches!(batch, Ok((BATCH, _)));
                // Nobody takes it where the whole was given up.
                if ready.send(batch).is_err() || last {
                    return;
                }
            }
        });
        for batch in batches {
            let (count, pixels) = batch?;
            if count == 0 {
                break;
            }
            let (width, height) = preprocess.crop;
            let shape = [count, 3, height as usize, width as usize];
            let pixels = Tensor::from_data(TensorData::new(pixels, shape), clip.device());
            take(pollster::block_on(train::read(clip.image_features(pixels)))?)?;
        }
        Ok(())
    })
}
