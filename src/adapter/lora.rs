//! LoRA (Hu and others, "LoRA: Low-rank adaptation of large language models", 2021) on the attention of CLIP's towers, as in
//! CLIP-LoRA (Zanella and Ben Ayed, "Low-rank few-shot adaptation of vision-language models", 2024).
//!
//! `y = x Wᵀ + b + s · dropout(x) Aᵀ Bᵀ` with `A` `[r, in]` and `B` `[out, r]`; only A and B are trained. `B` starts at zero, so
//! training starts at CLIP itself.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    clip::walk::{Place, Tower},
};

/// Settings of LoRA. The default is CLIP-LoRA's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoraConfig {
    /// `r`, the rank.
    pub rank: usize,
    /// `α`, which the scale is made of.
    pub alpha: f64,
    /// How likely an input of the branch is dropped in training, in [0, 1).
    pub dropout: f64,
    /// How the scale `s` is made of α and r.
    pub scaling: Scaling,
    /// Which projections of the attention have a branch.
    pub projections: Vec<Projection>,
    /// Which blocks.
    pub position: Position,
    /// Which towers.
    pub encoder: Encoder,
}

impl Default for LoraConfig {
    fn default() -> Self {
        Self {
            rank: 2,
            alpha: 1.0,
            dropout: 0.25,
            scaling: Scaling::RankStabilised,
            projections: vec![Projection::Query, Projection::Key, Projection::Value],
            position: Position::All,
            encoder: Encoder::Both,
        }
    }
}

/// How the scale of a branch is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scaling {
    /// `α / √r` (Kalajdzievski, "A rank stabilization scaling factor for fine-tuning with LoRA", 2023), as CLIP-LoRA's code has
    /// it.
    RankStabilised,
    /// `α / r`, the paper's and PEFT's default.
    Standard,
}

/// A projection of the attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Projection {
    /// Queries.
    #[serde(rename = "q")]
    Query,
    /// Keys.
    #[serde(rename = "k")]
    Key,
    /// Values.
    #[serde(rename = "v")]
    Value,
    /// The projection after the heads.
    #[serde(rename = "o")]
    Output,
}

impl Projection {
    /// Its letter in names and on the command line.
    pub fn letter(self) -> &'static str {
        match self {
            Self::Query => "q",
            Self::Key => "k",
            Self::Value => "v",
            Self::Output => "o",
        }
    }
}

/// Which towers something is done to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoder {
    /// Both.
    #[default]
    Both,
    /// The image tower.
    Vision,
    /// The text tower.
    Text,
}

impl Encoder {
    /// Whether `tower` is meant.
    pub fn has(self, tower: Tower) -> bool {
        match self {
            Self::Both => true,
            Self::Vision => tower == Tower::Vision,
            Self::Text => tower == Tower::Text,
        }
    }
}

/// Which blocks of a tower. Named for twelve of them, in the same proportion in towers of another depth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Position {
    /// All.
    #[default]
    All,
    /// The first third, 0–3 of 12.
    Bottom,
    /// The second third, 4–7 of 12.
    Mid,
    /// The last third, 8–11 of 12.
    Up,
    /// The first half, 0–5 of 12.
    HalfBottom,
    /// The second half, 6–11 of 12.
    HalfUp,
    /// The last three, whatever the depth.
    Top3,
}

impl Position {
    /// Whether block `layer` of `layers` is meant.
    pub fn has(self, layer: usize, layers: usize) -> bool {
        match self {
            Self::All => true,
            Self::Bottom => layer < layers.div_ceil(3),
            Self::Mid => (layers.div_ceil(3)..(2 * layers).div_ceil(3)).contains(&layer),
            Self::Up => layer >= (2 * layers).div_ceil(3),
            Self::HalfBottom => layer < layers.div_ceil(2),
            Self::HalfUp => layer >= layers.div_ceil(2),
            Self::Top3 => layer + 3 >= layers,
        }
    }
}

impl LoraConfig {
    /// Refuses what makes no sense, before anything is computed.
    ///
    /// # Errors
    /// [`Error::Usage`] that names the setting.
    pub fn check(&self) -> Result<()> {
        let wrong = |why: String| Err(Error::Usage(format!("LoRA: {why}")));
        if self.rank == 0 || self.rank > 1024 {
            return wrong(format!("the rank is {}: give a number from 1 to 1024", self.rank));
        }
        if !(self.alpha.is_finite() && self.alpha > 0.0) {
            return wrong(format!("alpha is {}: give a number above 0", self.alpha));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return wrong(format!("dropout is {}: give a number from 0 to below 1", self.dropout));
        }
        if self.projections.is_empty() {
            return wrong("no projection: give some of q k v o".into());
        }
        let mut sorted = self.projections.clone();
        sorted.sort_unstable();
        if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
            return wrong("a projection is named twice: give each of q k v o once at most".into());
        }
        Ok(())
    }

    /// `s`.
    pub fn scale(&self) -> f64 {
        match self.scaling {
            Scaling::RankStabilised => self.alpha / (self.rank as f64).sqrt(),
            Scaling::Standard => self.alpha / self.rank as f64,
        }
    }

    /// Whether a block's attention has branches.
    pub fn has(&self, place: Place) -> bool {
        self.encoder.has(place.tower) && self.position.has(place.layer, place.layers)
    }

    /// `A` `[rank, width]` as it starts, row by row: Kaiming-uniform with a = √5, so uniform in ±1/√width.
    pub fn initial(&self, width: usize, random: &mut ChaCha8Rng) -> Vec<f32> {
        let bound = (width as f32).powf(-0.5);
        (0..self.rank * width).map(|_| random.random_range(-bound..=bound)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_those_of_the_published_code_at_twelve_blocks_and_scale_to_others() {
        let blocks = |position: Position, layers| (0..layers).filter(|&l| position.has(l, layers)).collect::<Vec<_>>();
        assert_eq!(blocks(Position::Bottom, 12), [0, 1, 2, 3]);
        assert_eq!(blocks(Position::Mid, 12), [4, 5, 6, 7]);
        assert_eq!(blocks(Position::Up, 12), [8, 9, 10, 11]);
        assert_eq!(blocks(Position::HalfUp, 12), [6, 7, 8, 9, 10, 11]);
        assert_eq!(blocks(Position::HalfBottom, 12), [0, 1, 2, 3, 4, 5]);
        assert_eq!(blocks(Position::Top3, 12), [9, 10, 11]);
        assert_eq!(blocks(Position::Up, 24), (16..24).collect::<Vec<_>>());
        assert_eq!(blocks(Position::Top3, 2), [0, 1]);
        for layers in 1..30 {
            let thirds: Vec<usize> =
                [Position::Bottom, Position::Mid, Position::Up].iter().flat_map(|&p| blocks(p, layers)).collect();
            assert_eq!(thirds, (0..layers).collect::<Vec<_>>());
        }
    }

    #[test]
    fn both_scalings() {
        let config = LoraConfig { rank: 4, alpha: 8.0, ..LoraConfig::default() };
        assert_eq!(config.scale(), 4.0);
        assert_eq!(LoraConfig { scaling: Scaling::Standard, ..config }.scale(), 2.0);
    }

    #[test]
    fn senseless_settings_are_refused_by_name() {
        let good = LoraConfig::default();
        assert!(good.check().is_ok());
        for (bad, name) in [
            (LoraConfig { rank: 0, ..good.clone() }, "rank"),
            (LoraConfig { alpha: f64::NAN, ..good.clone() }, "alpha"),
            (LoraConfig { dropout: 1.0, ..good.clone() }, "dropout"),
            (LoraConfig { projections: vec![], ..good.clone() }, "no projection"),
            (LoraConfig { projections: vec![Projection::Key; 2], ..good.clone() }, "twice"),
        ] {
            assert!(bad.check().unwrap_err().to_string().contains(name));
        }
    }
}
