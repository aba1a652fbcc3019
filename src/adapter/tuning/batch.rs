//! The pictures of one step.

use burn::tensor::Tensor;

use crate::{Error, Result, clip::ClipBackend, train::metrics::check_labels};

/// The pictures of one step.
pub struct Batch<B: ClipBackend> {
    /// Normalised pixels `[batch, 3, size, size]`.
    pub pixels: Tensor<B, 4>,
    /// Their classes.
    pub labels: Vec<usize>,
    /// Two views of breaking images, row by row the same image, each `[any, 3, size, size]`. Without the breaking loss they are
    /// not looked at.
    pub breaking: Option<[Tensor<B, 4>; 2]>,
}

impl<B: ClipBackend> Batch<B> {
    /// The pictures, then both views where there are any and they are `wanted`, for towers that take pictures of `size` pixels a
    /// side; and the labels, of `classes` classes.
    ///
    /// # Errors
    /// [`Error::Data`] for what does not fit.
    pub(super) fn inputs(self, wanted: bool, size: usize, classes: usize) -> Result<(Vec<Tensor<B, 4>>, Vec<usize>)> {
        let wrong = |why: String| Err(Error::Data { place: "the batch".into(), why });
        let Self { pixels, labels, breaking } = self;
        let [rows, ..] = pixels.dims();
        if rows == 0 {
            return wrong("no pictures: give at least one".into());
        }
        check_labels("the batch", &labels, rows, classes)?;
        let mut inputs = vec![pixels];
        if let Some([first, second]) = breaking.filter(|_| wanted) {
            let counts = [first.dims()[0], second.dims()[0]];
            if counts[0] != counts[1] {
                return wrong(format!("{} first and {} second views: give two of each image", counts[0], counts[1]));
            }
            if counts[0] > 0 {
                inputs.extend([first, second]);
            }
        }
        for input in &inputs {
            let [_, channels, height, width] = input.dims();
            if [channels, height, width] != [3, size, size] {
                return wrong(format!(
                    "pictures are {channels} × {height} × {width}, the tower takes 3 × {size} × {size}"
                ));
            }
        }
        Ok((inputs, labels))
    }
}

/// Pictures in `parts` parts of nearly equal size, none of them empty.
pub(super) fn split<B: ClipBackend>(pixels: &Tensor<B, 4>, parts: usize) -> Vec<Tensor<B, 4>> {
    let rows = pixels.dims()[0];
    let size = rows.div_ceil(parts).max(1);
    (0..rows).step_by(size).map(|row| pixels.clone().narrow(0, row, size.min(rows - row))).collect()
}
