//! What is trained in the towers: made, put in its place, merged, stored.

use std::collections::HashMap;

use burn::tensor::{FloatDType, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::TuningConfig;
use crate::{
    Error, Result,
    adapter::{
        few_shot::matrix,
        lora::{LoraConfig, Projection},
    },
    clip::{
        Clip, ClipBackend, Precision,
        attention::Attention,
        config::{ClipConfig, VisionConfig},
        kernels::Dropout,
        low_rank::LowRank,
        walk::{Place, Tower, Visitor},
    },
};

/// Trained numbers for the towers, by name: `lora.{block}.attn.{q|k|v|o}.down` `[r, width]` and `.up` `[width, r]`,
/// `bias.{OpenAI name}` `[1, width]`, in the order of the walk over the towers.
#[derive(Clone, Debug)]
pub struct Tuning<B: ClipBackend> {
    /// What they were made by.
    pub config: TuningConfig,
    names: Vec<String>,
    values: Vec<Tensor<B, 2>>,
}

impl<B: ClipBackend> Tuning<B> {
    /// Parameters as they start, which change nothing yet. LoRA's `A` are drawn by `seed`.
    ///
    /// # Errors
    /// [`Error::Usage`] for settings that make no sense, or none for these towers.
    pub fn new(config: TuningConfig, clip: &Clip<B>, shape: &ClipConfig, seed: u64) -> Result<Self> {
        config.check()?;
        check_towers(&config, shape)?;
        let mut start = Start {
            config: &config,
            random: ChaCha8Rng::seed_from_u64(seed),
            device: clip.device(),
            names: Vec::new(),
            values: Vec::new(),
        };
        clip.clone().walk(&mut start);
        let Start { names, values, .. } = start;
        if names.is_empty() {
            let why =
                "LoRA: no block of these towers is at that position, so nothing would be trained; use --position all";
            return Err(Error::Usage(why.into()));
        }
        Ok(Self { config, names, values })
    }

    /// From stored tensors, which must be exactly those that `config` trains in these towers, in any order.
    ///
    /// # Errors
    /// What is missing, unexpected or wrongly shaped, by name.
    pub fn from_tensors(
        config: TuningConfig,
        clip: &Clip<B>,
        shape: &ClipConfig,
        tensors: Vec<(String, Tensor<B, 2>)>,
    ) -> Result<Self, String> {
        let mut expected = Self::new(config, clip, shape, 0).map_err(|error| error.to_string())?;
        let mut given: HashMap<String, Tensor<B, 2>> = tensors.into_iter().collect();
        for (name, value) in expected.names.iter().zip(&mut expected.values) {
            let found = given.remove(name).ok_or_else(|| format!("tensor {name} is missing"))?;
            if found.dims() != value.dims() {
                return Err(format!("tensor {name} is {:?}, expected {:?}", found.dims(), value.dims()));
            }
            *value = found;
        }
        match given.keys().min() {
            Some(name) => Err(format!("unexpected tensor {name}")),
            None => Ok(expected),
        }
    }

    /// How many numbers are trained.
    pub fn count(&self) -> usize {
        self.values.iter().map(|value| value.dims().iter().product::<usize>()).sum()
    }

    /// The names, in the order of the values.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The values, in the order of the walk over the towers.
    pub fn values(&self) -> &[Tensor<B, 2>] {
        &self.values
    }

    /// Names and values.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &Tensor<B, 2>)> {
        self.names.iter().map(String::as_str).zip(&self.values)
    }

    /// Replaces the values, which keep their order and shapes.
    pub fn set(&mut self, values: Vec<Tensor<B, 2>>) {
        assert_eq!(values.len(), self.names.len(), "one value a name");
        self.values = values;
    }

    /// Whether anything in `tower` is trained.
    pub fn trains(&self, tower: Tower) -> bool {
        self.first_stage(tower).is_some()
    }

    /// The first stage of `tower` that has something to train: 0 before the blocks, `i + 1` for block `i`, and whatever
    /// is more for what follows them.
    pub(super) fn first_stage(&self, tower: Tower) -> Option<usize> {
        self.names
            .iter()
            .filter_map(|name| name.split_once('.'))
            .map(|(_, rest)| rest)
            .filter(|n| Tower::of(n) == tower)
            .map(stage)
            .min()
    }

    /// Puts `values` (in the order of [`Self::values`], on the backend of `clip`) into towers. With `key`, the inputs of
    /// LoRA's branches are dropped by masks that are drawn by it.
    pub(super) fn attach<A: ClipBackend>(&self, clip: &mut Clip<A>, values: &[Tensor<A, 2>], key: Option<u64>) {
        let index = self.names.iter().enumerate().map(|(index, name)| (name.as_str(), index)).collect();
        clip.walk(&mut Attach { lora: self.config.lora.as_ref(), index, values, key });
    }

    /// The towers with everything that was trained merged into their weights: the same outputs at the cost of the
    /// original.
    pub fn merged(&self, clip: &Clip<B>) -> Clip<B> {
        struct Merge;
        impl<B: ClipBackend> Visitor<B> for Merge {
            fn attention(&mut self, _: &str, _: Place, attention: &mut Attention<B>) {
                attention.merge();
            }
        }
        let mut merged = clip.in_precision(Precision::F32);
        self.attach(&mut merged, &self.values, None);
        merged.walk(&mut Merge);
        merged.in_precision(clip.precision())
    }
}

/// Refuses LoRA in an image tower that has no attention to put it beside.
fn check_towers(config: &TuningConfig, shape: &ClipConfig) -> Result<()> {
    let in_vision = config.lora.as_ref().is_some_and(|lora| lora.encoder.has(Tower::Vision));
    if in_vision && matches!(shape.vision, VisionConfig::ResNet(_)) {
        return Err(Error::Usage(
            "LoRA: the image tower is a ResNet, which has no attention blocks; use --encoder text, or BitFit".into(),
        ));
    }
    Ok(())
}

/// The stage of a tensor by its OpenAI name (see [`Tuning::first_stage`]).
fn stage(name: &str) -> usize {
    match name.split_once("resblocks.").and_then(|(_, rest)| rest.split('.').next()) {
        Some(layer) => layer.parse::<usize>().map_or(0, |layer| layer + 1),
        None if name.contains("ln_post") || name.contains("ln_final") => usize::MAX,
        None => 0,
    }
}

/// The name of a branch's half.
fn branch(block: &str, projection: Projection, half: &str) -> String {
    format!("lora.{block}.attn.{}.{half}", projection.letter())
}

/// Collects what is to be trained.
struct Start<'a, B: ClipBackend> {
    config: &'a TuningConfig,
    random: ChaCha8Rng,
    device: &'a B::Device,
    names: Vec<String>,
    values: Vec<Tensor<B, 2>>,
}

impl<B: ClipBackend> Visitor<B> for Start<'_, B> {
    fn bias(&mut self, name: &str, bias: &mut Tensor<B, 1>) {
        if self.config.bitfit.is_some_and(|bitfit| bitfit.encoder.has(Tower::of(name))) {
            self.names.push(format!("bias.{name}"));
            self.values.push(bias.clone().cast(FloatDType::F32).unsqueeze());
        }
    }

    fn attention(&mut self, block: &str, place: Place, attention: &mut Attention<B>) {
        let Some(lora) = self.config.lora.as_ref().filter(|lora| lora.has(place)) else { return };
        let width = attention.width();
        let mut projections = lora.projections.clone();
        projections.sort_unstable();
        for projection in projections {
            let down = lora.initial(width, &mut self.random);
            self.names.push(branch(block, projection, "down"));
            self.values.push(matrix(down, [lora.rank, width], self.device));
            self.names.push(branch(block, projection, "up"));
            self.values.push(Tensor::zeros([width, lora.rank], self.device));
        }
    }
}

/// Puts values in their places.
struct Attach<'a, B: ClipBackend> {
    lora: Option<&'a LoraConfig>,
    index: HashMap<&'a str, usize>,
    values: &'a [Tensor<B, 2>],
    key: Option<u64>,
}

impl<B: ClipBackend> Attach<'_, B> {
    fn value(&self, name: &str) -> Option<Tensor<B, 2>> {
        self.index.get(name).map(|&index| self.values[index].clone())
    }

    /// The branch for some projections, which are parts of one layer's outputs.
    fn branch(&self, block: &str, place: Place, projections: &[Projection]) -> Option<LowRank<B>> {
        let lora = self.lora?;
        let mut groups = Vec::new();
        let mut seeds = Vec::new();
        for (part, &projection) in projections.iter().enumerate() {
            let halves = ["down", "up"].map(|half| self.value(&branch(block, projection, half)));
            if let [Some(down), Some(up)] = halves {
                groups.push((part, down, up));
                seeds.push(seed(self.key.unwrap_or(0), place, projection));
            }
        }
        let probability = if self.key.is_some() { lora.dropout as f32 } else { 0.0 };
        let dropout = Dropout { probability, seeds };
        (!groups.is_empty()).then(|| LowRank::new(&groups, projections.len(), lora.scale(), dropout))
    }
}

impl<B: ClipBackend> Visitor<B> for Attach<'_, B> {
    fn bias(&mut self, name: &str, bias: &mut Tensor<B, 1>) {
        if let Some(value) = self.value(&format!("bias.{name}")) {
            let [_, width] = value.dims();
            *bias = value.reshape([width]);
        }
    }

    fn attention(&mut self, block: &str, place: Place, attention: &mut Attention<B>) {
        let inputs = [Projection::Query, Projection::Key, Projection::Value];
        attention.input_branch = self.branch(block, place, &inputs);
        attention.output_branch = self.branch(block, place, &[Projection::Output]);
    }
}

/// The seed of one mask: `key` and the place, mixed as in `SplitMix64` (Steele, Lea and Flood 2014).
fn seed(key: u64, place: Place, projection: Projection) -> u32 {
    let number = (place.layer * 2 + usize::from(place.tower == Tower::Text)) * 4 + projection as usize;
    (mix(key, number as u64) >> 32) as u32
}

/// A number that looks random in every bit, for each `key` and `counter`.
pub(super) fn mix(key: u64, counter: u64) -> u64 {
    let mut z = key.wrapping_add(counter.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
