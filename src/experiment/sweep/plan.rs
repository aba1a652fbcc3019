//! The file of a sweep: lists of what to combine, and what all combinations have in common.
//!
//! ```toml
//! datasets = ["eurosat", { name = "circuits", root-path = "data/circuits", fewshot = "lists/{shots}-{seed}.json" }]
//! root-path = "data"
//! shots = [1, 2, 4, 8, 16]
//! seeds = [1, 2, 3]
//! models = ["demo", "ViT-B/16"]
//! methods = ["zero-shot", "tip-f", { name = "meta", steps = 400, optimiser = { learning_rate = 1e-4 } }]
//! ```
//!
//! A list of one needs no brackets. What is left out is as in a single run; paths are relative to the folder that the
//! program is started in, as on the command line.

use std::path::PathBuf;

use serde::{Deserialize, Deserializer, de::DeserializeOwned, de::Error as _};
use toml::{Table, Value};

use super::{kubernetes::Kubernetes, method::MethodEntry, slurm::Slurm};
use crate::{
    Error, Result,
    clip::Precision,
    data::{Shots, templates},
    experiment::plan::{self, LogitScale},
};

/// A sweep, as its file says it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SweepPlan {
    /// Data sets.
    #[serde(alias = "dataset", deserialize_with = "one_or_many")]
    pub datasets: Vec<DatasetEntry>,
    /// Where data sets lie that do not say it themselves.
    #[serde(alias = "root_path")]
    pub root_path: Option<PathBuf>,
    /// Images of each class to learn from.
    #[serde(alias = "shot", deserialize_with = "one_or_many", default = "sixteen")]
    pub shots: Vec<Shots>,
    /// Seeds of everything random.
    #[serde(alias = "seed", deserialize_with = "one_or_many", default = "first")]
    pub seeds: Vec<u64>,
    /// Methods.
    #[serde(alias = "method", deserialize_with = "one_or_many")]
    pub methods: Vec<MethodEntry>,
    /// Models, by name, folder or file.
    #[serde(
        alias = "model",
        alias = "backbones",
        alias = "backbone",
        deserialize_with = "one_or_many",
        default = "demo"
    )]
    pub models: Vec<String>,
    /// The file of a data set's few-shot list, with `{dataset}`, `{shots}` and `{seed}` where they go; without it images
    /// are drawn.
    pub fewshot: Option<String>,
    /// Text templates: a named set, a file, or the templates themselves; without it each data set's own.
    #[serde(default, deserialize_with = "template_list")]
    pub templates: Vec<String>,
    /// What similarities are multiplied by.
    #[serde(alias = "logit_scale", default = "hundred")]
    pub logit_scale: LogitScale,
    /// Train on the first half of the classes, then also apply unchanged to the second.
    #[serde(alias = "base_to_novel", default)]
    pub base_to_novel: bool,
    /// Where to compute, as `--device`.
    pub device: Option<String>,
    /// What the towers compute in, as `--precision`.
    pub precision: Option<Precision>,
    /// The sweep's folder.
    pub out: Option<PathBuf>,
    /// How to run it as a Slurm job array.
    #[serde(default)]
    pub slurm: Slurm,
    /// How to run it as a Kubernetes job.
    #[serde(default)]
    pub kubernetes: Kubernetes,
}

/// A data set of a sweep.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Value")]
pub struct DatasetEntry {
    /// A known name, a split JSON, a CSV, or a folder.
    pub name: String,
    /// What its folder is called; unique in a sweep.
    pub label: String,
    /// Where it lies, if not where the others do.
    pub root_path: Option<PathBuf>,
    /// Its few-shot lists, if not where the others' are.
    pub fewshot: Option<String>,
}

impl TryFrom<Value> for DatasetEntry {
    type Error = Error;

    /// Reads `"eurosat"` or `{ name = "eurosat", root-path = "data", fewshot = "lists/{shots}.json", label = "sat" }`.
    fn try_from(value: Value) -> Result<Self> {
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields)]
        struct Fields {
            name: String,
            label: Option<String>,
            #[serde(alias = "root_path")]
            root_path: Option<PathBuf>,
            fewshot: Option<String>,
        }
        let table = match value {
            Value::String(name) => Table::from_iter([("name".to_owned(), Value::String(name))]),
            Value::Table(table) => table,
            other => return Err(Error::Usage(format!("a data set is a name or a table with a name, not {other}"))),
        };
        let fields: Fields =
            table.try_into().map_err(|error| Error::Usage(format!("a data set: {}", one_line(&error))))?;
        let label = fields.label.unwrap_or_else(|| fields.name.clone());
        Ok(Self { name: fields.name, label, root_path: fields.root_path, fewshot: fields.fewshot })
    }
}

impl SweepPlan {
    /// Reads a plan; `place` names its file in errors.
    ///
    /// # Errors
    /// [`Error::Config`] with the line: not TOML, an unknown key, a value that does not fit, an empty list.
    pub fn from_toml(text: &str, place: &str) -> Result<Self> {
        let plan: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| text[..span.start.min(text.len())].lines().count().max(1));
            let place = line.map_or_else(|| place.to_owned(), |line| format!("{place} line {line}"));
            Error::Config { file: place, why: one_line(&error) }
        })?;
        let lists = [
            ("datasets", plan.datasets.len()),
            ("shots", plan.shots.len()),
            ("seeds", plan.seeds.len()),
            ("methods", plan.methods.len()),
            ("models", plan.models.len()),
        ];
        match lists.into_iter().find(|(_, length)| *length == 0) {
            Some((name, _)) => {
                Err(Error::Config { file: place.into(), why: format!("{name} is empty, so there is nothing to run") })
            }
            None => Ok(plan),
        }
    }
}

/// An error of the TOML reader without the picture of the place that it draws.
fn one_line(error: &toml::de::Error) -> String {
    error.message().trim_end().replace('\n', " ")
}

/// Reads a list, or one value that stands for a list of one.
fn one_or_many<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let values = match Value::deserialize(deserializer)? {
        Value::Array(values) => values,
        value => vec![value],
    };
    let read = |value: Value| value.try_into().map_err(|error: toml::de::Error| D::Error::custom(one_line(&error)));
    values.into_iter().map(read).collect()
}

/// Reads a set's name or a file's path, or a list of templates.
fn template_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(given) => plan::templates(&given).map_err(D::Error::custom),
        value => {
            let list: Vec<String> = value.try_into().map_err(|error| D::Error::custom(one_line(&error)))?;
            list.iter().try_for_each(|template| templates::check(template)).map_err(D::Error::custom)?;
            Ok(list)
        }
    }
}

fn sixteen() -> Vec<Shots> {
    vec![Shots::PerClass(16)]
}

fn first() -> Vec<u64> {
    vec![1]
}

fn demo() -> Vec<String> {
    vec![crate::session::models::DEMO.to_owned()]
}

fn hundred() -> LogitScale {
    LogitScale::Fixed(100.0)
}
