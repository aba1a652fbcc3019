//! The pictures of one step.

use burn::tensor::{DType, Tensor, TensorData};

use crate::{
    Error, Result,
    clip::ClipBackend,
    train::{metrics::check_labels, objective::one_hot},
};

/// The pictures of one step.
pub struct Batch<B: ClipBackend> {
    /// Normalised pixels `[batch, 3, size, size]`.
    pub pixels: Tensor<B, 4>,
    /// Their classes.
    pub labels: Vec<usize>,
    /// What each picture's loss is multiplied by; empty where that is 1 for all.
    pub weights: Vec<f32>,
    /// Two views of breaking images, row by row the same image, each `[any, 3, size, size]`. Without the breaking loss they are
    /// not looked at.
    pub breaking: Option<[Tensor<B, 4>; 2]>,
}

impl<B: ClipBackend> Batch<B> {
    /// The pictures, then both views where there are any and they are `wanted`, for towers that take pictures of `size` pixels a
    /// side; and what the logits should be, `[batch, classes]`: rows of zeros with the picture's weight at its label.
    ///
    /// # Errors
    /// [`Error::Data`] for what does not fit.
    pub(super) fn inputs(self, wanted: bool, size: usize, classes: usize) -> Result<(Vec<Tensor<B, 4>>, Tensor<B, 2>)> {
        let wrong = |why: String| Err(Error::Data { place: "the batch".into(), why });
        let Self { pixels, labels, weights, breaking } = self;
        let [rows, ..] = pixels.dims();
        if rows == 0 {
            return wrong("no pictures: give at least one".into());
        }
        check_labels("the batch", &labels, rows, classes)?;
        if !(weights.is_empty() || weights.len() == rows) {
            return wrong(format!("{} weights for {rows} pictures: give one for each", weights.len()));
        }
        if let Some(weight) = weights.iter().find(|weight| !(weight.is_finite() && **weight >= 0.0)) {
            return wrong(format!("a picture's weight is {weight}: give 0 or more"));
        }
        let mut targets = one_hot(&labels, classes, &pixels.device());
        if !weights.is_empty() {
            targets = targets * Tensor::from_data(TensorData::new(weights, [rows, 1]), (&pixels.device(), DType::F32));
        }
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
        Ok((inputs, targets))
    }
}

/// Pictures in `parts` parts of nearly equal size, none of them empty.
pub(super) fn split<B: ClipBackend>(pixels: &Tensor<B, 4>, parts: usize) -> Vec<Tensor<B, 4>> {
    let rows = pixels.dims()[0];
    let size = rows.div_ceil(parts).max(1);
    (0..rows).step_by(size).map(|row| pixels.clone().narrow(0, row, size.min(rows - row))).collect()
}
