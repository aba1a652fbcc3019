//! The expected features in `tests/parity/towers/`, which `tests/parity/towers.py` writes.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::seeded::{self, Precision};

/// Small architectures: every layout, every way to be unusual; each takes well under a second.
pub const SMALL: [&str; 8] = [
    "tiny",
    "odd",
    "first-eos",
    "open-clip-vit",
    "open-clip-vit-quickgelu",
    "open-clip-resnet",
    "openai-vit",
    "openai-resnet",
];

/// Published architectures at full size.
pub const FULL: [&str; 5] = ["tinyclip-8m", "vit-b-32", "vit-b-16", "openai-vit-b-32", "openai-rn50"];

/// Larger ones, for whoever sets `LOWSHOT_TEST_LARGE`.
pub const LARGE: [&str; 2] = ["vit-l-14", "openai-rn101"];

/// The architectures that this run is asked to check.
pub fn wanted() -> Vec<&'static str> {
    let large: &[&str] = if std::env::var_os("LOWSHOT_TEST_LARGE").is_some() { &LARGE } else { &[] };
    [&SMALL[..], &FULL[..], large].concat()
}

/// How a checkpoint names its tensors and describes itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// transformers: `config.json`, `model.safetensors`.
    HuggingFace,
    /// OpenCLIP: `open_clip_config.json`, `open_clip_model.safetensors`.
    OpenClip,
    /// OpenAI's names in one file without any config.
    OpenAi,
}

/// Projected features that are not normalised, a row an input.
#[derive(Clone, Debug)]
pub struct Features {
    /// `[images, embedding]`.
    pub image: Vec<Vec<f32>>,
    /// `[texts, embedding]`.
    pub text: Vec<Vec<f32>>,
}

/// One architecture: how to rebuild its checkpoint, what to feed it, what must come out.
#[derive(Clone, Debug)]
pub struct Reference {
    /// The file's name without `.json`.
    pub name: String,
    /// The naming of `tensors`.
    pub layout: Layout,
    /// `config.json` (HF), or the `model_cfg` of `open_clip_config.json` (both others; OpenAI's files carry none).
    pub config: Value,
    /// Names and shapes of everything in the checkpoint, integer scalars included.
    pub tensors: Vec<(String, Vec<usize>)>,
    /// Side of the input pictures in pixels. The pictures are `seeded::pixels(2, image_size)`.
    pub image_size: usize,
    /// Positions of the text tower.
    pub context_length: usize,
    /// What fills a text up to `context_length`.
    pub pad: i64,
    /// Ids from start to end inclusive, not padded.
    pub texts: Vec<Vec<i64>>,
    /// SHA-256 of the f32 weights in the order of `tensors`, as Python computed them.
    pub sha256: String,
    expected: Value,
}

impl Reference {
    /// Reads `tests/parity/towers/NAME.json`.
    pub fn load(name: &str) -> Self {
        let value = read(name);
        let layout = match value["layout"].as_str() {
            Some("hf") => Layout::HuggingFace,
            Some("open_clip") => Layout::OpenClip,
            Some("openai") => Layout::OpenAi,
            other => panic!("{name}: layout {other:?}"),
        };
        let folded = value["tensors"].as_object().expect("an object of shapes");
        let tensors = folded
            .iter()
            .flat_map(|(pattern, shape)| {
                let shape: Vec<usize> = parse(shape);
                unfold(pattern).into_iter().map(move |name| (name, shape.clone()))
            })
            .collect();
        Self {
            name: name.to_owned(),
            layout,
            config: value["config"].clone(),
            tensors,
            image_size: parse(&value["image_size"]),
            context_length: parse(&value["context_length"]),
            pad: parse(&value["pad"]),
            texts: parse(&value["texts"]),
            sha256: parse(&value["sha256"]),
            expected: value["expected"].clone(),
        }
    }

    /// The precisions that expected features exist for; f32 always.
    pub fn precisions(&self) -> Vec<Precision> {
        [Precision::F32, Precision::F16, Precision::Bf16, Precision::Mixed]
            .into_iter()
            .filter(|precision| self.expected.get(precision.name()).is_some())
            .collect()
    }

    /// The features that follow from weights stored in `precision`, computed in f64.
    pub fn expected(&self, precision: Precision) -> Features {
        features(&self.expected[precision.name()])
    }

    /// The input pictures `[2, 3, image_size, image_size]`, row-major.
    pub fn pixels(&self) -> Vec<f32> {
        seeded::pixels(2, self.image_size)
    }

    /// The texts as one row-major block `[texts, context_length]`.
    pub fn padded_texts(&self) -> Vec<i64> {
        padded(&self.texts, self.context_length, self.pad)
    }

    /// SHA-256 of the weights as this side computes them, to hold against `sha256`.
    pub fn weights_sha256(&self) -> String {
        let mut state = Sha256::new();
        for (name, shape) in self.tensors.iter().filter(|(name, _)| !seeded::is_integer(name)) {
            state.update(bytemuck::cast_slice(&seeded::tensor(name, shape)));
        }
        format!("{:x}", state.finalize())
    }
}

/// What demo-clip's trained weights make of known inputs.
#[derive(Clone, Debug)]
pub struct DemoReference {
    /// The pictures: `seeded::pixels(seeded_images, 64)`, then `tiles`.
    pub seeded_images: usize,
    /// PNG files of 64 × 64 pixels, to be preprocessed by demo-clip's `preprocessor_config.json`.
    pub tiles: Vec<PathBuf>,
    /// The texts as words.
    pub captions: Vec<String>,
    /// The same as ids from start to end inclusive, not padded.
    pub texts: Vec<Vec<i64>>,
    /// Positions of the text tower.
    pub context_length: usize,
    /// What fills a text up to `context_length`.
    pub pad: i64,
    /// The features in f64 from the f16 file.
    pub expected: Features,
}

impl DemoReference {
    /// Reads `tests/parity/towers/demo-clip.json`.
    pub fn load() -> Self {
        let value = read("demo-clip");
        let names: Vec<String> = parse(&value["tiles"]);
        Self {
            seeded_images: parse(&value["seeded_images"]),
            tiles: names.iter().map(|name| folder().join("tiles").join(name)).collect(),
            captions: parse(&value["captions"]),
            texts: parse(&value["texts"]),
            context_length: parse(&value["context_length"]),
            pad: parse(&value["pad"]),
            expected: features(&value["expected"]),
        }
    }

    /// The texts as one row-major block `[texts, context_length]`.
    pub fn padded_texts(&self) -> Vec<i64> {
        padded(&self.texts, self.context_length, self.pad)
    }
}

/// What some of the models compute with embeddings that are multiplied by a factor: the factor, and the features by the models' names.
pub fn faint() -> (f32, Vec<(String, Features)>) {
    let value = read("faint");
    let expected = value["expected"].as_object().expect("an object of models");
    (parse(&value["factor"]), expected.iter().map(|(name, value)| (name.clone(), features(value))).collect())
}

/// The largest difference over the expected values' root mean square; infinite where the sizes differ or a value is NaN.
pub fn relative_error(actual: &[f32], expected: &[Vec<f32>]) -> f64 {
    let expected: Vec<f64> = expected.iter().flatten().map(|&value| f64::from(value)).collect();
    if actual.len() != expected.len() || actual.iter().any(|value| !value.is_finite()) {
        return f64::INFINITY;
    }
    let square: f64 = expected.iter().map(|value| value * value).sum();
    let largest = actual.iter().zip(&expected).map(|(&a, e)| (f64::from(a) - e).abs()).fold(0.0, f64::max);
    largest / (square / expected.len() as f64).sqrt()
}

/// Any JSON file beside the expected features.
pub fn read(name: &str) -> Value {
    let path = folder().join(format!("{name}.json"));
    let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/towers")
}

fn parse<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).expect("a reference file as towers.py writes it")
}

fn features(value: &Value) -> Features {
    Features { image: parse(&value["image_features"]), text: parse(&value["text_features"]) }
}

fn padded(texts: &[Vec<i64>], length: usize, pad: i64) -> Vec<i64> {
    texts.iter().flat_map(|ids| ids.iter().copied().chain(std::iter::repeat(pad)).take(length)).collect()
}

/// `blocks.{0..11}.weight` stands for the same tensor of twelve blocks.
fn unfold(pattern: &str) -> Vec<String> {
    let Some((before, rest)) = pattern.split_once('{') else { return vec![pattern.to_owned()] };
    let (range, after) = rest.split_once('}').expect("a closed range");
    let (first, last) = range.split_once("..").expect("two bounds");
    let bound = |text: &str| text.parse::<usize>().expect("a block number");
    (bound(first)..=bound(last)).map(|block| format!("{before}{block}{after}")).collect()
}
