//! `lowshot convert`: adapters from and to PEFT's files, models in half precision or int8.

mod model;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use burn::tensor::{Tensor, TensorData};
use clap::{Args, ValueEnum};
use serde_json::json;

use super::{
    classify::{adapter_file, open_adapter},
    device::{Device, Task},
    table,
};
use crate::{
    Error, Result,
    adapter::{FewShot, Learnt, Tuning, zero_shot::ZeroShot},
    clip::{ClipBackend, Storage},
    data::templates,
    platform::{models, native},
    session::{
        Backbone,
        models::{MODELS, named},
    },
    train,
    weights::{
        TensorFile,
        adapter_file::{AdapterInfo, write},
        peft::{self, Imported, LowRank, Matrices, Matrix},
        quantised::Form,
    },
};

/// Turn a trained adapter into PEFT's two files, PEFT's files into an adapter, or a model's weights into f16 or int8.
///
/// PEFT's files hold what changes the towers; the classes stay in the adapter file. So the way back needs them again.
/// A converted model is another model to adapters: one that was trained on the original does not open with it.
#[derive(Args)]
pub struct Convert {
    /// An adapter's file, the folder of its run, the folder of PEFT's files; or a model's name, folder or safetensors file (to f16
    /// and int8).
    file: PathBuf,
    /// What to make of it.
    #[arg(long, value_enum)]
    to: Format,
    /// Where to write: a folder for peft, a folder or a file that ends in .safetensors for f16 and int8, else a file. Without it,
    /// beside what is converted (not to f16 and int8).
    #[arg(long)]
    out: Option<PathBuf>,
    /// A model's name, folder or safetensors file; both kinds of files name their own.
    #[arg(long, alias = "backbone")]
    model: Option<String>,
    /// Class names, separated by commas (to lowshot).
    #[arg(long, value_delimiter = ',')]
    classes: Vec<String>,
    /// A template for the classes' names; `{}` stands for the name (to lowshot).
    #[arg(long, default_value = templates::DEFAULT)]
    template: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What `--to` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// `adapter_config.json` and `adapter_model.safetensors` with the names of transformers' `CLIPModel`.
    Peft,
    /// An adapter file.
    Lowshot,
    /// The whole model with the adapter merged, with transformers' names.
    SafetensorsHf,
    /// A model whose matrices are in half precision.
    F16,
    /// A model whose matrices are whole numbers of eight bits, with a scale for each output.
    Int8,
}

impl Convert {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        let json = self.json;
        // Nothing here is worth another device.
        let Written { out, tensors, left_out } = Device::Cpu.run(self)?;
        if json {
            return table::json(&json!({"out": out, "tensors": tensors, "left_out": left_out}));
        }
        let left_out = match left_out {
            0 => String::new(),
            count => format!(" (left out: {count} tensors of the head, which PEFT has no place for)"),
        };
        table::line(&format!("{tensors} tensors → {}{left_out}", out.display()));
        Ok(())
    }
}

/// What was done.
pub struct Written {
    out: PathBuf,
    tensors: usize,
    left_out: usize,
}

impl Task for Convert {
    type Output = Written;

    fn run<B: ClipBackend>(self, device: &B::Device) -> Result<Written> {
        match self.to {
            Format::Peft => self.into_peft::<B>(device),
            Format::Lowshot => self.into_lowshot::<B>(device),
            Format::F16 => model::convert(&self.file.to_string_lossy(), Form::F16, self.out.as_deref()),
            Format::Int8 => model::convert(&self.file.to_string_lossy(), Form::Int8, self.out.as_deref()),
            Format::SafetensorsHf => {
                let advice = "use --to peft, and merge_and_unload() in PEFT";
                Err(Error::Usage(format!("--to safetensors-hf: merged weights are not written yet; {advice}")))
            }
        }
    }
}

impl Convert {
    fn into_peft<B: ClipBackend>(self, device: &B::Device) -> Result<Written> {
        let path = adapter_file(&self.file);
        let label = path.display().to_string();
        let file = open_adapter(&self.file)?;
        let model = self.model.unwrap_or_else(|| file.info.backbone.clone());
        let mut backbone = Backbone::<B>::load(&model, models::find(&model)?.as_ref(), device)?;
        let learnt = backbone.adapt(&label, &file)?;
        let mut matrices = Matrices::new();
        for (name, tensor) in learnt.state().tensors {
            let shape = tensor.dims();
            matrices.insert(name, Matrix { shape, values: pollster::block_on(train::read(tensor))? });
        }
        let low_rank = learnt.tuning.and_then(|tuning| tuning.config.lora).as_ref().map(LowRank::from);
        let base = named(&model).and_then(|model| model.repository).unwrap_or(&model);
        let files = peft::export(&label, &matrices, low_rank, base)?;
        let out = self.out.unwrap_or_else(|| path.with_file_name("peft"));
        native::write_files(&out, &[(peft::WEIGHTS, &files.weights[..]), (peft::CONFIG, files.config.as_bytes())])?;
        let left_out = matrices.keys().filter(|name| name.starts_with("head.")).count();
        Ok(Written { out, tensors: matrices.len() - left_out, left_out })
    }

    fn into_lowshot<B: ClipBackend>(self, device: &B::Device) -> Result<Written> {
        let (label, imported) = open_peft(&self.file)?;
        let wrong = |why: String| Error::Adapter { file: label.clone(), why };
        templates::check(&self.template).map_err(Error::Usage)?;
        let classes = class_names(&self.classes)?;
        let model = match self.model {
            Some(model) => model,
            None => base_model(&imported.base).map_err(wrong)?,
        };
        let backbone = Backbone::<B>::load(&model, models::find(&model)?.as_ref(), device)?;
        let config = imported.config(&backbone.config).map_err(wrong)?;
        let count = imported.matrices.len();
        let tensor =
            |(name, Matrix { shape, values })| (name, Tensor::from_data(TensorData::new(values, shape), device));
        let tensors = imported.matrices.into_iter().map(tensor).collect();
        let method = config.method();
        let tuning = Tuning::from_tensors(config, &backbone.clip, &backbone.config, tensors)
            .map_err(|why| wrong(format!("it does not fit {model}: {why}")))?;
        let prompts = templates::prompts(std::slice::from_ref(&self.template), &classes);
        let text = backbone.tuned(&tuning).class_weights(&prompts);
        let features = text.clone().slice([0..0, 0..backbone.config.embedding]);
        // As these methods are trained: by the scale of the few-shot literature.
        let few_shot = FewShot { text, features, labels: Vec::new(), val: None, scale: 100.0 };
        let learnt = Learnt { method, tuning: Some(tuning), head: Box::new(ZeroShot::new(&few_shot)?) };
        let info = AdapterInfo {
            backbone: backbone.name,
            backbone_sha256: backbone.sha256,
            weights: Storage::Exact,
            classes,
            templates: vec![self.template],
        };
        let out = self.out.unwrap_or_else(|| self.file.join("adapter.safetensors"));
        native::write(&out, &pollster::block_on(write(&learnt, &info))?)?;
        Ok(Written { out, tensors: count, left_out: 0 })
    }
}

/// PEFT's two files in a folder, and what to call them in messages.
fn open_peft(folder: &Path) -> Result<(String, Imported)> {
    let place = |name: &str| folder.join(name);
    let (config, weights) = (place(peft::CONFIG), place(peft::WEIGHTS));
    let bytes = native::read(&config)?;
    let label = config.display().to_string();
    let file = TensorFile::open(weights.display().to_string(), native::map(&weights)?)?;
    let imported = peft::import(&label, &bytes, &file)?;
    Ok((label, imported))
}

/// The model with a name that PEFT's `base_model_name_or_path` means.
fn base_model(base: &str) -> Result<String, String> {
    let is_base = |model: &&crate::session::models::NamedModel| model.repository == Some(base);
    let found = MODELS.iter().find(is_base).or_else(|| named(base));
    found.map(|model| model.name.to_owned()).ok_or_else(|| {
        format!("its base model is '{base}', which is none of those with a name; give that model with --model")
    })
}

/// The names in `--classes`.
fn class_names(given: &[String]) -> Result<Vec<String>> {
    let classes: Vec<String> = given.iter().map(|name| name.trim().to_owned()).collect();
    if classes.is_empty() || classes.iter().any(String::is_empty) {
        let why = "--to lowshot needs --classes a,b,c: PEFT's files do not say what is told apart";
        return Err(Error::Usage(why.into()));
    }
    let mut seen = BTreeSet::new();
    match classes.iter().find(|name| !seen.insert(name.as_str())) {
        Some(name) => Err(Error::Usage(format!("--classes has '{name}' twice: give each once"))),
        None => Ok(classes),
    }
}
