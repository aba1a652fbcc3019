//! BitFit (Ben Zaken, Ravfogel and Goldberg, "BitFit: Simple parameter-efficient fine-tuning for transformer-based masked
//! language-models", 2022): the biases are trained, and nothing else. All of them: those of layer norms (in ResNets of batch
//! norms) and of the attention's in-projection too.

use serde::{Deserialize, Serialize};

use super::lora::Encoder;

/// Settings of BitFit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BitFitConfig {
    /// Which towers.
    pub encoder: Encoder,
}
