//! Weights in half precision and int8: what they change in a model's features, and the files that hold them.
#![cfg(feature = "native")]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::fs;

use burn::tensor::{Tensor, TensorData};
use burn_flex::Flex;
use lowshot::{
    clip::{Format, Precision, Storage},
    platform::{
        models::{demo_files, find},
        native::FolderFiles,
    },
    session::Backbone,
    weights::{
        Checkpoint, ModelFiles, TensorFile,
        files::MemoryFiles,
        quantised::{Form, converted},
    },
};
use support::{folders, photos, reference::Reference, seeded};

fn load(files: &dyn ModelFiles, storage: Storage) -> Backbone<Flex> {
    let format = Format { precision: Precision::F32, storage };
    Backbone::load_in(format, "model", files, &Default::default()).unwrap()
}

/// Features of some sample tiles and of the classes' prompts, a row each.
fn features(backbone: &Backbone<Flex>) -> Vec<Vec<f32>> {
    let samples = photos::samples();
    let classes: Vec<&str> = samples.split.classes.iter().map(String::as_str).collect();
    let photos = photos::photos(&samples, |split| &split.test, &classes, 0, 2);
    assert!(photos.pictures.len() >= 10, "the samples are there");
    let prompts: Vec<&str> = photos.classes.iter().flat_map(|class| class.prompts.iter().map(String::as_str)).collect();
    let images = backbone.image_features(&photos.plain(&backbone.preprocess));
    [images, backbone.text_features(&prompts)].into_iter().flat_map(rows).collect()
}

fn rows(features: Tensor<Flex, 2>) -> Vec<Vec<f32>> {
    let width = features.dims()[1];
    features.into_data().to_vec::<f32>().unwrap().chunks(width).map(<[f32]>::to_vec).collect()
}

/// The least cosine of rows of unit length.
fn least_cosine(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    assert_eq!(a.len(), b.len());
    let cosines = a.iter().zip(b).map(|(a, b)| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>());
    cosines.fold(1.0, f32::min)
}

/// The model's files with other weights.
fn with_weights(weights: Vec<u8>) -> MemoryFiles {
    let demo = demo_files();
    let others = demo.names().unwrap().into_iter().filter(|name| name != "model.safetensors");
    let files = others.fold(MemoryFiles::new("converted"), |files, name| {
        let bytes = demo.open(&name).unwrap().unwrap().bytes().to_vec();
        files.with(name, bytes)
    });
    files.with("model.safetensors", weights)
}

#[test]
fn half_precision_of_a_file_in_half_precision_changes_no_bit() {
    let demo = demo_files();
    let expected = features(&load(&demo, Storage::F32));
    for storage in [Storage::Exact, Storage::F16] {
        assert_eq!(features(&load(&demo, storage)), expected, "{storage}");
    }
}

#[test]
fn int8_features_are_near() {
    let demo = demo_files();
    let (exact, int8) = (features(&load(&demo, Storage::F32)), features(&load(&demo, Storage::Int8)));
    let cosine = least_cosine(&exact, &int8);
    println!("least cosine of {} features {cosine}", exact.len());
    // Measured: 0.999945 for the furthest.
    assert!(cosine > 0.9998, "{cosine}");
    assert!(exact != int8, "int8 is something else");
}

#[test]
fn a_converted_model_is_the_quantised_one() {
    let demo = demo_files();
    let checkpoint = Checkpoint::from_files(&demo).unwrap();
    let weights = converted(&checkpoint, Form::Int8).unwrap();
    assert!(weights.len() < 9_000_000, "{} bytes", weights.len());
    let files = with_weights(weights);
    let quantised = features(&load(&demo, Storage::Int8));
    // Both by itself, which recognises int8, and asked for.
    for storage in [Storage::Exact, Storage::Int8] {
        let loaded = load(&files, storage);
        assert_eq!(loaded.parameters, load(&demo, storage).parameters, "scales are no parameters");
        assert_eq!(features(&loaded), quantised, "{storage}");
    }
    // As f32 it is the same weights, summed in another order.
    assert!(least_cosine(&features(&load(&files, Storage::F32)), &quantised) > 0.999_999);
    // Converted again nothing changes.
    let again = converted(&Checkpoint::from_files(&files).unwrap(), Form::Int8).unwrap();
    assert!(again == files.open("model.safetensors").unwrap().unwrap().bytes());
    // Another model to adapters.
    assert_ne!(load(&files, Storage::Exact).sha256, load(&demo, Storage::Exact).sha256);
}

#[test]
fn int8_tensors_are_what_the_format_says() {
    let demo = demo_files();
    let weights = converted(&Checkpoint::from_files(&demo).unwrap(), Form::Int8).unwrap();
    let file = TensorFile::open("int8", std::sync::Arc::new(weights)).unwrap();
    let original = TensorFile::open("demo", demo.open("model.safetensors").unwrap().unwrap()).unwrap();
    let mut quantised = 0;
    for (name, shape) in original.shapes() {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        original.read(&name, &mut before).unwrap();
        file.read(&name, &mut after).unwrap();
        if file.dtype(&name) != "I8" {
            assert_eq!((file.dtype(&name), after), (original.dtype(&name), before), "{name}");
            continue;
        }
        quantised += 1;
        let scales: Vec<f32> = file
            .bytes(&format!("{name}_scale"))
            .unwrap()
            .as_chunks()
            .0
            .iter()
            .copied()
            .map(f32::from_le_bytes)
            .collect();
        assert_eq!(scales.len(), shape[0], "{name}");
        let whole = file.bytes(&name).unwrap();
        let columns = before.len() / shape[0];
        for (row, scale) in scales.iter().enumerate() {
            let range = row * columns..(row + 1) * columns;
            let largest = before[range.clone()].iter().fold(0.0_f64, |largest, &w| largest.max(f64::from(w).abs()));
            assert!((f64::from(*scale) - largest / 127.0).abs() <= largest / 127.0 * 2.0_f64.powi(-16), "{name}");
            for ((w, q), read) in before[range.clone()].iter().zip(&whole[range.clone()]).zip(&after[range]) {
                let (w, q, scale) = (f64::from(*w), f64::from(*q as i8), f64::from(*scale));
                assert!((w - q * scale).abs() <= 0.5001 * scale, "{name}: {w} became {q} · {scale}");
                assert_eq!(f64::from(*read), q * scale, "{name}");
            }
        }
    }
    assert!(quantised > 20, "{quantised} matrices");
}

#[test]
fn models_of_every_layout_can_be_converted() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["openai-vit", "openai-resnet", "open-clip-vit", "tiny"] {
        let reference = Reference::load(name);
        let path = folders::write(folder.path(), &reference, seeded::Precision::F32);
        let files = FolderFiles::open(&path).unwrap();
        let checkpoint = Checkpoint::from_files(&files).unwrap();
        let pixels = reference.pixels();
        let device = Default::default();
        let shape = lowshot::weights::config::find(&files, &checkpoint).unwrap();
        let run = |checkpoint: &Checkpoint| {
            let clip: lowshot::clip::Clip<Flex> =
                checkpoint.load(&device, |parameters| lowshot::clip::Clip::load(parameters, &shape, &device)).unwrap();
            let size = reference.image_size;
            let count = pixels.len() / (3 * size * size);
            rows(
                clip.image_features(Tensor::from_data(
                    TensorData::new(pixels.clone(), [count, 3, size, size]),
                    &device,
                )),
            )
        };
        let expected = run(&checkpoint);
        for (form, bound) in [(Form::F16, 0.999_99), (Form::Int8, 0.9998)] {
            let bytes = converted(&checkpoint, form).unwrap();
            let other = Checkpoint::from_blob("converted", std::sync::Arc::new(bytes)).unwrap();
            let cosine = least_cosine(&run(&other), &expected);
            println!("{name:16} {form:?} {cosine}");
            assert!(cosine > bound, "{name} {form:?}: {cosine}");
        }
    }
}

#[test]
fn int8_without_its_scales_is_refused() {
    let demo = demo_files();
    let weights = converted(&Checkpoint::from_files(&demo).unwrap(), Form::Int8).unwrap();
    let text = String::from_utf8_lossy(&weights[8..100_000]).into_owned();
    let name = "text_projection.weight_scale";
    let at = 8 + text.find(name).unwrap();
    let mut damaged = weights;
    damaged[at..at + name.len()].copy_from_slice(b"text_projection.weight_scald");
    let error = Backbone::<Flex>::load("model", &with_weights(damaged), &Default::default()).map(|_| ()).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("weight_scal") && message.lines().count() == 1, "{message}");
}

#[test]
fn the_command_writes_a_model_that_opens() {
    let folder = tempfile::tempdir().unwrap();
    let run = |to: &str, out: &std::path::Path| {
        let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin("lowshot"));
        command.args(["convert", "demo", "--to", to, "--out"]).arg(out);
        command.output().unwrap()
    };
    let whole = folder.path().join("whole");
    let done = run("int8", &whole);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let opened = find(&whole.display().to_string()).unwrap();
    assert_eq!(features(&load(opened.as_ref(), Storage::Exact)), features(&load(&demo_files(), Storage::Int8)));
    // Alone, beside the configs of another.
    let file = whole.join("half.safetensors");
    assert!(run("f16", &file).status.success());
    assert!(fs::metadata(&file).unwrap().len() > 16_000_000);
    let opened = find(&file.display().to_string()).unwrap();
    assert_eq!(features(&load(opened.as_ref(), Storage::Exact)), features(&load(&demo_files(), Storage::Exact)));
    // Where to is not said.
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin("lowshot"));
    let refused = command.args(["convert", "demo", "--to", "int8"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--out"));
}
