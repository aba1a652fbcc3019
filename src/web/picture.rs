//! A photo's bytes → what the model sees of it, and a thumbnail.
//!
//! It needs no model, so it can live in a Worker of its own: WebAssembly's memory never shrinks, and a large photo takes much.

use image::{RgbImage, imageops};
use js_sys::{Object, Reflect, Uint8Array, Uint8ClampedArray};
use wasm_bindgen::prelude::*;

use super::error::{Result, to_js};
use crate::{
    Error,
    clip::{Preprocess, preprocess::Resize},
    data::decode::decode,
    hash,
    session::PictureView,
};

/// The part of a picture that the model sees, as fractions of its width and height.
#[derive(serde::Serialize)]
struct Seen {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

/// Decodes a photo: `{ width, height, sha256, pixels, thumbnail: { width, height, rgba }, box }`. `preprocess` is what the
/// session's info says of the model; the thumbnail's longer side has at most `thumbnail_side` pixels.
///
/// # Errors
/// No picture, or one that is damaged, too large, or of a format that is not supported.
#[wasm_bindgen]
pub fn prepare(bytes: &[u8], name: &str, preprocess: &str, thumbnail_side: u32) -> Result<JsValue> {
    let preprocess = parse(preprocess)?;
    let picture = decode(bytes, name)?;
    let pixels = preprocess.pixels(&picture)?;
    let prepared = Object::new();
    set(&prepared, "width", picture.width());
    set(&prepared, "height", picture.height());
    set(&prepared, "sha256", hash::sha256(bytes));
    set(&prepared, "pixels", Uint8Array::from(pixels.as_slice()));
    set(&prepared, "thumbnail", thumbnail(&picture, thumbnail_side));
    set(&prepared, "box", to_js(&seen(&preprocess, picture.dimensions()))?);
    Ok(prepared.into())
}

/// The pixels of a photo as training asked to see it: `view` comes from a rung's `wanted`.
///
/// # Errors
/// As [`prepare`].
#[wasm_bindgen(js_name = trainingView)]
pub fn training_view(bytes: &[u8], name: &str, preprocess: &str, view: &str) -> Result<Vec<u8>> {
    let view: PictureView =
        serde_json::from_str(view).map_err(|why| Error::Usage(format!("view {view:?}: {why}; give a rung's own")))?;
    Ok(view.pixels(&parse(preprocess)?, &decode(bytes, name)?)?)
}

fn parse(preprocess: &str) -> Result<Preprocess> {
    let wrong = |why| Error::Usage(format!("preprocess: {why}; give what the session's info says"));
    Ok(serde_json::from_str(preprocess).map_err(wrong)?)
}

fn set(object: &Object, key: &str, value: impl Into<JsValue>) {
    // A new object takes any property.
    let _ = Reflect::set(object, &key.into(), &value.into());
}

fn thumbnail(picture: &RgbImage, side: u32) -> Object {
    let scale = f64::from(side.max(1)) / f64::from(picture.width().max(picture.height()));
    let small = if scale < 1.0 {
        let to = |length: u32| ((f64::from(length) * scale).round() as u32).max(1);
        imageops::thumbnail(picture, to(picture.width()), to(picture.height()))
    } else {
        picture.clone()
    };
    let rgba: Vec<u8> = small.pixels().flat_map(|pixel| [pixel.0[0], pixel.0[1], pixel.0[2], 255]).collect();
    let object = Object::new();
    set(&object, "width", small.width());
    set(&object, "height", small.height());
    set(&object, "rgba", Uint8ClampedArray::from(rgba.as_slice()));
    object
}

/// What the centre crop leaves of a picture.
fn seen(preprocess: &Preprocess, (width, height): (u32, u32)) -> Seen {
    let (crop_width, crop_height) = (f64::from(preprocess.crop.0), f64::from(preprocess.crop.1));
    let (width, height) = (f64::from(width), f64::from(height));
    let (resized_width, resized_height) = match preprocess.resize {
        Resize::None => (width, height),
        Resize::ShortestEdge(side) => {
            let scale = f64::from(side) / width.min(height);
            (width * scale, height * scale)
        }
        Resize::Exact { width, height } => (f64::from(width), f64::from(height)),
    };
    let (w, h) = ((crop_width / resized_width).min(1.0), (crop_height / resized_height).min(1.0));
    Seen { left: (1.0 - w) / 2.0, top: (1.0 - h) / 2.0, width: w, height: h }
}
