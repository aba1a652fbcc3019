//! Decoding and preprocessing against Pillow, byte for byte; `tests/parity/preprocess.py` made pictures and reference.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod support;

use std::path::{Path, PathBuf};
use std::time::Instant;

use image::RgbImage;
use lowshot::clip::preprocess::View;
use lowshot::clip::preprocess::{CropOffset, Preprocess, Resize};
use lowshot::clip::resample::{Crop, Filter, resize_crop};
use lowshot::data::crop_flip::CropFlip;
use lowshot::data::decode::{decode, decode_for, decode_within};
use serde_json::Value;
use sha2::{Digest, Sha256};
use support::seeded;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity").join(name)
}

fn picture(name: &str) -> Vec<u8> {
    std::fs::read(folder("pictures").join(name)).unwrap()
}

#[test]
fn every_picture_is_as_pillow_makes_it() {
    let mut names: Vec<String> = std::fs::read_dir(folder("expected"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(names.len() >= 60, "the reference is incomplete: {} files", names.len());
    let mut failures = Vec::new();
    for name in names {
        let parts: Vec<&str> = name.rsplitn(3, '.').collect();
        let (size, file) = (parts[1].parse().unwrap(), parts[2]);
        let expected = image::open(folder("expected").join(&name)).unwrap().into_rgb8();
        let image = decode(&picture(file), file).unwrap();
        let ours = Preprocess::clip(size).pixels(&image).unwrap();
        assert_eq!(ours.len(), expected.as_raw().len());
        let at_once = decode_for(&Preprocess::clip(size), &picture(file), file).unwrap();
        assert!(at_once == ours, "{file} at {size} is another picture when it is resized while it is decoded");
        let differences = ours.iter().zip(expected.as_raw()).map(|(a, b)| a.abs_diff(*b));
        let largest = differences.clone().max().unwrap();
        let differing = differences.filter(|d| *d > 0).count();
        println!("{file:32} {size:4}  largest difference {largest}, {differing} of {} bytes differ", ours.len());
        if largest > 0 {
            failures.push(name);
        }
    }
    assert!(failures.is_empty(), "not byte for byte as Pillow: {failures:?}");
}

/// What torchvision makes of the same random numbers and of the same boxes (`tests/parity/crop_flip.py`).
fn torchvision() -> Value {
    serde_json::from_slice(&std::fs::read(folder("crop_flip.json")).unwrap()).unwrap()
}

fn crop(values: &Value) -> Crop {
    let [left, top, width, height]: [u32; 4] = serde_json::from_value(values.clone()).unwrap();
    Crop { left: left.into(), top: top.into(), width, height }
}

#[test]
fn boxes_are_as_torchvision_draws_them() {
    let boxes = torchvision()["boxes"].as_array().unwrap().clone();
    assert_eq!(boxes.len(), 330);
    for (index, row) in boxes.iter().enumerate() {
        let size = [0, 1].map(|i| row[i].as_u64().unwrap() as u32);
        let method = CropFlip { scale: (row[2].as_f64().unwrap(), 1.0), ..CropFlip::TRAINING };
        let name = format!("crop.{index}");
        let mut numbers = seeded::uniform(&name, 64).map(|number| f64::from(number).midpoint(1.0));
        let mut taken = 0;
        let view = method.draw(size.into(), &mut || {
            taken += 1;
            numbers.next().unwrap()
        });
        assert_eq!(view.crop, crop(&row[4]), "box {index} of {size:?}");
        assert_eq!(taken - 1, row[3].as_u64().unwrap(), "box {index}: one number more, for the mirroring");
    }
}

/// Chi-squared tests at 1e-4: the area and the logarithm of the aspect over ten parts of their range, and the mirroring.
#[test]
fn draws_are_uniform() {
    let (mut areas, mut aspects, mut flips) = ([0; 10], [0; 10], [0; 2]);
    for index in 0..20_000 {
        // Small boxes always fit, and pixels are fine enough that rounding does not show.
        let method = CropFlip { scale: (0.08, 0.48), ..CropFlip::TRAINING };
        let View { crop: Crop { width, height, .. }, flip } =
            method.view(3, index / 32, index % 32, (100_000, 100_000));
        let (width, height) = (f64::from(width), f64::from(height));
        let part =
            |value: f64, least: f64, most: f64| ((value - least) / (most - least) * 10.0).clamp(0.0, 9.0) as usize;
        areas[part(width * height / 1e10, 0.08, 0.48)] += 1;
        let limit = (4.0_f64 / 3.0).ln();
        aspects[part((width / height).ln(), -limit, limit)] += 1;
        flips[usize::from(flip)] += 1;
    }
    let chi_squared = |counts: &[i32]| {
        let mean = 20_000.0 / counts.len() as f64;
        counts.iter().map(|&count| (f64::from(count) - mean).powi(2) / mean).sum::<f64>()
    };
    // scipy.stats.chi2.isf(1e-4, 9) and (1e-4, 1).
    assert!(chi_squared(&areas) < 33.72, "{areas:?}");
    assert!(chi_squared(&aspects) < 33.72, "{aspects:?}");
    assert!(chi_squared(&flips) < 15.14, "{flips:?}");
}

#[test]
fn parts_of_pictures_are_as_torchvision_makes_them() {
    let crops = torchvision()["crops"].as_object().unwrap().clone();
    assert_eq!(crops.len(), 12);
    for (name, values) in crops {
        let image = decode(&picture(values[0].as_str().unwrap()), "picture").unwrap();
        let view = View { crop: crop(&values[1]), flip: values[3].as_bool().unwrap() };
        let ours = Preprocess::clip(values[2].as_u64().unwrap() as u32).view(&image, view).unwrap();
        let expected = image::open(folder("crops").join(&name)).unwrap().into_rgb8();
        let differing = ours.iter().zip(expected.as_raw()).filter(|(a, b)| a != b).count();
        assert_eq!((ours.len(), differing), (expected.as_raw().len(), 0), "{name}: {values}");
    }
}

/// By `tests/parity/lanczos.py`.
#[test]
fn lanczos_is_as_pillow_makes_it() {
    let cases: Value = serde_json::from_slice(&std::fs::read(folder("lanczos.json")).unwrap()).unwrap();
    assert_eq!(cases.as_array().unwrap().len(), 7);
    for case in cases.as_array().unwrap() {
        let image = decode(&picture(case["picture"].as_str().unwrap()), "picture").unwrap();
        let [width, height]: [u32; 2] = serde_json::from_value(case["size"].clone()).unwrap();
        let whole = Crop { left: 0, top: 0, width, height };
        let bytes = resize_crop(&image, (width.into(), height.into()), whole, Filter::Lanczos);
        assert_eq!(format!("{:x}", Sha256::digest(bytes)), case["sha256"], "{case}");
    }
}

#[test]
fn parts_outside_of_the_picture_are_refused() {
    let image = RgbImage::new(9, 7);
    for (left, top, width, height) in [(0, 0, 0, 1), (0, 0, 1, 0), (9, 0, 1, 1), (0, 1, 9, 7), (u64::MAX, 0, 1, 1)] {
        let view = View { crop: Crop { left, top, width, height }, flip: false };
        let message = Preprocess::clip(4).view(&image, view).unwrap_err().to_string();
        assert!(message.contains("9 × 7 pixels") && message.lines().count() == 1, "{message}");
    }
}

#[test]
fn normalised_floats_are_channel_first() {
    let image = RgbImage::from_fn(64, 64, |x, y| image::Rgb([(x * 4) as u8, (y * 4) as u8, 7]));
    let preprocess = Preprocess::clip(64);
    let tensor = preprocess.tensor(&image).unwrap();
    assert_eq!(tensor.len(), 3 * 64 * 64);
    // By hand: (byte / 255 − mean) / std.
    let expect = |value: f64, mean: f64, std: f64| ((value / 255.0 - mean) / std) as f32;
    let close = |a: f32, b: f32| assert!((a - b).abs() < 1e-6, "{a} {b}");
    close(tensor[5], expect(20.0, 0.481_454_66, 0.268_629_54));
    close(tensor[64 * 64 + 3 * 64], expect(12.0, 0.457_827_5, 0.261_302_58));
    close(tensor[2 * 64 * 64 + 99], expect(7.0, 0.408_210_73, 0.275_777_11));
}

fn config(json: &str) -> lowshot::Result<Preprocess> {
    Preprocess::from_preprocessor_config(json.as_bytes(), "x/preprocessor_config.json")
}

#[test]
fn configurations_old_and_new() {
    let shipped = include_bytes!("../models/demo-clip/preprocessor_config.json");
    let demo = Preprocess::from_preprocessor_config(shipped, "preprocessor_config.json").unwrap();
    assert_eq!(demo, Preprocess::clip(64));
    assert_eq!(config("{}").unwrap(), Preprocess::clip(224));
    let old = config(r#"{"size":224,"crop_size":224,"resample":3,"do_resize":true}"#).unwrap();
    assert_eq!(old, Preprocess::clip(224));
    let exact =
        config(r#"{"size":{"height":32,"width":48},"crop_size":{"height":30,"width":40},"resample":2}"#).unwrap();
    assert_eq!(exact.resize, Resize::Exact { width: 48, height: 32 });
    assert_eq!((exact.crop, exact.filter), ((40, 30), Filter::Bilinear));
    let plain = config(r#"{"do_resize":false,"do_rescale":false,"do_normalize":false}"#).unwrap();
    assert_eq!((plain.resize, plain.scale, plain.mean, plain.std), (Resize::None, 1.0, [0.0; 3], [1.0; 3]));
    let open = br#"{"model_cfg":{"vision_cfg":{"image_size":240}},"preprocess_cfg":{"mean":[0.5,0.5,0.5],"std":[0.5,0.5,0.5]}}"#;
    let open = Preprocess::from_open_clip_config(open, "open_clip_config.json").unwrap();
    assert_eq!((open.crop, open.mean, open.crop_offset), ((240, 240), [0.5; 3], CropOffset::Even));
    assert_ne!(open.fingerprint(), Preprocess::clip(240).fingerprint());
    assert_eq!(Preprocess::clip(64).fingerprint(), demo.fingerprint());
}

#[test]
fn wrong_configurations_are_refused_in_one_line() {
    for (json, part) in [
        ("", "not valid JSON"),
        ("[]", "not a JSON object"),
        (r#"{"resample":1}"#, "resample is 1"),
        (r#"{"size":0}"#, "from 1 to 4096"),
        (r#"{"size":{"longest_edge":9}}"#, "size gives null"),
        (r#"{"crop_size":1000000000}"#, "from 1 to 4096"),
        (r#"{"size":64,"crop_size":65}"#, "crop_size is larger"),
        (r#"{"image_mean":[1,2]}"#, "not three numbers"),
        (r#"{"image_std":[0,1,1]}"#, "std must be above 0"),
        (r#"{"do_center_crop":false}"#, "do_center_crop is false"),
    ] {
        let message = config(json).unwrap_err().to_string();
        assert!(message.starts_with("x/preprocessor_config.json: ") && message.contains(part), "{json}: {message}");
        assert_eq!(message.lines().count(), 1);
    }
    let open = |json: &str| Preprocess::from_open_clip_config(json.as_bytes(), "o").unwrap_err().to_string();
    assert!(open(r#"{"preprocess_cfg":{"size":64,"resize_mode":"longest"}}"#).contains("resize_mode"));
    assert!(open(r#"{"preprocess_cfg":{"size":64,"interpolation":"nearest"}}"#).contains("interpolation"));
    assert!(open("{}").contains("preprocess_cfg.size"));
}

/// The offset rules where the spare is odd: 3 → 1 (transformers) or 2 (torchvision), 1 → 0 in both.
#[test]
fn crop_offsets_follow_their_library() {
    let columns = |width: u32, offset: CropOffset| {
        let image = RgbImage::from_fn(width, 4, |x, _| image::Rgb([x as u8; 3]));
        let preprocess = Preprocess { resize: Resize::None, crop_offset: offset, ..Preprocess::clip(4) };
        preprocess.pixels(&image).unwrap()[0]
    };
    for (width, down, even) in [(4, 0, 0), (5, 0, 0), (6, 1, 1), (7, 1, 2), (8, 2, 2), (9, 2, 2), (11, 3, 4)] {
        assert_eq!((columns(width, CropOffset::Down), columns(width, CropOffset::Even)), (down, even), "{width}");
    }
    let small = Preprocess { resize: Resize::None, ..Preprocess::clip(4) }.pixels(&RgbImage::new(3, 9));
    assert!(small.unwrap_err().to_string().contains("smaller than the crop"));
}

fn refusal(bytes: &[u8]) -> String {
    let message = decode(bytes, "x.jpg").unwrap_err().to_string();
    assert!(message.starts_with("x.jpg: is ") && message.contains(": "), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    message
}

#[test]
fn what_is_no_picture_is_refused_in_one_line() {
    assert!(refusal(b"").contains("is empty"));
    assert!(refusal(b"hello, I am a text file\n").contains("is text"));
    assert!(refusal(b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>").contains("SVG"));
    assert!(refusal(b"<!DOCTYPE html><html></html>").contains("web page"));
    assert!(refusal(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic").contains("HEIC"));
    assert!(refusal(b"\0\0\0\x1cftypavif\0\0\0\0avifmif1").contains("AVIF"));
    assert!(refusal(&[0x80, 0x81, 0x00, 0x99]).contains("known format"));
    assert!(refusal(b"\xff\xd8").contains("truncated"));
}

#[test]
fn truncated_pictures_are_refused() {
    for name in [
        "jpeg-420-q75.jpg",
        "jpeg-progressive.jpg",
        "jpeg-restart.jpg",
        "png-rgb.png",
        "webp-lossless.webp",
        "tiff.tiff",
    ] {
        let bytes = picture(name);
        for keep in [1, 2, 3, 4, 5] {
            let message = refusal(&bytes[..bytes.len() * keep / 6]);
            assert!(message.contains("truncated"), "{name}: {message}");
        }
    }
    let jpeg = picture("jpeg-420-q75.jpg");
    assert!(refusal(&jpeg[..jpeg.len() - 2]).contains("truncated"));
}

/// Damage anywhere gives a picture or an error, and neither a panic nor a hang.
#[test]
fn damaged_pictures_do_not_panic() {
    let mut state = 1_u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize
    };
    for entry in std::fs::read_dir(folder("pictures")).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for _ in 0..60 {
            let mut bytes = bytes.clone();
            for _ in 0..1 + random() % 4 {
                let at = random() % bytes.len().min(if random() % 2 == 0 { 700 } else { usize::MAX });
                bytes[at] = random() as u8;
            }
            // Damage to the header can ask for a picture of any size up to the limit.
            let Ok(picture) = decode_within(&bytes, "damaged", 1_000_000) else { continue };
            let preprocess = Preprocess::clip(64);
            assert_eq!(decode_for(&preprocess, &bytes, "damaged").unwrap(), preprocess.pixels(&picture).unwrap());
        }
    }
}

/// 60,000 × 60,000 pixels are refused from the header: at once, and without room being made for them.
#[test]
fn huge_pictures_are_refused_from_the_header() {
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    png.extend([0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60, 8, 2, 0, 0, 0]);
    png.extend(crc32(&png[12..]).to_be_bytes());
    png.extend(b"\0\0\0\x04IDAT\0\0\0\0");
    png.extend(crc32(b"IDAT\0\0\0\0").to_be_bytes());
    let mut jpeg = picture("jpeg-420-q75.jpg");
    let frame = jpeg.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xea, 0x60, 0xea, 0x60]);
    for bytes in [png, jpeg] {
        let began = Instant::now();
        let message = refusal(&bytes);
        assert!(message.contains("60000 × 60000 pixels, over the limit of 100 megapixels"), "{message}");
        assert!(began.elapsed().as_millis() < 50, "{:?}", began.elapsed());
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    })
}
