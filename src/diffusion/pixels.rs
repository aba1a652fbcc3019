//! Pictures in and out of tensors, as diffusers' `VaeImageProcessor` does it.

use burn::tensor::{Tensor, TensorData};
use image::RgbImage;

use super::kernels::DiffusionBackend;
use crate::{
    Error, Result,
    clip::resample::{Crop, Filter, resize_crop},
    train,
};

/// A picture resized to `width` × `height`, neither of them 0, as pixels from −1 to 1, `[1, height, width, 3]`.
pub(super) fn pixels<B: DiffusionBackend>(
    picture: &RgbImage,
    [width, height]: [u32; 2],
    device: &B::Device,
) -> Tensor<B, 4> {
    let whole = Crop { left: 0, top: 0, width, height };
    let bytes = resize_crop(picture, (width.into(), height.into()), whole, Filter::Lanczos);
    let values: Vec<f32> = bytes.into_iter().map(|byte| 2.0 * (f32::from(byte) / 255.0) - 1.0).collect();
    Tensor::from_data(TensorData::new(values, [1, height as usize, width as usize, 3]), device)
}

/// Pixels from −1 to 1 (beyond it they are clipped), `[1, height, width, 3]`, as a picture.
///
/// # Errors
/// They are not finite, or the device fails.
pub(super) fn picture<B: DiffusionBackend>(pixels: Tensor<B, 4>) -> Result<RgbImage> {
    let [_, height, width, _] = pixels.dims();
    let values = pollster::block_on(train::read(pixels))?;
    if let Some(value) = values.iter().find(|value| !value.is_finite()) {
        let advice = "in half precision a model can overflow; try bf16 or f32";
        return Err(Error::Failed(format!("the autoencoder made a pixel of {value}: {advice}")));
    }
    let byte = |value: f32| ((value / 2.0 + 0.5).clamp(0.0, 1.0) * 255.0).round_ties_even() as u8;
    let bytes = values.into_iter().map(byte).collect();
    RgbImage::from_raw(width as u32, height as u32, bytes)
        .ok_or_else(|| Error::Failed(format!("{width} × {height} pixels do not make a picture")))
}
