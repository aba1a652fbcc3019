//! The adapter file: one safetensors file for every method, the same in the page and natively.

use std::{collections::HashMap, sync::Arc};

use burn::tensor::{TensorData, backend::Backend};

use super::{
    Blob, TensorFile,
    tensors::{Values, encode},
};
use crate::{
    Error, Result,
    adapter::{self, Adapter, Learnt, Method, State},
    clip::{Clip, ClipBackend, ClipConfig, Storage},
};

/// `format` in the header.
const FORMAT: &str = "lowshot-adapter";
/// `version` in the header.
const VERSION: &str = "1";

/// What stands beside an adapter's tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterInfo {
    /// The backbone's name, for people.
    pub backbone: String,
    /// SHA-256 of its weights, for the check.
    pub backbone_sha256: String,
    /// The form that its matrices had when the adapter was trained. The adapter can be used with any: it is for people to know.
    pub weights: Storage,
    /// Class names, in the order of the logits.
    pub classes: Vec<String>,
    /// Text templates that the classes were described by.
    pub templates: Vec<String>,
}

impl AdapterInfo {
    /// Refuses another backbone than the one that the adapter was trained on.
    ///
    /// # Errors
    /// The hashes differ; both names are in the message.
    pub fn check_backbone(&self, file: &str, name: &str, sha256: &str) -> Result<()> {
        if self.backbone_sha256 == sha256 {
            return Ok(());
        }
        let why = format!(
            "it was trained on backbone {} (sha256 {}), not on {name} ({}); give that model",
            self.backbone,
            short(&self.backbone_sha256),
            short(sha256)
        );
        Err(Error::Adapter { file: file.into(), why })
    }
}

fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

/// The bytes of an adapter file. The same state gives the same bytes.
///
/// # Errors
/// The device cannot return the tensors.
pub async fn write<B: ClipBackend>(learnt: &Learnt<B>, info: &AdapterInfo) -> Result<Vec<u8>> {
    let classes = serde_json::json!(info.classes).to_string();
    let templates = serde_json::json!(info.templates).to_string();
    let method = learnt.method.name();
    let mut header = vec![
        ("format", FORMAT),
        ("version", VERSION),
        ("method", &method),
        ("backbone", &info.backbone),
        ("backbone_sha256", &info.backbone_sha256),
        ("classes", &classes),
        ("templates", &templates),
    ];
    // Only where it made a difference, so that other files are the same as ever.
    if matches!(info.weights, Storage::F16 | Storage::Int8) {
        header.push(("weights", info.weights.name()));
    }
    state_bytes(learnt.state(), &header).await
}

/// A state as the bytes of a safetensors file, its settings as `config` behind the other entries of the `header`.
pub(super) async fn state_bytes<B: Backend>(state: State<B>, header: &[(&str, &str)]) -> Result<Vec<u8>> {
    let (config, tensors) = state.into_data().await?;
    let values: Vec<(String, Vec<usize>, Vec<f32>)> =
        tensors.into_iter().map(|(name, data)| (name, data.shape.to_vec(), data.iter::<f32>().collect())).collect();
    let tensors: Vec<(&str, Vec<usize>, Values<'_>)> =
        values.iter().map(|(name, shape, values)| (name.as_str(), shape.clone(), Values::F32(values))).collect();
    let config = config.to_string();
    encode(&tensors, &[header, &[("config", config.as_str())]].concat())
}

/// Puts the tensors of a file and the settings beside them on a device.
pub(super) fn read_state<B: Backend>(
    file: &TensorFile,
    config: serde_json::Value,
    device: &B::Device,
) -> Result<State<B>> {
    let mut shapes: Vec<(String, Vec<usize>)> = file.shapes().collect();
    shapes.sort();
    let mut tensors = Vec::new();
    for (name, shape) in shapes {
        let mut values = Vec::new();
        file.read(&name, &mut values)?;
        tensors.push((name, TensorData::new(values, shape)));
    }
    State::from_data(file.label(), config, tensors, device)
}

/// An adapter file that has been opened: what it says of itself, and the tensors.
pub struct AdapterFile {
    /// What stands beside the tensors.
    pub info: AdapterInfo,
    /// The method.
    pub method: Method,
    file: TensorFile,
    config: serde_json::Value,
}

impl AdapterFile {
    /// Opens an adapter file; `label` names it in messages.
    ///
    /// # Errors
    /// Not safetensors, not an adapter, or one of a later version.
    pub fn open(label: &str, blob: Arc<dyn Blob>) -> Result<Self> {
        let file = TensorFile::open(label, blob)?;
        let header = file.header();
        let wrong = |why: String| Error::Adapter { file: label.into(), why };
        if header.get("format").map(String::as_str) != Some(FORMAT) {
            let advice = "give the adapter.safetensors that 'lowshot train' or the page wrote";
            return Err(wrong(format!("it is no lowshot adapter; {advice}")));
        }
        match header.get("version").map(String::as_str) {
            Some(VERSION) => {}
            other => {
                let version = other.unwrap_or("none");
                return Err(wrong(format!("its version is {version}, this program reads {VERSION}; update lowshot")));
            }
        }
        let info = AdapterInfo {
            backbone: field(label, &header, "backbone")?,
            backbone_sha256: field(label, &header, "backbone_sha256")?,
            weights: header
                .get("weights")
                .map_or(Ok(Storage::Exact), |name| name.parse())
                .map_err(|why: Error| wrong(why.to_string()))?,
            classes: parsed(label, &header, "classes")?,
            templates: parsed(label, &header, "templates")?,
        };
        let method = field(label, &header, "method")?.parse().map_err(|error: Error| wrong(error.to_string()))?;
        let config = parsed(label, &header, "config")?;
        Ok(Self { info, method, file, config })
    }

    /// The adapter on features that it is, on any device: such a one needs no towers.
    ///
    /// # Errors
    /// Tensors that do not fit the method or the classes, or a method that changes the towers.
    pub fn head<B: Backend>(&self, device: &B::Device) -> Result<Box<dyn Adapter<B>>> {
        let label = self.file.label();
        let head = adapter::load(label, self.method, read_state(&self.file, self.config.clone(), device)?)?;
        self.check_classes(head.classes())?;
        Ok(head)
    }

    /// Puts the adapter on the device of the towers that it was trained on.
    ///
    /// # Errors
    /// Tensors that do not fit the method, the classes or the towers.
    pub fn load<B: ClipBackend>(&self, clip: &Clip<B>, shape: &ClipConfig) -> Result<Learnt<B>> {
        let label = self.file.label();
        let state = read_state(&self.file, self.config.clone(), clip.device())?;
        let learnt = Learnt::load(label, self.method, state, clip, shape)?;
        self.check_classes(learnt.head.classes())?;
        Ok(learnt)
    }

    fn check_classes(&self, told: usize) -> Result<()> {
        let named = self.info.classes.len();
        if named == told {
            return Ok(());
        }
        let why = format!("it names {named} classes but tells {told} apart");
        Err(Error::Adapter { file: self.file.label().into(), why })
    }
}

pub(super) fn field(label: &str, header: &HashMap<String, String>, key: &str) -> Result<String> {
    header.get(key).cloned().ok_or_else(|| Error::Adapter {
        file: label.into(),
        why: format!("its header has no '{key}'; train the adapter again"),
    })
}

pub(super) fn parsed<T: serde::de::DeserializeOwned>(
    label: &str,
    header: &HashMap<String, String>,
    key: &str,
) -> Result<T> {
    serde_json::from_str(&field(label, header, key)?).map_err(|error| Error::Adapter {
        file: label.into(),
        why: format!("its header's '{key}' is damaged ({error}); train the adapter again"),
    })
}
