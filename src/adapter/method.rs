//! The methods by name.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The few-shot methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Method {
    /// The classes' texts alone.
    ZeroShot,
    /// Tip-Adapter, training-free.
    Tip,
    /// Tip-Adapter-F, with trained keys.
    TipF,
    /// Meta-Adapter.
    Meta,
    /// Logistic regression.
    LinearProbe,
    /// Training through the towers.
    Tuning(Parts),
}

/// What training through the towers is made of: LoRA, BitFit or both, and what may be added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Parts {
    /// Low-rank branches.
    pub lora: bool,
    /// Biases.
    pub bitfit: bool,
    /// Meta-Adapter on the features that come out.
    pub meta: bool,
    /// The breaking loss.
    pub breaking: bool,
}

impl Parts {
    /// Whether anything in the towers is trained, without which the rest is no method.
    pub fn trains_towers(self) -> bool {
        self.lora || self.bitfit
    }
}

impl Method {
    /// The methods on features, from the simplest.
    pub const ON_FEATURES: [Self; 5] = [Self::ZeroShot, Self::Tip, Self::TipF, Self::Meta, Self::LinearProbe];

    /// The name on the command line and in files: for training through the towers its parts, joined.
    pub fn name(self) -> String {
        let name = match self {
            Self::ZeroShot => "zero-shot",
            Self::Tip => "tip",
            Self::TipF => "tip-f",
            Self::Meta => "meta",
            Self::LinearProbe => "linear-probe",
            Self::Tuning(Parts { lora, bitfit, meta, breaking }) => {
                let parts = [(lora, "lora"), (bitfit, "bitfit"), (meta, "meta"), (breaking, "breaking")];
                return parts.iter().filter(|(on, _)| *on).map(|(_, name)| *name).collect::<Vec<_>>().join("+");
            }
        };
        name.to_owned()
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name())
    }
}

impl From<Method> for String {
    fn from(method: Method) -> Self {
        method.name()
    }
}

impl TryFrom<String> for Method {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        name.parse()
    }
}

impl FromStr for Method {
    type Err = Error;

    /// Reads a name; the parts of a combination may come in any order.
    fn from_str(name: &str) -> Result<Self> {
        if let Some(method) = Self::ON_FEATURES.into_iter().find(|method| method.name() == name) {
            return Ok(method);
        }
        let wrong = || {
            let names = Self::ON_FEATURES.map(Self::name).join(", ");
            Error::Usage(format!(
                "unknown method {name:?}: choose one of {names}, or lora, bitfit or lora+bitfit, to which +meta and +breaking can be \
                 added"
            ))
        };
        let mut parts = Parts::default();
        for part in name.split('+') {
            let part = match part {
                "lora" => &mut parts.lora,
                "bitfit" => &mut parts.bitfit,
                "meta" => &mut parts.meta,
                "breaking" => &mut parts.breaking,
                _ => return Err(wrong()),
            };
            if std::mem::replace(part, true) {
                return Err(wrong());
            }
        }
        if parts.trains_towers() { Ok(Self::Tuning(parts)) } else { Err(wrong()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways_and_a_wrong_one_lists_them() {
        let both = |meta, breaking| Method::Tuning(Parts { lora: true, bitfit: true, meta, breaking });
        for method in Method::ON_FEATURES.into_iter().chain([both(false, false), both(true, true)]) {
            assert_eq!(method.to_string().parse::<Method>().unwrap(), method);
            assert_eq!(serde_json::to_value(method).unwrap(), method.name());
        }
        assert_eq!(both(true, true).name(), "lora+bitfit+meta+breaking");
        assert_eq!("bitfit+lora".parse::<Method>().unwrap(), both(false, false));
        for wrong in ["tipf", "meta+breaking", "lora+lora", "lora+", ""] {
            let message = wrong.parse::<Method>().unwrap_err().to_string();
            assert!(
                message.starts_with(&format!("unknown method {wrong:?}: choose one of zero-shot, tip, tip-f, meta, "))
            );
        }
    }
}
