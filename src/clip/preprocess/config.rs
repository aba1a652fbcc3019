//! The preprocessing that a model's configuration file asks for.

use serde_json::Value;

use super::{CLIP_MEAN, CLIP_STD, CropOffset, Preprocess, Resize};
use crate::{Error, Result, clip::resample::Filter};

/// Larger inputs than any published CLIP's; a forged file must not make us allocate without bound.
const LARGEST_SIZE: u64 = 4096;

impl Preprocess {
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
