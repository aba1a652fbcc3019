//! From a decoded picture to the tensor that the image tower takes: resize, centre crop, scale, normalise.
//!
//! The contract is Pillow's arithmetic, which `OpenCLIP`, OpenAI's code (torchvision on Pillow images) and transformers'
//! `CLIPImageProcessorPil` share. transformers 5's default processor resizes tensors with torchvision instead and
//! differs from Pillow by one level in a few values of a thousand.

mod config;

use image::{RgbImage, imageops};
use serde::{Deserialize, Serialize};

use super::{
    resample::{Crop, Filter, Resampler, resize_crop},
    wide::Set,
};
use crate::{Error, Result};

/// What OpenAI's CLIP was trained with.
const CLIP_MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const CLIP_STD: [f32; 3] = [0.268_629_54, 0.261_302_58, 0.275_777_11];

/// The size that a picture is resized to before the crop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resize {
    /// Not at all.
    None,
    /// The shorter side becomes this many pixels, the longer one in proportion, rounded down.
    ShortestEdge(u32),
    /// Exactly this many pixels, whatever the proportions.
    Exact {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
}

/// Where the crop goes when what is left over is odd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CropOffset {
    /// Half of it, rounded down: transformers' rule.
    Down,
    /// Half of it, rounded to the even number: torchvision's rule, so OpenAI's and `OpenCLIP`'s.
    Even,
}

/// A part of a picture, and whether it is mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// The part.
    pub crop: Crop,
    /// Whether left and right change places.
    pub flip: bool,
}

/// The preprocessing of one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preprocess {
    /// The resize.
    pub resize: Resize,
    /// Its filter.
    pub filter: Filter,
    /// Columns and rows of the result: the model's input.
    pub crop: (u32, u32),
    /// Where the crop goes.
    pub crop_offset: CropOffset,
    /// What a byte is multiplied with: 1/255.
    pub scale: f64,
    /// Subtracted from each of R, G, B after scaling.
    pub mean: [f32; 3],
    /// Each of R, G, B is divided by this in the end.
    pub std: [f32; 3],
}

impl Preprocess {
    /// The preprocessing of OpenAI's CLIP (Radford et al. 2021) for a square input of `size` pixels: shorter side to
    /// `size` by bicubic, centre crop by transformers' rule, CLIP's mean and standard deviation.
    pub fn clip(size: u32) -> Self {
        Self {
            resize: Resize::ShortestEdge(size),
            filter: Filter::Bicubic,
            crop: (size, size),
            crop_offset: CropOffset::Down,
            scale: 1.0 / 255.0,
            mean: CLIP_MEAN,
            std: CLIP_STD,
        }
    }

    /// The picture resized and cropped: bytes of `[height, width, 3]`, where `crop` is (width, height).
    ///
    /// # Errors
    /// [`Error::Image`] if the picture is empty, or if it is not resized and smaller than the crop.
    pub fn pixels(&self, image: &RgbImage) -> Result<Vec<u8>> {
        let (size, crop) =
            self.place(image.dimensions()).map_err(|why| Error::Image { file: "picture".into(), why })?;
        Ok(resize_crop(image, size, crop, self.filter))
    }

    /// What makes [`pixels`](Self::pixels) of a picture of `from` (columns, rows) whose rows come one by one.
    ///
    /// # Errors
    /// What is wrong with such a picture, as of [`pixels`](Self::pixels): the end of a sentence that begins with its name.
    pub(crate) fn resampler(&self, from: (u32, u32), set: Set) -> std::result::Result<Resampler, String> {
        let (size, crop) = self.place(from)?;
        Ok(Resampler::new(from, size, crop, self.filter, set))
    }

    /// The size that a picture is resized to, and where the crop lies in it.
    fn place(&self, from: (u32, u32)) -> std::result::Result<((u64, u64), Crop), String> {
        let (width, height) = (u64::from(from.0), u64::from(from.1));
        if width == 0 || height == 0 {
            return Err("has no pixels: give another picture".into());
        }
        let size = match self.resize {
            Resize::None => (width, height),
            Resize::Exact { width, height } => (width.into(), height.into()),
            Resize::ShortestEdge(edge) => {
                let longer = |long: u64, short: u64| ((u64::from(edge) * long) as f64 / short as f64) as u64;
                if width <= height {
                    (edge.into(), longer(height, width))
                } else {
                    (longer(width, height), edge.into())
                }
            }
        };
        let offset = |size: u64, crop: u32| {
            let spare = size.checked_sub(crop.into())?;
            Some(match self.crop_offset {
                CropOffset::Down => spare / 2,
                // A half goes to the even neighbour.
                CropOffset::Even => spare / 2 + u64::from(spare % 4 == 3),
            })
        };
        let (Some(left), Some(top)) = (offset(size.0, self.crop.0), offset(size.1, self.crop.1)) else {
            return Err(format!(
                "is {width} × {height} pixels, smaller than the crop of {} × {}, and do_resize is off: give a larger one",
                self.crop.0, self.crop.1
            ));
        };
        Ok((size, Crop { left, top, width: self.crop.0, height: self.crop.1 }))
    }

    /// A part of the picture resized to the crop's size, whatever its proportions, and mirrored where the view says so: bytes of
    /// `[height, width, 3]` as of [`pixels`](Self::pixels). The part is cut out before it is resized, so that no pixel outside of it
    /// has a weight, as in torchvision's `resized_crop`.
    ///
    /// # Errors
    /// [`Error::Image`] if the part is empty or does not lie in the picture.
    pub fn view(&self, image: &RgbImage, View { crop, flip }: View) -> Result<Vec<u8>> {
        let Crop { left, top, width, height } = crop;
        let (right, bottom) = (left.saturating_add(width.into()), top.saturating_add(height.into()));
        let inside = right <= image.width().into() && bottom <= image.height().into();
        if width == 0 || height == 0 || !inside {
            let why = format!(
                "is {} × {} pixels and has no part of {width} × {height} at ({left}, {top}): give a part that lies in it",
                image.width(),
                image.height()
            );
            return Err(Error::Image { file: "picture".into(), why });
        }
        let part = imageops::crop_imm(image, left as u32, top as u32, width, height).to_image();
        let whole = Crop { left: 0, top: 0, width: self.crop.0, height: self.crop.1 };
        let mut pixels = resize_crop(&part, (self.crop.0.into(), self.crop.1.into()), whole, self.filter);
        if flip {
            let rows = pixels.chunks_exact_mut(self.crop.0 as usize * 3);
            rows.for_each(|row| row.as_chunks_mut::<3>().0.reverse());
        }
        Ok(pixels)
    }

    /// Bytes of `[height, width, 3]` to channel-first floats `[3, height, width]`: `(byte · scale − mean) / std`.
    /// What either side has too much of is left alone.
    pub fn normalise(&self, pixels: &[u8], out: &mut [f32]) {
        let plane = pixels.len() / 3;
        if plane == 0 {
            return;
        }
        for (channel, out) in out.chunks_exact_mut(plane).take(3).enumerate() {
            let (mean, std) = (f64::from(self.mean[channel]), f64::from(self.std[channel]));
            let table: [f32; 256] = std::array::from_fn(|byte| ((byte as f64 * self.scale - mean) / std) as f32);
            for (out, pixel) in out.iter_mut().zip(pixels.chunks_exact(3)) {
                *out = table[pixel[channel] as usize];
            }
        }
    }

    /// Pictures' bytes, each `[height, width, 3]` as [`pixels`](Self::pixels) gives them, to floats `[pictures, 3, height, width]`.
    pub fn batch(&self, pictures: &[Vec<u8>]) -> Vec<f32> {
        let length = 3 * (self.crop.0 * self.crop.1) as usize;
        let mut values = vec![0.0; pictures.len() * length];
        for (picture, out) in pictures.iter().zip(values.chunks_exact_mut(length)) {
            self.normalise(picture, out);
        }
        values
    }

    /// The picture as the tower takes it: floats of `[3, height, width]`.
    ///
    /// # Errors
    /// As [`pixels`](Self::pixels).
    pub fn tensor(&self, image: &RgbImage) -> Result<Vec<f32>> {
        Ok(self.batch(&[self.pixels(image)?]))
    }

    /// The resolved values as one line of JSON: equal for equal preprocessing, so a part of the feature cache's key.
    pub fn fingerprint(&self) -> String {
        let Self { resize, filter, crop, crop_offset, scale, mean, std } = self;
        // Bits rather than decimals: two values that differ anywhere must not share a key.
        let bits = |values: &[f32; 3]| values.map(f32::to_bits);
        serde_json::json!({
            "preprocess": 1, "resize": resize, "filter": filter, "crop": crop, "crop_offset": crop_offset,
            "scale": scale.to_bits(), "mean": bits(mean), "std": bits(std),
        })
        .to_string()
    }
}
