//! A walk over what adapters may change in the towers: biases, and the projections of the attention.
//!
//! The towers know where these are and what OpenAI calls them; what is done with them is the visitor's affair. So BitFit, LoRA
//! and the merge of both are a few lines each, and none of them knows how a tower is built.

use burn::tensor::Tensor;

use super::{ClipBackend, attention::Attention};

/// What is done at each stop.
pub trait Visitor<B: ClipBackend> {
    /// A bias `[width]` under its OpenAI name.
    fn bias(&mut self, name: &str, bias: &mut Tensor<B, 1>) {
        let _ = (name, bias);
    }

    /// The attention of block `block` (OpenAI's name, `visual.transformer.resblocks.3`), by `place`.
    fn attention(&mut self, block: &str, place: Place, attention: &mut Attention<B>) {
        let _ = (block, place, attention);
    }
}

/// Either tower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tower {
    /// The image tower.
    Vision,
    /// The text tower.
    Text,
}

impl Tower {
    /// The tower that a tensor belongs to, by its OpenAI name.
    pub fn of(name: &str) -> Self {
        if name.starts_with("visual.") { Self::Vision } else { Self::Text }
    }
}

/// Where a block stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// In which tower.
    pub tower: Tower,
    /// The block's number, from 0.
    pub layer: usize,
    /// How many there are.
    pub layers: usize,
}
