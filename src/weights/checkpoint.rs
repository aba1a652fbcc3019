//! A model's weights: one file or several shards, any layout, every tensor accounted for.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use burn::tensor::{Tensor, TensorData, backend::Backend};
use sha2::{Digest, Sha256};

use super::{Blob, ModelFiles, TensorFile, names::Layout, quantised};
use crate::{
    Error, Result,
    clip::{Parameters, Storage},
};

/// How many names an error lists of each kind before it only counts them.
const NAMED: usize = 8;

/// Opened weights that the towers can be read from.
pub struct Checkpoint {
    label: String,
    files: Vec<TensorFile>,
    /// Each tensor's file and shape.
    tensors: BTreeMap<String, (usize, Vec<usize>)>,
    /// How the tensors are named.
    pub layout: Layout,
}

impl Checkpoint {
    /// Opens one safetensors file.
    ///
    /// # Errors
    /// A damaged file, or names of neither layout.
    pub fn from_blob(label: &str, blob: Arc<dyn Blob>) -> Result<Self> {
        Self::clip(label, vec![TensorFile::open(label, blob)?])
    }

    /// The weights of a diffusers pipeline's component that are one file.
    ///
    /// # Errors
    /// None so far.
    pub fn from_file(file: TensorFile) -> Result<Self> {
        let label = file.label().to_owned();
        Self::component(&label, vec![file])
    }

    /// Opens the weights of a diffusers pipeline's component: `{stem}.safetensors`, its shards by index, or those of a `variant`
    /// (`{stem}.fp16.safetensors`). Without a variant asked for it is the plain one, or else the one in half precision.
    ///
    /// # Errors
    /// No such weights, only weights that would have to be unpickled, or damaged ones.
    pub fn from_component(files: &dyn ModelFiles, stem: &str, variant: Option<&str>) -> Result<Self> {
        let variants = variant.map_or(vec!["", ".fp16", ".bf16"], |_| vec![""]);
        for suffix in variants {
            let suffix = variant.map_or(suffix.to_owned(), |variant| format!(".{variant}"));
            let name = format!("{stem}{suffix}.safetensors");
            if let Some(blob) = files.open(&name)? {
                return Self::component(&files.place(&name), vec![TensorFile::open(files.place(&name), blob)?]);
            }
            // diffusers has written the variant's name in both places.
            for index in [format!("{stem}.safetensors.index{suffix}.json"), format!("{name}.index.json")] {
                if let Some(bytes) = files.open(&index)? {
                    return Self::component(&files.label(), shards(files, &index, bytes.bytes())?);
                }
            }
        }
        let wanted = variant.map_or(String::new(), |variant| format!(".{variant}"));
        let mut why = format!("there is no {stem}{wanted}.safetensors here; download it");
        for pickle in [format!("{stem}.bin"), "pytorch_model.bin".to_owned()] {
            if files.open(&pickle)?.is_some() {
                why = format!(
                    "there is {pickle}, a pickle, but no {stem}{wanted}.safetensors; pickles are never opened here, get the \
                     safetensors of this model"
                );
            }
        }
        Err(Error::Weights { file: files.label(), why })
    }

    /// Opens the weights among a model's files: `model.safetensors`, its shards by index, or OpenCLIP's file.
    ///
    /// # Errors
    /// No weights, only weights that would have to be unpickled, or damaged ones.
    pub fn from_files(files: &dyn ModelFiles) -> Result<Self> {
        let label = files.label();
        let mut names = ["model.safetensors", "open_clip_model.safetensors", "open_clip_pytorch_model.safetensors"];
        // A repository of timm holds the whole model in OpenCLIP's file, and in model.safetensors the image tower alone.
        if files.open("open_clip_config.json")?.is_some() {
            names.rotate_left(1);
        }
        for name in names {
            if let Some(blob) = files.open(name)? {
                let place = files.place(name);
                return Self::clip(&place, vec![TensorFile::open(place.as_str(), blob)?]);
            }
            if let Some(index) = files.open(&format!("{name}.index.json"))? {
                return Self::clip(&label, shards(files, &format!("{name}.index.json"), index.bytes())?);
            }
        }
        let names = files.names()?;
        let pickled = names.iter().find(|name| name.ends_with(".bin") || name.ends_with(".pt"));
        let why = match pickled {
            Some(name) => format!(
                "there is {name}, a pickle, but no model.safetensors; pickles are never opened here, get the \
                 safetensors of this model"
            ),
            None => "there is no model.safetensors here; a model is a folder with config.json and model.safetensors \
                     as on the Hugging Face hub, or a safetensors file"
                .to_owned(),
        };
        Err(Error::Weights { file: label, why })
    }

    fn clip(label: &str, files: Vec<TensorFile>) -> Result<Self> {
        let tensors = listed(label, &files)?;
        let layout = Layout::detect(tensors.keys().map(String::as_str)).ok_or_else(|| Error::Tensors {
            file: label.into(),
            why: format!(
                "no CLIP in it: neither 'vision_model.embeddings.patch_embedding.weight' (Hugging Face) nor \
                 'visual.conv1.weight' (OpenAI, OpenCLIP) among its {} tensors",
                tensors.len()
            ),
        })?;
        Ok(Self { label: label.into(), files, tensors, layout })
    }

    fn component(label: &str, files: Vec<TensorFile>) -> Result<Self> {
        let tensors = listed(label, &files)?;
        let layout = Layout::detect_component(tensors.keys().map(String::as_str));
        Ok(Self { label: label.into(), files, tensors, layout })
    }

    /// What the weights are called in messages.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The file, or its shards in the order of their names.
    pub fn files(&self) -> &[TensorFile] {
        &self.files
    }

    /// The shape of a tensor by its name in the file.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|(_, shape)| shape.as_slice())
    }

    /// The names in the file, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// How many numbers the tensors hold.
    pub fn parameters(&self) -> usize {
        self.tensors.values().map(|(_, shape)| shape.iter().product::<usize>()).sum()
    }

    /// SHA-256 of the file's bytes (of the shards' bytes one after the other, in the order of their names), in hex.
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        self.files.iter().for_each(|file| file.hash_into(&mut hash));
        crate::hash::hex(&hash.finalize())
    }

    /// Reads a model from the checkpoint: `read` asks for its tensors.
    ///
    /// # Errors
    /// Tensors that are missing, wrongly shaped or that nobody asked for, all named at once; damaged ones.
    pub fn load<B: Backend, M>(&self, device: &B::Device, read: impl FnOnce(&mut Reader<'_, B>) -> M) -> Result<M> {
        let mut reader = Reader {
            checkpoint: self,
            device: device.clone(),
            storage: Storage::Exact,
            asked: BTreeSet::new(),
            missing: Vec::new(),
            misshapen: Vec::new(),
            damage: None,
        };
        let model = read(&mut reader);
        reader.finish()?;
        Ok(model)
    }
}

/// Each tensor's file and shape. The scales of int8 tensors belong to these and are not listed.
fn listed(label: &str, files: &[TensorFile]) -> Result<BTreeMap<String, (usize, Vec<usize>)>> {
    let mut tensors = BTreeMap::new();
    for (index, file) in files.iter().enumerate() {
        for (name, shape) in file.shapes().filter(|(name, _)| !quantised::is_scale(file, name)) {
            if tensors.insert(name.clone(), (index, shape)).is_some() {
                let why = format!("tensor '{name}' stands in two shards; get the model again");
                return Err(Error::Weights { file: label.into(), why });
            }
        }
    }
    Ok(tensors)
}

/// Opens the shards that an index names, each once, in the order of their names.
fn shards(files: &dyn ModelFiles, index_name: &str, index: &[u8]) -> Result<Vec<TensorFile>> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: HashMap<String, String>,
    }
    let place = format!("{}/{index_name}", files.label());
    let wrong = |why: String| Error::Weights { file: place.clone(), why };
    let index: Index =
        serde_json::from_slice(index).map_err(|error| wrong(format!("not an index of shards ({error})")))?;
    let names: BTreeSet<&String> = index.weight_map.values().collect();
    if names.is_empty() {
        return Err(wrong("it names no shard; get the model again".into()));
    }
    let mut opened = Vec::new();
    for name in names {
        if name.contains(['/', '\\']) || name.starts_with('.') {
            return Err(wrong(format!("shard '{name}' lies outside the model's folder")));
        }
        let blob = files.open(name)?.ok_or_else(|| wrong(format!("shard '{name}' is not there; download it")))?;
        opened.push(TensorFile::open(format!("{}/{name}", files.label()), blob)?);
    }
    let there: BTreeSet<String> = opened.iter().flat_map(TensorFile::shapes).map(|(name, _)| name).collect();
    if let Some(name) = index.weight_map.keys().filter(|name| !there.contains(*name)).min() {
        return Err(wrong(format!("tensor '{name}' is in none of the shards; get the model again")));
    }
    Ok(opened)
}

/// Hands out tensors and keeps the account of them.
pub struct Reader<'a, B: Backend> {
    checkpoint: &'a Checkpoint,
    device: B::Device,
    /// The form in which matrices are to lie in memory.
    pub storage: Storage,
    asked: BTreeSet<String>,
    missing: Vec<String>,
    misshapen: Vec<String>,
    damage: Option<Error>,
}

impl<B: Backend> Reader<'_, B> {
    /// The values of a tensor, or `None` with the reason noted.
    fn values(&mut self, name: &str, shape: &[usize]) -> Option<Vec<f32>> {
        let checkpoint = self.checkpoint;
        let recipe = checkpoint.layout.recipe(name);
        let mut expected = shape.to_vec();
        if recipe.transposed {
            expected.reverse();
        }
        if let Some(rows) = expected.first_mut() {
            *rows /= recipe.parts.len();
        }
        let mut sources = Vec::new();
        for part in recipe.parts {
            match checkpoint.tensors.get(&part) {
                None => self.missing.push(part.clone()),
                Some((file, found)) if *found != expected => {
                    let dtype = checkpoint.files[*file].dtype(&part);
                    self.misshapen.push(format!("{part} is {dtype} {found:?}, not {expected:?}"));
                }
                Some((file, _)) => sources.push((&checkpoint.files[*file], part.clone())),
            }
            self.asked.insert(part);
        }
        // Once something is wrong the rest is only checked by name and shape.
        if self.damage.is_some() || !self.missing.is_empty() || !self.misshapen.is_empty() {
            return None;
        }
        let mut values = Vec::with_capacity(shape.iter().product());
        for (file, part) in sources {
            if let Err(error) = file.read(&part, &mut values) {
                self.damage = Some(error);
                return None;
            }
        }
        if recipe.transposed {
            values = transposed(&values, shape);
        }
        Some(values)
    }

    fn finish(self) -> Result<()> {
        let layout = self.checkpoint.layout;
        let unexpected: Vec<String> = self
            .checkpoint
            .names()
            .filter(|name| !self.asked.contains(*name) && !layout.ignores(name))
            .map(str::to_owned)
            .collect();
        let complaints: Vec<String> =
            [("missing", &self.missing), ("unexpected", &unexpected), ("wrongly shaped", &self.misshapen)]
                .into_iter()
                .filter(|(_, names)| !names.is_empty())
                .map(|(kind, names)| {
                    let more = names.len().saturating_sub(NAMED);
                    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
                    format!("{} {kind}: {}{rest}", names.len(), names[..names.len() - more].join(", "))
                })
                .collect();
        if !complaints.is_empty() {
            let why = format!("{} (is this the config of these weights?)", complaints.join("; "));
            return Err(Error::Tensors { file: self.checkpoint.label.clone(), why });
        }
        self.damage.map_or(Ok(()), Err)
    }
}

impl<B: Backend> Parameters<B> for Reader<'_, B> {
    fn tensor<const D: usize>(&mut self, name: &str, shape: [usize; D]) -> Tensor<B, D> {
        match self.values(name, &shape) {
            Some(values) => Tensor::from_data(TensorData::new(values, shape), &self.device),
            // The error at the end of loading stands for it. One element, for a forged config may ask for any size.
            None => Tensor::zeros([1; D], &self.device),
        }
    }

    fn storage(&self) -> Storage {
        self.storage
    }

    fn scalar(&mut self, name: &str) -> f32 {
        // OpenCLIP writes it without dimensions, some conversions with one.
        let one: &[usize] = &[1];
        let shape = if self.checkpoint.shape(name) == Some(one) { one } else { &[] };
        self.values(name, shape).and_then(|values| values.first().copied()).unwrap_or_default()
    }
}

/// `[columns, rows]` → `[rows, columns]`, where `shape` is the result's.
fn transposed(values: &[f32], shape: &[usize]) -> Vec<f32> {
    let (rows, columns) = (shape[0], shape[1]);
    let mut result = Vec::with_capacity(values.len());
    for row in 0..rows {
        result.extend((0..columns).map(|column| values[column * rows + row]));
    }
    result
}
