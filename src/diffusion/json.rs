//! A component's `config.json`, read key by key, so that a wrong one is named by the file's own key.

use serde_json::{Map, Value};

use crate::{Error, Result};

/// More than any network has of channels; a forged file must not make us allocate without bound.
pub(super) const MOST: usize = 65_536;
/// Likewise of blocks, and of layers in one.
pub(super) const MOST_LAYERS: usize = 64;

/// The keys of a config.
pub(super) struct Config {
    file: String,
    keys: Map<String, Value>,
}

impl Config {
    pub(super) fn parse(file: &str, bytes: &[u8]) -> Result<Self> {
        let wrong = |why: String| Error::Config { file: file.into(), why };
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(keys)) => Ok(Self { file: file.into(), keys }),
            Ok(_) => Err(wrong("not a JSON object: download the file again".into())),
            Err(error) => Err(wrong(format!("not valid JSON ({error}): download the file again"))),
        }
    }

    pub(super) fn wrong(&self, why: impl Into<String>) -> Error {
        Error::Config { file: self.file.clone(), why: why.into() }
    }

    /// What stands under a key, null included.
    pub(super) fn raw(&self, key: &str) -> Option<&Value> {
        self.keys.get(key)
    }

    /// What stands under a key; nothing where it is null.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.keys.get(key).filter(|value| !value.is_null())
    }

    /// A number from 1 to [`MOST`].
    pub(super) fn size(&self, key: &str, default: usize) -> Result<usize> {
        self.get(key).map_or(Ok(default), |value| self.as_size(key, value, MOST))
    }

    /// A number of layers, from 1 to [`MOST_LAYERS`].
    pub(super) fn layers(&self, key: &str, default: usize) -> Result<usize> {
        self.get(key).map_or(Ok(default), |value| self.as_size(key, value, MOST_LAYERS))
    }

    pub(super) fn as_size(&self, key: &str, value: &Value, most: usize) -> Result<usize> {
        let size = value.as_u64().and_then(|size| usize::try_from(size).ok()).filter(|size| (1..=most).contains(size));
        size.ok_or_else(|| self.wrong(format!("{key} is {value}; it must be a whole number from 1 to {most}")))
    }

    /// A list of such numbers.
    pub(super) fn sizes(&self, key: &str, default: &[usize]) -> Result<Vec<usize>> {
        match self.get(key) {
            None => Ok(default.into()),
            Some(Value::Array(values)) if (1..=MOST_LAYERS).contains(&values.len()) => {
                values.iter().map(|value| self.as_size(key, value, MOST)).collect()
            }
            Some(value) => {
                Err(self.wrong(format!("{key} is {value}; it must be a list of up to {MOST_LAYERS} whole numbers")))
            }
        }
    }

    /// A number, or a list of them, one for each of `count` blocks.
    pub(super) fn size_each(&self, key: &str, default: usize, count: usize) -> Result<Vec<usize>> {
        match self.get(key) {
            Some(Value::Array(_)) => {
                let sizes = self.sizes(key, &[])?;
                self.check_count(key, sizes.len(), count)?;
                Ok(sizes)
            }
            _ => Ok(vec![self.size(key, default)?; count]),
        }
    }

    pub(super) fn check_count(&self, key: &str, found: usize, count: usize) -> Result<()> {
        if found == count {
            return Ok(());
        }
        Err(self.wrong(format!("{key} has {found} entries for {count} blocks; download the file again")))
    }

    pub(super) fn names(&self, key: &str, default: &[&str]) -> Result<Vec<String>> {
        let wrong = |value: &Value| self.wrong(format!("{key} is {value}; it must be a list of names"));
        match self.get(key) {
            None => Ok(default.iter().map(|name| (*name).to_owned()).collect()),
            Some(value) => {
                let names = value.as_array().ok_or_else(|| wrong(value))?;
                names.iter().map(|name| name.as_str().map(str::to_owned).ok_or_else(|| wrong(value))).collect()
            }
        }
    }

    pub(super) fn number(&self, key: &str, default: f64) -> Result<f64> {
        let number = self.get(key).map_or(Some(default), Value::as_f64).filter(|number| number.is_finite());
        number.ok_or_else(|| self.wrong(format!("{key} is {}; it must be a number", self.keys[key])))
    }

    /// A number above 0.
    pub(super) fn positive(&self, key: &str, default: f64) -> Result<f64> {
        let number = self.number(key, default)?;
        if number > 0.0 { Ok(number) } else { Err(self.wrong(format!("{key} is {number}; it must be above 0"))) }
    }

    pub(super) fn flag(&self, key: &str, default: bool) -> Result<bool> {
        let flag = self.get(key).map_or(Some(default), Value::as_bool);
        flag.ok_or_else(|| self.wrong(format!("{key} is {}; it must be true or false", self.keys[key])))
    }

    /// Refuses keys that ask for what is not built here: each stands with the values that ask for nothing.
    pub(super) fn refuse_others(&self, known: &[(&str, &[Value])]) -> Result<()> {
        for (key, neutral) in known {
            if let Some(value) = self.get(key).filter(|value| !neutral.contains(value)) {
                let why =
                    format!("{key} is {value}, which is not supported; use a Stable Diffusion 1, 2 or Turbo model");
                return Err(self.wrong(why));
            }
        }
        Ok(())
    }

    /// Refuses another class of component.
    pub(super) fn check_class(&self, class: &str) -> Result<()> {
        match self.get("_class_name").and_then(Value::as_str).filter(|found| *found != class) {
            None => Ok(()),
            Some(found) => Err(self.wrong(format!("_class_name is '{found}'; '{class}' belongs here"))),
        }
    }

    /// Checks that normalisation groups and heads divide a width.
    pub(super) fn check_divides(&self, key: &str, divisor: usize, width: usize) -> Result<()> {
        if width.is_multiple_of(divisor) {
            return Ok(());
        }
        Err(self.wrong(format!("{key} {divisor} does not divide a block's {width} channels; download the file again")))
    }
}
