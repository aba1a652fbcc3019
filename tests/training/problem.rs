//! One seeded model with its batch, as `tests/parity/training.py` has it.

use std::{collections::HashMap, fs, path::Path};

use burn::tensor::{Tensor, TensorData};
use burn_flex::{Flex, FlexDevice};
use lowshot::{
    adapter::{
        Labelled,
        bitfit::BitFitConfig,
        lora::{LoraConfig, Position},
        meta::Parameters,
        tuning::{Batch, BreakingConfig, Learning, LiveMetaConfig, Training, TuningConfig},
    },
    clip::{Clip, ClipConfig},
    platform::native::FolderFiles,
    weights::{Checkpoint, config},
};
use safetensors::SafeTensors;
use serde_json::{Value, json};

use crate::support::{folders, reference::Reference, seeded};

/// The Meta-Adapter's tensors, in the order in which their gradients follow those of the towers.
pub const META: [&str; 4] = ["head.query.weight", "head.key.weight", "head.gate.weight", "head.gate.bias"];

/// How many views of breaking images there are.
const VIEWS: usize = 4;

pub struct Problem {
    pub clip: Clip<Flex>,
    pub shape: ClipConfig,
    pub labels: Vec<usize>,
    pub prompts: Vec<Vec<u32>>,
    pub scale: f32,
    pub cases: Vec<(String, Value)>,
    names: HashMap<String, Vec<String>>,
    support: Labelled<Flex>,
    tensors: HashMap<String, (Vec<usize>, Vec<f32>)>,
}

impl Problem {
    /// Reads `tests/parity/training/NAME.*` and rebuilds the model from its seeds.
    pub fn load(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/training").join(name);
        let value: Value = serde_json::from_slice(&fs::read(path.with_extension("json")).unwrap()).unwrap();
        let bytes = fs::read(path.with_extension("safetensors")).unwrap();
        let tensors: HashMap<_, _> = SafeTensors::deserialize(&bytes)
            .unwrap()
            .tensors()
            .into_iter()
            .map(|(name, view)| (name, (view.shape().to_vec(), bytemuck::pod_collect_to_vec(view.data()))))
            .collect();
        let (clip, shape) = model(&parse::<String>(&value["architecture"]));
        let support = Labelled {
            features: matrix(&tensors["support"].1, shape.embedding),
            labels: parse(&value["support_labels"]),
        };
        Self {
            clip,
            shape,
            labels: parse(&value["labels"]),
            prompts: parse(&value["prompts"]),
            scale: parse(&value["scale"]),
            cases: value["cases"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(title, case)| (title.clone(), case.clone()))
                .collect(),
            names: parse(&value["names"]),
            support,
            tensors,
        }
    }

    /// A training of this problem from its own start.
    pub fn training(&self, config: TuningConfig, seed: u64) -> Training<Flex> {
        Training::start(config, self.learning(), seed).unwrap()
    }

    pub fn learning(&self) -> Learning<'_, Flex> {
        Learning {
            clip: &self.clip,
            shape: &self.shape,
            prompts: self.prompts.clone(),
            classes: self.prompts.len(),
            scale: self.scale,
            shots: self.support.clone(),
        }
    }

    /// The training of a case from the start that the reference has: no parameter is zero, and the bank is full.
    pub fn case(&self, case: &Value) -> Training<Flex> {
        self.started(settings(case))
    }

    /// A training from the start that the reference has.
    pub fn started(&self, config: TuningConfig) -> Training<Flex> {
        let prefix = if config.lora.as_ref().is_some_and(|lora| lora.rank == 3) { "start.3" } else { "start" };
        let (breaking, meta) = (config.breaking.is_some(), config.meta.is_some());
        let mut training = self.training(config, 1);
        let values = training.tuning().tensors().map(|(name, value)| {
            if name.starts_with("bias.") {
                return value.clone();
            }
            matrix(&self.expected(prefix, name), value.dims()[1])
        });
        training.set_values(values.collect());
        if meta {
            let values = META.map(|name| {
                let shape = &self.tensors[&format!("start.{}", self.names[name][0])].0;
                matrix(&self.expected("start", name), shape[1])
            });
            training.set_meta(Parameters::from_slice(&values));
        }
        if breaking {
            let bank = matrix(&self.tensors["bank"].1, self.shape.embedding);
            let mut state = training.state();
            state.config["bank"] = json!(2);
            for batch in 0..2 {
                state.tensors.push((format!("bank.{batch}"), bank.clone().narrow(0, batch * VIEWS, VIEWS)));
            }
            training.restore(state).unwrap();
        }
        training
    }

    /// The batch, with both views of the breaking images where they are wanted.
    pub fn batch(&self, breaking: bool) -> Batch<Flex> {
        let side = self.shape.vision.image();
        let count = self.labels.len();
        let values = seeded::pixels(count + 2 * VIEWS, side);
        let all =
            Tensor::<Flex, 4>::from_data(TensorData::new(values, [count + 2 * VIEWS, 3, side, side]), &FlexDevice);
        let rows = |first: usize, count: usize| all.clone().narrow(0, first, count);
        let (first, other) = (rows(count, VIEWS), rows(count + VIEWS, VIEWS));
        let second = (first.clone() + other).mul_scalar(0.5);
        Batch {
            pixels: rows(0, count),
            labels: self.labels.clone(),
            weights: Vec::new(),
            breaking: breaking.then_some([first, second]),
        }
    }

    /// What the reference has under a prefix for one of our names, which may be several tensors there.
    pub fn expected(&self, prefix: &str, name: &str) -> Vec<f32> {
        self.names[name].iter().flat_map(|part| self.tensors[&format!("{prefix}.{part}")].1.clone()).collect()
    }

    /// The same, where the reference leaves some of them out.
    pub fn expected_parts(&self, prefix: &str, name: &str) -> Vec<Option<Vec<f32>>> {
        let of = |part: &String| self.tensors.get(&format!("{prefix}.{part}")).map(|(_, values)| values.clone());
        self.names[name].iter().map(of).collect()
    }

    /// A tensor of the reference by its name there.
    pub fn tensor(&self, name: &str) -> &[f32] {
        &self.tensors[name].1
    }
}

/// The settings of a case of the reference.
pub fn settings(case: &Value) -> TuningConfig {
    let mut config = TuningConfig { batch: 6, ..TuningConfig::default() };
    if let Some(lora) = case["lora"].as_object() {
        let mut lora = lora.clone();
        let layers = lora.remove("layers").unwrap();
        // Of two blocks the second one is the upper half.
        let position = if layers.is_null() { Position::All } else { Position::HalfUp };
        assert!(layers.is_null() || layers == json!([1, 2]));
        let lora: LoraConfig = serde_json::from_value(lora.into()).unwrap();
        config.lora = Some(LoraConfig { position, dropout: 0.0, ..lora });
    }
    config.bitfit = (case["bitfit"] == true).then(BitFitConfig::default);
    config.meta = (case["meta"] == true).then(LiveMetaConfig::default);
    config.breaking = case["breaking"].as_f64().map(|weight| BreakingConfig { weight, ..BreakingConfig::default() });
    config
}

/// Everything on, at two blocks.
pub fn everything() -> TuningConfig {
    TuningConfig {
        batch: 6,
        steps: 8,
        lora: Some(LoraConfig { dropout: 0.25, ..LoraConfig::default() }),
        bitfit: Some(BitFitConfig::default()),
        meta: Some(LiveMetaConfig { dropout: 0.1 }),
        breaking: Some(BreakingConfig { bank: 2, ..BreakingConfig::default() }),
        ..TuningConfig::default()
    }
}

/// A seeded model by the name of its architecture.
fn model(name: &str) -> (Clip<Flex>, ClipConfig) {
    let reference = Reference::load(name);
    let folder = tempfile::tempdir().unwrap();
    let path = folders::write(folder.path(), &reference, seeded::Precision::F32);
    let files = FolderFiles::open(&path).unwrap();
    let checkpoint = Checkpoint::from_files(&files).unwrap();
    let shape = config::find(&files, &checkpoint).unwrap();
    let clip = checkpoint.load(&FlexDevice, |parameters| Clip::load(parameters, &shape, &FlexDevice)).unwrap();
    (clip, shape)
}

pub fn matrix(values: &[f32], width: usize) -> Tensor<Flex, 2> {
    let rows = values.len() / width;
    Tensor::from_data(TensorData::new(values.to_vec(), [rows, width]), &FlexDevice)
}

pub fn values<const D: usize>(tensor: Tensor<Flex, D>) -> Vec<f32> {
    tensor.into_data().to_vec().unwrap()
}

pub fn bits<const D: usize>(tensor: Tensor<Flex, D>) -> Vec<u32> {
    values(tensor).into_iter().map(f32::to_bits).collect()
}

/// Root mean square.
pub fn rms(values: &[f32]) -> f64 {
    (values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / values.len().max(1) as f64).sqrt()
}

/// The largest difference; infinite where the sizes differ or a value is no number.
pub fn difference(found: &[f32], expected: &[f32]) -> f64 {
    if found.len() != expected.len() || found.iter().any(|x| !x.is_finite()) {
        return f64::INFINITY;
    }
    found.iter().zip(expected).map(|(&a, &b)| (f64::from(a) - f64::from(b)).abs()).fold(0.0, f64::max)
}

fn parse<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).expect("a file as training.py writes it")
}
