//! The settings: LoRA's numbers, and which towers, blocks and projections the tensors are of.

use std::collections::BTreeSet;

use super::{Imported, LowRank};
use crate::{
    adapter::{
        bitfit::BitFitConfig,
        lora::{Encoder, LoraConfig, Position, Projection, Scaling},
        tuning::TuningConfig,
    },
    clip::config::{ClipConfig, VisionConfig},
};

impl From<&LoraConfig> for LowRank {
    fn from(lora: &LoraConfig) -> Self {
        let rank_stabilised = lora.scaling == Scaling::RankStabilised;
        Self { rank: lora.rank, alpha: lora.alpha, dropout: lora.dropout, rank_stabilised }
    }
}

impl Imported {
    /// The settings that train exactly these tensors in towers of this `shape`; what is not known of their training (steps,
    /// optimiser) is as in the default recipe.
    ///
    /// # Errors
    /// Blocks that no position stands for.
    pub fn config(&self, shape: &ClipConfig) -> Result<TuningConfig, String> {
        let lora = self.low_rank.map(|low_rank| self.lora(low_rank, shape)).transpose()?;
        let biases = [true, false].map(|vision| self.has_biases(vision));
        let bitfit = encoder(biases).map(|encoder| BitFitConfig { encoder });
        Ok(TuningConfig { lora, bitfit, ..TuningConfig::default() })
    }

    fn lora(&self, low_rank: LowRank, shape: &ClipConfig) -> Result<LoraConfig, String> {
        const POSITIONS: [Position; 7] = [
            Position::All,
            Position::Bottom,
            Position::Mid,
            Position::Up,
            Position::HalfBottom,
            Position::HalfUp,
            Position::Top3,
        ];
        let vision_layers = match &shape.vision {
            VisionConfig::Vit(vit) => vit.transformer.layers,
            VisionConfig::ResNet(_) => 0,
        };
        let towers = [(self.blocks(true), vision_layers), (self.blocks(false), shape.text.transformer.layers)];
        let is_at = |position: &Position| {
            let mut adapted = towers.iter().filter(|(blocks, _)| !blocks.is_empty());
            adapted.all(|(blocks, layers)| {
                let expected: BTreeSet<usize> = (0..*layers).filter(|&layer| position.has(layer, *layers)).collect();
                *blocks == expected
            })
        };
        let position = POSITIONS.into_iter().find(is_at).ok_or_else(|| {
            let [(vision, _), (text, _)] = &towers;
            format!("it adapts the image tower's blocks {vision:?} and the text tower's {text:?}, which no --position stands for")
        })?;
        let adapted = [true, false].map(|vision| !self.blocks(vision).is_empty());
        let encoder = encoder(adapted).ok_or("it has LoRA's numbers and none of its tensors")?;
        let all = [Projection::Query, Projection::Key, Projection::Value, Projection::Output];
        let letters = self.projections();
        let projections =
            all.into_iter().filter(|p| p.letter().chars().all(|letter| letters.contains(&letter))).collect();
        let scaling = if low_rank.rank_stabilised { Scaling::RankStabilised } else { Scaling::Standard };
        let LowRank { rank, alpha, dropout, .. } = low_rank;
        Ok(LoraConfig { rank, alpha, dropout, scaling, projections, position, encoder })
    }
}

/// Which towers are meant, the image tower first; `None` for neither.
fn encoder(towers: [bool; 2]) -> Option<Encoder> {
    match towers {
        [true, true] => Some(Encoder::Both),
        [true, false] => Some(Encoder::Vision),
        [false, true] => Some(Encoder::Text),
        [false, false] => None,
    }
}
