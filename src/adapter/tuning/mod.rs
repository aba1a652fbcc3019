//! Training through the towers: LoRA, BitFit and Meta-Adapter in any combination, with or without the breaking loss.
//!
//! | file | what it is |
//! |---|---|
//! | [`config`] | the settings, the recipes with a name |
//! | [`parameters`] | what is trained: made, put into the towers, merged, stored |
//! | `pass` | one run of a tower that a gradient can be sent back through |
//! | [`batch`] | the pictures of a step |
//! | [`training`] | the steps |
//! | [`learnt`] | what comes out: changed towers and a head |
//! | [`checkpoint`] | everything that a step depends on, to go on from later |

pub mod batch;
pub mod checkpoint;
pub mod config;
pub mod learnt;
pub mod parameters;
mod pass;
pub mod training;

pub use batch::Batch;
pub use config::{Augment, BreakingConfig, BreakingPair, EPOCHS, LiveMetaConfig, Preset, TuningConfig};
pub use learnt::Learnt;
pub use parameters::Tuning;
pub use training::{Learning, Training};
