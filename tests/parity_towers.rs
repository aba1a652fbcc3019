//! The towers against transformers and OpenCLIP: the same seeded weights and inputs, features within 1e-4 relative.
//!
//! `tests/parity/towers.py` made the expected values, in f64. Full-size models are rebuilt from their seed on disk, so
//! they also go through the loader as a user's would.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod support;

use std::path::Path;

use burn::tensor::{Tensor, TensorData};
use burn_flex::Flex;
use lowshot::{
    clip::{Clip, ClipConfig, Parameters},
    platform::{models::demo_files, native::FolderFiles},
    session::Backbone,
    weights::{Checkpoint, config},
};
use support::{
    folders,
    reference::{DemoReference, Features, Layout, Reference, faint, relative_error, wanted},
    seeded::{self, Precision},
};

/// The contract: f32 arithmetic in another order, through up to 24 blocks.
const TOLERANCE: f64 = 1e-4;

fn open(path: &Path) -> (Checkpoint, ClipConfig) {
    let files = FolderFiles::open(path).unwrap();
    let checkpoint = Checkpoint::from_files(&files).unwrap_or_else(|error| panic!("{error}"));
    let shape = config::find(&files, &checkpoint).unwrap_or_else(|error| panic!("{error}"));
    (checkpoint, shape)
}

fn load(path: &Path) -> Clip<Flex> {
    let (checkpoint, shape) = open(path);
    let device = Default::default();
    checkpoint.load(&device, |parameters| Clip::load(parameters, &shape, &device)).unwrap_or_else(|e| panic!("{e}"))
}

fn features(clip: &Clip<Flex>, pixels: Vec<f32>, side: usize, texts: &[Vec<i64>]) -> [Vec<f32>; 2] {
    let count = pixels.len() / (3 * side * side);
    let pixels = Tensor::from_data(TensorData::new(pixels, [count, 3, side, side]), clip.device());
    let texts: Vec<Vec<u32>> = texts.iter().map(|ids| ids.iter().map(|&id| id as u32).collect()).collect();
    [clip.vision.forward(pixels), clip.text.forward(&texts)].map(|features| features.into_data().to_vec().unwrap())
}

fn assert_close(what: &str, [image, text]: &[Vec<f32>; 2], expected: &Features) {
    let (image, text) = (relative_error(image, &expected.image), relative_error(text, &expected.text));
    println!("{what:32} image {image:.1e}  text {text:.1e}");
    assert!(image < TOLERANCE && text < TOLERANCE, "{what}: image off by {image:.2e}, text by {text:.2e}");
}

#[test]
fn every_architecture_in_its_own_layout() {
    for name in wanted() {
        let reference = Reference::load(name);
        assert_eq!(reference.weights_sha256(), reference.sha256, "{name}: the seeded weights are not Python's");
        for precision in reference.precisions() {
            let folder = tempfile::tempdir().unwrap();
            let clip = load(&folders::write(folder.path(), &reference, precision));
            let found = features(&clip, reference.pixels(), reference.image_size, &reference.texts);
            let what = format!("{name} {}", precision.name());
            assert_close(&what, &found, &reference.expected(precision));
        }
    }
}

/// Parameters whose embeddings are made fainter.
struct Faint<'a, P>(&'a mut P, f32);

impl<P: Parameters<Flex>> Parameters<Flex> for Faint<'_, P> {
    fn tensor<const D: usize>(&mut self, name: &str, shape: [usize; D]) -> Tensor<Flex, D> {
        let tensor = self.0.tensor(name, shape);
        if name.contains("embedding") || name == "visual.conv1.weight" { tensor.mul_scalar(self.1) } else { tensor }
    }

    fn scalar(&mut self, name: &str) -> f32 {
        self.0.scalar(name)
    }
}

/// Tokens that vary so little that a layer norm's epsilon decides what becomes of them: 1e-6 in place of 1e-5 would be off by
/// the features' own size.
#[test]
fn the_epsilon_of_layer_norms() {
    let (factor, expected) = faint();
    for (name, expected) in expected {
        let reference = Reference::load(&name);
        let folder = tempfile::tempdir().unwrap();
        let (checkpoint, shape) = open(&folders::write(folder.path(), &reference, Precision::F32));
        let device = Default::default();
        let clip = checkpoint.load(&device, |parameters| Clip::load(&mut Faint(parameters, factor), &shape, &device));
        let found = features(&clip.unwrap(), reference.pixels(), reference.image_size, &reference.texts);
        assert_close(&format!("{name}, faint"), &found, &expected);
    }
}

#[test]
fn padding_changes_nothing() {
    for name in ["tiny", "open-clip-vit"] {
        let reference = Reference::load(name);
        let folder = tempfile::tempdir().unwrap();
        let clip = load(&folders::write(folder.path(), &reference, Precision::F32));
        let padded: Vec<Vec<i64>> =
            reference.padded_texts().chunks(reference.context_length).map(<[i64]>::to_vec).collect();
        let found = features(&clip, reference.pixels(), reference.image_size, &padded);
        assert_close(name, &found, &reference.expected(Precision::F32));
    }
}

#[test]
fn shards_and_other_homes_of_the_same_weights() {
    let folder = tempfile::tempdir().unwrap();
    let tiny = Reference::load("tiny");
    let sharded = load(&folders::sharded_folder(folder.path(), &tiny, Precision::F32, 3));
    let found = features(&sharded, tiny.pixels(), tiny.image_size, &tiny.texts);
    assert_close("tiny in three shards", &found, &tiny.expected(Precision::F32));

    for name in ["openai-vit", "openai-resnet"] {
        let reference = Reference::load(name);
        assert_eq!(reference.layout, Layout::OpenAi);
        let precision = reference.precisions()[0];
        let clip = load(&folders::open_clip_folder(folder.path(), &reference, precision));
        let found = features(&clip, reference.pixels(), reference.image_size, &reference.texts);
        assert_close(&format!("{name} as OpenCLIP folder"), &found, &reference.expected(precision));
    }
}

#[test]
fn tensors_that_lie_at_odd_places() {
    let folder = tempfile::tempdir().unwrap();
    let tiny = Reference::load("tiny");
    let path = folders::hf_folder(folder.path(), &tiny, Precision::F32);
    let weights = path.join("model.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, folders::unaligned(&bytes)).unwrap();
    let found = features(&load(&path), tiny.pixels(), tiny.image_size, &tiny.texts);
    assert_close("tiny, unaligned", &found, &tiny.expected(Precision::F32));
}

#[test]
fn the_demo_model_with_its_trained_weights() {
    let reference = DemoReference::load();
    let backbone = Backbone::<Flex>::load("demo", &demo_files(), &Default::default()).unwrap();
    let mut pixels = seeded::pixels(reference.seeded_images, 64);
    for tile in &reference.tiles {
        let image = lowshot::data::decode::decode(&std::fs::read(tile).unwrap(), "tile").unwrap();
        let mut values = vec![0.0; 3 * 64 * 64];
        backbone.preprocess.normalise(&backbone.preprocess.pixels(&image).unwrap(), &mut values);
        pixels.extend(values);
    }
    let texts: Vec<Vec<i64>> = reference
        .captions
        .iter()
        .map(|caption| backbone.tokenizer.encode_within(caption, 77).into_iter().map(i64::from).collect())
        .collect();
    assert_eq!(texts, reference.texts);
    let found = features(&backbone.clip, pixels, 64, &texts);
    assert_close("demo-clip", &found, &reference.expected);
}
