//! From a decoded picture to the tensor that the image tower takes: resize, centre crop, scale, normalise.
//!
//! The contract is Pillow's arithmetic, which `OpenCLIP`, OpenAI's code (torchvision on Pillow images) and transformers'
//! `CLIPImageProcessorPil` share. transformers 5's default processor resizes tensors with torchvision instead and
//! differs from Pillow by one level in a few values of a thousand.

use image::{RgbImage, imageops};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::resample::{Crop, Filter, resize_crop};
use crate::{Error, Result};

/// What OpenAI's CLIP was trained with.
const CLIP_MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const CLIP_STD: [f32; 3] = [0.268_629_54, 0.261_302_58, 0.275_777_11];
/// Larger inputs than any published CLIP's; a forged file must not make us allocate without bound.
const LARGEST_SIZE: u64 = 4096;

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

    /// Reads Hugging Face's `preprocessor_config.json` in its old and new forms. What it leaves out is as
    /// transformers' `CLIPImageProcessor` has it. `file` names it in errors.
    ///
    /// # Errors
    /// [`Error::Config`] for anything that is not JSON, or that asks for what CLIP's preprocessing does not do.
    pub fn from_preprocessor_config(bytes: &[u8], file: &str) -> Result<Self> {
        let reader = Reader::new(bytes, file)?;
        // transformers 5 saves the processor's parts in one file, this one under a key.
        let json = reader.json.get("image_processor").unwrap_or(&reader.json);
        let flag = |name: &str| json[name].as_bool().unwrap_or(true);
        let default = Self::clip(224);
        let mut resolved = default.clone();
        resolved.filter = match &json["resample"] {
            Value::Null => default.filter,
            value if value == 3 => Filter::Bicubic,
            value if value == 2 => Filter::Bilinear,
            other => {
                return Err(
                    reader.wrong(&format!("resample is {other}: only 2 (bilinear) and 3 (bicubic) are supported"))
                );
            }
        };
        let size = &json["size"];
        resolved.resize = if !flag("do_resize") {
            Resize::None
        } else if size.is_null() {
            default.resize
        } else if size["height"].is_null() {
            let edge = if size.is_object() { &size["shortest_edge"] } else { size };
            Resize::ShortestEdge(reader.pixels("size", edge)?)
        } else {
            let (width, height) = reader.width_height("size", size)?;
            Resize::Exact { width, height }
        };
        let crop = &json["crop_size"];
        resolved.crop = match (flag("do_center_crop"), resolved.resize) {
            (true, _) if crop.is_null() => default.crop,
            (true, _) => reader.width_height("crop_size", crop)?,
            (false, Resize::Exact { width, height }) => (width, height),
            (false, _) => return Err(reader.wrong(
                "do_center_crop is false and size fixes one side only, so pictures would differ in size: set crop_size",
            )),
        };
        if let Some(scale) = json["rescale_factor"].as_f64() {
            resolved.scale = scale;
        }
        if !flag("do_rescale") {
            resolved.scale = 1.0;
        }
        resolved.mean = reader.three("image_mean", &json["image_mean"], default.mean)?;
        resolved.std = reader.three("image_std", &json["image_std"], default.std)?;
        if !flag("do_normalize") {
            (resolved.mean, resolved.std) = ([0.0; 3], [1.0; 3]);
        }
        resolved.check(&reader)
    }

    /// Reads the `preprocess_cfg` (and, for the size, the `model_cfg`) of `open_clip_config.json`. `file` names it in
    /// errors.
    ///
    /// # Errors
    /// [`Error::Config`] for anything that is not JSON, without a size, or with another `resize_mode` than `shortest`
    /// and `squash`.
    pub fn from_open_clip_config(bytes: &[u8], file: &str) -> Result<Self> {
        let reader = Reader::new(bytes, file)?;
        let json = &reader.json["preprocess_cfg"];
        let size =
            if json["size"].is_null() { &reader.json["model_cfg"]["vision_cfg"]["image_size"] } else { &json["size"] };
        let (width, height) = reader.width_height("preprocess_cfg.size", size)?;
        let mut resolved = Self { crop: (width, height), crop_offset: CropOffset::Even, ..Self::clip(width) };
        resolved.resize = match json["resize_mode"].as_str().unwrap_or("shortest") {
            "shortest" if width == height => Resize::ShortestEdge(width),
            "squash" => Resize::Exact { width, height },
            other => {
                return Err(reader.wrong(&format!(
                    "resize_mode {other:?} at {width} × {height} is not supported: shortest (square) and squash are"
                )));
            }
        };
        resolved.filter = match json["interpolation"].as_str().unwrap_or("bicubic") {
            "bicubic" => Filter::Bicubic,
            "bilinear" => Filter::Bilinear,
            other => {
                return Err(
                    reader.wrong(&format!("interpolation {other:?} is not supported: bicubic and bilinear are"))
                );
            }
        };
        resolved.mean = reader.three("preprocess_cfg.mean", &json["mean"], CLIP_MEAN)?;
        resolved.std = reader.three("preprocess_cfg.std", &json["std"], CLIP_STD)?;
        resolved.check(&reader)
    }

    fn check(self, reader: &Reader<'_>) -> Result<Self> {
        let (width, height) = match self.resize {
            Resize::None => (u32::MAX, u32::MAX),
            Resize::ShortestEdge(edge) => (edge, edge),
            Resize::Exact { width, height } => (width, height),
        };
        if self.crop.0 > width || self.crop.1 > height {
            return Err(
                reader.wrong("crop_size is larger than size: padded pictures are not supported, make size as large")
            );
        }
        let finite = self.mean.iter().all(|mean| mean.is_finite()) && self.scale.is_finite();
        if !finite || !self.std.iter().all(|std| std.is_finite() && *std > 0.0) {
            return Err(
                reader.wrong("mean, std or rescale_factor is not usable (std must be above 0): fetch the file again")
            );
        }
        Ok(self)
    }

    /// The picture resized and cropped: bytes of `[height, width, 3]`, where `crop` is (width, height).
    ///
    /// # Errors
    /// [`Error::Image`] if the picture is empty, or if it is not resized and smaller than the crop.
    pub fn pixels(&self, image: &RgbImage) -> Result<Vec<u8>> {
        let wrong = |why: &str| Error::Image { file: "picture".into(), why: why.into() };
        let (width, height) = (u64::from(image.width()), u64::from(image.height()));
        if width == 0 || height == 0 {
            return Err(wrong("has no pixels: give another picture"));
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
            let why = format!(
                "is {width} × {height} pixels, smaller than the crop of {} × {}, and do_resize is off: give a larger one",
                self.crop.0, self.crop.1
            );
            return Err(wrong(&why));
        };
        let crop = Crop { left, top, width: self.crop.0, height: self.crop.1 };
        Ok(resize_crop(image, size, crop, self.filter))
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

    /// The picture as the tower takes it: floats of `[3, height, width]`.
    ///
    /// # Errors
    /// As [`pixels`](Self::pixels).
    pub fn tensor(&self, image: &RgbImage) -> Result<Vec<f32>> {
        let pixels = self.pixels(image)?;
        let mut out = vec![0.0; pixels.len()];
        self.normalise(&pixels, &mut out);
        Ok(out)
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

/// A configuration file in hand, for errors that name it.
struct Reader<'a> {
    json: Value,
    file: &'a str,
}

impl<'a> Reader<'a> {
    fn new(bytes: &[u8], file: &'a str) -> Result<Self> {
        let wrong = |why: String| Error::Config { file: file.into(), why };
        let json: Value = serde_json::from_slice(bytes)
            .map_err(|error| wrong(format!("not valid JSON ({error}): fetch the file again")))?;
        if !json.is_object() {
            return Err(wrong("not a JSON object: fetch the file again".into()));
        }
        Ok(Self { json, file })
    }

    fn wrong(&self, why: &str) -> Error {
        Error::Config { file: self.file.into(), why: why.into() }
    }

    fn pixels(&self, name: &str, value: &Value) -> Result<u32> {
        match value.as_u64() {
            Some(pixels) if (1..=LARGEST_SIZE).contains(&pixels) => Ok(pixels as u32),
            _ => Err(self.wrong(&format!(
                "{name} gives {value} where a number of pixels from 1 to {LARGEST_SIZE} belongs: correct it"
            ))),
        }
    }

    /// A number for both, an object with `width` and `height`, or a pair (height, width).
    fn width_height(&self, name: &str, value: &Value) -> Result<(u32, u32)> {
        match value {
            Value::Object(_) => Ok((self.pixels(name, &value["width"])?, self.pixels(name, &value["height"])?)),
            Value::Array(pair) if pair.len() == 2 => Ok((self.pixels(name, &pair[1])?, self.pixels(name, &pair[0])?)),
            _ => self.pixels(name, value).map(|pixels| (pixels, pixels)),
        }
    }

    fn three(&self, name: &str, value: &Value, default: [f32; 3]) -> Result<[f32; 3]> {
        if value.is_null() {
            return Ok(default);
        }
        let numbers: Option<Vec<f32>> =
            value.as_array().and_then(|values| values.iter().map(|v| v.as_f64().map(|v| v as f32)).collect());
        numbers
            .and_then(|numbers| numbers.try_into().ok())
            .ok_or_else(|| self.wrong(&format!("{name} is not three numbers: correct it")))
    }
}
